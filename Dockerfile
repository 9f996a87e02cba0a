# Two images, each with the same verbs and layers:
#
#   docker build -t maap-caffe .                        target cpu, the default: the engine of this repository, on Debian 12
#   docker build -t maap-caffe-bvlc --target bvlc .     the unmodified BVLC Caffe as Debian 11 packages it
#
#   docker run -v "$PWD:/workspace" maap-caffe train alexnet        a verb of ./maap
#   docker run maap-caffe caffe train -solver ...                   any other command is run as given
#   docker run -it maap-caffe bash
#
# Runs are written to /workspace/runs; downloads and the demo set to /workspace/.cache, so that a mounted folder
# keeps them.
ARG BASE=debian:bookworm
ARG BVLC_BASE=debian:bullseye

# ---- the unmodified BVLC Caffe ----
FROM ${BVLC_BASE} AS bvlc

LABEL org.opencontainers.image.title="maap-caffe-bvlc" \
      org.opencontainers.image.description="Multi-attention guided activation propagation on BVLC Caffe" \
      org.opencontainers.image.version="0.2.0"

ENV LANG=C.UTF-8 LC_ALL=C.UTF-8 MAAP_HOST=bvlc
WORKDIR /opt/maap-caffe

# Only the package list first: the packages are installed again only when it changes.
COPY tools/host/packages.txt tools/host/packages.txt
RUN printf 'APT::Install-Recommends "false";\nAPT::Sandbox::User "root";\nAcquire::Retries "3";\nAcquire::Check-Valid-Until "false";\n' \
      > /etc/apt/apt.conf.d/90maap \
 && apt-get -q update \
 && sed -e 's/#.*//' tools/host/packages.txt | DEBIAN_FRONTEND=noninteractive xargs apt-get -q install -y ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb

COPY . .
RUN ./maap setup && mkdir -p /workspace && chmod 1777 /workspace

ENV PATH=/opt/maap-caffe/tools:/opt/maap-caffe:$PATH \
    PYTHONPATH=/opt/maap-caffe/build/bvlc/python \
    XDG_CACHE_HOME=/workspace/.cache
WORKDIR /workspace
VOLUME /workspace
ENTRYPOINT ["/opt/maap-caffe/tools/host/entry"]
CMD ["--help"]

# ---- the engine of this repository ----
FROM ${BASE} AS cpu

LABEL org.opencontainers.image.title="maap-caffe" \
      org.opencontainers.image.description="A Caffe with multi-attention guided activation propagation" \
      org.opencontainers.image.version="0.2.0"

ENV LANG=C.UTF-8 LC_ALL=C.UTF-8 MAAP_HOST=fork MAAP_CACHE=/opt/maap-cache
WORKDIR /opt/maap-caffe

COPY tools/engine/packages.txt tools/engine/packages.txt
RUN printf 'APT::Install-Recommends "false";\nAPT::Sandbox::User "root";\nAcquire::Retries "3";\n' > /etc/apt/apt.conf.d/90maap \
 && apt-get -q update \
 && sed -e 's/#.*//' tools/engine/packages.txt | DEBIAN_FRONTEND=noninteractive xargs apt-get -q install -y ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb

COPY . .
RUN ./maap setup && rm -rf /root/.cache && mkdir -p /workspace && chmod 1777 /workspace

ENV PATH=/opt/maap-caffe/build/fork/bin:/opt/maap-caffe:$PATH \
    XDG_CACHE_HOME=/workspace/.cache
WORKDIR /workspace
VOLUME /workspace
ENTRYPOINT ["/opt/maap-caffe/tools/host/entry"]
CMD ["--help"]

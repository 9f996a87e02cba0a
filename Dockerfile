# Three images, each with the same verbs and layers:
#
#   docker build -t maap-caffe .                        target cpu, the default: the engine of this repository, on Debian 12
#   docker build -t maap-caffe:gpu --target gpu .       the same with GPU methods: CUDA 13, cuDNN 9 and NCCL, NVIDIA's wheels
#   docker build -t maap-caffe-bvlc --target bvlc .     the unmodified BVLC Caffe as Debian 11 packages it
#
# --build-arg CUDA_ARCHITECTURES=90 builds for one kind of GPU only, in a fifth of the time. GPU_BASE may be an image that
# has CUDA's compiler and cuDNN 9 (nvidia/cuda:13.0.2-cudnn-devel-ubuntu24.04), which then are used.
#
#   docker run --gpus all maap-caffe:gpu train alexnet              computes on the first GPU
#   docker run -v "$PWD:/workspace" maap-caffe train alexnet        a verb of ./maap
#   docker run maap-caffe caffe train -solver ...                   any other command is run as given
#   docker run -it maap-caffe bash
#
# Runs are written to /workspace/runs; downloads and the demo set to /workspace/.cache, so that a mounted folder
# keeps them.
ARG BASE=debian:bookworm
ARG BVLC_BASE=debian:bullseye
ARG GPU_BASE=debian:bookworm

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

# ---- the engine of this repository, with GPU methods ----
FROM ${GPU_BASE} AS gpu

LABEL org.opencontainers.image.title="maap-caffe:gpu" \
      org.opencontainers.image.description="A Caffe with multi-attention guided activation propagation, for GPUs" \
      org.opencontainers.image.version="0.2.0"

# What the container runtime makes visible, and what of the driver it brings, where docker run does not say so itself.
ENV LANG=C.UTF-8 LC_ALL=C.UTF-8 MAAP_HOST=fork MAAP_CACHE=/opt/maap-cache MAAP_USE_CUDA=ON \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt/maap-caffe

COPY tools/engine/packages.txt tools/engine/cuda-wheels.txt tools/engine/
RUN printf 'APT::Install-Recommends "false";\nAPT::Sandbox::User "root";\nAcquire::Retries "3";\n' > /etc/apt/apt.conf.d/90maap \
 && apt-get -q update \
 && sed -e 's/#.*//' tools/engine/packages.txt | DEBIAN_FRONTEND=noninteractive xargs apt-get -q install -y ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
# The toolkit, cuDNN and NCCL, unless the base has them.
RUN if command -v nvcc || [ -x /usr/local/cuda/bin/nvcc ]; then mkdir -p /opt/cuda; else \
      python3 -m venv /opt/cuda \
      && /opt/cuda/bin/pip -q --no-cache-dir --disable-pip-version-check install --require-hashes -r tools/engine/cuda-wheels.txt; \
    fi

COPY . .
ARG CUDA_ARCHITECTURES=
RUN for nvcc in /opt/cuda/lib/python3.*/site-packages/nvidia/cu13/bin/nvcc; do \
      [ ! -x "$nvcc" ] || export CUDACXX=$nvcc; \
    done \
 && { CUDAARCHS=$CUDA_ARCHITECTURES MAAP_CMAKE_OPTIONS="-DUSE_CUDNN=ON -DUSE_NCCL=ON" ./maap setup \
      || { tail -n 50 build/fork.log; exit 1; }; } \
 && rm -rf /root/.cache && mkdir -p /workspace && chmod 1777 /workspace

ENV PATH=/opt/maap-caffe/build/fork/bin:/opt/maap-caffe:$PATH \
    XDG_CACHE_HOME=/workspace/.cache \
    MAAP_DEFAULT_GPU=0
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

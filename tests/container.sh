#!/usr/bin/env bash
# Builds the Dockerfile and trains for 20 iterations per phase in the image. Run by hand, as root:
#
#   tests/container.sh [--target cpu|gpu|bvlc] [VERB ARGS...]   default: cpu, train alexnet --max-iter 20 --phase2-iter 20
#
# Needs buildah. With BASE=IMAGE (GPU_BASE for gpu, BVLC_BASE for bvlc) the base image is pulled from a registry; without
# it, debootstrap makes a base image here, so no registry is needed. The target gpu trains on the CPU: no GPU is passed to
# the container; CUDA_ARCHITECTURES says what it is built for. No daemon and no user namespace is used (--isolation
# chroot, vfs storage); all storage is in one folder that is removed at the end.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd -P)
mirror=${MAAP_MIRROR:-http://deb.debian.org/debian}
target=cpu
if [ "${1:-}" = --target ]; then
  target=$2
  shift 2
fi
case $target in
  cpu) suite=bookworm base=${BASE:-} ;;
  gpu) suite=bookworm base=${GPU_BASE:-} ;;
  bvlc) suite=bullseye base=${BVLC_BASE:-} ;;
  *) echo "error: the targets are cpu, gpu and bvlc" >&2; exit 1 ;;
esac
[ $# -gt 0 ] || set -- train alexnet --max-iter 20 --phase2-iter 20

say() { printf '== %5d s  %s\n' "$SECONDS" "$*"; }
[ "$(id -u)" = 0 ] || { echo "error: start tests/container.sh as root" >&2; exit 1; }
command -v buildah >/dev/null || { echo "error: buildah is missing; install it with apt-get install buildah" >&2; exit 1; }

store=$(mktemp -d "${TMPDIR:-/var/tmp}/maap-container.XXXXXX")
cleanup() {
  buildah_ rm --all >/dev/null 2>&1 || true
  umount -l "$store/root/vfs" 2>/dev/null || true
  rm -rf --one-file-system "$store"
}
buildah_() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

# Makes the image localhost/debian-SUITE from nothing.
make_base() {
  local container folder
  command -v debootstrap >/dev/null || apt-get -q install -y --no-install-recommends debootstrap
  container=$(buildah_ from scratch)
  folder=$(buildah_ mount "$container")
  say "debootstrap of the base image (log: $store/debootstrap.log)"
  debootstrap --variant=minbase "$suite" "$folder" "$mirror" >"$store/debootstrap.log" 2>&1 ||
    { tail -n 3 "$store/debootstrap.log" >&2; exit 1; }
  rm -f "$folder"/var/cache/apt/archives/*.deb
  buildah_ umount "$container" >/dev/null
  buildah_ commit --quiet --rm "$container" "localhost/debian-$suite" >/dev/null
}

pull=--pull=missing
if [ -z "$base" ]; then
  make_base
  base=localhost/debian-$suite pull=--pull=never
fi
# The image does not know how this machine reaches pip's index, so the build gets this machine's certificates and pip
# settings.
mounts=()
if [ -r /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$store/certificates.crt"
  { if [ -r /etc/pip.conf ]; then sed '/^cert *=/d' /etc/pip.conf; else echo '[global]'; fi
    echo 'cert = /run/certificates.crt'; } >"$store/pip.conf"
  mounts=(--volume "$store/certificates.crt:/run/certificates.crt:ro" --volume "$store/pip.conf:/etc/pip.conf:ro")
fi
say "building the image $target from $base"
buildah_ bud --isolation chroot "${mounts[@]}" "$pull" --build-arg "BASE=$base" --build-arg "BVLC_BASE=$base" \
  --build-arg "GPU_BASE=$base" --build-arg "CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES:-}" --target "$target" -t maap-caffe "$repo"
container=$(buildah_ from --pull=never maap-caffe)
if [ "$target" = gpu ]; then buildah_ config --env MAAP_DEFAULT_GPU- "$container"; fi # the CPU
say "other commands run as given"
buildah_ run --isolation chroot "$container" -- /opt/maap-caffe/tools/host/entry \
  python3 -c 'import caffe; print("pycaffe", caffe.__version__)'
buildah_ run --isolation chroot "$container" -- /opt/maap-caffe/tools/host/entry \
  sh -c 'which classification convert_mnist_data convert_mnist_siamese_data convert_cifar_data'
buildah_ run --isolation chroot "$container" -- /opt/maap-caffe/tools/host/entry caffe --version
say "maap $*"
buildah_ run --isolation chroot "$container" -- /opt/maap-caffe/tools/host/entry "$@"
say "done"

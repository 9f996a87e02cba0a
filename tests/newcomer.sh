#!/usr/bin/env bash
# A newcomer's first steps: a fresh Debian 12 with only git, a clone, one command. Run by hand, as root:
#
#   tests/newcomer.sh [--user] [--keep] [--suite NAME] [--avx2 | --arm64] [VERB ARGS...]     default: train alexnet
#
# The Debian (--suite trixie: Debian 13) is made with debootstrap in a temporary folder and deleted at the end (--keep
# keeps it and prints its path). --user: an ordinary user with sudo runs the command. --avx2: AVX-512 is hidden from the
# engine and its libraries. --arm64: a Debian for 64-bit ARM, by emulation (packages qemu-user-static and
# g++-aarch64-linux-gnu); this machine's compiler builds there, since an emulated one takes ten times as long, so the
# suite must be this machine's. The processor is a Neoverse N1, or what $MAAP_EMULATED_CPU and $OPENBLAS_CORETYPE say.
# The clone is of the last commit of this checkout. The time of the first start and of a second `./maap --version` are
# printed, and the longest silence between two lines.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd -P)
mirror=${MAAP_MIRROR:-http://deb.debian.org/debian}

# A private mount namespace, so that no mount is left in any case.
if [ "${MAAP_NEWCOMER_INSIDE:-}" != 1 ]; then
  MAAP_NEWCOMER_INSIDE=1 exec unshare -m -- "$0" "$@"
fi

user=root keep='' suite=bookworm isa=() arm='' packages=git,ca-certificates
while :; do
  case ${1:-} in
    --user) user=newcomer packages=$packages,sudo ;;
    --keep) keep=1 ;;
    --avx2) isa=(CAFFE_CPU_ISA=AVX2) ;;
    --arm64) arm=1 isa=(QEMU_CPU="${MAAP_EMULATED_CPU:-neoverse-n1}" OPENBLAS_CORETYPE="${OPENBLAS_CORETYPE:-neoversen1}") ;;
    --suite)
      suite=$2
      shift
      ;;
    *) break ;;
  esac
  shift
done
[ $# -gt 0 ] || set -- train alexnet

say() { printf '== %5d s  %s\n' "$SECONDS" "$*"; }
formats=/proc/sys/fs/binfmt_misc format=maap-arm64-$$
fresh=$(mktemp -d "${TMPDIR:-/var/tmp}/maap-newcomer.XXXXXX")
chmod 755 "$fresh"
cleanup() {
  rm -f "$fresh.log"
  [ ! -e "$formats/$format" ] || echo -1 >"$formats/$format" || true
  umount -R -l "$fresh" 2>/dev/null || true
  if grep -qF " $fresh" /proc/self/mounts; then # some of this machine's folders are still in it
    say "not removed, because something is still mounted there: $fresh"
  elif [ -n "$keep" ]; then
    say "kept: $fresh"
  else
    rm -rf --one-file-system "$fresh"
  fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Lets the kernel start programs for 64-bit ARM with QEMU until the end, also those that become root (C: sudo).
emulate_arm64() {
  local known=/usr/lib/binfmt.d/qemu-aarch64.conf
  if ! command -v aarch64-linux-gnu-g++ >/dev/null || [ ! -r "$known" ]; then
    echo "--arm64 needs the packages qemu-user-static and g++-aarch64-linux-gnu" >&2
    exit 1
  fi
  if ! grep -qx "VERSION_CODENAME=$suite" /etc/os-release; then
    echo "--arm64 needs a machine with Debian's $suite, whose compiler it uses" >&2
    exit 1
  fi
  [ -e "$formats/register" ] || mount -t binfmt_misc none "$formats"
  sed "s/^:qemu-aarch64:/:$format:/; s/\$/C/" "$known" >"$formats/register"
}

# g++ and gcc in the Debian are this machine's programs, with the libraries that they load.
lend_compiler() {
  local folder name
  mkdir -p "$fresh/lib64"
  cp -L /lib64/ld-linux-x86-64.so.2 "$fresh/lib64/"
  for folder in /usr/lib/x86_64-linux-gnu /usr/lib/gcc-cross /usr/aarch64-linux-gnu; do
    mkdir -p "$fresh$folder"
    mount -o bind,ro "$folder" "$fresh$folder"
  done
  mkdir "$fresh/usr/lib/cross-bin"
  cp -L /usr/aarch64-linux-gnu/bin/* "$fresh/usr/lib/cross-bin/"
  mount --bind "$fresh/usr/lib/cross-bin" "$fresh/usr/aarch64-linux-gnu/bin"
  for name in gcc g++; do # GCC finds its other programs from the folder that a link leads to
    cp -L "/usr/bin/aarch64-linux-gnu-$name" "$fresh/usr/bin/cross-$name"
    ln -s "/usr/bin/cross-$name" "$fresh/usr/local/bin/$name"
  done
  ln -s /usr/bin/cross-gcc "$fresh/usr/local/bin/cc"
  ln -s /usr/bin/cross-g++ "$fresh/usr/local/bin/c++"
}

[ -z "$arm" ] || emulate_arm64
say "making a fresh Debian ($suite) in $fresh"
debootstrap ${arm:+--arch=arm64} --variant=minbase --include="$packages" "$suite" "$fresh" "$mirror" >"$fresh.log" 2>&1 ||
  { tail -n 3 "$fresh.log" >&2; exit 1; }
rm -f "$fresh.log"
mount --bind "$fresh" "$fresh"
for folder in proc sys dev; do mount --rbind "/$folder" "$fresh/$folder"; done
[ -z "$arm" ] || lend_compiler
# This machine's access to the network: names, certificates, pip's index.
for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
  if [ -r "$file" ]; then cp -L "$file" "$fresh$file"; fi
done
home=/root
if [ "$user" != root ]; then
  home=/home/$user
  chroot "$fresh" useradd -m -s /bin/bash "$user"
  echo "$user ALL=(ALL) NOPASSWD: ALL" >"$fresh/etc/sudoers.d/newcomer"
fi
git clone -q --bare "$repo" "$fresh/source"
chroot "$fresh" chown -R "$user" /source
inside() {
  chroot "$fresh" /usr/bin/setpriv --reuid "$user" --regid "$user" --init-groups \
    /usr/bin/env -i HOME="$home" USER="$user" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb \
    "${isa[@]}" \
    bash -c "cd && $1" bash "${@:2}"
}

# Shows each line with its time and, at the end, the longest wait for a line.
stamp_lines() {
  local last=$SECONDS longest=0 line
  while IFS= read -r line; do
    [ $((SECONDS - last)) -le "$longest" ] || longest=$((SECONDS - last))
    last=$SECONDS
    printf '%5d s  %s\n' "$SECONDS" "$line"
  done
  say "longest silence: $longest s"
}

inside 'git clone -q file:///source maap-caffe'
say "clone done; ./maap $* as $user starts"
started=$SECONDS status=0
# shellcheck disable=SC2016  # "$@" is the inner shell's
inside 'cd maap-caffe && exec ./maap "$@" </dev/null' "$@" 2>&1 | stamp_lines || status=$?
say "./maap $* ended with status $status after $((SECONDS - started)) s"
inside 'cd maap-caffe && time ./maap --version' || status=$?
inside 'ls -l maap-caffe/runs/*/report.html' 2>/dev/null || true
exit "$status"

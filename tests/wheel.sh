#!/usr/bin/env bash
# The wheel on machines with nothing but Python. Run by hand, as root:
#
#   tests/wheel.sh [--keep] [WHEEL] [SUITE ...]     default: the wheel of tools/wheel; bookworm trixie forky
#
# Makes a fresh Debian for each suite (debootstrap) with python3 and python3-venv, installs the wheel as an ordinary user,
# and runs what it brings: caffe, pycaffe, the tools, maap with a short training on the demo set. Prints, for each, the
# time from `pip install` to the first iteration, and the wheel's size. Fails if a command fails or a compiler is there.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd -P)
mirror=${MAAP_MIRROR:-http://deb.debian.org/debian}
if [ "${MAAP_WHEEL_TEST:-}" != 1 ]; then MAAP_WHEEL_TEST=1 exec unshare -m -- "$0" "$@"; fi

keep=''
if [ "${1:-}" = --keep ]; then keep=1; shift; fi
if [[ ${1:-} == *.whl ]]; then wheel=$(realpath "$1"); shift; else
  "$repo/tools/wheel"
  wheel=$(ls -t "$repo"/build/wheel/*.whl | head -n 1)
fi
[ $# -gt 0 ] || set -- bookworm trixie forky
say() { printf '== %5d s  %s\n' "$SECONDS" "$*"; }
fresh=''
cleanup() {
  [ -n "$fresh" ] || return 0
  umount -R -l "$fresh" 2>/dev/null || true
  if [ -n "$keep" ]; then say "kept: $fresh"; else rm -rf --one-file-system "$fresh"; fi
  fresh=''
}
trap cleanup EXIT
trap 'exit 130' INT TERM

inside() {
  chroot "$fresh" /usr/bin/setpriv --reuid user --regid user --init-groups \
    /usr/bin/env -i HOME=/home/user USER=user PATH=/home/user/v/bin:/usr/bin:/bin TERM=dumb LANG=C.UTF-8 bash -c "cd && $1"
}

try() {
  local suite=$1 file started script=/usr/share/debootstrap/scripts/$1
  [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid # a suite newer than this debootstrap
  fresh=$(mktemp -d "${TMPDIR:-/var/tmp}/maap-wheel.XXXXXX")
  chmod 755 "$fresh"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$fresh" "$mirror" "$script" >"$fresh.log" 2>&1 ||
    { tail -n 3 "$fresh.log" >&2; exit 1; }
  rm -f "$fresh.log"
  mount --bind "$fresh" "$fresh"
  for file in proc sys dev; do mount --rbind "/$file" "$fresh/$file"; done
  for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    if [ -r "$file" ]; then cp -L "$file" "$fresh$file"; fi
  done
  chroot "$fresh" useradd -m -s /bin/bash user
  cp "$wheel" "$fresh/home/user/"
  cp "$repo/tests/wheel_check.py" "$fresh/home/user/"
  if inside 'command -v gcc g++ c++ cc clang'; then say "a compiler is there"; exit 1; fi
  say "$suite: $(inside 'python3 --version'); pip install starts"
  started=$SECONDS
  inside "python3 -m venv v && v/bin/pip -q install ./$(basename "$wheel")"
  inside 'python wheel_check.py'
  say "$suite: $((SECONDS - started)) s from pip install to the end of the first training with caffe"
  inside 'maap train alexnet --max-iter 6 --phase2-iter 3 --batch 4 --name first' | tail -n 4
  say "$suite: maap train alexnet done, $((SECONDS - started)) s after pip install began"
  cleanup
}

say "$(basename "$wheel"): $(du -m "$wheel" | cut -f1) MB"
for suite in "$@"; do try "$suite"; done
say "all of $* passed"

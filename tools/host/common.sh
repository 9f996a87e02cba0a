# Shared by the host scripts; sourced by bash. Sourcing it prints nothing.

# shellcheck shell=bash

maap_repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
[ -n "${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
export HOME
maap_cache=${MAAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/maap}

say() { printf 'maap: %s\n' "$*" >&2; }

# Prints a one-line error and exits with status 1.
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# True on a Debian 11 that has BVLC Caffe installed: the root itself, or our container.
is_native() {
  [ -x /usr/bin/caffe ] && [ -d /usr/lib/python3/dist-packages/caffe ] &&
    grep -q '^VERSION_ID="11"' /etc/os-release
}

# The packages of packages.txt, one per line, without comments.
host_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$maap_repo/tools/host/packages.txt"; }

# Runs a command as root: directly for root, through sudo for others.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

# can_be_root: this user is root, or sudo is installed (it may ask for a password on a terminal).
can_be_root() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }

# ask_for_root WHAT REFUSED: asks for sudo's password now, if it needs one, since what runs in the background cannot ask.
ask_for_root() {
  if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then return; fi
  say "$1 needs sudo, which may ask for your password"
  sudo -v || die "sudo was refused; $2"
}

# Cores this process may use: the affinity mask, limited by a container's CPU quota.
usable_cores() {
  local cores quota period
  cores=$(nproc)
  if [ -r /sys/fs/cgroup/cpu.max ]; then
    read -r quota period </sys/fs/cgroup/cpu.max
  elif [ -r /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
    read -r quota </sys/fs/cgroup/cpu/cpu.cfs_quota_us
    read -r period </sys/fs/cgroup/cpu/cpu.cfs_period_us
  fi
  case ${quota:-max} in
    max | -*) ;;
    *) [ $((quota / period)) -ge "$cores" ] || cores=$(((quota + period - 1) / period)) ;;
  esac
  echo "$cores"
}

# with_progress LABEL LOG COMMAND...: runs COMMAND with its output in LOG (appended) and, every 6 seconds, prints how
# long it has been running and its last line of output. The status is the command's. A signal to this shell ends the
# command's whole process group first.
with_progress() {
  local label=$1 log=$2 started=$SECONDS child status
  shift 2
  set -m
  "$@" >>"$log" 2>&1 </dev/null &
  child=$!
  set +m
  # shellcheck disable=SC2064
  trap "kill -- -$child 2>/dev/null; wait $child 2>/dev/null; exit 130" INT TERM HUP
  (
    while sleep 6 >/dev/null 2>&1; do
      kill -0 "$child" 2>/dev/null || exit 0
      say "$label, $((SECONDS - started)) s: $(last_words "$log")"
    done
  ) 9>&- &
  local ticker=$!
  status=0
  wait "$child" || status=$?
  trap - INT TERM HUP
  kill "$ticker" 2>/dev/null
  wait "$ticker" 2>/dev/null || true
  return "$status"
}

# The last non-empty line of a log, shortened to one screen line.
last_words() { tail -c 4096 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c 1-90; }

# unshare's arguments for a private mount namespace. In a chroot whose / is not a mount point the usual "make everything
# private" fails; enter.sh then makes its own mount point private instead. For root.
private_mounts() {
  if unshare -m true 2>/dev/null; then
    echo "-m"
  elif unshare -m --propagation unchanged true 2>/dev/null; then
    echo "-m --propagation unchanged"
  else
    die "this machine does not let root make mounts (a container without privileges?);" \
      "use the Dockerfile, or give the container --privileged"
  fi
}

# Lets ccache keep what is compiled with precompiled headers (without the sloppiness it keeps nothing), and lets another
# clone of the same sources find it.
use_ccache() {
  export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=$maap_repo CCACHE_NOHASHDIR=true
}

# drop_old_headers BUILD: removes precompiled headers that are older than a source header. ccache would look at the old
# one while the new one is made, and later give a result that fits neither.
drop_old_headers() {
  local header
  while IFS= read -r header; do
    if find "$maap_repo"/{caffe,caffe_layers,kernels,tests/cpp} -newer "$header" \
      \( -name '*.hpp' -o -name '*.h' -o -name '*.proto' -o -name '*.cuh' \) -print -quit | grep -q .; then
      rm -f "$header"
    fi
  done < <(find "$1" -name '*.gch' 2>/dev/null)
}

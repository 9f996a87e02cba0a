#!/usr/bin/env bash
# Runs inside a private mount namespace made by `bvlc`:
#   enter.sh ROOT OWNER FOLDER COMMAND...
# builds a view in which the system folders (/usr, /etc, /var ...) are those of ROOT and all others (/home, /root, /tmp,
# /work, /proc, /dev ...) are this machine's, then runs COMMAND in it at FOLDER. OWNER is uid:gid to drop to, or empty.
# Nothing is written into ROOT; the mounts end with the command.
set -euo pipefail

root=$1 owner=$2 folder=$3
shift 3
view=$root/mnt

# If / is not a mount point (a plain chroot), unshare could not make the mounts private. Then the view's own mount point
# is made private; it remains as one empty mount, and later starts use it again.
if ! mount --make-rprivate / 2>/dev/null; then
  mountpoint -q "$view" || mount --bind "$view" "$view"
  mount --make-private "$view"
fi
mount -t tmpfs -o mode=755,size=1m maap "$view"
mount --make-unbindable "$view" # otherwise binding the folder that contains ROOT would bind the view into itself

# ours NAME: whether the top-level folder NAME comes from ROOT.
ours() {
  case $1 in
    usr | bin | sbin | lib | lib32 | lib64 | libx32 | etc | var | boot | lost+found) return 0 ;;
    *) return 1 ;;
  esac
}

# show SOURCE: puts a folder, or a copy of a link, at the view's top.
show() {
  local to=$view/${1##*/}
  if [ -L "$1" ]; then
    cp -P "$1" "$to"
  elif [ -d "$1" ]; then
    mkdir "$to"
    mount --rbind "$1" "$to"
  fi
}

for entry in "$root"/*; do
  if ours "${entry##*/}"; then show "$entry"; fi
done
for entry in /*; do
  if ! ours "${entry##*/}"; then show "$entry"; fi
done
mount --rbind /var/tmp "$view/var/tmp"
for file in /etc/resolv.conf /etc/hosts; do
  if [ -r "$file" ] && [ -e "$root$file" ]; then mount --bind "$file" "$view$file"; fi
done
# A folder in use that is below a system folder (/usr/src/..., /var/lib/...) is shown there too.
for extra in "$folder" $MAAP_SHOW; do
  top=${extra#/}
  if ours "${top%%/*}" && [[ $extra != /var/tmp* ]]; then
    mkdir -p "$view$extra"
    mount --rbind "$extra" "$view$extra"
  fi
done
unset MAAP_SHOW

# shellcheck disable=SC2016  # $0 and $@ are the inner shell's
exec chroot ${owner:+--userspec="$owner"} "$view" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"

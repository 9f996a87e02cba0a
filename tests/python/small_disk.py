"""Running a command with a small disk of its own (a tmpfs in a private mount namespace)."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

# In a chroot the root is no mount point, whose propagation unshare could change.
_WAYS = (["unshare", "-m"], ["unshare", "-m", "--propagation", "unchanged"])
_RUN = 'mount -t tmpfs -o size="$1" none "$0" && shift && "$@"; code=$?; umount "$0"; exit $code'


def _way() -> Optional[list[str]]:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return None
    probe = ["sh", "-c", "mount -t tmpfs none /mnt && umount /mnt"]
    for way in _WAYS:
        if subprocess.run(way + probe, stderr=subprocess.DEVNULL).returncode == 0:
            return way
    return None


WAY = _way()


def run(disk: Path, size: str, command: list[str]) -> subprocess.CompletedProcess:
    """Run a command while a tmpfs of ``size`` ("2m") lies over the folder ``disk``."""
    assert WAY is not None
    return subprocess.run(
        [*WAY, "sh", "-c", _RUN, str(disk), size, *command],
        capture_output=True,
        text=True,
    )

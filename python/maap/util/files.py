"""Files that are either whole or not there.

A file or folder is written under a name that starts with ``.partial-``, forced to the disk,
renamed, and the rename forced to the disk too. A process killed at any moment, or a machine that
loses power, leaves the old content, the new content, or a leftover with that prefix, which
`remove_partials` takes away and nobody reads.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from maap.errors import MaapError

PARTIAL = ".partial-"


def default_cache() -> Path:
    """What is downloaded or made once for all runs: $XDG_CACHE_HOME/maap, or ~/.cache/maap."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "maap"


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold ``path``'s lock: two processes that want the same file or folder make it once."""
    from maap.util.progress import say

    with path.with_name(path.name + ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting for another process that makes {path}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def file_sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """Force a file's content to the disk. OSError as fsync gives it (ENOSPC included)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Force a folder's entries (renames, new files) to the disk."""
    sync_file(path)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content in one step. Raises MaapError (disk full, no permission)."""
    partial = path.with_name(PARTIAL + path.name)
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise cannot_write(path, error) from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are not there. Raises MaapError when it cannot be
    made or nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MaapError(f"{folder}: cannot be written into; check the folder's permissions")


def remove_partials(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder."""
    for leftover in folder.glob(PARTIAL + "*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink()


def free_bytes(folder: Path) -> int:
    """What an ordinary user can still write on the disk that holds a folder."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def megabytes(count: int) -> str:
    """A byte count for a person."""
    return f"{count / 1e6:.1f} MB" if count < 1e8 else f"{count / 1e6:.0f} MB"


def cannot_write(path: Path, error: OSError) -> MaapError:
    """The error for a file that cannot be written, with what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MaapError(f"{path}: the disk is full; make room there, then go on with --resume")
    return MaapError(
        f"{path}: cannot be written ({error.strerror}); check the folder's permissions"
    )

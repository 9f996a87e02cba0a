"""Files that are either whole or not there.

A file or folder is written under a name that starts with ``.partial-``, forced to the disk,
renamed, and the rename forced to the disk too. A process killed at any moment, or a machine that
loses power, leaves the old content, the new content, or a leftover with that prefix, which
`remove_partials` takes away and nobody reads.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from pathlib import Path

from maap.errors import MaapError

PARTIAL = ".partial-"


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

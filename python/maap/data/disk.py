"""Disk space: asked for before work starts, and a full disk as an error that says what to do."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Optional

import lmdb

from maap.errors import MaapError
from maap.util.files import megabytes


def need_space(folder: Path, needed: int, what: str) -> None:
    """Raises MaapError when the disk of ``folder`` has less than ``needed`` bytes free for what
    ``what`` names."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MaapError(
            f"{what} needs {_about(needed)}, but the disk that holds {folder} has "
            f"{_megabytes(free)} free: free some space or choose another folder"
        )


def _megabytes(count: int) -> str:
    """A byte count in whole MB, for a person."""
    return f"{count / 1e6:.0f} MB" if count >= 1e6 or count == 0 else "less than 1 MB"


def _about(count: int) -> str:
    return f"about {_megabytes(count)}" if count >= 1e6 else _megabytes(count)


def _full_disk(folder: Path, needed: Optional[int], what: str) -> MaapError:
    free = shutil.disk_usage(folder).free
    text = f"the disk that holds {folder} is full while writing {what} ({megabytes(free)} free"
    text += f", {_about(needed)} needed in all)" if needed else ")"
    return MaapError(f"{text}: free some space or choose another folder, then run it again")


def is_disk_full(error: BaseException, folder: Path, pending: int = 0) -> bool:
    """True for the errors by which Python and LMDB report a full disk or an exceeded quota.

    LMDB reports an incomplete write as an input/output error. That is a full disk when less is free
    than the ``pending`` bytes that it was writing.
    """
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT)):
        return True
    return os.strerror(errno.EIO) in str(error) and shutil.disk_usage(folder).free < pending


@contextmanager
def disk_full_is_error(
    folder: Path,
    what: str,
    needed: Callable[[], Optional[int]] = lambda: None,
    pending: Callable[[], int] = lambda: 0,
) -> Iterator[None]:
    """Turn a full disk inside the block into a MaapError that names ``what`` and ``needed()``
    bytes.

    ``pending()`` are the bytes being written, see ``is_disk_full``.
    """
    try:
        yield
    except (OSError, lmdb.Error) as error:
        if not is_disk_full(error, folder, pending()):
            raise
        raise _full_disk(folder, needed(), what) from None

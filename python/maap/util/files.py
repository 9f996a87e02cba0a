"""Files that are either whole or not there.

A file or folder NAME is written as ``.partial-NAME`` (`partial_path`), forced to the disk, renamed,
and the rename forced to the disk too. A process killed at any moment, or a machine that loses
power, leaves the old content, the new content, or a partial file or folder, which nothing but the
same work reads: downloads and rewritings continue it, everything else removes it.

Version 0.2 and older called the partial folder of a data set NAME.partial. Such a leftover is still
recognised: it is continued or removed like one with the prefix.
"""

import contextlib
import errno
import fcntl
import fnmatch
import hashlib
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Optional

from maap.errors import MaapError
from maap.util.progress import say

_PARTIAL = ".partial-"
_OLD_PARTIAL = ".partial"  # at the end of the name, in version 0.2 and older


def default_cache() -> Path:
    """What is downloaded or made once for all runs: $XDG_CACHE_HOME/maap, or ~/.cache/maap."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "maap"


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold ``path``'s lock: two processes that want the same file or folder make it once. Raises
    MaapError when nothing can be written there."""
    lock = path.with_name(path.name + ".lock")
    try:
        handle = lock.open("w")
    except OSError as error:
        raise cannot_write(lock, error) from None
    with handle:
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


def given_path(word: str) -> Path:
    """The path that a person gave, with ``~`` and ``~user`` replaced by the home folder. Raises
    MaapError when no file can have that path (no such user, a name that is too long)."""
    try:
        path = Path(word).expanduser()
        path.lstat()
    except RuntimeError:
        user = Path(word).parts[0]
        raise MaapError(f"{word}: there is no home folder {user}; write the whole path") from None
    except ValueError:
        raise MaapError(f"{word!r}: no path can hold a null character; check it") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise MaapError(f"{word[:40]}...: no file can have such a long name") from None
    return path


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content in one step. Raises MaapError (disk full, no permission)."""
    partial = partial_path(path)
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


def cannot_read(path: Path, error: OSError, ending: str) -> MaapError:
    """The error for a file that cannot be read; for a folder it says which file to give: one with
    that ending, an example of which is named if there is one in it."""
    if not path.is_dir():
        return MaapError(f"{path}: cannot be read ({error.strerror}): check the path")
    return MaapError(f"{path} is a folder: {file_to_give(path, ending)}")


def file_to_give(folder: Path, ending: str) -> str:
    """ "give a .x file, such as FOLDER/a.x"; without an example where there is none."""
    with contextlib.suppress(OSError):
        found = sorted(path for path in folder.iterdir() if path.suffix == ending)
        if found:
            return f"give a {ending} file, such as {shlex.quote(str(found[0]))}"
    return f"give a {ending} file; there is none in it"


@contextlib.contextmanager
def folder_for(folder: Path) -> Iterator[None]:
    """`make_folder` for the block; when it raises, what was made is removed again where it is
    empty, so that a mistake leaves no folder behind."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    make_folder(folder)
    try:
        yield
    except BaseException:
        remove_empty(made)
        raise


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders that are empty, in their order."""
    for each in folders:
        with contextlib.suppress(OSError):
            each.rmdir()


# ---- partial files and folders ------------------------------------------------------------------


def partial_path(path: Path) -> Path:
    """Where ``path`` lies while it is not complete."""
    return path.with_name(_PARTIAL + path.name)


def is_partial(path: Path) -> bool:
    """Whether the name is that of a file or folder that was never completed."""
    return path.name.startswith(_PARTIAL) or path.name.endswith(_OLD_PARTIAL)


def find_partial(path: Path) -> Optional[Path]:
    """What is there of a ``path`` that was never completed."""
    both = (partial_path(path), path.with_name(path.name + _OLD_PARTIAL))
    return next((partial for partial in both if partial.exists()), None)


def take_up_partial(path: Path) -> Path:
    """`partial_path`, to which what an older version left of ``path`` has been renamed."""
    partial, found = partial_path(path), find_partial(path)
    if found is not None and found != partial:
        found.rename(partial)
    return partial


def remove_partial(path: Path) -> None:
    """Remove what is there of a ``path`` that was never completed."""
    found = find_partial(path)
    if found is not None:
        _remove(found)


def remove_partials(folder: Path, keep: str = "") -> None:
    """Remove what a killed process left half-written in a folder, except of names that match the
    pattern ``keep``."""
    for leftover in [path for path in folder.iterdir() if is_partial(path)]:
        if not fnmatch.fnmatch(_whole_name(leftover), keep):
            _remove(leftover)


def _whole_name(partial: Path) -> str:
    name = partial.name
    return name[len(_PARTIAL) :] if name.startswith(_PARTIAL) else name[: -len(_OLD_PARTIAL)]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def put_file(source: Path, target: Path, link: bool = True) -> None:
    """Give a file that nobody changes any more a second name, or copy it (without ``link``, or
    where the disk has no hard links). The target appears in one step.

    Raises MaapError: no such file, no room, no permission.
    """
    partial = partial_path(target)
    try:
        if partial.exists():
            partial.unlink()
        if not (link and _linked(source, partial)):
            shutil.copyfile(source, partial)
            sync_file(partial)
        partial.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from None


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


# ---- the disk -----------------------------------------------------------------------------------


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
        return MaapError(
            f"{path}: the disk is full; make room there, then give the command again (maap train: "
            "with --resume)"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return MaapError(f"{path}: a file stands where a folder is needed; give another path")
    return MaapError(
        f"{path}: cannot be written ({error.strerror}); check the folder's permissions"
    )

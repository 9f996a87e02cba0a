"""Taking the images and lists out of an archive (tar, packed or not, or zip), and nothing else.

An archive is known by its content, not by its name. Nothing is written outside of the folder that
it is unpacked into: a member with such a path is left out and counted, and a link is replaced by
the file of the same archive that it leads to, or left out.
"""

import io
import lzma
import posixpath
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Callable, Optional

from maap.data.disk import disk_full_is_error, need_space
from maap.data.importing.tree import HIDDEN, UNREAD, LeftOut, leftover
from maap.errors import MaapError
from maap.util import progress

OUTSIDE = "entries that lead out of the archive's folder"
NOWHERE = "links to nothing in the archive"

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OTHERS = (
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
)
_TAR = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")  # as it is packed
_WEB_PAGE = re.compile(rb"\s*<(!doctype|html)", re.I)
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class _Member:
    """A file of an archive: its path with slashes, what it links to (also such a path) if it is a
    link, or else what opens its bytes, and how many they are."""

    name: str
    link: Optional[str] = None
    open: Callable[[], IO[bytes]] = io.BytesIO
    size: int = 0


def kind(path: Path) -> Optional[str]:
    """ "tar" (packed or not) or "zip", as the content says; None for anything else."""
    try:
        with path.open("rb") as stream:
            if stream.read(4) in _ZIP:
                return "zip"
        return "tar" if tarfile.is_tarfile(path) else None
    except _DAMAGE:
        return None


def is_archive(path: Path) -> bool:
    """Whether a file is an archive that `unpack` reads."""
    return kind(path) is not None


def unpack(archive: Path, into: Path, wanted: str, where: str, everything: bool = False) -> LeftOut:
    """Unpack the files whose whole path in the archive matches ``wanted`` (a regular expression),
    none outside ``into``. Returns what was left out, which a line on the screen says too: images
    that are not read and what other programs leave; with ``everything`` every other file, too.

    ``where`` says where to get a whole copy. Raises MaapError: no archive, an incomplete one, one
    with a password, nothing wanted in it, no space."""
    pattern, left_out = re.compile(wanted), LeftOut()
    unpacked: set[str] = set()
    links: list[_Member] = []
    with _damage_is_error(archive, where), _members(archive) as (members, packed):
        into.mkdir(parents=True, exist_ok=True)
        need_space(into, _needed(archive, members, packed, pattern), f"unpacking {archive}")
        with progress.track(f"unpack {archive.name}") as bar:
            for member in members():
                if not _is_wanted(member.name, pattern, left_out, everything):
                    continue
                if member.link is not None:
                    links.append(member)
                    continue
                _write(member, into)
                unpacked.add(member.name)
                bar.advance()
        for member in links:
            _copy_linked(member, into, unpacked, left_out)
    left_out.say(archive)
    if not unpacked:
        raise MaapError(f"{archive} holds no images and lists; {where}")
    return left_out


def first_names(archive: Path, most: int = 50) -> list[str]:
    """The paths of the first members of a tar archive, of all members of a zip; none of a file that
    is no archive."""
    names: list[str] = []
    try:
        with _members(archive) as (members, packed):
            for member in members():
                names.append(member.name)
                if len(names) == most and not packed:
                    break
    except (*_DAMAGE, RuntimeError, MaapError):  # also NotImplementedError
        pass
    return names


# ---- members ------------------------------------------------------------------------------------


@contextmanager
def _members(archive: Path) -> Iterator[tuple[Callable[[], Iterator[_Member]], bool]]:
    """(what yields the members, whether it is a zip, whose directory is read at once)."""
    if kind(archive) == "zip":
        with zipfile.ZipFile(archive) as packed:
            yield (lambda: _zip_members(packed)), True
    else:
        with tarfile.open(archive) as tar:
            yield (lambda: _tar_members(tar)), False


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        name = _plain(info.name)
        if info.islnk():
            yield _Member(name, _plain(info.linkname))
        elif info.issym():
            target = posixpath.join(posixpath.dirname(name), info.linkname)
            yield _Member(name, posixpath.normpath(_plain(target)))
        elif info.isfile():
            yield _Member(name, None, lambda info=info: tar.extractfile(info), info.size)
    while tar.fileobj.read(1 << 20):  # the checksum stands at the end of what is packed
        pass


def _zip_members(packed: zipfile.ZipFile) -> Iterator[_Member]:
    for info in packed.infolist():
        name = _plain(_zip_name(info))
        if name.endswith("/"):
            continue
        link = None
        if stat.S_ISLNK(info.external_attr >> 16):
            target = packed.read(info).decode("utf-8", "replace")
            link = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        yield _Member(name, link, lambda info=info: packed.open(info), info.file_size)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A name whose bytes are UTF-8 although the zip does not say so (Info-ZIP, macOS)."""
    if not info.flag_bits & 0x800:
        try:
            return info.orig_filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return info.orig_filename


def _plain(name: str) -> str:
    """A path as this module compares it: slashes (zip programs of Windows wrote backslashes), no
    "./" before it."""
    name = name.replace("\\", "/").split("\0")[0]
    return re.sub(r"^(\./)+", "", name)


def _is_wanted(
    name: str,
    pattern: "re.Pattern[str]",
    left_out: Optional[LeftOut] = None,
    everything: bool = False,
) -> bool:
    parts = name.split("/")
    other = next((found for found in map(leftover, parts) if found and found != HIDDEN), None)
    outside = name.startswith("/") or ".." in parts or re.match("[A-Za-z]:", name)
    wanted = not other and not outside and pattern.match(name) is not None
    if left_out is not None and not wanted:
        ending = PurePosixPath(name).suffix.lower()
        rest = f"{ending} files" if ending else "files without an ending"
        if outside or other or everything or ending in UNREAD:
            left_out.add(OUTSIDE if outside else str(other or rest))
    return wanted


def _needed(
    archive: Path,
    members: Callable[[], Iterator[_Member]],
    packed: bool,
    pattern: "re.Pattern[str]",
) -> int:
    """About how many bytes the wanted members take."""
    if not packed:
        return int(1.1 * archive.stat().st_size)
    return sum(member.size for member in members() if _is_wanted(member.name, pattern))


def _write(member: _Member, into: Path) -> None:
    target = into / member.name
    with disk_full_is_error(into, str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream, member.open() as source:
            shutil.copyfileobj(source, stream)


def _copy_linked(member: _Member, into: Path, unpacked: set[str], left_out: LeftOut) -> None:
    """The file that a link leads to, under the link's name; only files that were unpacked."""
    if member.link not in unpacked:
        left_out.add(NOWHERE)
        return
    target = into / member.name
    with disk_full_is_error(into, str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(into / str(member.link), target)


# ---- errors -------------------------------------------------------------------------------------


@contextmanager
def _damage_is_error(archive: Path, where: str) -> Iterator[None]:
    """Turn what the standard library raises for a damaged archive into a MaapError."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            name = error.filename or archive
            raise MaapError(f"cannot unpack {archive}: {name}: {error.strerror}") from None
        raise MaapError(f"{archive} {_what(archive)}; {where}") from None
    except (RuntimeError, NotImplementedError) as error:  # a password, an unusual compression
        raise MaapError(
            f"{archive} cannot be unpacked here ({error}): unpack it and give the folder"
        ) from None


def _what(archive: Path) -> str:
    with archive.open("rb") as stream:
        start = stream.read(512)
    for magic, what in _OTHERS:
        if start.startswith(magic):
            return f"is {what}, which is not read here: unpack it and give the folder"
    if _WEB_PAGE.match(start):
        return "is a web page, not an archive: the download failed, repeat it"
    if not start:
        return "is empty: download it again"
    packed = "zip" if start[:4] in _ZIP else "tar"
    if packed == "tar" and not start.startswith(_TAR) and start[257:262] != b"ustar":
        return "is no archive, neither tar nor zip: download it again"
    return f"is not a complete {packed} archive: download it again"

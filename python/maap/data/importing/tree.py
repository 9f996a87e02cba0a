"""Walking folders as people have them: what other programs leave there is passed over and counted.

macOS, Windows, Jupyter and network drives leave files and folders beside the images, some of them
copies of the images. None of them is an image of the set.
"""

import os
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Optional

from maap.errors import MaapError
from maap.util import progress

# Folders and files of other programs by name in lower case, and how a message calls them.
_LEFTOVERS = {
    "__macosx": "files in __MACOSX",
    ".ipynb_checkpoints": "files in .ipynb_checkpoints",
    ".ds_store": ".DS_Store",
    "thumbs.db": "Thumbs.db",
    "ehthumbs.db": "ehthumbs.db",
    "desktop.ini": "desktop.ini",
    "@eadir": "files in @eaDir",
    "$recycle.bin": "files in $RECYCLE.BIN",
    "system volume information": "files in System Volume Information",
    "lost+found": "files in lost+found",
    "icon\r": "Icon",
}
_MACOS = "._*"
HIDDEN = "hidden files"
# Images by their names' endings that are not read, because not every OpenCV can.
UNREAD = (
    ".gif .heic .heif .avif .jp2 .j2k .jxl .psd .svg .ico .tga .raw .cr2 .cr3 .nef .arw .dng "
    ".ppm .pgm .pbm .exr .hdr"
).split()


def leftover(name: str) -> Optional[str]:
    """How a message calls a file or folder of this name when another program left it, or else
    None. Every name that begins with a dot counts."""
    known = _LEFTOVERS.get(name.lower())
    if known is not None:
        return known
    if name.startswith("._"):
        return _MACOS
    return HIDDEN if name.startswith(".") else None


def readable(name: str) -> str:
    """A name as text for people: accents composed (NFC), bytes that are not UTF-8 read as
    Windows-1252 or Latin-1."""
    raw = os.fsencode(name)
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            return unicodedata.normalize("NFC", raw.decode(encoding))
        except UnicodeDecodeError:
            continue
    return name


def same_name(name: str) -> str:
    """Equal for names that differ in case, in blanks at the ends, or in how accents are written."""
    return readable(name).strip().casefold()


class LeftOut:
    """What an import leaves out, counted by kind; `say` tells it."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()

    def add(self, kind: str, count: int = 1) -> None:
        """Count ``count`` more of a kind."""
        if count:
            self.kinds[kind] += count

    def sentence(self) -> str:
        """ ".DS_Store (1), ._* (3)"; "" for nothing."""
        return ", ".join(f"{kind} ({count:,})" for kind, count in sorted(self.kinds.items()))

    def say(self, source: Path) -> None:
        """Print what was left out; images that are not read are a warning."""
        if not self.kinds:
            return
        progress.say(f"{source}: left out: {self.sentence()}")
        unread = {e: self.kinds[f"{e} files"] for e in UNREAD if self.kinds[f"{e} files"]}
        if unread:
            number = sum(unread.values())
            which = "1 image is" if number == 1 else f"{number:,} images are"
            progress.say(
                f"warning: {source}: {which} not read ({', '.join(sorted(unread))}): save them as "
                "JPEG or PNG to use them"
            )


def entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted. Raises MaapError when it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise cannot_read(folder, error) from None


def cannot_read(path: object, error: OSError) -> MaapError:
    """The error for a file or folder of a source that cannot be read."""
    reason = error.strerror or error
    return MaapError(f"cannot read {path} ({reason}): check its permissions and the disk")


def folders_in(folder: Path) -> list[Path]:
    """The folders in ``folder`` that no other program left there, sorted."""
    return [path for path in entries(folder) if path.is_dir() and leftover(path.name) is None]


def folders(top: Path, depth: int = 3) -> Iterator[Path]:
    """``top`` and the folders below it, the nearest first, ``depth`` floors down."""
    waiting = deque([(top, 0)])
    while waiting:
        folder, floor = waiting.popleft()
        yield folder
        if floor < depth:
            waiting.extend((path, floor + 1) for path in folders_in(folder))


def count_files(folder: Path) -> int:
    """How many files there are in a folder and below it."""
    return sum(len(names) for _, _, names in os.walk(folder))


def images_below(top: Path, suffixes: Iterable[str], left_out: LeftOut) -> list[Path]:
    """The image files in a folder and below it, sorted; links to folders are followed, once each.

    The rest is counted in ``left_out``. Raises MaapError for a folder that cannot be read.
    """
    found: list[Path] = []
    seen: set[str] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:
            left_out.add("folders linked twice")
            continue
        seen.add(real)
        for path in entries(folder):
            kind = leftover(path.name)
            if path.is_dir():
                if kind is None:
                    waiting.append(path)
                else:
                    left_out.add(kind, count_files(path))
            elif kind is not None:
                left_out.add(kind)
            elif path.suffix.lower() in suffixes and path.is_file():
                found.append(path)
            else:
                left_out.add(_other_kind(path))
    return sorted(found)


def beside(files: Iterable[Path], suffixes: Iterable[str]) -> LeftOut:
    """What lies beside the files that a set's lists name: images that no list names, and what other
    programs left in these folders and in those above."""
    left_out, listed = LeftOut(), set(files)
    near = {path.parent for path in listed}
    for folder in sorted(near):
        for path in entries(folder):
            kind = leftover(path.name)
            if kind is not None:
                left_out.add(kind, count_files(path) if path.is_dir() else 1)
            elif path.suffix.lower() in suffixes and path not in listed:
                left_out.add("images that no list names")
    for folder in sorted({path.parent for path in near} - near):
        for path in entries(folder):
            kind = leftover(path.name)
            if kind is not None and kind != HIDDEN:
                left_out.add(kind, count_files(path) if path.is_dir() else 1)
    return left_out


def _other_kind(path: Path) -> str:
    if not path.exists():
        return "broken links"
    return f"{path.suffix.lower()} files" if path.suffix else "files without an ending"


class NameFinder:
    """Files by the names that a list has, where the disk's differ in case, blanks or accents.

    inexact: how many were found so, and first: the first of them as (wanted, found).
    """

    def __init__(self) -> None:
        self.inexact = 0
        self.first: Optional[tuple[Path, Path]] = None
        self._found: dict[Path, Optional[Path]] = {}
        self._names: dict[Path, dict[str, list[str]]] = {}

    def find(self, path: Path) -> Optional[Path]:
        """The file ``path``, or the only one whose name is nearly the same; None without one."""
        if path.is_file():
            return path
        found = self._entry(path)
        if found is None or not found.is_file():
            return None
        self.inexact += 1
        self.first = self.first or (path, found)
        return found

    def _entry(self, path: Path) -> Optional[Path]:
        if path not in self._found:
            self._found[path] = path if path.exists() else self._near(path)
        return self._found[path]

    def _near(self, path: Path) -> Optional[Path]:
        parent = self._entry(path.parent) if path.parent != path else None
        if parent is None or not parent.is_dir():
            return None
        if parent not in self._names:
            names: dict[str, list[str]] = {}
            for entry in entries(parent):
                names.setdefault(same_name(entry.name), []).append(entry.name)
            self._names[parent] = names
        near = self._names[parent].get(same_name(path.name), [])
        return parent / near[0] if len(near) == 1 else None

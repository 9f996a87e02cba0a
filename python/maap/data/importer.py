"""What an importer declares, which importers there are, and which of them a path is for.

    IMPORTER = Importer(name="cub", title="CUB-200-2011", make=import_cub, marks=(...), ...)

Every module of `maap.data.importers` has one such line. The ``maap data`` command of that name,
the kind that a data set's manifest names, and what ``maap train --data PATH`` recognises all come
from it.
"""

import functools
import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from maap.data.importing.archive import first_names, is_archive
from maap.data.importing.layout import Expected, Layout, Published, check_layout
from maap.data.importing.tree import beside, folders_in
from maap.data.kinds import importer_names

if TYPE_CHECKING:
    from maap.data.store import Dataset


@dataclass(frozen=True)
class Option:
    """An option of an importer's command: its flag, the whole number it takes as the keyword
    ``name`` of ``make``, or True if it is a flag alone, and its help."""

    flag: str
    name: str
    help: str
    is_flag: bool = False


@dataclass(frozen=True)
class Importer:
    """A kind of data set that can be made.

    name: of the ``maap data`` command, and the kind in the manifest. title: for people. help: of
    the command; its first line says what SOURCE is. make: the function that makes a set,
    ``make(source, out, size=..., policy=..., seed=...)``, of a built-in set without source and
    policy. options: what the command has besides. built_in: nothing is given, ``--data NAME`` makes
    it. counted: its counts are published, so ``make`` has ``allow_partial``. boxed: its images have
    true boxes.

    How a path is recognised: marks are files or folders (with a slash at the end) of which each
    tells a folder of this kind; hints tell it where no other kind's marks are. parts are the
    beginnings of the names of files that are published as parts of a set: such a file stands for
    the folder that holds it. members are words in the paths inside an archive of the whole set.
    any_archive and any_folder: takes what nothing tells, and says what is wrong with it.

    code: for a built-in set, the modules that decide what is in it: other code, another set.
    """

    name: str
    title: str
    help: str
    make: Callable[..., "Dataset"]
    options: tuple[Option, ...] = ()
    built_in: bool = False
    counted: bool = False
    boxed: bool = False
    marks: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    any_archive: bool = False
    any_folder: bool = False
    code: tuple[str, ...] = ()


def published_maker(
    published: Published, read: Callable[[Path, Path], Layout], note: str = ""
) -> Callable[..., "Dataset"]:
    """The ``make`` of a published set: it reads the lists, checks them and stores the images.

    read: (source, unpacked) -> Layout; ``unpacked`` is a folder, not there yet, for what comes out
    of archives. note: what one must know of the set, for its manifest and the reports.
    """

    def make(
        source: Path,
        out: Path,
        size: int = 256,
        policy: str = "warp",
        *,
        encode: str = "jpeg",
        seed: int = 1,
        expected: Optional[Expected] = published.counts,
        allow_partial: bool = False,
    ) -> "Dataset":
        """Make the data set ``out`` of the published files at ``source``.

        size: pixels a side of the stored square images. policy: "warp" (proportions change) or
        "short_side" (the shorter side fits, the centre is kept). encode: "jpeg" (quality 95) or
        "raw". seed: of the training order. expected: the `Expected` counts of a whole copy (the
        published ones; None: any counts). allow_partial: other counts are a warning.
        Raises MaapError when ``source`` is incomplete, contradicts itself, is another set or holds
        a damaged image; when ``out`` exists; when the disk is full.
        """
        from maap.data.importing.images import About, Storage, make_set
        from maap.images.pixels import SUFFIXES

        source = Path(source)
        about = published.expecting(expected)

        def layout(unpacked: Path) -> Layout:
            found = check_layout(read(source, unpacked), source, about, allow_partial)
            left_out = beside((item.path for item in found.train + found.test), SUFFIXES)
            left_out.say(source)
            return replace(found, left_out=dict(left_out.kinds))

        described = About(about.command, about.title, note, dict(path=str(source)))
        storage = Storage(size, policy, encode, orient=False)
        return make_set(out, layout, storage, seed=seed, about=described)

    return make


@functools.cache
def importers() -> dict[str, Importer]:
    """Every importer by its name: the built-in ones, the published ones, the one for any folder."""
    found: list[Importer] = [
        importlib.import_module(f"maap.data.importers.{name}").IMPORTER for name in importer_names()
    ]
    found.sort(key=lambda importer: (not importer.built_in, importer.any_folder, importer.name))
    return {importer.name: importer for importer in found}


def make_data(
    name: str,
    sources: list[str],
    out: str,
    sizes: tuple[Optional[int], Optional[int]],
    settings: dict[str, object],
) -> None:
    """Make a data set with the importer ``name``; what ``maap data`` calls in its child process.

    sources: what ``make`` gets first, nothing for a built-in set. sizes: pixels a side as stored,
    or else (None) of the input of the net that the set is for. The folder above ``out`` is made
    when it is not there. Raises MaapError as the importer does.
    """
    from maap.images.pixels import stored_size

    size, crop_size = sizes
    given = dict(settings, size=stored_size(crop_size or 0) if size is None else size)
    importers()[name].make(*map(Path, sources), out=Path(out), **given)


def set_name(source: Path) -> str:
    """The name of a set made of a folder, or of an archive: then without .zip, .tar.gz ..."""
    source = source.resolve()
    return (source.name.split(".")[0] if source.is_file() else source.name) or "data"


# ---- which one a path is for --------------------------------------------------------------------


def recognise(source: Path) -> tuple[str, Path]:
    """(name of the importer, folder or archive to give it) for a ``--data`` path that exists.

    Class folders under train/ come first, then what the marks tell of the folder or of one directly
    below it; the first folder in which something is found decides."""
    known = importers().values()
    if source.is_file():
        return _recognise_file(source)
    whatever = next(importer for importer in known if importer.any_folder)
    if _has(source, whatever.marks):
        return whatever.name, source
    others = [importer for importer in known if importer is not whatever]
    below = folders_in(source)
    if len(below) == 1:  # a download may be wrapped in two folders
        below += folders_in(below[0])
    for folder in (source, *below):
        telling = [importer for importer in others if _has(folder, importer.marks)]
        telling += [importer for importer in others if _has(folder, importer.hints)]
        if telling:
            return telling[0].name, (folder if telling[0].parts else source)
    return whatever.name, source


def _recognise_file(source: Path) -> tuple[str, Path]:
    known = importers().values()
    for importer in known:
        if source.name.lower().startswith(importer.parts):
            return importer.name, source.parent
    if source.suffix.lower() == ".mat":
        return recognise(source.parent)
    names = first_names(source) if is_archive(source) else []
    for importer in known:
        if any(word.lower() in name.lower() for word in importer.members for name in names):
            return importer.name, source
    return next(importer.name for importer in known if importer.any_archive), source


def _has(folder: Path, marks: tuple[str, ...]) -> bool:
    return any(
        (folder / mark).is_dir() if mark.endswith("/") else (folder / mark).exists()
        for mark in marks
    )

"""Where the class folders of a source are: which folder is for training, which for testing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.data.importing.tree import (
    LeftOut,
    count_files,
    entries,
    folders_in,
    images_below,
    leftover,
    readable,
)
from maap.errors import MaapError
from maap.util import progress

# Names in lower case; the first of each is the one to use.
_TRAIN = ("train", "training")
_TEST = ("test", "testing")
_VALID = ("val", "valid", "validation", "dev")
_ANY = (*_TRAIN, *_TEST, *_VALID)
_DEPTH = 4  # folders in folders that a download may be wrapped in


@dataclass(frozen=True)
class Parts:
    """The folder that holds the training part's class folders, and the test part's if there is
    one."""

    train: Path
    test: Optional[Path]


def find_parts(folder: Path, source: Path) -> Parts:
    """The parts of what is in ``folder``; ``source`` is what the user gave, for messages.

    Raises MaapError when two folders may be the same part, or only the training part is missing.
    """
    folder = _unwrapped(folder, source)
    train = _part(folder, _TRAIN)
    test, valid = (_part(folder, names, filled=True) for names in (_TEST, _VALID))
    if train is None:
        found = test or valid
        if found is not None:
            raise MaapError(
                f"{folder} holds {found.name}/ with class folders, but no train/: name the folder "
                "with the training images train"
            )
        return Parts(folder, None)
    unlabelled = next((path for path in _named(folder, _TEST) if path != test), None)
    if unlabelled is not None and test is None:
        what = "images" if folders_in(unlabelled) else "class folders"
        progress.say(
            f"warning: {unlabelled} holds no {what} ({count_files(unlabelled)} files), so "
            "nothing can be tested on it; it is not used"
        )
    if test is not None and valid is not None:
        progress.say(
            f"{valid} is used neither for training nor for the test ({count_files(valid)} files): "
            f"{test.name}/ is the test part"
        )
    elif valid is not None:
        progress.say(f"{folder} has no test folder: {valid.name}/ is the test part")
    return Parts(train, test or valid)


def read_classes(top: Path, left_out: LeftOut) -> dict[str, list[Path]]:
    """{class: its image files} of the class folders in ``top``. A class's name is that of its
    folder without blanks at the ends; of folders that are then equal the images are put together.

    What is no image of a class is counted in ``left_out``.
    """
    suffixes = _suffixes()
    result: dict[str, list[Path]] = {}
    for path in entries(top):
        kind = leftover(path.name)
        if not path.is_dir():
            image = path.suffix.lower() in suffixes
            left_out.add(kind or f"{'images' if image else 'other files'} in no class folder")
        elif kind is not None:
            left_out.add(kind, count_files(path))
        else:
            name = readable(path.name).strip()
            if name in result:
                progress.say(f"{top}: the folders of class {name!r} are put together")
            result.setdefault(name, []).extend(images_below(path, suffixes, left_out))
    return {name: result[name] for name in sorted(result)}


def suffixes_text() -> str:
    """The endings of the files that are read."""
    return ", ".join(_suffixes())


def _suffixes() -> tuple[str, ...]:
    from maap.images.pixels import SUFFIXES

    return SUFFIXES


def _unwrapped(folder: Path, source: Path) -> Path:
    """``folder``, or the one inside it where a download is wrapped in folders of its own."""
    top = folder
    for _ in range(_DEPTH):
        inner = folders_in(folder)
        if len(inner) != 1 or _named(folder, _ANY) or _has_images(folder):
            break
        below = folders_in(inner[0])
        if _has_images(inner[0]) or not below:
            break
        folder = inner[0]
    if folder != top and (len(folders_in(folder)) < 2 and not _named(folder, _TRAIN)):
        return top
    if folder != top:
        progress.say(f"{source}: the class folders are in {folder.relative_to(top).as_posix()}/")
    return folder


def _part(folder: Path, names: tuple[str, ...], filled: bool = False) -> Optional[Path]:
    """The folder of one of the names, in any case, that is no class itself; with ``filled`` its
    class folders hold images."""
    found = [path for path in _named(folder, names) if not _is_class(path)]
    if filled:
        found = [path for path in found if any(map(_images, folders_in(path)))]
    if len(found) > 1:
        raise MaapError(
            f"{folder} holds {' and '.join(f'{path.name}/' for path in found)}, which may all be "
            f"the same part: keep one, or name it {names[0]}"
        )
    return found[0] if found else None


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return [path for path in folders_in(folder) if path.name.lower() in names]


def _is_class(folder: Path) -> bool:
    """A folder of images without folders in it is a class, whatever its name (a train, say)."""
    return not folders_in(folder) and _has_images(folder)


def _images(folder: Path) -> list[Path]:
    return images_below(folder, _suffixes(), LeftOut())


def _has_images(folder: Path) -> bool:
    suffixes = _suffixes()
    return any(
        path.suffix.lower() in suffixes and leftover(path.name) is None and not path.is_dir()
        for path in entries(folder)
    )

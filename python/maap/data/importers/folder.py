"""Class folders as a data set: ``DIR/train/<class>/*.jpg`` and ``DIR/test/<class>/*.jpg``.

Without a test folder (or with the classes directly in DIR) a fifth of each class becomes the test
split, chosen by the seed."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from maap.data.importer import Importer
from maap.data.importing.layout import Item, Layout
from maap.errors import MaapError
from maap.util import progress

if TYPE_CHECKING:
    from maap.data.store import Dataset

TEST_SHARE = 0.2


def import_folder(
    source: Path,
    out: Path,
    size: int = 256,
    policy: str = "warp",
    *,
    encode: str = "jpeg",
    seed: int = 1,
    test_share: float = TEST_SHARE,
    name: Optional[str] = None,
) -> "Dataset":
    """Make the data set ``out`` from class folders; what ``maap data folder`` calls.

    size: pixels of the stored square images. policy: "warp" (proportions change) or "short_side"
    (the shorter side fits, the centre is kept). encode: "jpeg" (quality 95) or "raw". seed: of the
    training order, and of the split where ``source`` has no test folder (``test_share`` of each
    class, at least one image).
    Raises MaapError for a missing folder, fewer than two classes, an empty class, a class of test
    that train lacks, a damaged image, an existing ``out``."""
    from maap.data.importing.images import About, Storage, make_set

    source = Path(source)
    about = About("folder", name or source.resolve().name, "", dict(path=str(source)))
    storage = Storage(size, policy, encode).check()
    layout = Layout(*_collect(source, seed, test_share))
    return make_set(out, lambda _: layout, storage, seed=seed, about=about)


def _collect(source: Path, seed: int, share: float) -> tuple[list[Item], list[Item], list[str]]:
    if not source.is_dir():
        raise MaapError(f"{source} is not a folder: give one that holds train/<class>/*.jpg")
    top = source / "train" if (source / "train").is_dir() else source
    files = _class_files(top)
    classes = sorted(files)
    if len(classes) < 2:
        found = f"only the class {classes[0]!r}" if classes else "no class folder"
        raise MaapError(
            f"{top} holds {found}, but a classifier needs at least two: make one folder of images "
            "per class in it"
        )
    label = {name: index for index, name in enumerate(classes)}
    train = [
        Item(path, _relative(path, top), label[name]) for name in classes for path in files[name]
    ]
    if not (source / "test").is_dir() or top is source:
        return (*_divide(train, label, seed, share, source), classes)
    test_files = _class_files(source / "test")
    unknown = sorted(set(test_files) - set(classes))
    if unknown:
        raise MaapError(
            f"{source / 'test'}: class {unknown[0]!r} is not in {top}: rename or remove it"
        )
    for missing in sorted(set(classes) - set(test_files)):
        progress.say(f"{source / 'test'} has no images of class {missing!r}")
    test = [
        Item(path, _relative(path, source / "test"), label[name])
        for name in sorted(test_files)
        for path in test_files[name]
    ]
    return train, test, classes


def _relative(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix()


def _class_files(top: Path) -> dict[str, list[Path]]:
    from maap.images.pixels import SUFFIXES

    result: dict[str, list[Path]] = {}
    for folder in sorted(path for path in top.iterdir() if path.is_dir()):
        if folder.name.startswith("."):
            continue
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not files:
            raise MaapError(
                f"{folder}: class {folder.name!r} is empty (no {', '.join(SUFFIXES)} file): add "
                "images or remove the folder"
            )
        result[folder.name] = files
    return result


def _divide(
    items: list[Item], labels: dict[str, int], seed: int, share: float, source: Path
) -> tuple[list[Item], list[Item]]:
    import numpy as np

    if not 0.0 < share < 1.0:
        raise MaapError(f"test share {share} is not between 0 and 1")
    random = np.random.RandomState(seed & 0xFFFFFFFF)
    train: list[Item] = []
    test: list[Item] = []
    for name, label in labels.items():
        of_class = [item for item in items if item.label == label]
        if len(of_class) < 2:
            raise MaapError(
                f"{source}: class {name!r} has one image, too few to divide into training and "
                "test: add images, or make a test folder"
            )
        count = min(max(1, int(round(share * len(of_class)))), len(of_class) - 1)
        chosen = set(random.permutation(len(of_class))[:count].tolist())
        for index, item in enumerate(of_class):
            (test if index in chosen else train).append(item)
    progress.say(
        f"{source} has no test folder: seed {seed} chose {len(test)} of {len(items)} images for "
        "the test"
    )
    return train, test


IMPORTER = Importer(
    name="folder",
    title="class folders",
    help="""Class folders: SOURCE/train/CLASS/*.jpg, and SOURCE/test/CLASS/*.jpg if there is one.

    Without a test folder a fifth of each class, chosen by the seed, is for testing.
    """,
    make=import_folder,
    marks=("train/",),
    any_folder=True,
)

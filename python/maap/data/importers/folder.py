"""Class folders as a data set: ``DIR/train/<class>/*.jpg`` and ``DIR/test/<class>/*.jpg``.

Without a test folder val/ or valid/ is the test split; without any (or with the classes directly in
DIR) a fifth of each class, chosen by the seed, is. Copies of an image within a class never come to
both sides of such a division. What other programs leave in folders (``._*``, ``__MACOSX``,
``.DS_Store``, ``.ipynb_checkpoints`` ...) is left out and counted (`maap.data.importing.tree`).
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from maap.data.importer import Importer, set_name
from maap.data.importing import archive
from maap.data.importing.class_folders import Parts, find_parts, read_classes, suffixes_text
from maap.data.importing.copies import same_bytes
from maap.data.importing.layout import Item, Layout
from maap.data.importing.tree import LeftOut, cannot_read, readable, same_name
from maap.errors import MaapError
from maap.util import progress

if TYPE_CHECKING:
    from maap.data.store import Dataset

TEST_SHARE = 0.2
_WHERE = "give an archive of class folders (train/CLASS/*.jpg), or their folder"
_SHOWN = 3  # names that a message lists


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

    source: the folder that holds train/ or the class folders, or a .zip or .tar of it. size: pixels
    of the stored square images. policy: "warp" (proportions change) or "short_side" (the shorter
    side fits, the centre is kept). encode: "jpeg" (quality 95) or "raw". seed: of the training
    order, and of the split where ``source`` has no test folder (``test_share`` of each class, at
    least one image).
    Raises MaapError for a missing folder, fewer than two classes, an empty class, a class of test
    that train lacks, a damaged image, an existing ``out``."""
    from maap.data.importing.images import About, Storage, make_set

    source = Path(source)
    about = About("folder", name or set_name(source), "", dict(path=str(source)))
    storage = Storage(size, policy, encode).check()
    if not 0.0 < test_share < 1.0:
        raise MaapError(f"test share {test_share} is not between 0 and 1")

    def read(unpacked: Path) -> Layout:
        return _Reader(source, seed, test_share).layout(unpacked)

    return make_set(out, read, storage, seed=seed, about=about)


@dataclass
class _Reader:
    """Reads ``source`` once: `layout`. What it leaves out is counted on the way."""

    source: Path
    seed: int
    share: float
    left_out: LeftOut = field(default_factory=LeftOut)

    def layout(self, unpacked: Path) -> Layout:
        """Raises MaapError as `import_folder`."""
        folder, packed = self._folder(unpacked)
        layout = self._read(folder)
        self.left_out.say(self.source)
        return replace(layout, left_out=dict(packed.kinds + self.left_out.kinds))

    def _folder(self, unpacked: Path) -> tuple[Path, LeftOut]:
        """The folder to read, the source or what was in the archive, and what stayed in there."""
        if self.source.is_dir():
            return self.source, LeftOut()
        if not self.source.is_file():
            what = "is not a folder" if self.source.exists() else "is not a folder or archive"
            raise MaapError(f"{self.source} {what}: give one that holds train/<class>/*.jpg")
        from maap.images.pixels import SUFFIXES

        endings = "|".join(suffix[1:] for suffix in SUFFIXES)
        wanted = rf"(?i).+\.({endings})$"
        return unpacked, archive.unpack(self.source, unpacked, wanted, _WHERE, everything=True)

    def _read(self, folder: Path) -> Layout:
        try:
            parts = find_parts(folder, self.source)
            train = read_classes(parts.train, self.left_out)
            classes = _class_names(train, parts, self.source)
            label = {same: index for index, same in enumerate(classes)}
            items = _items(train, parts.train, label)
            names = list(classes.values())
            if parts.test is None:
                return Layout(*self._divide(items, names), names)
            return Layout(items, self._test(parts, label, names), names)
        except OSError as error:
            raise cannot_read(error.filename or self.source, error) from None

    def _test(self, parts: Parts, label: dict[str, int], names: list[str]) -> list[Item]:
        test = read_classes(parts.test, self.left_out)
        by_case = {same_name(same): same for same in label}
        known: dict[str, list[Path]] = {}
        other = []
        for same, files in test.items():
            if not files:
                continue
            match = same if same in label else by_case.get(same_name(same))
            if match is None:
                other.append(same)
                continue
            if match != same:
                progress.say(
                    f"{parts.test}: class {same!r} is taken for {match!r} of {parts.train}"
                )
            known.setdefault(match, []).extend(files)
        if other:
            raise MaapError(
                f"{parts.test}: class {other[0]!r} is not in {parts.train}{_more(other)}: rename "
                "or remove it"
            )
        missing = [name for same, name in zip(label, names) if same not in known]
        if missing:
            progress.say(
                f"warning: {parts.test} has no images of {_listed(missing)}: the test says nothing "
                "of them"
            )
        return _items({same: known[same] for same in sorted(known)}, parts.test, label)

    def _divide(self, items: list[Item], names: list[str]) -> tuple[list[Item], list[Item]]:
        """Images of equal content stay together, so that no test image was trained on."""
        import numpy as np

        random = np.random.RandomState(self.seed & 0xFFFFFFFF)
        train: list[Item] = []
        test: list[Item] = []
        single: list[str] = []
        for label, name in enumerate(names):
            of_class = [item for item in items if item.label == label]
            groups = same_bytes([item.path for item in of_class])
            if len(groups) < 2:
                single.append(name)
                continue
            wanted = min(max(1, int(round(self.share * len(of_class)))), len(of_class) - 1)
            chosen: set[int] = set()
            order = random.permutation(len(groups)).tolist()
            for group in order[:-1]:
                if len(chosen) < wanted:
                    chosen.update(groups[group])
            for index, item in enumerate(of_class):
                (test if index in chosen else train).append(item)
        if single:
            raise MaapError(
                f"{self.source}: class {single[0]!r} has one image, too few to divide into "
                f"training and test{_more(single)}: add images, or make a test folder"
            )
        progress.say(
            f"{self.source} has no test folder: seed {self.seed} chose {len(test)} of {len(items)} "
            "images for the test"
        )
        return train, test


def _class_names(files: dict[str, list[Path]], parts: Parts, source: Path) -> dict[str, str]:
    """{name as compared: name for people}, in the labels' order."""
    if len(files) < 2:
        found = f"only the class {readable(next(iter(files)))!r}" if files else "no class folder"
        raise MaapError(
            f"{parts.train} holds {found}, but a classifier needs at least two: make one folder of "
            "images per class in it"
        )
    empty = [name for name, found in files.items() if not found]
    if empty:
        raise MaapError(
            f"{parts.train / empty[0]}: class {readable(empty[0])!r} is empty (no "
            f"{suffixes_text()} file){_more(empty)}: add images or remove the folder"
        )
    near: dict[str, str] = {}
    for name in files:
        first = near.setdefault(same_name(name), name)
        if first != name:
            progress.say(
                f"warning: {source}: the classes {readable(first)!r} and {readable(name)!r} differ "
                "in upper and lower case only; they stay two classes"
            )
    return {name: readable(name) for name in sorted(files)}


def _items(files: dict[str, list[Path]], top: Path, label: dict[str, int]) -> list[Item]:
    return [
        Item(path, path.relative_to(top).as_posix(), label[name])
        for name, found in files.items()
        for path in found
    ]


def _more(names: list[str]) -> str:
    return f" ({len(names)} such classes in all)" if len(names) > 1 else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    if len(names) == 1:
        return f"class {shown}"
    return f"{len(names)} classes ({shown}{', ...' if len(names) > _SHOWN else ''})"


IMPORTER = Importer(
    name="folder",
    title="class folders",
    help="""Class folders: SOURCE/train/CLASS/*.jpg, and SOURCE/test/CLASS/*.jpg if there is one.

    SOURCE is the folder, or a .zip or .tar of it. Without test/, val/ or valid/ is for testing;
    without any a fifth of each class, chosen by the seed. What other programs leave in folders
    (._*, __MACOSX, .ipynb_checkpoints ...) is left out and counted.
    """,
    make=import_folder,
    marks=("train/",),
    any_archive=True,
    any_folder=True,
)

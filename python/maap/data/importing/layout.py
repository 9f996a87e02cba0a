"""What the lists of a data set say, and whether they agree with each other and with what was
published.

Lists that contradict each other, and images that are missing, are refused. Counts other than the
published ones are refused too, unless the caller allows a part of the set; then a warning gives
the counts, and the data set's note keeps them.
"""

import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from maap.data.importing.tree import NameFinder
from maap.errors import MaapError
from maap.util import progress

if TYPE_CHECKING:
    from maap.data.records import Box


@dataclass(frozen=True)
class Item:
    """An image to import.

    path: the file. relative: its name in the set. label: from 0. box: x1, y1, x2, y2 in its own
    pixels, half-open. banner: how many pixel rows at its bottom are no part of the picture.
    """

    path: Path
    relative: str
    label: int
    box: Optional["Box"] = None
    banner: int = 0


@dataclass(frozen=True)
class Layout:
    """The images of both splits and the names of the classes.

    partial: one sentence with the counts when this is a part of a published set, else "".
    left_out: files beside the images that were passed over, {kind: how many}.
    """

    train: list[Item]
    test: list[Item]
    classes: list[str]
    partial: str = ""
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """Numbers that a complete copy has."""

    classes: int
    train: int
    test: int


@dataclass(frozen=True)
class Published:
    """How a set was published: its title, the counts of a complete copy (None: unknown), where to
    get one, and the name of its ``maap data`` command."""

    title: str
    counts: Optional[Expected]
    where: str
    command: str

    def expecting(self, counts: Optional[Expected]) -> "Published":
        """The same with other counts of a complete copy."""
        return replace(self, counts=counts)


def check_layout(
    layout: Layout, source: Path, published: Published, allow_partial: bool = False
) -> Layout:
    """The layout when nothing in it is wrong; with ``partial`` set when it is a part of the set.

    ``source`` is what was imported. Raises MaapError: counts that are not the published ones and
    not allowed, an image that is listed twice, a class without training images, a missing file.
    """
    partial = _counts(layout, source, published, allow_partial)
    if partial or published.counts is None:
        layout = replace(_without_empty_classes(layout, source), partial=partial)
    _check_enough(layout, source)
    _check_once(layout, source, published.where)
    return _with_files(layout, source, published.where)


def check_same_images(path: Path, found: Iterable[str], listed: Iterable[str], by: Path) -> None:
    """Raises MaapError when the list ``path`` has images, ``found``, that are not ``listed`` by the
    list ``by``, which says what images there are."""
    extra = sorted(set(found) - set(listed))
    if extra:
        raise MaapError(
            f"{path} has image {extra[0]}, which {by.name} lacks ({len(extra)} such images in "
            "all): the lists contradict each other"
        )


def _counts(layout: Layout, source: Path, published: Published, allow_partial: bool) -> str:
    """The sentence on a layout whose counts are not the published ones; "" when they are, or when
    none are known."""
    found = Expected(len(layout.classes), len(layout.train), len(layout.test))
    wanted = published.counts
    if wanted is None or found == wanted:
        return ""
    listed = (
        f"it lists {found.train + found.test:,} images ({found.train:,} training, "
        f"{found.test:,} test) of {found.classes} classes, where "
        f"{wanted.train + wanted.test:,} ({wanted.train:,}, {wanted.test:,}) of {wanted.classes} "
    )
    if not allow_partial:
        raise MaapError(
            f"{source} is not the whole {published.title}: {listed}are expected; "
            f"{published.where}; or import what is there: maap data {published.command} "
            f"{shlex.quote(str(source))} --allow-partial, or maap train --allow-partial-data"
        )
    sentence = f"Not the whole {published.title}: {listed}were published."
    progress.say(f"warning: {source}: {sentence}")
    return sentence


def _without_empty_classes(layout: Layout, source: Path) -> Layout:
    """The layout without the classes that have no image; labels are counted again."""
    used = sorted({item.label for item in layout.train + layout.test})
    if len(used) == len(layout.classes):
        return layout
    progress.say(
        f"warning: {source}: {len(layout.classes) - len(used)} classes have no image and are left "
        "out"
    )
    label = {old: new for new, old in enumerate(used)}
    train, test = (
        [replace(item, label=label[item.label]) for item in items]
        for items in (layout.train, layout.test)
    )
    return replace(layout, train=train, test=test, classes=[layout.classes[old] for old in used])


def _check_enough(layout: Layout, source: Path) -> None:
    classes = len(layout.classes)
    if classes < 2 or not layout.train or not layout.test:
        raise MaapError(
            f"{source} lists {len(layout.train)} training and {len(layout.test)} test images of "
            f"{classes} classes: at least two classes and one image of each kind are needed"
        )
    trained = {item.label for item in layout.train}
    empty = [name for label, name in enumerate(layout.classes) if label not in trained]
    if empty:
        raise MaapError(
            f"{source}: class {empty[0]!r} has no training image ({len(empty)} such classes in "
            "all): add images, or remove the class from the lists"
        )


def _check_once(layout: Layout, source: Path, where: str) -> None:
    counted = Counter(item.path for item in layout.train + layout.test)
    twice = [path for path, count in counted.items() if count > 1]
    if twice:
        raise MaapError(
            f"{source}: the lists name {twice[0]} more than once ({len(twice)} such images in "
            f"all), so they contradict each other; {where}"
        )


def _with_files(layout: Layout, source: Path, where: str) -> Layout:
    """The layout with the paths of files that are there, found by nearly the same names too."""
    finder = NameFinder()
    train, test = ([_found(item, finder) for item in part] for part in (layout.train, layout.test))
    missing = [
        item.path for item, found in zip(layout.train + layout.test, train + test) if found is None
    ]
    if missing:
        raise MaapError(
            f"{len(missing)} of {len(train + test)} images are missing, the first is {missing[0]}: "
            f"unpack the archive again; {where}"
        )
    if finder.first is not None:
        wanted, found = (path.name for path in finder.first)
        progress.say(
            f"{source}: {finder.inexact:,} images have other names than in the lists (upper and "
            f"lower case, blanks or accents; the first is {found!r} for {wanted!r}); they are used"
        )
    return replace(
        layout, train=[item for item in train if item], test=[item for item in test if item]
    )


def _found(item: Item, finder: NameFinder) -> Optional[Item]:
    path = finder.find(item.path)
    return item if path == item.path else path and replace(item, path=path)

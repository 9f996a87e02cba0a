"""Images that a set has more than once: the same pixels under two names.

An image of the test part that is in the training part too makes the accuracy too high: the net has
seen the answer. What is compared is the image as it is stored, so that the same picture as JPEG and
as PNG copy of it, or with other metadata, is found; one that was resized, cut or compressed again
is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maap.data.importing.layout import Item
from maap.util import progress

_SHOWN = 3  # pairs that a message names


@dataclass(frozen=True)
class Seen:
    """A stored image: of which part, what it was made of, and the digest of its pixels."""

    part: str
    item: Item
    digest: bytes


def check_copies(seen: Sequence[Seen], classes: Sequence[str], source: object) -> str:
    """Print a warning for images that are in both parts, in two classes or twice in a part.

    Returns the sentence on the first, which belongs into the set's note; "" without any.
    """
    first: dict[tuple[str, bytes], Seen] = {}
    again: dict[str, int] = {"train": 0, "test": 0}
    for image in seen:
        key = (image.part, image.digest)
        if key in first:
            again[image.part] += 1
        first.setdefault(key, image)
    _say_classes(seen, classes, source)
    for part, name in (("train", "training"), ("test", "test")):
        if again[part]:
            progress.say(
                f"{source}: {_count(again[part], f'{name} image')} more than once in that part"
            )
    return _say_leak(seen, first, source)


def _say_leak(seen: Sequence[Seen], first: dict[tuple[str, bytes], Seen], source: object) -> str:
    test = [image for image in seen if image.part == "test"]
    pairs = [(i, first["train", i.digest]) for i in test if ("train", i.digest) in first]
    if not pairs:
        return ""
    shown = ", ".join(f"{a.item.relative} = {b.item.relative}" for a, b in pairs[:_SHOWN])
    more = ", ..." if len(pairs) > _SHOWN else ""
    what = f"{len(pairs):,} of {len(test):,} test images {'is' if len(pairs) == 1 else 'are'} also"
    progress.say(
        f"warning: {source}: {what} in the training part, with the same pixels ({shown}{more}): "
        "the accuracy will be too high; remove them from one of the parts"
    )
    return f"{what} in the training part."


def _say_classes(seen: Sequence[Seen], classes: Sequence[str], source: object) -> None:
    known: dict[bytes, Seen] = {}
    pairs = []
    for image in seen:
        other = known.setdefault(image.digest, image)
        if other.item.label != image.item.label:
            pairs.append((image, other))
    if not pairs:
        return
    shown = ", ".join(
        f"{a.item.relative} of {classes[a.item.label]!r} = {b.item.relative} of "
        f"{classes[b.item.label]!r}"
        for a, b in pairs[:_SHOWN]
    )
    more = ", ..." if len(pairs) > _SHOWN else ""
    progress.say(
        f"warning: {source}: {_count(len(pairs), 'image')} in two classes, with the same pixels "
        f"({shown}{more}): remove the wrong ones"
    )


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number:,} {what}s are"


def digest_of_file(path: Path) -> bytes:
    """A digest of a file's bytes. OSError when it cannot be read."""
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.digest()


def same_bytes(paths: Sequence[Path]) -> list[list[int]]:
    """The indices of ``paths`` in groups of equal content, in order of each group's first; only
    files of equal size are read."""
    sizes: dict[int, list[int]] = {}
    for index, path in enumerate(paths):
        sizes.setdefault(path.stat().st_size, []).append(index)
    groups = []
    for indices in sizes.values():
        alike: dict[bytes, list[int]] = {}
        for index in indices:
            key = digest_of_file(paths[index]) if len(indices) > 1 else b""
            alike.setdefault(key, []).append(index)
        groups += alike.values()
    return sorted(groups)

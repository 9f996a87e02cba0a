"""What ``manifest.json`` holds: the facts of a data set that are not in its records."""

from typing import TypedDict

MANIFEST = "manifest.json"
FORMAT = 1


class SplitFacts(TypedDict):
    """A split: how many records it has."""

    count: int


class Manifest(TypedDict, total=False):
    """The content of manifest.json.

    kind: the importer's name, or "rewritten". name, note: for people; a note says what one must
    know of the set. classes: their names, by label. size: [height, width] of the stored images.
    source: how an imported set was made (path, seed, policy, encode, partial; left_out: {kind of
    file: how many}; leak: a sentence on images in both parts). rewritten: how a rewritten set was
    made. The keys without ``source`` and ``rewritten`` are in every manifest.
    """

    format: int
    kind: str
    name: str
    note: str
    classes: list[str]
    size: list[int]
    mean_subtracted: bool
    splits: dict[str, SplitFacts]
    source: dict[str, object]
    rewritten: dict[str, object]

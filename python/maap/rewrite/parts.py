"""How ranks hand the images that they rendered to rank 0, which writes the data set.

As files in the data set's partial folder, which all ranks see: what ranks say to each other goes to
all of them, and images are too large for that. A rank has two files, for even and odd rounds. It
writes one before it tells rank 0 of it (a gather), and again two rounds later: rank 0 comes to the
next gather only when it has read what was told in the last.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Union

from maap.data.disk import disk_full_is_error
from maap.host import ranks

Bytes = Union[bytes, memoryview]
_NAME = "part-"


def _file(folder: Path, rank: int, number: int) -> Path:
    return folder / f"{_NAME}{rank}-{number % 2}"


def clear(folder: Path) -> None:
    """Remove the files of an earlier start. Before any rank writes one."""
    for path in folder.glob(f"{_NAME}*"):
        path.unlink()


def give(folder: Path, number: int, datums: Sequence[Bytes]) -> list[int]:
    """Write this rank's datums of round ``number``; returns their lengths. Raises MaapError when
    the disk is full."""
    path = _file(folder, ranks.here().rank, number)
    with disk_full_is_error(folder, str(path)), path.open("wb") as file:
        for datum in datums:
            file.write(datum)
    return [len(datum) for datum in datums]


def take(folder: Path, rank: int, number: int, lengths: Sequence[int]) -> list[memoryview]:
    """The datums that a rank has written in round ``number``."""
    return cut(memoryview(_file(folder, rank, number).read_bytes()), lengths)


def cut(content: memoryview, lengths: Sequence[int]) -> list[memoryview]:
    """The datums that lie one after the other."""
    ends = itertools.accumulate(lengths)
    return [content[end - length : end] for length, end in zip(lengths, ends)]

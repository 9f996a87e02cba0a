"""Reading what lies in a run folder, for those who show it."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maap.errors import MaapError
from maap.runs.evaluation import MEASURE_AGAIN


def read_json(path: Path) -> Any:
    """The file's content, an empty dict when it is not there."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MaapError(f"{path} is damaged ({error}); {MEASURE_AGAIN}") from None


def read_columns(path: Path, needed: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """A CSV of numbers by column; the rows that are whole. Nothing for no file and an empty one.

    Raises MaapError, which names the file: it cannot be read, has other content than numbers, or
    lacks a column of ``needed``."""
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream)
            head = next(reader, [])
            rows = [row for row in reader if len(row) == len(head)]
    except (OSError, ValueError, csv.Error) as error:
        raise MaapError(f"{path} is damaged ({error}); restore it or remove it") from None
    if not head:
        return {}
    gone = [name for name in needed if name not in head]
    if gone:
        raise MaapError(f"{path} is damaged: no column {gone[0]}; restore it or remove it")
    try:
        values = np.array(rows, dtype=np.float64).reshape(-1, len(head))
    except ValueError:
        raise MaapError(
            f"{path} is damaged: not all of it is numbers; restore it or remove it"
        ) from None
    return dict(zip(head, values.T))

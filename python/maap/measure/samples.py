"""Example pictures of a run: test images with their attention maps, regions and true boxes.

``samples/samples.json`` in a run folder is a list of `Sample`, ``samples/inside.json`` a list of
`InsideSample`: a few of them, or a few evenly spaced records where no regions were found.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional, TypeVar

import numpy as np

from maap.attention import figure
from maap.attention.inside import Inside
from maap.data.store import Split
from maap.errors import MaapError
from maap.images import boxes, draw, pixels, render
from maap.measure.classify import Prediction
from maap.runs.evaluation import MEASURE_AGAIN
from maap.runs.files import read_json
from maap.util.files import write_atomically
from maap.util.json_record import Damaged, JsonRecord, named

PER_GROUP = 8
INSIDE = 2  # of each group
_KEPT = 64  # pixels; maps are kept at this size until it is known which are wanted

Entry = TypeVar("Entry", bound=JsonRecord)
Group = Literal["best", "worst", "spread"]


@dataclass(frozen=True)
class Sample(JsonRecord):
    """A test image and what was found in it.

    The groups "best" and "worst" are by the region's overlap with the true box; "spread" are evenly
    spaced records, chosen without looking.
    """

    file: str  # JPEG beside samples.json: region (amber) and true box (green), next to the map
    group: Group
    key: str
    path: str
    name: str = named("class")
    region: list[int]  # x1, y1, x2, y2
    box: Optional[list[float]]  # the true one
    iou: Optional[float]
    predicted: dict[str, str]  # class by phase


@dataclass(frozen=True)
class InsideSample(JsonRecord):
    """A test image whose maps, attention and D* were drawn."""

    file: str  # JPEG beside inside.json, see maap.attention.figure
    group: Group
    path: str
    name: str = named("class")
    iou: Optional[float]


class Samples:
    """Collects regions and maps while a split is gone through, then draws the interesting ones."""

    def __init__(self, split: Split):
        self.split = split
        self._found: dict[int, tuple[boxes.Box, Optional[float]]] = {}
        self._maps: dict[int, np.ndarray] = {}

    def offer(self, index: int, region: boxes.Box, attention: np.ndarray) -> None:
        """Keep the region (stored pixels) and attention map (h,w, any size) of record `index`."""
        self.keep(index, region, self.small(attention))

    @staticmethod
    def small(attention: np.ndarray) -> np.ndarray:
        """What is kept of an attention map."""
        return render.resize(attention, _KEPT, _KEPT).astype(np.float16)

    def keep(self, index: int, region: boxes.Box, small: np.ndarray) -> None:
        """`offer` with a map that is `small` already."""
        box = self.split.records[index].box
        overlap = None if box is None else boxes.iou(region, box)
        self._found[index] = (region, overlap)
        self._maps[index] = small

    def chosen(self) -> list[tuple[Group, int]]:
        """(group, record index) of the pictures to draw, the best first; no record twice."""
        rated = [n for n, (_, overlap) in self._found.items() if overlap is not None]
        rated.sort(key=lambda n: (-self._found[n][1], n))
        few = min(PER_GROUP, len(rated) // 2)
        best, worst = rated[:few], rated[len(rated) - few :][::-1]
        left = sorted(set(self._found) - set(best) - set(worst))
        places = np.linspace(0, len(left) - 1, min(PER_GROUP, len(left))).round().astype(int)
        groups = (("best", best), ("worst", worst), ("spread", [left[p] for p in places]))
        return [(group, n) for group, members in groups for n in members]

    def save(self, folder: Path, predictions: Mapping[str, Sequence[Prediction]]) -> list[Sample]:
        """Writes the pictures and samples.json (last) into `folder`, replacing what was there.

        predictions: those of each phase, by its name. Returns what is in samples.json.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        guessed: dict[str, dict[str, str]] = {}
        for phase, rows in predictions.items():
            for row in rows:
                guessed.setdefault(row.key, {})[phase] = self.split.classes[row.predicted]
        entries = []
        for number, (group, index) in enumerate(self.chosen()):
            record, (region, overlap) = self.split.records[index], self._found[index]
            file = f"{number:02d}_{group}.jpg"
            (folder / file).write_bytes(pixels.to_jpeg(self._draw(index)))
            entries.append(
                Sample(
                    file=file,
                    group=group,
                    key=record.key,
                    path=record.path,
                    name=self.split.classes[record.label],
                    region=list(region),
                    box=None if record.box is None else list(record.box),
                    iou=overlap,
                    predicted=guessed.get(record.key, {}),
                )
            )
        _write(folder / "samples.json", entries)
        return entries

    def _draw(self, index: int) -> np.ndarray:
        image = draw.to_grey_levels(self.split.read(index)[0], None)
        boxed = draw.draw_box(image, self.split.records[index].box, draw.BOX_COLOUR)
        boxed = draw.draw_box(boxed, self._found[index][0], draw.REGION_COLOUR)
        heat = draw.overlay(image, self._maps[index].astype(np.float32))
        return draw.side_by_side([draw.shrink(part, 224) for part in (boxed, heat)], 2)

    def save_inside(self, folder: Path, inside: Inside) -> None:
        """Writes inside.json and its pictures beside what `save` wrote. Raises MaapError as
        `Inside.look` does."""
        chosen: list[tuple[Group, int]] = []
        for group, index in self.chosen() or self._evenly():
            if [name for name, _ in chosen].count(group) < INSIDE:
                chosen.append((group, index))
        entries = []
        for number, (group, index) in enumerate(chosen):
            record = self.split.records[index]
            overlap = self._found[index][1] if index in self._found else None
            image = draw.to_grey_levels(self.split.read(index)[0], None)
            drawn = figure.draw(inside.look(record.path, image, record.box), title="")
            file = f"inside_{number:02d}_{group}.jpg"
            (folder / file).write_bytes(pixels.to_jpeg(drawn))
            name = self.split.classes[record.label]
            entries.append(InsideSample(file, group, record.path, name, overlap))
        _write(folder / "inside.json", entries)

    def _evenly(self) -> list[tuple[Group, int]]:
        places = np.linspace(0, len(self.split) - 1, min(INSIDE, len(self.split)))
        return [("spread", int(place)) for place in places.round()]


def read_samples(folder: Path) -> list[Sample]:
    """What samples.json in ``folder`` lists, nothing when there is none. Raises MaapError, which
    names the file, when it is damaged."""
    return _read(folder / "samples.json", Sample)


def read_inside(folder: Path) -> list[InsideSample]:
    """What inside.json in ``folder`` lists; as `read_samples`."""
    return _read(folder / "inside.json", InsideSample)


def _read(path: Path, kind: type[Entry]) -> list[Entry]:
    found = read_json(path) or []
    try:
        return [kind.from_json(each, f"[{n}]") for n, each in enumerate(found)]
    except Damaged as error:
        raise MaapError(f"{path} is damaged ({error}); {MEASURE_AGAIN}") from None


def _write(path: Path, entries: Sequence[JsonRecord]) -> None:
    text = json.dumps([entry.to_json() for entry in entries], indent=1)
    write_atomically(path, text + "\n")

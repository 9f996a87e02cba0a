"""The regions that the net of a run finds after phase 1, under the settings of a row.

A cell's figures are kept in the run's folder, ``regions/HASH.json``: the settings, a hash of the
weights, the seconds it took and `RegionQuality`. What was measured is not measured again.
"""

import functools
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from maap.config.values import Settings
from maap.errors import MaapError
from maap.runs.evaluation import RegionFigures, RegionQuality
from maap.runs.request import Request
from maap.runs.stages import FINAL
from maap.study.cells import Cell
from maap.study.definition import Reference
from maap.util.files import file_sha256, write_atomically
from maap.util.progress import say

FOLDER = "regions"
SIZES = ("small", "medium", "large")  # of objects, as `images.boxes.size_ranges` divides them


def region_request(cell: Cell) -> Request:
    """What `maap evaluate` is asked for, to get the figures of a cell."""
    config = cell.config
    own = dict(run=str(config.name), runs_dir=config.runs_dir, phase=1, gpu=config.gpu)
    return Request(**own, **cell.region)  # type: ignore[arg-type]


def unmeasured(planned: Sequence[Cell]) -> list[Cell]:
    """The cells whose regions were not measured yet, each file once."""
    cells = [cell for cell in planned if cell.part.measure == "regions"]
    left: dict[str, Cell] = {}
    for cell in cells:
        if read_quality(cell) is None:
            left.setdefault(str(_file(cell)), cell)
    return list(left.values())


def measure_all(cells: Sequence[Cell]) -> None:
    """Measure the regions of cells whose runs are finished. Called in the child.

    Cells whose regions are found in the same maps are measured in one pass over the images. Raises
    MaapError as ``maap evaluate`` does, with the cells named.
    """
    from maap.measure.command import region_qualities

    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        source = (cell.region.get("attention"), cell.region.get("attention_layer"))
        groups.setdefault((cell.config.name, cell.config.runs_dir, *source), []).append(cell)
    done = 0
    for group in groups.values():
        rows = f'"{group[0].row.label}"'
        rows += f" and {len(group) - 1} more in the same maps" if len(group) > 1 else ""
        name = group[0].config.name
        say(f"regions [{done + 1} of {len(cells)}]: {rows}, run {name}")
        started = time.monotonic()
        try:
            found = region_qualities([region_request(cell) for cell in group])
        except MaapError as error:
            raise MaapError(f"row {rows}, run {name}: {error}") from None
        seconds = (time.monotonic() - started) / len(group)
        for cell, quality in zip(group, found):
            _keep(cell, quality, seconds)
        done += len(group)


def _keep(cell: Cell, quality: RegionQuality, seconds: float) -> None:
    content = {
        "settings": dict(cell.region),
        "weights": _weights(cell),
        "seconds": seconds,
        "quality": quality.to_json(),
    }
    path = _file(cell)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def read_quality(cell: Cell) -> Optional[RegionQuality]:
    """The figures of a cell; None: not measured, or with other weights, or the file is damaged."""
    found = _read(cell)
    return None if found is None else found[0]


def measuring_seconds(cells: Sequence[Cell]) -> list[float]:
    """What measuring the regions of some cells took, each file once."""
    once = {str(_file(cell)): cell for cell in cells if cell.part.measure == "regions"}
    return [found[1] for found in map(_read, once.values()) if found is not None]


def _read(cell: Cell) -> Optional[tuple[RegionQuality, float]]:
    """The figures of a cell, and the seconds they took."""
    try:
        found = json.loads(_file(cell).read_text(encoding="utf-8"))
        if found["weights"] != _weights(cell):
            return None
        return RegionQuality.from_json(found["quality"]), float(found["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(cell: Cell) -> Path:
    return cell.run.folder / FOLDER / f"{_hash(cell.region)}.json"


def _hash(settings: Settings) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _weights(cell: Cell) -> str:
    path = cell.run.folder / "phase1" / FINAL
    return _hash_of(path, path.stat().st_mtime_ns)


@functools.cache
def _hash_of(path: Path, changed: int) -> str:  # noqa: ARG001  a changed file is another key
    return file_sha256(path)


# ---- the numbers --------------------------------------------------------------------------------


def region_values(quality: RegionQuality, reference: Optional[Reference]) -> dict[str, float]:
    """The numbers of a cell by the keys of the columns; of a reference in place of the regions."""
    figures: RegionFigures = quality if reference is None else getattr(quality, reference)
    named = {"iou": figures.mean_iou, "centre": figures.centre_hit, "area": figures.area_kept}
    for key, size in zip(SIZES, quality.by_size or ()):
        of_size: RegionFigures = size if reference is None else getattr(size, reference)
        named[key] = of_size.mean_iou
    return {key: value for key, value in named.items() if value is not None}

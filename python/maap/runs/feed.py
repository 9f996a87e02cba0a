"""What a run's nets are fed: its data set as it was, and how stored images become input."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from maap.data.feeder import Transform
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.nets.transform import read_mean
from maap.runs.run import Run
from maap.runs.state import Phase, RunState


def transform(run: Run, state: RunState, phase: Phase) -> Transform:
    """The Transform of "TRAIN" or "TEST" images of a run."""
    how = state.input[phase]
    path = run.folder / how.mean_file if how.mean_file else None
    return make_transform(how.crop_size, how.mirror, how.mean_value, path, how.scale)


def make_transform(
    crop_size: int,
    mirror: bool,
    mean_value: Sequence[float],
    mean_file: Optional[Path],
    scale: float,
) -> Transform:
    """The Transform of a Data layer's settings (`nets.transform.DataTransform` explains them).

    Raises MaapError for a mean image that cannot be read.
    """
    mean: Optional[np.ndarray] = None
    if mean_file is not None:
        mean = read_mean(mean_file)
    elif mean_value:
        values = list(mean_value) * (3 if len(mean_value) == 1 else 1)
        mean = np.array(values, dtype=np.float32)
    return Transform(crop_size=crop_size, mirror=mirror, mean=mean, scale=scale)


def open_data(state: RunState) -> Dataset:
    """The data set of a run. Raises MaapError when it is gone or not what it was."""
    dataset = Dataset.open(Path(state.data.folder))
    if manifest_hash(dataset) != state.data.manifest:
        raise MaapError(
            f"{dataset.folder}: the data set has changed since the run began; start a new run"
        )
    return dataset


def manifest_hash(dataset: Dataset) -> str:
    """Changes when a data set is made again in another way."""
    text = json.dumps(dataset.manifest, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

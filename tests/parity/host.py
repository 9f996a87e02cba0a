"""Shared by the runners on both hosts: paths of files, making of nets, filling of arrays.

Stock pycaffe only, Python 3.9 and later.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from cases import Case

Arrays = dict  # name -> np.ndarray


@dataclass(frozen=True)
class Host:
    """Where one host's cases run.

    Attributes:
        name: The name of the side: ``"bvlc"``, ``"fork"`` or ``"bvlc_one_thread"``.
        caffe: Its pycaffe, in CPU mode, with the MAAP layers.
        files: The golden input files.
        out: The folder of the results; a case's own files go to ``out/files/CASE``.
        tools: The folder of the command line tools; empty when PATH has them.
        written: Host name -> the ``files`` folder with that host's output, for cases that read
            the hosts' files.
    """

    name: str
    caffe: ModuleType
    files: Path
    out: Path
    tools: str
    written: dict[str, Path]

    def folder(self, case: Case) -> Path:
        """The folder of the case's own files, made if necessary."""
        path = self.out / "files" / case.name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def tool(self, name: str) -> str:
        return str(Path(self.tools) / name) if self.tools else name

    def text(self, case: Case, text: str) -> str:
        """The text with this host's folders in it."""
        return text.replace("@FILES@", str(self.files)).replace("@OUT@", str(self.folder(case)))

    def write(self, case: Case, name: str, text: str) -> str:
        """Writes a text file of the case and returns its path."""
        path = self.folder(case) / name
        path.write_text(self.text(case, text))
        return str(path)

    def net(self, case: Case) -> Any:
        """The case's net, in its phase, with the fillers' values; its files are in ``@OUT@``."""
        for name, text in case.settings.get("texts", {}).items():
            self.write(case, name, text)
        phase = getattr(self.caffe, case.phase)
        state = {key: case.settings[key] for key in ("level", "stages") if key in case.settings}
        return self.caffe.Net(self.write(case, "net.prototxt", case.net), phase, **state)


def random_state(case: Case, *what: object) -> np.random.RandomState:
    """A generator for one array of a case: the same numbers on both hosts and in every NumPy."""
    key = "/".join(str(part) for part in (case.origin, *what))
    return np.random.RandomState(zlib.crc32(key.encode()))


def fill(array: np.ndarray, recipe: tuple, rng: np.random.RandomState) -> None:
    """Fills an array as a Fill of cases/case.py says.

    Raises:
        ValueError: there is no such recipe.
    """
    kind, *numbers = recipe
    if kind == "uniform":
        values = rng.uniform(*numbers, size=array.shape)
    elif kind == "normal":
        values = numbers[0] + numbers[1] * rng.standard_normal(array.shape)
    elif kind == "int":
        values = rng.randint(*numbers, size=array.shape)
    elif kind == "grid":
        step, low, high = numbers
        values = step * rng.randint(round(low / step), round(high / step) + 1, size=array.shape)
    elif kind == "values":
        values = np.resize(np.asarray(numbers[0], np.float64), array.shape)
    else:
        raise ValueError(f"no recipe is called {kind}")
    array[...] = values


def names(values: Any) -> np.ndarray:
    """Names as an array that is compared exactly."""
    return np.array([str(value) for value in values] or [""])

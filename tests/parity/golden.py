"""BVLC Caffe's results as small files, for machines without it: tests/golden/parity/GROUP.npz.

Arrays of more than KEEP values are kept as SAMPLE of their values, at positions that depend only
on the size, and their norm.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from cases import Case, all_cases

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "parity"
FILES = FOLDER / "files"  # input files: data sets, images, snapshots
KEEP = 400
SAMPLE = 100


def condense(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in the form of golden files: NAME, or NAME#sample, NAME#norm and NAME#shape."""
    out = {}
    for name, array in arrays.items():
        if array.size <= KEEP or array.dtype.kind in "US":
            out[name] = array
            continue
        places = np.random.RandomState(array.size % 2**32).randint(array.size, size=SAMPLE)
        out[f"{name}#sample"] = array.ravel()[places]
        out[f"{name}#norm"] = np.array(np.sqrt(np.sum(array.astype(np.float64) ** 2)))
        out[f"{name}#shape"] = np.array(array.shape)
    return out


def path(group: str) -> Path:
    return FOLDER / (re.sub(r"\W+", "_", group.lower()).strip("_") + ".npz")


def write(cases: Sequence[Case], results: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Rewrites the files of the cases' groups; other cases stay, if they still exist.

    A case with ``settings["live_only"]`` has no golden arrays.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    for group in dict.fromkeys(case.group for case in cases):
        old = _load(path(group)) if path(group).exists() else {}
        new = {k: v for k, v in old.items() if k.split(":")[0] in all_cases()}
        for case in cases:
            if case.group == group and case.name in results:
                new = {k: v for k, v in new.items() if not k.startswith(f"{case.name}:")}
                if case.settings.get("live_only"):
                    continue
                new |= {f"{case.name}:{k}": v for k, v in condense(results[case.name]).items()}
        if new:
            np.savez_compressed(path(group), **new)
    _load.cache_clear()


def keep_written(cases: Sequence[Case], files: Path) -> None:
    """Stores, in FILES/written, the files of BVLC Caffe that other cases read."""
    for case in cases:
        if "of" not in case.settings:
            continue
        source, target = files / case.settings["of"], FILES / "written" / case.settings["of"]
        shutil.rmtree(target, ignore_errors=True)
        for pattern in ("snap_*", "saved.*", "made_lmdb/data.mdb", "made_leveldb/[!L]*"):
            for file in source.glob(pattern):
                (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target / file.relative_to(source))


def read(case: Case) -> dict[str, np.ndarray] | None:
    """The case's golden arrays, or None if there are none."""
    file = path(case.group)
    if not file.exists():
        return None
    prefix = f"{case.origin}:"
    arrays = {k[len(prefix) :]: v for k, v in _load(file).items() if k.startswith(prefix)}
    return arrays or None


@functools.cache
def _load(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as arrays:
        return dict(arrays)


def total_size() -> int:
    """The size of all golden files in bytes."""
    return sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())

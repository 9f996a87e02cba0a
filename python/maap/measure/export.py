"""What ``maap export`` does in its child process: a run's net as an ONNX file.

The engine's ``caffe.onnx`` converts and compares; this module says which net, and gives it the
run's own test images to compare on.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from maap.data.feeder import Transform
from maap.data.store import Split
from maap.errors import MaapError
from maap.host import loader
from maap.runs.request import Request
from maap.runs.subject import Subject, resolve
from maap.util.files import folder_for
from maap.util.text import times

IMAGES = 8  # test images to compare on


def export_net(
    request: Request, out: Optional[Path], batch: Union[str, int, None], opset: Optional[int]
) -> list[str]:
    """Write the deploy net of a run, or of weights, as ONNX. Returns lines to print.

    out: the file; None: deploy.onnx in the run's folder, or the weights' name. batch: a size,
    "dynamic", or None for the net's own. Raises MaapError as `runs.subject.resolve` does, on
    another Caffe, without the packages onnx and onnxruntime, for a layer that ONNX cannot say, and
    when ONNX Runtime gives other values.
    """
    caffe = loader.load()
    if loader.name_of(caffe) != "fork":
        raise MaapError("maap export needs the engine of this repository: leave out --host bvlc")
    with tempfile.TemporaryDirectory() as work:
        subject, lines = _subject(request, Path(work))
        target = out or _default_file(subject, request)
        if target.is_dir():
            raise MaapError(f"{target}: a folder; --out takes the name of a file")
        try:
            from caffe.onnx import export, graph, main

            with folder_for(target.parent):
                version = graph.DEFAULT_OPSET if opset is None else opset
                exported = export(subject.deploy, subject.weights, opset=version, batch=batch)
                lines += _describe(exported, subject)
                return lines + main.write(exported, target, _images(exported, subject))
        except (caffe.CaffeError, ImportError, ValueError) as error:
            raise MaapError(str(error)) from None


def _subject(request: Request, work: Path) -> tuple[Subject, list[str]]:
    """What to export; without its data set where that is gone, which a line says."""
    try:
        return resolve(request, work), []
    except MaapError as error:
        if request.data is not None:
            raise
        found = resolve(request, work, with_data=False)
        return found, [f"note: compared on random inputs alone: {error}"]


def _default_file(subject: Subject, request: Request) -> Path:
    if request.run is not None:
        return subject.deploy.with_suffix(".onnx")
    return Path(subject.weights.stem + ".onnx")


def _describe(exported: Any, subject: Subject) -> list[str]:
    """Say in the file, and to the user, what the input's values are."""
    transform = subject.transform
    about = {"colours": "B, G, R", "values": "0 to 255", "scale": f"{transform.scale:g}"}
    if transform.mean is not None and transform.mean.ndim == 1:
        about["mean"] = ", ".join(f"{value:g}" for value in transform.mean)
    elif transform.mean is not None:
        about["mean"] = "a mean image"
    if subject.data is not None:
        about["classes"] = "\n".join(subject.data.classes)
    for key, value in about.items():
        exported.model.metadata_props.add(key=key, value=value)
    (name,) = exported.source.inputs[:1]
    shape = times(exported.source.shapes[name][1:])
    mean = f" less the mean ({about['mean']})" if "mean" in about else ""
    scale = f", times {about['scale']}" if transform.scale != 1 else ""
    return [f"{subject.title}", f"input {name}: N x {shape}, B, G, R, 0 to 255{mean}{scale}"]


def _images(exported: Any, subject: Subject) -> list[dict[str, np.ndarray]]:
    """Batches of the first test images, as the net was trained to see them."""
    if subject.data is None:
        return []
    split = subject.data.split("test")
    transform = replace(subject.transform, mean=None) if split.mean_subtracted else None
    (name,) = exported.source.inputs[:1]
    batch = exported.source.shapes[name][0]
    numbers = list(range(min(IMAGES, len(split))))
    return [
        {name: _batch(split, transform or subject.transform, numbers[i : i + batch], batch)}
        for i in range(0, len(numbers), batch)
    ]


def _batch(split: Split, transform: Transform, numbers: list[int], size: int) -> np.ndarray:
    """Images of the test split, the last one repeated until the batch is full."""
    full = (numbers + [numbers[-1]] * size)[:size]
    return np.stack([transform.apply(split.read(n)[0]) for n in full])

"""Runs a model in ONNX Runtime beside the engine and compares all blobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..shapes import shape_text
from .examples import Arrays
from .exporting import Exported
from .needs import onnx, runtime

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Difference:
    """A blob's largest difference, as a share of the largest value that the engine has in it."""

    blob: str
    shape: tuple[int, ...]
    relative: float


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference as a share of ``ours``'s largest value; infinity where shapes differ,
    or where one value is not finite and the other is another."""
    if ours.shape != theirs.shape:
        return float("inf")
    if ours.size == 0:
        return 0.0
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    odd = ~(np.isfinite(ours) & np.isfinite(theirs))
    if odd.any() and not np.array_equal(ours[odd], theirs[odd], equal_nan=True):
        return float("inf")
    ours, theirs = np.where(odd, 0, ours), np.where(odd, 0, theirs)
    largest = np.abs(ours).max()
    return float(np.abs(ours - theirs).max() / largest) if largest else float(np.abs(theirs).max())


def _with_all_outputs(exported: Exported) -> bytes:
    """The model with every blob's tensor as an output."""
    model = onnx.ModelProto()
    model.CopyFrom(exported.model)
    have = {info.name for info in [*model.graph.output, *model.graph.input]}
    for tensor in dict.fromkeys(exported.tensors.values()):
        if tensor not in have:
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    return model.SerializeToString()


def session(model: bytes) -> Any:
    """An InferenceSession of a serialized model, on the CPU. Raises ValueError where ONNX Runtime
    does not take it."""
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"ONNX Runtime {ort.__version__} refuses the model: {error}") from None


class Session:
    """A model in ONNX Runtime that gives all its blobs."""

    def __init__(self, exported: Exported) -> None:
        self.exported = exported
        self.session = session(_with_all_outputs(exported))

    def run(self, inputs: Arrays) -> Arrays:
        """All tensors by name, the inputs as well."""
        names = [output.name for output in self.session.get_outputs()]
        wanted = {info.name for info in self.session.get_inputs()}
        feed = {name: array for name, array in inputs.items() if name in wanted}
        return {**inputs, **dict(zip(names, self.session.run(names, feed)))}

    def compare(self, inputs: Arrays) -> list[Difference]:
        """Run the engine and the model on these inputs. Returns a Difference for each blob that a
        layer computes, in the net's order."""
        source = self.exported.source
        net = source.net
        for name, array in inputs.items():
            net.blobs[name].reshape(*array.shape)
            net.blobs[name].data[...] = array
        for first, last in source.parts():
            net._forward(first, last)
        theirs = self.run(inputs)
        found = []
        for blob, tensor in self.exported.tensors.items():
            if tensor != blob and blob not in source.inputs:
                continue  # what an automatic Split made
            if tensor in inputs:
                continue
            ours = np.array(net.blobs[blob].data)
            found.append(Difference(blob, ours.shape, relative(ours, theirs[tensor])))
        return found


def check(exported: Exported, inputs: Sequence[Arrays]) -> list[Difference]:
    """Compare on several sets of inputs. Returns the largest difference of each blob, with the
    shape that the blob has for the first of them."""
    session = Session(exported)
    worst: dict[str, Difference] = {}
    for arrays in inputs:
        for found in session.compare(arrays):
            before = worst.setdefault(found.blob, found)
            if found.relative > before.relative:
                worst[found.blob] = replace(before, relative=found.relative)
    return list(worst.values())


def table(differences: Sequence[Difference]) -> str:
    """The differences as text, a line for each blob."""
    rows = [(d.blob, shape_text(d.shape), f"{d.relative:.1e}") for d in differences]
    rows = [("blob", "shape", "difference"), *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows)

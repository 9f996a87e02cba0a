"""Each layer alone, on the engine's own values.

Some layers choose: the place of a maximum, the best class, which boxes stay. Where two candidates
are equal but for rounding, the engine and ONNX Runtime may choose differently, and what comes after
differs altogether although no layer is wrong. So where a blob behind such a layer differs, every
layer is run again on what the engine's layer got, and must give what it gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .differences import Difference, relative, session
from .examples import Arrays
from .exporting import Exported, add_layer
from .graph import Graph, model_of, value_info
from .source import Source

CHOOSING = {"ArgMax", "DetectionOutput", "Elimination", "Proposal", "Threshold"}


def chosen(net: Source) -> set[str]:
    """The blobs that a choosing layer makes, and all behind them."""
    found: set[str] = set()
    for layer in net.layers:
        chooses = layer.type in CHOOSING or (layer.type == "Pooling" and len(layer.top) > 1)
        if chooses or found & set(layer.bottom):
            found |= set(layer.top)
    return found


@dataclass
class Alone:
    """A layer as a model of its own. bottoms: its inputs, without repetitions."""

    net: Source
    index: int
    bottoms: list[str]
    outputs: list[str]
    runner: Any

    @classmethod
    def of(cls, exported: Exported, index: int) -> Alone:
        """The model of a layer of an exported net."""
        net, layer = exported.source, exported.source.layers[index]
        opset = exported.model.opset_import[0].version
        bottoms = list(dict.fromkeys(layer.bottom))
        graph = Graph(opset, taken=set(net.shapes))
        tensors = {name: name for name in bottoms}
        add_layer(graph, net, index, tensors, [])
        outputs = [
            graph.add("Identity", [tensors[top]], f"alone/{top}")[0] for top in layer.top
        ]  # a top may be the bottom's tensor
        infos = [value_info(name, [None] * len(net.shapes[name])) for name in bottoms]
        results = [
            value_info(out, [None] * len(net.shapes[top])) for out, top in zip(outputs, layer.top)
        ]
        model = model_of(graph.to_proto(layer.name, infos, results), opset)
        return cls(net, index, bottoms, outputs, session(model.SerializeToString()))

    def step(self) -> float:
        """Run the engine's layer, and the model on the same bottoms; the largest difference."""
        blobs, layer = self.net.net.blobs, self.net.layers[self.index]
        given = {name: np.array(blobs[name].data) for name in self.bottoms}
        self.net.net._forward(self.index, self.index)
        wanted = {info.name for info in self.runner.get_inputs()}
        feed = {name: array for name, array in given.items() if name in wanted}
        theirs = self.runner.run(self.outputs, feed)
        ours = [np.array(blobs[top].data) for top in layer.top]
        return max((relative(a, b) for a, b in zip(ours, theirs)), default=0.0)


def largest(exported: Exported, inputs: Sequence[Arrays]) -> float:
    """The largest difference of any layer alone."""
    net = exported.source
    layers = [
        Alone.of(exported, i)
        for i, layer in enumerate(net.layers)
        if not net.is_input(layer) and layer.top and i not in net.left_out
    ]
    worst = 0.0
    for arrays in inputs:
        for name, array in arrays.items():
            net.net.blobs[name].reshape(*array.shape)
            net.net.blobs[name].data[...] = array
        worst = max([worst, *(layer.step() for layer in layers)])
    return worst


def explained(
    exported: Exported, inputs: Sequence[Arrays], wrong: Sequence[Difference], tolerance: float
) -> str | None:
    """Why these blobs differ although no layer does; None if that is not the reason."""
    if not {difference.blob for difference in wrong} <= chosen(exported.source):
        return None
    worst = largest(exported, inputs)
    if not worst <= tolerance:
        return None
    names = ", ".join(difference.blob for difference in wrong)
    return (
        f"note: {names}: these differ because a layer before them chooses between values that are "
        f"equal but for rounding. On the engine's own values no layer differs by more than "
        f"{worst:.1e}"
    )

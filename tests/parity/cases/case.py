"""Defines a case, and how the lists of this package write one.

Pure data: both hosts import this package (Python 3.9 and later, no other package needed).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

# How an array is filled: ("uniform", low, high), ("int", low, high) with high exclusive,
# ("grid", step, low, high): multiples of step in [low, high], which makes ties and exact zeros,
# ("normal", mean, std) or ("values", list), the list repeated to the array's size.
Fill = tuple
UNIFORM: Fill = ("uniform", -1.0, 1.0)
WEIGHTS: Fill = ("uniform", -0.5, 0.5)
GRID: Fill = ("grid", 0.5, -1.0, 1.0)

LAYER_LIMIT = 1e-4  # one forward and backward pass
RUN_LIMIT = 1e-3  # after 50 iterations


@dataclass(frozen=True)
class Case:
    """One comparison: what both hosts run, and how closely the resulting arrays must agree.

    Attributes:
        name: Unique; ``reference`` names the case whose BVLC result this one is compared with (an
            engine variant has the same result, inputs and weights as its plain case).
        group: The row of the summary it counts in.
        kind: Which runner runs it: a function of ``run_case.RUNNERS``.
        net: Prototxt. ``@ENGINE@`` marks where a layer's parameters take an engine, ``@FILES@``
            for the folder of the golden input files, ``@OUT@`` for the case's folder.
        phase: ``"TRAIN"`` or ``"TEST"``.
        inputs: Blob name -> Fill, for the blobs filled before every forward pass.
        params: Layer name -> one Fill per parameter blob; layers left out get WEIGHTS.
        shapes: One mapping blob name -> shape per iteration, to reshape before it; may be shorter.
        iterations: Forward (and backward) passes, each with new inputs.
        backward: Whether to run backward, from random gradients at every net output except losses.
        exact: Patterns (fnmatch) of the arrays that must be equal to the last bit.
        limit: The largest difference allowed in the others.
        settings: Further settings for the runner of this kind.
    """

    name: str
    group: str
    kind: str = "layer"
    net: str = ""
    phase: str = "TRAIN"
    inputs: Mapping[str, Fill] = field(default_factory=dict)
    params: Mapping[str, Sequence[Fill]] = field(default_factory=dict)
    shapes: Sequence[Mapping[str, Sequence[int]]] = ()
    iterations: int = 1
    backward: bool = True
    exact: Sequence[str] = ()
    limit: float = LAYER_LIMIT
    settings: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""

    @property
    def origin(self) -> str:
        """The name of the case whose inputs, weights and BVLC result this one shares."""
        return self.reference or self.name

    @property
    def layer_types(self) -> set[str]:
        """The layer types its net names."""
        return set(re.findall(r"\btype:\s*\"([A-Z]\w*)\"", self.net))


def shape_text(shape: Sequence[int]) -> str:
    return "shape { " + " ".join(f"dim: {d}" for d in shape) + " }"


def input_layer(name: str, shape: Sequence[int]) -> str:
    body = f"input_param {{ {shape_text(shape)} }}"
    return layer("Input", body, (), (name,), name)


def layer(
    kind: str,
    body: str = "",
    bottoms: Sequence[str] = ("x",),
    tops: Sequence[str] = ("y",),
    name="layer",
) -> str:
    """One layer as prototxt."""
    links = " ".join([f'bottom: "{b}"' for b in bottoms] + [f'top: "{t}"' for t in tops])
    return f'layer {{ name: "{name}" type: "{kind}" {links}\n  {body} }}\n'


def single(
    group: str,
    name: str,
    kind: str,
    body: str = "",
    bottoms: Mapping[str, Sequence[int]] | Sequence[int] = (2, 3, 5, 4),
    tops: Sequence[str] = ("y",),
    fill: Fill | Mapping[str, Fill] = UNIFORM,
    **more: Any,
) -> Case:
    """A case of one layer between Input layers and the net's outputs.

    ``bottoms`` is blob name -> shape, or the shape of the one bottom ``x``; ``fill`` one Fill for
    all bottoms or blob name -> Fill (UNIFORM for those left out).
    """
    shapes = bottoms if isinstance(bottoms, Mapping) else {"x": bottoms}
    fills = fill if isinstance(fill, Mapping) else dict.fromkeys(shapes, fill)
    net = "force_backward: true\n" if more.get("backward", True) else ""
    net += "".join(input_layer(blob, shape) for blob, shape in shapes.items())
    net += layer(kind, body, list(shapes), tops)
    inputs = {blob: fills.get(blob, UNIFORM) for blob in shapes}
    return Case(name, group, net=net, inputs=inputs, **more)


def with_engines(cases: Sequence[Case]) -> list[Case]:
    """Adds for every case with ``@ENGINE@`` one with the plain kernels, engine: CAFFE."""
    out = []
    for case in cases:
        if "@ENGINE@" not in case.net:
            out.append(case)
            continue
        out.append(replace(case, net=case.net.replace("@ENGINE@", "")))
        plain = case.net.replace("@ENGINE@", "engine: CAFFE")
        out.append(replace(case, name=f"{case.name}@caffe", net=plain, reference=case.name))
    return out

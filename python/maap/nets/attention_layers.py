"""The two attention layers as layers of a net.

Enhancement takes a blob over: everything later reads F' = (1 + A) F. It works in place where that
is safe. Where a later layer changes the same blob in place (Enhancement's gradient recovers F from
F'), or an earlier one needs its own output for its gradient (Sigmoid, LRN ...), F' is a blob of its
own. Elimination reads a map and the images, and ends a rewrite net.
"""

import copy
from collections.abc import Sequence

from maap.errors import MaapError
from maap.images.region_options import RegionOptions
from maap.nets import graph, layer_types
from maap.util.schema import LayerParameter, NetParameter, caffe_pb2

REWRITE_TOPS = ("dstar", "region", "attention", "stats")  # Elimination's tops in a rewrite net


def elimination_of(rewrite: NetParameter) -> LayerParameter:
    """The Elimination layer of a rewrite net. Raises MaapError where there is none."""
    found = [layer for layer in rewrite.layer if layer.type == "Elimination"]
    if not found:
        raise MaapError(f"net {rewrite.name}: no Elimination layer, so it is no rewrite net")
    return found[0]


def region_options_of(rewrite: NetParameter) -> RegionOptions:
    """How the Elimination layer of a rewrite net finds the region. Raises MaapError as
    `elimination_of` does."""
    return RegionOptions.read(elimination_text(elimination_of(rewrite)))


def elimination_text(layer: LayerParameter) -> str:
    """The parameters of an Elimination layer as text, from its field or from python_param."""
    return f"{layer.python_param.param_str} {getattr(layer, 'elimination_param', '')}"


def also(name: str, number: int) -> str:
    """The name of a layer or blob of Elimination layer ``number`` (from 1 on) that a rewrite net
    has beside its own: `nets.resolve.with_other_regions`."""
    return f"{name}_also{number}"


def with_enhancement(
    layers: Sequence[LayerParameter], after: str, name: str
) -> list[LayerParameter]:
    """A copy of ``layers`` with an Enhancement layer ``name`` behind the layer ``after``, which
    takes over its blob."""
    layers = copy.deepcopy(list(layers))
    at = [layer.name for layer in layers].index(after)
    blob = layers[at].top[0]
    top = blob
    if not safe_in_place(layers, at):
        taken = [b for layer in layers for b in (*layer.bottom, *layer.top)]
        top = graph.unused_name(f"{blob}_enhanced", taken)
        graph.rename_blob(layers[at + 1 :], blob, top)
    made = caffe_pb2.LayerParameter(name=name, type="Enhancement", bottom=[blob], top=[top])
    return [*layers[: at + 1], made, *layers[at + 1 :]]


def safe_in_place(layers: Sequence[LayerParameter], at: int) -> bool:
    """Whether the blob of layer ``at`` may be changed in place behind it: no later layer changes it
    in place, and no layer that wrote it needs what it wrote for its gradient."""
    blob = layers[at].top[0]
    writers = [layer for layer in layers[: at + 1] if blob in layer.top]
    later = any(blob in layer.top for layer in layers[at + 1 :])
    return not later and all(layer_types.of(writer).top_unread(writer) for writer in writers)


def with_elimination(
    layers: Sequence[LayerParameter], after: str, name: str
) -> list[LayerParameter]:
    """A copy of those of ``layers`` that the blob of the layer ``after`` is computed from, then an
    Elimination layer ``name`` that takes it; another blob of the name of one of its tops is
    renamed."""
    names = [layer.name for layer in layers]
    cut = copy.deepcopy(list(layers[: names.index(after) + 1]))
    taken = [blob for layer in cut for blob in layer.top]
    for top in REWRITE_TOPS:
        graph.rename_blob(cut, top, graph.unused_name(f"{top}_map", taken))
    blob = cut[-1].top[0]
    made = caffe_pb2.LayerParameter(
        name=name, type="Elimination", bottom=[blob, "data"], top=REWRITE_TOPS
    )
    made.python_param.param_str = "a_star: ROI"
    return [*graph.ancestors(cut, blob), made]

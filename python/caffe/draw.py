"""Nets as pictures. Needs the Python module pydot and the program dot of Graphviz.

caffe.draw.draw_net_to_file(net_parameter, "net.png")
"""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path
from typing import Any

from .proto import caffe_pb2

LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": "#90EE90", "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}
_COLORS = {"Convolution": "#FF5050", "Deconvolution": "#FF5050", "Pooling": "#FF9900"}
_COLORS["InnerProduct"] = "#CC33FF"
_LEARNING = ("Convolution", "Deconvolution", "InnerProduct")


def _pydot() -> Any:
    try:
        import pydot
    except ImportError:
        install = f"{sys.executable} -m pip install pydot"
        raise ImportError(f"drawing a net needs pydot: {install}") from None
    return pydot


def get_pooling_types_dict() -> dict[int, str]:
    """{0: "MAX", 1: "AVE", 2: "STOCHASTIC"}"""
    return {
        value.number: value.name
        for value in caffe_pb2.PoolingParameter.DESCRIPTOR.enum_types_by_name["PoolMethod"].values
    }


def _each(values: Any, height: Any, width: Any, default: int) -> str:
    if height or width:
        return f"{height}x{width}"
    values = [values] if isinstance(values, int) else list(values)
    return "x".join(str(value) for value in values if value) or str(default)


def _kernel_of(layer: Any) -> Any:
    if layer.type in ("Convolution", "Deconvolution"):
        return layer.convolution_param
    return layer.pooling_param if layer.type == "Pooling" else None


def get_layer_lr_mult(layer: Any) -> tuple[float, float]:
    """The learning rate multipliers of a layer's weights and biases; 1 where none is set.

    Raises ValueError for any type but Convolution, Deconvolution and InnerProduct.
    """
    if layer.type not in _LEARNING:
        raise ValueError(f"{layer.type} layers do not have a learning rate multiplier")
    weights, biases, *_ = [*(param.lr_mult for param in layer.param), 1.0, 1.0]
    return weights, biases


def _decimal(value: float) -> str:
    """0.1 for a float32's 0.10000000149, 10.0 for 10."""
    return str(float(f"{value:.6g}"))


def _multipliers(layer: Any) -> str:
    """The learning rate multipliers of any layer; empty if it has none."""
    known = layer.type in _LEARNING
    values = get_layer_lr_mult(layer) if known else [param.lr_mult for param in layer.param]
    return ", ".join(_decimal(value) for value in values)


def _sizes(layer: Any) -> list[str]:
    kernel = _kernel_of(layer)
    if kernel is None:
        return []
    if layer.type == "Pooling" and kernel.global_pooling:
        return ["kernel size: global"]
    size = _each(kernel.kernel_size, kernel.kernel_h, kernel.kernel_w, 1)
    stride = _each(kernel.stride, kernel.stride_h, kernel.stride_w, 1)
    pad = _each(kernel.pad, kernel.pad_h, kernel.pad_w, 0)
    return [f"kernel size: {size}", f"stride: {stride}", f"pad: {pad}"]


def get_layer_label(layer: Any, rankdir: str = "LR", display_lrm: bool = False) -> str:
    """The label of a layer, in quotes: name, type and, if it has a kernel, its sizes.

    display_lrm: also the learning rate multipliers of the types that get_layer_lr_mult knows.
    """
    kind = layer.type
    if layer.type == "Pooling":
        kind += f" {get_pooling_types_dict()[layer.pooling_param.pool]}"
    parts = [layer.name, f"({kind})", *_sizes(layer)]
    if display_lrm and layer.type in _LEARNING:
        parts.append(f"lr mult: {_multipliers(layer)}")
    separator = " " if rankdir in ("TB", "BT") else "\\n"
    return f'"{separator.join(parts)}"'


def choose_color_by_layertype(layertype: str) -> str:
    """The colour of a layer: "#FF5050" for a convolution."""
    return _COLORS.get(layertype, LAYER_STYLE_DEFAULT["fillcolor"])


def get_edge_label(layer: Any) -> str:
    """The label of a layer's outgoing edge: batch size or number of outputs."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return '""'


def _is_in(layer: Any, phase: int | None) -> bool:
    if phase is None:
        return True
    included = [rule.phase for rule in layer.include if rule.HasField("phase")]
    excluded = [rule.phase for rule in layer.exclude if rule.HasField("phase")]
    return phase not in excluded and (not included or phase in included)


def get_pydot_graph(
    caffe_net: Any,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """A pydot graph of a NetParameter.

    rankdir: the direction, "LR", "RL", "TB" or "BT". label_edges: whether the edges say batch size
    and number of outputs. phase: draw only the layers of this phase. display_lrm: whether layers
    show their learning rate multipliers: in the label as get_layer_label does, and for all types
    in the tooltip of an SVG. Raises ImportError without pydot.
    """
    pydot = _pydot()
    graph = pydot.Dot(
        f'"{caffe_net.name or "Net"}"', graph_type="digraph", strict=True, rankdir=rankdir
    )
    blobs = set()
    for number, layer in enumerate(layer for layer in caffe_net.layer if _is_in(layer, phase)):
        node = f'"layer_{number}_{layer.name}"'
        in_place = list(layer.bottom) == list(layer.top) and len(layer.bottom) == 1
        style = NEURON_LAYER_STYLE if in_place else LAYER_STYLE_DEFAULT
        if not in_place:
            style = {**style, "fillcolor": choose_color_by_layertype(layer.type)}
        if display_lrm and _multipliers(layer):
            style = {**style, "tooltip": f'"lr_mult: {_multipliers(layer)}"'}
        label = get_layer_label(layer, rankdir, display_lrm)
        graph.add_node(pydot.Node(node, label=label, **style))
        for name in layer.bottom:
            blobs.add(name)
            graph.add_edge(pydot.Edge(f'"blob_{name}"', node, label='""'))
        for name in layer.top:
            blobs.add(name)
            label = get_edge_label(layer) if label_edges else '""'
            graph.add_edge(pydot.Edge(node, f'"blob_{name}"', label=label))
    for name in sorted(blobs):
        graph.add_node(pydot.Node(f'"blob_{name}"', label=f'"{name}"', **BLOB_STYLE))
    return graph


def draw_net(
    caffe_net: Any,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """The picture of a NetParameter as bytes of the format ``ext``; see get_pydot_graph."""
    graph = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm)
    return graph.create(format=ext)


def draw_net_to_file(
    caffe_net: Any,
    filename: str | PathLike[str],
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Write the picture of a NetParameter; the format is the file name's suffix.

    See get_pydot_graph.
    """
    path = Path(filename)
    path.write_bytes(draw_net(caffe_net, rankdir, path.suffix[1:] or "png", phase, display_lrm))

"""Readers of operators that multiply and add: convolutions, products, pools, Add, Mul."""

from __future__ import annotations

from typing import Any

import numpy as np

from .layers_of import Layers, reads
from .reading import Reading


def _pads(node: Reading, spatial: int) -> list[int]:
    """Padding at the beginnings and the ends of the axes."""
    auto = node.attributes.get("auto_pad", b"NOTSET").decode()
    if auto in ("NOTSET", ""):
        return list(node.attributes.get("pads", [0] * 2 * spatial))
    if auto == "VALID":
        return [0] * 2 * spatial
    raise node.refuse(f"auto_pad {auto} is not supported: give the pads")


def _even_pads(node: Reading, spatial: int) -> list[int]:
    pads = _pads(node, spatial)
    if pads[:spatial] != pads[spatial:]:
        raise node.refuse(f"pads {pads} differ between the two ends, which Caffe cannot say")
    return pads[:spatial]


def _spatial(node: Reading) -> int:
    spatial = len(node.shape()) - 2
    if not 1 <= spatial <= 3:
        raise node.refuse(f"it has {spatial} spatial axes")
    return spatial


def _window(node: Reading, p: Any, weight: np.ndarray, spatial: int) -> None:
    """Kernel, stride, padding and dilation of a convolution."""
    ones = [1] * spatial
    p.kernel_size.extend(weight.shape[2:])
    p.stride.extend(node.attributes.get("strides", ones))
    p.pad.extend(_even_pads(node, spatial))
    p.dilation.extend(node.attributes.get("dilations", ones))
    p.group = node.attributes.get("group", 1)


@reads("Conv", "ConvTranspose")
def convolution(node: Reading, layers: Layers) -> None:
    """Convolution, Deconvolution."""
    spatial = _spatial(node)
    weights = [node.constant(1, "weight")]
    if node.has(2):
        weights.append(node.constant(2, "bias"))
    kind = "Convolution"
    if node.node.op_type == "ConvTranspose":
        kind = "Deconvolution"
        if any(node.attributes.get("output_padding", [0])) or "output_shape" in node.attributes:
            raise node.refuse("output_padding and output_shape have no layer")
    layer = layers.of(node, kind, weights=weights)
    p = layer.convolution_param
    _window(node, p, weights[0], spatial)
    p.num_output = node.top_shape()[1]
    p.bias_term = len(weights) > 1


@reads("Gemm")
def gemm(node: Reading, layers: Layers) -> None:
    """InnerProduct of a matrix."""
    if node.attributes.get("transA", 0):
        raise node.refuse("transA has no layer")
    weight = node.constant(1, "matrix") * np.float32(node.attributes.get("alpha", 1.0))
    if not node.attributes.get("transB", 0):
        weight = weight.T
    weights = [weight]
    if node.has(2):
        bias = node.constant(2, "bias") * np.float32(node.attributes.get("beta", 1.0))
        if bias.size not in (1, len(weight)) or (bias.ndim > 1 and bias.shape[0] != 1):
            raise node.refuse(f"a bias of the shape {bias.shape} is not one for each output")
        weights.append(np.broadcast_to(bias.reshape(-1), (len(weight),)))
    p = layers.of(node, "InnerProduct", weights=weights).inner_product_param
    p.num_output, p.bias_term = len(weight), len(weights) > 1


@reads("MatMul")
def mat_mul(node: Reading, layers: Layers) -> None:
    """InnerProduct over the last axis."""
    weight = node.constant(1, "matrix")
    if weight.ndim != 2:
        raise node.refuse(f"a matrix of {weight.ndim} axes has no layer")
    p = layers.of(node, "InnerProduct", weights=[weight.T]).inner_product_param
    p.num_output, p.bias_term = weight.shape[1], False
    p.axis = len(node.shape()) - 1


def _expected_size(size: int, kernel: int, stride: int, pad: int, up: bool) -> int:
    """Caffe's number of windows along an axis."""
    space = size + 2 * pad - kernel
    count = (-(-space // stride) if up else space // stride) + 1
    return count - 1 if pad and (count - 1) * stride >= size + pad else count


def _rounds_up(node: Reading, kernel: list[int], stride: list[int], pad: list[int]) -> bool:
    """Which of Caffe's two roundings gives the node's size. Raises CannotRead for neither."""
    wanted, sizes = list(node.top_shape()[2:]), node.shape()[2:]
    for up in (True, False):
        found = [_expected_size(*each, up) for each in zip(sizes, kernel, stride, pad)]
        if found == wanted:
            return up
    raise node.refuse("its padding differs between the two ends in a way that Caffe cannot say")


def _check_mean(node: Reading, kernel: list[int], stride: list[int], pads: list[int]) -> None:
    """Raises CannotRead where Caffe would divide by another number than the node."""
    begin, end = pads[:2], pads[2:]
    counted = bool(node.attributes.get("count_include_pad", 0))
    sizes, tops = node.shape()[2:], node.top_shape()[2:]
    for size, k, s, a, b, top in zip(sizes, kernel, stride, begin, end, tops):
        starts = np.arange(top) * s - a
        limits = (-a, size + b) if counted else (0, size)
        theirs = np.minimum(starts + k, limits[1]) - np.maximum(starts, limits[0])
        ours = np.minimum(starts + k, size + a) - starts
        if (theirs != ours).any():
            raise node.refuse("it divides by another number of pixels at the edge than Caffe")


@reads("MaxPool", "AveragePool")
def pool(node: Reading, layers: Layers) -> None:
    """Pooling; the rounding is the one that gives the node's size."""
    if len(node.shape()) != 4:
        raise node.refuse("Caffe's pooling has two spatial axes")
    if any(node.node.output[1:]):
        raise node.refuse("its second output has no layer")
    if set(node.attributes.get("dilations", [1])) != {1}:
        raise node.refuse("dilations have no layer")
    kernel = list(node.attributes["kernel_shape"])
    stride = list(node.attributes.get("strides", [1, 1]))
    pads = _pads(node, 2)
    up = _rounds_up(node, kernel, stride, pads[:2])
    mean = node.node.op_type == "AveragePool"
    if mean:
        _check_mean(node, kernel, stride, pads)
    p = layers.of(node, "Pooling").pooling_param
    p.pool = p.AVE if mean else p.MAX
    p.kernel_h, p.kernel_w = kernel
    p.stride_h, p.stride_w = stride
    p.pad_h, p.pad_w = pads[:2]
    p.round_mode = p.CEIL if up else p.FLOOR


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Reading, layers: Layers) -> None:
    """Pooling over the whole plane."""
    if len(node.shape()) != 4:
        raise node.refuse("Caffe's pooling has two spatial axes")
    p = layers.of(node, "Pooling").pooling_param
    p.pool = p.AVE if node.node.op_type == "GlobalAveragePool" else p.MAX
    p.global_pooling = True


@reads("ReduceMean")
def reduce_mean(node: Reading, layers: Layers) -> None:
    """A mean over the plane: global pooling, and Flatten where the axes go."""
    axes = node.attributes.get("axes")
    if node.has(1):
        axes = node.constant(1, "axes").tolist()
    rank = len(node.shape())
    if rank != 4 or sorted(a % rank for a in axes or []) != [2, 3]:
        raise node.refuse("a mean over other axes than height and width has no layer")
    keep, top = node.attributes.get("keepdims", 1), node.node.output[0]
    pooled = top if keep else f"{top}/pooled"
    layer = layers.add("Pooling", node.name, [layers.blob(node, 0)], [pooled])
    layer.pooling_param.pool, layer.pooling_param.global_pooling = layer.pooling_param.AVE, True
    if not keep:
        layers.add("Flatten", f"{node.name}/flatten", [pooled], [top])
    layers.blobs[top] = top


def _by_constant(node: Reading, layers: Layers, index: int) -> None:
    """A blob and a constant: Power for one number, else Scale or Bias along the constant's axes."""
    op, values = node.node.op_type, node.constant(index, "constant").astype(np.float32)
    if op in ("Sub", "Div") and index == 0:
        raise node.refuse("a constant on the left has no layer")
    if op == "Sub":
        values = -values
    elif op == "Div":
        values = 1 / values
    adds = op in ("Add", "Sub")
    if values.size == 1:
        p = layers.of(node, "Power", [1 - index]).power_param
        p.scale, p.shift = (
            (1, float(values.reshape(()))) if adds else (float(values.reshape(())), 0)
        )
        return
    shape = node.shape(1 - index)
    padded = (1,) * (len(shape) - values.ndim) + values.shape
    axes = [axis for axis, length in enumerate(padded) if length != 1]
    first, last = axes[0], axes[-1]
    if padded[first : last + 1] != shape[first : last + 1] or (first == 0 and shape[0] != 1):
        raise node.refuse(
            f"a constant of the shape {values.shape} beside a blob {shape} has no layer"
        )
    layer = layers.of(
        node, "Bias" if adds else "Scale", [1 - index], [values.reshape(padded[first : last + 1])]
    )
    p = layer.bias_param if adds else layer.scale_param
    p.axis, p.num_axes = first, last + 1 - first


def _gate(node: Reading, layers: Layers) -> None:
    """A blob times a factor for each channel, N x C x 1 x 1: Scale with two bottoms."""
    small = int(np.prod(node.shape(0)) > np.prod(node.shape(1)))
    gate, whole = node.shape(small), node.shape(1 - small)
    if gate[:2] != whole[:2] or len(gate) != len(whole) or set(gate[2:]) - {1}:
        raise node.refuse(f"blobs of the shapes {node.shape(0)} and {node.shape(1)} have no layer")
    factor = f"{node.node.output[0]}/factor"
    layers.add("Flatten", f"{node.name}/factor", [layers.blob(node, small)], [factor])
    top = node.node.output[0]
    layer = layers.add("Scale", node.name, [layers.blob(node, 1 - small), factor], [top])
    layer.scale_param.axis = 0
    layers.blobs[top] = top


@reads("Add", "Sum", "Sub", "Mul", "Div", "Max")
def of_two(node: Reading, layers: Layers) -> None:
    """Two or more blobs of one shape: Eltwise. A constant: Power, Scale or Bias."""
    op, inputs = node.node.op_type, range(len(node.node.input))
    constants = [i for i in inputs if node.is_constant(i)]
    if constants and len(inputs) == 2 and op in ("Add", "Sub", "Mul", "Div"):
        _by_constant(node, layers, constants[0])
        return
    if len({node.shape(i) for i in inputs}) > 1:
        if op == "Mul" and len(inputs) == 2:
            _gate(node, layers)
            return
        raise node.refuse("its blobs have different shapes")
    if op == "Div" or len(inputs) < 2:
        raise node.refuse("it has no layer")
    p = layers.of(node, "Eltwise", inputs).eltwise_param
    p.operation = {"Mul": p.PROD, "Max": p.MAX}.get(op, p.SUM)
    if op == "Sub":
        p.coeff.extend([1, -1])

"""Another input size for a net, such that weights of its own size still fit.

A convolution takes a map of any size, an InnerProduct layer does not: its weights are for one map.
Between the two stands a pooling layer (pool5 in all three nets of the paper). It is made to give
the same map from the larger one: VGG-19 at 448 pools 28 x 28 to 7 x 7 by windows of 4 with stride
4, ResNet-152 averages 14 x 14 in place of 7 x 7. What is learnt, and its layout, stays as it is.
"""

import math
from typing import Any, Optional

from maap.errors import MaapError
from maap.util.schema import caffe_pb2

Size = tuple[int, int]  # height, width; (1, 1) for what is no map

_ONE = (1, 1)
_POINTS = {"InnerProduct", "Softmax", "SoftmaxWithLoss", "Accuracy"}


def set_input(net: Any, crop: int) -> None:
    """Make ``net`` (a NetParameter with an Input layer of shape (n, c, h, w)) take ``crop`` pixels.

    Raises MaapError: no such Input layer, a map that vanishes, or a net in which no pooling stands
    before an InnerProduct layer whose map would change."""
    shape = _image_shape(net)
    own = int(shape.dim[2])
    if crop == own and crop == int(shape.dim[3]):
        return
    wanted = map_sizes(net)
    _set_images(net, crop)
    for _ in net.layer:  # each pass fits one pooling, which changes what comes after it
        pooling = _first_to_fit(net, wanted, crop)
        if pooling is None:
            return
        _fit(pooling, map_sizes(net)[pooling.bottom[0]], wanted[pooling.top[0]], net, crop)
    raise MaapError(f"net {net.name}: an input of {crop} cannot be fitted")


def map_sizes(net: Any) -> dict[str, Size]:
    """Height and width of every blob: Caffe's rounding, down for convolutions, up for pooling.

    Raises MaapError for a map that vanishes."""
    sizes: dict[str, Size] = {}
    for layer in net.layer:
        size = _output(layer, sizes)
        if min(size) < 1:
            raise MaapError(
                f"net {net.name}: layer {layer.name} has nothing left of its input "
                f"({size[0]} x {size[1]}); give a larger --crop-size"
            )
        for top in layer.top:
            sizes[top] = size
    return sizes


def _image_shape(net: Any) -> Any:
    for layer in net.layer:
        for shape in layer.input_param.shape if layer.type == "Input" else ():
            if len(shape.dim) == 4:
                return shape
    raise MaapError(f"net {net.name}: no Input layer with a shape of four dimensions")


def _set_images(net: Any, crop: int) -> None:
    for layer in net.layer:
        for shape in layer.input_param.shape if layer.type == "Input" else ():
            if len(shape.dim) == 4:
                shape.dim[2] = shape.dim[3] = crop


# ---- sizes --------------------------------------------------------------------------------------


def _output(layer: Any, sizes: dict[str, Size]) -> Size:
    if layer.type == "Input":
        shapes = [shape.dim for shape in layer.input_param.shape if len(shape.dim) == 4]
        return (int(shapes[0][2]), int(shapes[0][3])) if shapes else _ONE
    if layer.type in _POINTS or not layer.bottom:
        return _ONE
    before = sizes.get(layer.bottom[-1 if layer.type == "Elimination" else 0], _ONE)
    if layer.type == "Convolution":
        return _windows(layer.convolution_param, before, up=False)
    if layer.type == "Pooling":
        param = layer.pooling_param
        return _ONE if param.global_pooling else _windows(param, before, not _rounds_down(param))
    return before


def _rounds_down(param: Any) -> bool:
    """pooling_param's round_mode, which BVLC Caffe's Debian package may not have."""
    return "round_mode" in param.DESCRIPTOR.fields_by_name and param.round_mode == 1


def _windows(param: Any, before: Size, up: bool) -> Size:
    """The number of windows of a convolution or a pooling along both axes."""
    found = []
    for axis, name in enumerate("hw"):
        kernel = _setting(param, "kernel_size", f"kernel_{name}", axis, 0)
        stride = _setting(param, "stride", f"stride_{name}", axis, 1)
        pad = _setting(param, "pad", f"pad_{name}", axis, 0)
        dilation = _setting(param, "dilation", "", axis, 1)
        room = before[axis] + 2 * pad - (dilation * (kernel - 1) + 1)
        count = (math.ceil(room / stride) if up else room // stride) + 1
        if up and pad and (count - 1) * stride >= before[axis] + pad:
            count -= 1  # Caffe: the last window begins inside the map or its first padding
        found.append(count)
    return found[0], found[1]


def _setting(param: Any, both: str, one: str, axis: int, default: int) -> int:
    if one and param.HasField(one):
        return int(getattr(param, one))
    value = getattr(param, both, default)
    if isinstance(value, int):
        return value
    return int(value[min(axis, len(value) - 1)]) if len(value) else default


# ---- fitting ------------------------------------------------------------------------------------


def _first_to_fit(net: Any, wanted: dict[str, Size], crop: int) -> Optional[Any]:
    """The pooling before the first InnerProduct layer whose map is not the wanted one."""
    sizes = map_sizes(net)
    for number, layer in enumerate(net.layer):
        if layer.type != "InnerProduct" or sizes[layer.bottom[0]] == wanted[layer.bottom[0]]:
            continue
        blob = layer.bottom[0]
        for earlier in reversed(list(net.layer)[:number]):
            if blob not in earlier.top or blob in earlier.bottom:
                continue
            if earlier.type == "Pooling":
                return earlier
            if earlier.type in ("Convolution", "Input") or not earlier.bottom:
                raise MaapError(
                    f"net {net.name} cannot take an input of {crop}: no pooling layer stands "
                    f"between {earlier.name} and {layer.name}, whose weights are for a map of "
                    f"{wanted[layer.bottom[0]][0]} x {wanted[layer.bottom[0]][1]}"
                )
            blob = earlier.bottom[0]
    return None


def _fit(layer: Any, before: Size, wanted: Size, net: Any, crop: int) -> None:
    """Windows that give ``wanted`` of ``before``, all of it, as even as whole numbers allow."""
    if min(before) < max(wanted) or before[0] != before[1] or wanted[0] != wanted[1]:
        raise MaapError(
            f"net {net.name} cannot take an input of {crop}: layer {layer.name} would have to make "
            f"{wanted[0]} x {wanted[1]} of {before[0]} x {before[1]}; give a larger --crop-size"
        )
    param = layer.pooling_param
    stride = before[0] // wanted[0]
    fitted = caffe_pb2.PoolingParameter(pool=param.pool, engine=param.engine)
    fitted.stride = stride
    fitted.kernel_size = before[0] - (wanted[0] - 1) * stride
    param.CopyFrom(fitted)

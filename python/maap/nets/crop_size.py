"""Another input size for a net, such that weights of its own size still fit.

A convolution takes a map of any size, an InnerProduct layer does not: its weights are for one map.
There is a pooling layer between the two (pool5 in all three nets of the paper). Its windows are
changed so that it makes the same map of the larger one: VGG-19 at 448 pools 28 x 28 to 7 x 7 by
windows of 4 with stride 4, ResNet-152 averages 14 x 14 instead of 7 x 7. Weights keep their shape.
"""

from typing import Optional

from maap.errors import MaapError, NotForNet
from maap.nets.layer_types import Size, of
from maap.nets.map_sizes import Pixels, map_sizes
from maap.util.schema import BlobShape, LayerParameter, NetParameter, caffe_pb2

# From a classifier back to the pooling before it, the search passes layers of these sizes.
_PASSED = (Size.SAME, Size.EACH, Size.RESHAPE, Size.CONCAT, Size.SLICE, Size.TILE)


def set_input(net: NetParameter, crop: int) -> None:
    """Make ``net`` (a NetParameter with an Input layer of shape (n, c, h, w)) take ``crop`` pixels.

    Raises MaapError: no such Input layer; NotForNet: a map that vanishes, a layer whose output has
    a size that cannot be told, or no pooling before an InnerProduct layer whose map would change.
    """
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
    raise NotForNet(f"net {net.name}: an input of {crop} cannot be fitted")


def _image_shape(net: NetParameter) -> BlobShape:
    for layer in net.layer:
        for shape in layer.input_param.shape if layer.type == "Input" else ():
            if len(shape.dim) == 4:
                return shape
    raise MaapError(f"net {net.name}: no Input layer with a shape of four dimensions")


def _set_images(net: NetParameter, crop: int) -> None:
    for layer in net.layer:
        for shape in layer.input_param.shape if layer.type == "Input" else ():
            if len(shape.dim) == 4:
                shape.dim[2] = shape.dim[3] = crop


# ---- fitting ------------------------------------------------------------------------------------


def _first_to_fit(
    net: NetParameter, wanted: dict[str, Pixels], crop: int
) -> Optional[LayerParameter]:
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
            if of(earlier).size not in _PASSED or not earlier.bottom:
                raise NotForNet(
                    f"net {net.name} cannot take an input of {crop}: no pooling layer stands "
                    f"between {earlier.name} and {layer.name}, whose weights are for a map of "
                    f"{wanted[layer.bottom[0]][0]} x {wanted[layer.bottom[0]][1]}"
                )
            blob = earlier.bottom[0]
    return None


def _fit(
    layer: LayerParameter, before: Pixels, wanted: Pixels, net: NetParameter, crop: int
) -> None:
    """Windows that give ``wanted`` of ``before``, all of it, as even as whole numbers allow."""
    if min(before) < max(wanted) or before[0] != before[1] or wanted[0] != wanted[1]:
        raise NotForNet(
            f"net {net.name} cannot take an input of {crop}: layer {layer.name} would have to make "
            f"{wanted[0]} x {wanted[1]} of {before[0]} x {before[1]}",
            "give a larger --crop-size",
        )
    param = layer.pooling_param
    stride = before[0] // wanted[0]
    fitted = caffe_pb2.PoolingParameter(pool=param.pool, engine=param.engine)
    fitted.stride = stride
    fitted.kernel_size = before[0] - (wanted[0] - 1) * stride
    param.CopyFrom(fitted)

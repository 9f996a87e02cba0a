"""The height and width of every map of a net, from its text alone, as Caffe computes them."""

import math
from collections.abc import Callable, Sequence
from typing import Union

from maap.errors import NotForNet
from maap.nets import layer_types
from maap.nets.layer_types import Size
from maap.nets.resized import resized
from maap.util.schema import ConvolutionParameter, LayerParameter, NetParameter, PoolingParameter

Pixels = tuple[int, int]  # height, width; (1, 1) for what is no map
Windows = Union[ConvolutionParameter, PoolingParameter]

_ONE = (1, 1)
_HEIGHT, _WIDTH = 2, 3  # the axes of a blob (N, C, h, w)


def map_sizes(net: NetParameter) -> dict[str, Pixels]:
    """Height and width of every blob of ``net``, a NetParameter.

    A blob without them (the outputs of an InnerProduct layer, a loss) counts as 1 x 1; a map that
    Flatten or Reshape put in one row keeps its size, because it still has as many points.

    Raises NotForNet for a map that vanishes, and for a layer whose output's size cannot be told.
    """
    sizes: dict[str, Pixels] = {}
    for layer in net.layer:
        rule = _RULES.get(layer_types.of(layer).size)
        if rule is None:
            raise layer_types.unknown(layer, "the size of its output")
        found = rule(layer, [sizes.get(blob, _ONE) for blob in layer.bottom])
        for top, size in zip(layer.top, found):
            if min(size) < 1:
                raise NotForNet(
                    f"net {net.name}: layer {layer.name} has nothing left of its input "
                    f"({size[0]} x {size[1]})",
                    "give a larger --crop-size",
                )
            sizes[top] = size
    return sizes


# ---- one function for each Size: the tops' sizes from the bottoms' ------------------------------


def _same(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    return [bottoms[0] if bottoms else _ONE] * len(layer.top)


def _second(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    return [bottoms[1]] * len(layer.top)


def _each(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    return list(bottoms[: len(layer.top)])


def _point(layer: LayerParameter, _: Sequence[Pixels]) -> list[Pixels]:
    return [_ONE] * len(layer.top)


def _convolution(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    """A convolution makes a top of each bottom; Im2col has one of each."""
    return [_windows(layer.convolution_param, bottom, up=False) for bottom in bottoms]


def _pooling(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    param = layer.pooling_param
    # BVLC Caffe's Debian package may not have pooling_param's round_mode.
    down = "round_mode" in param.DESCRIPTOR.fields_by_name and param.round_mode == 1
    size = _ONE if param.global_pooling else _windows(param, bottoms[0], not down)
    return [size] * len(layer.top)


def _deconvolution(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    param, found = layer.convolution_param, []
    for bottom in bottoms:
        sides = []
        for axis, before in enumerate(bottom):
            kernel, stride, pad, dilation = _window(param, axis)
            sides.append(stride * (before - 1) + dilation * (kernel - 1) + 1 - 2 * pad)
        found.append((sides[0], sides[1]))
    return found


def _crop(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    """Axes from ``axis`` on are as long as the second bottom's, the others stay."""
    axis, (whole, wanted) = _positive(layer.crop_param.axis), bottoms
    return [tuple(wanted[n] if axis <= _HEIGHT + n else whole[n] for n in (0, 1))]  # type: ignore


def _concat(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    param = layer.concat_param
    axis = _positive(param.concat_dim if param.HasField("concat_dim") else param.axis)
    height, width = bottoms[0]
    if axis == _HEIGHT:
        height = sum(bottom[0] for bottom in bottoms)
    elif axis == _WIDTH:
        width = sum(bottom[1] for bottom in bottoms)
    return [(height, width)]


def _slice(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    param, count = layer.slice_param, len(layer.top)
    axis = _positive(param.slice_dim if param.HasField("slice_dim") else param.axis)
    if axis not in (_HEIGHT, _WIDTH):
        return [bottoms[0]] * count
    along = bottoms[0][axis - _HEIGHT]
    points = list(param.slice_point) or [along * n // count for n in range(1, count)]
    parts = [end - start for start, end in zip([0, *points], [*points, along])]
    return [(n, bottoms[0][1]) if axis == _HEIGHT else (bottoms[0][0], n) for n in parts]


def _tile(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    axis, times = _positive(layer.tile_param.axis), layer.tile_param.tiles
    height, width = bottoms[0]
    return [
        (height * times if axis == _HEIGHT else height, width * times if axis == _WIDTH else width)
    ]


def _resized(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    found = resized(layer, bottoms)
    if found is None:
        raise layer_types.unknown(layer, "the size of its output")
    return [found] * len(layer.top)


def _reshape(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    """Understood: both axes copied (dim: 0), or one row made of an image's numbers."""
    param = layer.reshape_param
    dims = list(param.shape.dim)
    whole = param.axis == 0 and param.num_axes == -1
    copied = whole and len(dims) == 4 and dims[_HEIGHT:] == [0, 0]
    row = whole and len(dims) == 2
    if bottoms[0] != _ONE and not copied and not row:
        raise layer_types.unknown(layer, "the size of its output: the two axes of the map change")
    return [bottoms[0]]


def _argmax(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    param = layer.argmax_param
    if not param.HasField("axis"):
        return [_ONE]
    if _positive(param.axis) != 1:
        raise layer_types.unknown(layer, "the size of its output: its axis is not the channels'")
    return [bottoms[0]]


def _regions(layer: LayerParameter, _: Sequence[Pixels]) -> list[Pixels]:
    if layer.type == "PSROIPooling":
        return [(layer.psroi_pooling_param.group_size,) * 2]  # type: ignore[list-item]
    return [(layer.roi_pooling_param.pooled_h, layer.roi_pooling_param.pooled_w)]


def _grid(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    param, (height, width) = layer.st_param, bottoms[0]
    return [
        (
            param.output_H if param.HasField("output_H") else height,
            param.output_W if param.HasField("output_W") else width,
        )
    ]


def _displaced(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    param = layer.correlation_param
    more = 2 * param.pad - 2 * param.max_displacement - param.kernel_size + 1
    height, width = (math.ceil((side + more) / param.stride_1) for side in bottoms[0])
    return [(height, width)]


def _transpose(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    """Understood: an order of four axes that leaves the two of the map where they are or swaps
    them, and blobs that are no map (sequences)."""
    if layer.type == "Permute":
        dims = list(layer.permute_param.order)
        dims += [axis for axis in range(4) if axis not in dims]
    else:
        dims = list(layer.transpose_param.dim)
    if len(dims) != 4:
        return [_ONE]
    if sorted(dims[_HEIGHT:]) != [_HEIGHT, _WIDTH]:
        raise layer_types.unknown(layer, "the size of its output: the two axes of the map change")
    return [bottoms[0] if dims[_HEIGHT] == _HEIGHT else (bottoms[0][1], bottoms[0][0])]


def _images(layer: LayerParameter, bottoms: Sequence[Pixels]) -> list[Pixels]:
    """D*, the region, A, the statistics."""
    return [bottoms[1], _ONE, bottoms[1], _ONE][: len(layer.top)]


def _source(layer: LayerParameter, _: Sequence[Pixels]) -> list[Pixels]:
    count = len(layer.top)
    shapes = {
        "Input": layer.input_param.shape,
        "DummyData": layer.dummy_data_param.shape,
        "Parameter": [layer.parameter_param.shape],
    }
    if layer.type in shapes:
        found = [_of_shape(shape.dim) for shape in shapes[layer.type]]
        return found * count if len(found) == 1 else found
    return [_images_from(layer), *[_ONE] * (count - 1)]


def _images_from(layer: LayerParameter) -> Pixels:
    """The size of the images that a layer reads from somewhere."""
    side = layer.transform_param.crop_size or layer.window_data_param.crop_size
    if side:
        return side, side
    if layer.type == "MemoryData":
        return layer.memory_data_param.height, layer.memory_data_param.width
    if layer.type == "ImageData" and layer.image_data_param.new_height:
        return layer.image_data_param.new_height, layer.image_data_param.new_width
    raise layer_types.unknown(layer, "the size of its images: it has no crop_size")


_RULES: dict[Size, Callable[[LayerParameter, Sequence[Pixels]], list[Pixels]]] = {
    Size.SAME: _same,
    Size.SECOND: _second,
    Size.EACH: _each,
    Size.POINT: _point,
    Size.WINDOWS: _convolution,
    Size.POOLING: _pooling,
    Size.DECONVOLUTION: _deconvolution,
    Size.CROP: _crop,
    Size.CONCAT: _concat,
    Size.SLICE: _slice,
    Size.TILE: _tile,
    Size.RESIZED: _resized,
    Size.RESHAPE: _reshape,
    Size.ARGMAX: _argmax,
    Size.REGIONS: _regions,
    Size.GRID: _grid,
    Size.DISPLACED: _displaced,
    Size.TRANSPOSE: _transpose,
    Size.IMAGES: _images,
    Size.SOURCE: _source,
}


# ---- numbers ------------------------------------------------------------------------------------


def _positive(axis: int) -> int:
    """An axis of a blob of four, counted from the front."""
    return axis + 4 if axis < 0 else axis


def _of_shape(dims: Sequence[int]) -> Pixels:
    return (int(dims[_HEIGHT]), int(dims[_WIDTH])) if len(dims) == 4 else _ONE


def _windows(param: Windows, before: Pixels, up: bool) -> Pixels:
    """The number of windows of a convolution (``up``: of a pooling) along both axes."""
    found = []
    for axis in (0, 1):
        kernel, stride, pad, dilation = _window(param, axis)
        room = before[axis] + 2 * pad - (dilation * (kernel - 1) + 1)
        count = (math.ceil(room / stride) if up else room // stride) + 1
        if up and pad and (count - 1) * stride >= before[axis] + pad:
            count -= 1  # Caffe: the last window begins inside the map or its first padding
        found.append(count)
    return found[0], found[1]


def _window(param: Windows, axis: int) -> tuple[int, int, int, int]:
    """Kernel, stride, pad and dilation of a ConvolutionParameter or PoolingParameter."""
    name = "hw"[axis]
    return (
        _setting(param, "kernel_size", f"kernel_{name}", axis, 0),
        _setting(param, "stride", f"stride_{name}", axis, 1),
        _setting(param, "pad", f"pad_{name}", axis, 0),
        _setting(param, "dilation", "", axis, 1),
    )


def _setting(param: Windows, both: str, one: str, axis: int, default: int) -> int:
    if one and param.HasField(one):
        return int(getattr(param, one))
    value = getattr(param, both, default)
    if isinstance(value, int):
        return value
    return int(value[min(axis, len(value) - 1)]) if len(value) else default

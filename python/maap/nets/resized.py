"""The height and width of the tops of other forks' layers that make maps larger or smaller."""

from collections.abc import Callable, Sequence
from typing import Optional

from maap.util.schema import LayerParameter

Pixels = tuple[int, int]  # height, width


def resized(layer: LayerParameter, bottoms: Sequence[Pixels]) -> Optional[Pixels]:
    """The size of the top of a layer whose row in `layer_types` has Size.RESIZED, by the rule of
    its class in the engine; None for a type that has no rule here."""
    rule = _RULES.get(layer.type)
    return None if rule is None else rule(layer, bottoms)


def _attention_crop(layer: LayerParameter, _: Sequence[Pixels]) -> Pixels:
    size = layer.attention_crop_param.output_size
    return size, size


def _interp(layer: LayerParameter, bottoms: Sequence[Pixels]) -> Pixels:
    param = layer.interp_param
    if len(bottoms) > 1:
        return bottoms[1]
    one_factor = param.HasField("shrink_factor") != param.HasField("zoom_factor")
    if not one_factor and param.HasField("height") and param.HasField("width"):
        return param.height, param.width
    found = []
    for before in bottoms[0]:
        shrunk = (before + param.pad_beg + param.pad_end - 1) // max(param.shrink_factor, 1) + 1
        found.append(shrunk + (shrunk - 1) * (param.zoom_factor - 1))
    return found[0], found[1]


def _upsample(layer: LayerParameter, bottoms: Sequence[Pixels]) -> Pixels:
    param, (height, width) = layer.upsample_param, bottoms[0]
    if len(bottoms) == 1:
        scale = param.scale if param.HasField("scale") else 1
        return height * scale, width * scale
    if param.HasField("upsample_h"):
        return param.upsample_h, param.upsample_w
    down = param.scale_h if param.HasField("scale_h") else param.scale
    right = param.scale_w if param.HasField("scale_w") else param.scale
    return height * down - int(param.pad_out_h), width * right - int(param.pad_out_w)


def _unpooling(layer: LayerParameter, _: Sequence[Pixels]) -> Pixels:
    param = layer.unpooling_param
    if param.HasField("unpool_size"):
        return param.unpool_size, param.unpool_size
    return param.unpool_h, param.unpool_w


def _reorg(layer: LayerParameter, bottoms: Sequence[Pixels]) -> Pixels:
    stride, (height, width) = max(layer.reorg_param.stride, 1), bottoms[0]
    if layer.reorg_param.reverse:
        return height * stride, width * stride
    return height // stride, width // stride


def _pixel_shuffle(layer: LayerParameter, bottoms: Sequence[Pixels]) -> Pixels:
    named = layer.HasField("pixelshuffle_param")
    factor = (layer.pixelshuffle_param if named else layer.pixel_shuffle_param).upscale_factor
    return bottoms[0][0] * factor, bottoms[0][1] * factor


_RULES: dict[str, Callable[[LayerParameter, Sequence[Pixels]], Pixels]] = {
    "AttentionCrop": _attention_crop,
    "Interp": _interp,
    "PixelShuffle": _pixel_shuffle,
    "Reorg": _reorg,
    "Unpooling": _unpooling,
    "Upsample": _upsample,
}

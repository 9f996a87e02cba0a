"""Layers of two-stage detectors: ROIPooling, PSROIPooling."""

from __future__ import annotations

from .convert import Conversion, converts


@converts("ROIPooling")
def roi_pooling(c: Conversion) -> str:
    """The maximum of each part of a region; MaxRoiPool has Caffe's rule."""
    p = c.layer.roi_pooling_param
    rois = c.op("Reshape", c.bottoms[1], c.integers([-1, 5]))
    return c.op(
        "MaxRoiPool", c.bottoms[0], rois, pooled_shape=[p.pooled_h, p.pooled_w],
        spatial_scale=p.spatial_scale,
    )  # fmt: skip


def _rounded(c: Conversion, x: str) -> str:
    """To the nearest whole number, halves away from zero."""
    return c.op("Mul", c.op("Sign", x), c.op("Floor", c.shifted(c.op("Abs", x), 0.5)))


def _members(c: Conversion, low: str, high: str, length: int) -> str:
    """1 where a place of an axis lies in a region's bin, else 0: (R, group, length)."""
    p = c.layer.psroi_pooling_param
    start = c.scaled(_rounded(c, low), p.spatial_scale)
    end = c.scaled(c.shifted(_rounded(c, high), 1), p.spatial_scale)
    size = c.op("Max", c.op("Sub", end, start), c.constant(0.1, "least"))
    part = c.op("Mul", size, c.constant(1 / p.group_size, "part"))
    bins = c.constant([range(p.group_size)], "bins")
    first = c.op("Floor", c.op("Add", c.op("Mul", part, bins), start))
    after = c.op("Mul", part, c.op("Add", bins, c.constant(1, "one")))
    last = c.op("Ceil", c.op("Add", after, start))
    places = c.constant([[range(length)]], "places")
    from_first = c.op("GreaterOrEqual", places, c.unsqueeze(first, [2]))
    before_last = c.op("Less", places, c.unsqueeze(last, [2]))
    return c.cast(c.op("And", from_first, before_last), "float")


@converts("PSROIPooling")
def psroi_pooling(c: Conversion) -> str:
    """The mean of each part of a region over channels of its own."""
    p = c.layer.psroi_pooling_param
    batch, _, height, width = c.bottom_dims()
    height, width = c.length(2), c.length(3)
    rois = c.op("Reshape", c.bottoms[1], c.integers([-1, 5]))
    image, x1, y1, x2, y2 = c.ops("Split", rois, outputs=5, axis=1)
    rows, columns = _members(c, y1, y2, height), _members(c, x1, x2, width)
    maps = c.reshape(c.bottoms[0], [batch, p.output_dim, p.group_size, p.group_size, height, width])
    one = c.op("Squeeze", c.cast(image, "int64"), c.integers([1]))
    if batch == 1:
        maps, letters = c.op("Squeeze", maps, c.integers([0])), "dpqhw"
    else:
        maps, letters = c.op("Gather", maps, one, axis=0), "rdpqhw"
    sums = c.op("Einsum", maps, rows, equation=f"{letters},rph->rdpqw")
    sums = c.op("Einsum", sums, columns, equation="rdpqw,rqw->rdpq")
    counts = [c.reduce("Sum", part, [2]) for part in (rows, columns)]
    area = c.op("Mul", counts[0], c.op("Transpose", counts[1], perm=[0, 2, 1]))
    area = c.op("Max", area, c.constant(1, "one"))
    return c.op("Div", sums, c.unsqueeze(area, [1]))

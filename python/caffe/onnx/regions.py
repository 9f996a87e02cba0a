"""Layers of two-stage detectors: ROIPooling, PSROIPooling, Proposal."""

from __future__ import annotations

import numpy as np

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
    # Divided, not times 1 / group_size: an edge on a whole number must stay one.
    part = c.op("Div", size, c.constant(p.group_size, "parts"))
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


def _anchors(c: Conversion, height: int, width: int) -> np.ndarray:
    """The anchors of all places of the map in the order row, column, anchor: (H W A, 4)."""
    p = c.layer.proposal_param
    area, centre = float(p.base_size) ** 2, 0.5 * (p.base_size - 1)
    base = []
    for ratio in p.ratio:
        wide = np.floor(np.sqrt(area / ratio) + 0.5)
        high = np.floor(wide * ratio + 0.5)
        for scale in p.scale:
            x, y = 0.5 * (wide * scale - 1), 0.5 * (high * scale - 1)
            base.append([centre - x, centre - y, centre + x, centre + y])
    rows, columns = np.mgrid[:height, :width] * p.feat_stride
    shifts = np.stack([columns, rows, columns, rows], 2).reshape(-1, 1, 4)
    return (shifts + np.array(base)).reshape(-1, 4)


def _boxes(c: Conversion, deltas: str, anchors: np.ndarray) -> str:
    """Corners (N, K, 4) from the predictions (N, K, 4); a box of K is x2 - x1 + 1 wide."""
    size = anchors[:, 2:] - anchors[:, :2] + 1
    centre = anchors[:, :2] + 0.5 * size
    shift, growth = c.ops("Split", deltas, outputs=2, axis=2)
    sizes = c.constant(size, "sizes")
    middle = c.op("Add", c.op("Mul", shift, sizes), c.constant(centre, "centres"))
    half = c.scaled(c.op("Mul", c.op("Exp", growth), sizes), 0.5)
    return c.op("Concat", c.op("Sub", middle, half), c.op("Add", middle, half), axis=2)


def _limits(c: Conversion) -> tuple[str, str]:
    """The largest coordinates x, y and the least sizes x, y: both (N or 1, 1, 2)."""
    p = c.layer.proposal_param
    shape = c.shape(2)
    values = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
    info = c.op("Reshape", c.bottoms[2], c.integers([-1, 1, values]))
    size = c.op("Gather", info, c.integers([1, 0], "width_height"), axis=2)
    scales = c.op("Gather", info, c.integers([values - 1, 2], "scales"), axis=2)
    return c.shifted(size, -1), c.scaled(scales, p.min_size)


@converts("Proposal")
def proposal(c: Conversion) -> list[str]:
    """The best boxes of a region proposal network, through NonMaxSuppression."""
    p = c.layer.proposal_param
    batch, height, width = c.bottom_dims()[0], c.length(2), c.length(3)
    kinds = len(p.ratio) * len(p.scale)
    anchors = _anchors(c, height, width)
    number, most = len(anchors), min(p.pre_nms_topn, len(anchors))
    deltas = c.reshape(c.bottoms[1], [batch, kinds, 4, height, width])
    deltas = c.reshape(c.op("Transpose", deltas, perm=[0, 3, 4, 1, 2]), [batch, number, 4])
    largest, least = _limits(c)
    largest = c.op("Concat", largest, largest, axis=2)
    boxes = c.op("Min", _boxes(c, deltas, anchors), largest)
    boxes = c.op("Max", boxes, c.constant(0, "zero"))
    low, high = c.ops("Split", boxes, outputs=2, axis=2)
    enough = c.op("GreaterOrEqual", c.shifted(c.op("Sub", high, low), 1), least)
    enough = c.cast(c.reduce("Min", c.cast(enough, "float"), [2], keep=False), "bool")
    scores = c.cut(c.bottoms[0], [kinds], [2 * kinds], [1])
    scores = c.reshape(c.op("Transpose", scores, perm=[0, 2, 3, 1]), [batch, number])
    scores = c.op("Where", enough, scores, c.constant(0, "no_score"))
    scores, places = c.ops("TopK", scores, c.integers([most], "k"), outputs=2, axis=1)
    boxes = c.op("GatherND", boxes, c.unsqueeze(places, [2]), batch_dims=1)
    return _kept(c, boxes, scores, most)[: len(c.layer.top)]


def _kept(c: Conversion, boxes: str, scores: str, most: int) -> list[str]:
    """The regions (R, 5) and their scores (R) that non-maximum suppression leaves."""
    p = c.layer.proposal_param
    half_open = c.op("Add", boxes, c.constant([0, 0, 1, 1], "last_pixel"))
    chosen = c.op(
        "NonMaxSuppression", half_open, c.unsqueeze(scores, [1]),
        c.integers([p.post_nms_topn], "most"), c.constant([p.nms_thresh], "overlap"),
    )  # fmt: skip
    image, _, place = (
        c.op("Squeeze", x, c.integers([1])) for x in c.ops("Split", chosen, outputs=3, axis=1)
    )
    flat = c.op("Add", c.op("Mul", image, c.integers(most, "number")), place)
    found = c.op("Gather", c.op("Reshape", boxes, c.integers([-1, 4])), flat, axis=0)
    rois = c.op("Concat", c.unsqueeze(c.cast(image, "float"), [1]), found, axis=1)
    return [rois, c.op("Gather", c.op("Reshape", scores, c.integers([-1])), flat, axis=0)]

"""SSD's layers: PriorBox as a constant, DetectionOutput composed of TopK and NonMaxSuppression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .convert import Conversion, converts


@converts("PriorBox")
def prior_box(c: Conversion) -> str:
    """The boxes depend on shapes alone: the engine's values, as a constant."""
    for index, axes in ((0, (2, 3)), (1, (2, 3))):
        for axis in axes:
            c.length(axis, index)
    return c.op("Identity", c.constant(c.source.made_of_shapes(c.layer), "boxes"))


@dataclass
class Candidates:
    """What non-maximum suppression chooses from, by image and class without the background.

    number: per image and class. boxes: (rows, number, 4); scores: (rows, 1, number), falling.
    classes: the labels; a row is an image and one of them.
    """

    number: int
    boxes: str
    scores: str
    classes: list[int]


def _decoded(c: Conversion, loc: str, priors: str, prior_count: int) -> str:
    """Corners (N, P, L, 4) from the predictions (N, P, L, 4) and the priors (1, 2, P*4)."""
    p = c.layer.detection_output_param
    codes = c.layer.prior_box_param  # has the enum
    both = c.reshape(priors, [2, prior_count, 1, 4])
    corners, variances = (c.op("Gather", both, c.integers(i, "which"), axis=0) for i in range(2))
    t = loc if p.variance_encoded_in_target else c.op("Mul", loc, variances)
    if p.code_type == codes.CORNER:
        return c.op("Add", corners, t)
    low, high = c.ops("Split", corners, outputs=2, axis=-1)
    size = c.op("Sub", high, low)
    if p.code_type == codes.CORNER_SIZE:
        return c.op("Add", corners, c.op("Mul", t, c.op("Concat", size, size, axis=-1)))
    shift, growth = c.ops("Split", t, outputs=2, axis=-1)
    centre = c.op("Add", c.op("Mul", shift, size), c.scaled(c.op("Add", low, high), 0.5))
    half = c.scaled(c.op("Mul", c.op("Exp", growth), size), 0.5)
    return c.op("Concat", c.op("Sub", centre, half), c.op("Add", centre, half), axis=-1)


def _candidates(c: Conversion) -> Candidates:
    """The best top_k of each image and class."""
    p = c.layer.detection_output_param
    priors = c.length(2, 2) // 4
    batch = c.bottom_dims()[0]
    classes = [k for k in range(p.num_classes) if k != p.background_label_id]
    groups = 1 if p.share_location else p.num_classes
    boxes = _decoded(c, c.reshape(c.bottoms[0], [batch, priors, groups, 4]), c.bottoms[2], priors)
    chosen = c.integers(classes, "classes")
    scores = c.reshape(c.bottoms[1], [batch, priors, p.num_classes])
    scores = c.op("Gather", c.op("Transpose", scores, perm=[0, 2, 1]), chosen, axis=1)
    top_k = p.nms_param.top_k if p.nms_param.HasField("top_k") else -1
    number = priors if top_k < 0 else min(top_k, priors)
    values, places = c.ops("TopK", scores, c.integers([number], "k"), outputs=2, axis=2)
    if p.share_location:
        index = c.reshape(places, [batch, len(classes) * number, 1])
        boxes = c.op("GatherND", c.reshape(boxes, [batch, priors, 4]), index, batch_dims=1)
    else:
        own = c.op("Gather", c.op("Transpose", boxes, perm=[0, 2, 1, 3]), chosen, axis=1)
        boxes = c.op("GatherND", own, c.unsqueeze(places, [3]), batch_dims=2)
    rows = None if batch is None else batch * len(classes)
    return Candidates(
        number,
        c.reshape(boxes, [rows, number, 4]),
        c.reshape(values, [rows, 1, number]),
        classes,
    )


def _with_area(c: Conversion, boxes: str) -> str:
    """Boxes that NonMaxSuppression may see: inverted ones, which overlap nothing, become points."""
    low, high = c.ops("Split", boxes, outputs=2, axis=-1)
    size = c.op("Sub", high, low)
    least = c.reduce("Min", size, [-1])
    return c.op("Mul", boxes, c.cast(c.op("Greater", least, c.constant(0, "zero")), "float"))


def _best_of_image(c: Conversion, scores: str, images: str, keep: int) -> str:
    """Which of M detections are among the best ``keep`` of their image: 1 or 0 each, (M)."""
    count = c.op("Slice", c.op("Shape", c.bottoms[0]), c.integers([0]), c.integers([1]))
    numbers = c.op("Range", c.integers(0), c.op("Squeeze", count), c.integers(1))
    own = c.op("Equal", c.unsqueeze(numbers, [1]), c.unsqueeze(images, [0]))
    least = c.constant(-np.inf, "none")
    table = c.op("Where", own, c.unsqueeze(scores, [0]), least)
    nobody = c.op("Expand", least, c.op("Concat", count, c.integers([1]), axis=0))
    table = c.op("Concat", table, nobody, axis=1)
    width = c.op("Slice", c.op("Shape", table), c.integers([1]), c.integers([2]))
    values, places = c.ops(
        "TopK", table, c.op("Min", width, c.integers([keep], "keep")), outputs=2, axis=1
    )
    real = c.cast(c.op("Greater", values, least), "float")
    flat = [c.op("Reshape", x, c.integers([-1])) for x in (places, real)]
    zeros = c.op("Expand", c.constant(0, "zero"), width)
    hits = c.op("ScatterElements", zeros, *flat, axis=0, reduction="add")
    return c.op("Slice", hits, c.integers([0]), c.integers([-1]))


def _marks_of_nothing(c: Conversion, rows: str) -> str:
    """A row of -1 for each image, its number first, if there are no detections; else no rows."""
    count = c.op("Slice", c.op("Shape", c.bottoms[0]), c.integers([0]), c.integers([1]))
    numbers = c.cast(c.op("Range", c.integers(0), c.op("Squeeze", count), c.integers(1)), "float")
    rest = c.op("Expand", c.constant(-1, "nothing"), c.op("Concat", count, c.integers([6]), axis=0))
    marks = c.op("Concat", c.unsqueeze(numbers, [1]), rest, axis=1)
    found = c.op("Slice", c.op("Shape", rows), c.integers([0]), c.integers([1]))
    empty = c.cast(c.op("Equal", found, c.integers([0])), "int64")
    return c.op("Slice", marks, c.integers([0]), c.op("Mul", empty, count))


@converts("DetectionOutput")
def detection_output(c: Conversion) -> str:
    """Rows image, label, score, xmin, ymin, xmax, ymax; (1, 1, K, 7)."""
    p = c.layer.detection_output_param
    if p.nms_param.eta < 1:
        raise c.refuse("nms_param.eta below 1 has no operator")
    if p.keep_top_k == 0 or (p.nms_param.HasField("top_k") and p.nms_param.top_k == 0):
        raise c.refuse("it keeps no detections: top_k or keep_top_k is 0")
    if p.keep_top_k > 0 and c.graph.opset < 16:
        raise c.refuse("keep_top_k needs opset 16 or later")
    found = _candidates(c)
    limits = [c.constant([p.confidence_threshold], "threshold")]
    chosen = c.op(
        "NonMaxSuppression", _with_area(c, found.boxes), found.scores,
        c.integers([found.number], "most"), c.constant([p.nms_param.nms_threshold], "overlap"),
        *(limits if p.HasField("confidence_threshold") else []),
    )  # fmt: skip
    row, _, place = (
        c.op("Squeeze", x, c.integers([1])) for x in c.ops("Split", chosen, outputs=3, axis=1)
    )
    flat = c.op("Add", c.op("Mul", row, c.integers(found.number, "number")), place)
    scores = c.op("Gather", c.op("Reshape", found.scores, c.integers([-1])), flat, axis=0)
    boxes = c.op("Gather", c.op("Reshape", found.boxes, c.integers([-1, 4])), flat, axis=0)
    kinds = c.integers(len(found.classes), "kinds")
    images = c.op("Div", row, kinds)
    labels = c.op("Gather", c.integers(found.classes, "labels"), c.op("Mod", row, kinds), axis=0)
    columns = [c.cast(images, "float"), c.cast(labels, "float"), scores]
    rows = c.op("Concat", *(c.unsqueeze(x, [1]) for x in columns), boxes, axis=1)
    if p.keep_top_k > 0:
        kept = _best_of_image(c, scores, images, p.keep_top_k)
        rows = c.op("Compress", rows, c.cast(kept, "bool"), axis=0)
    rows = c.op("Concat", rows, _marks_of_nothing(c, rows), axis=0)
    return c.unsqueeze(rows, [0, 1])

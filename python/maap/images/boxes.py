"""Boxes: how a region found on the network's input lies on the stored image, and how well it sits.

A box is (x1, y1, x2, y2) in pixels, half-open: it holds the pixels x1 <= x < x2, y1 <= y < y2, so
its width is x2 - x1. A size is (height, width), as in an array's shape.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Optional

import numpy as np

# An object is small, medium or large by the share of the image that its box covers: below the first
# bound, below the second, or more. Both demo sets have many of each.
SIZES = (0.2, 0.35)

Box = tuple[int, int, int, int]
Size = tuple[int, int]


def scale_box(box: Sequence[float], source: Size, target: Size) -> Box:
    """Carries a box from an image of size `source` to the same image resized to `target`.

    Edges are scaled and then rounded outward (left and top down, right and bottom up), so that the
    result holds all of the region, and it is never empty.
    """
    x1, y1, x2, y2 = (int(round(v)) for v in box)
    (sh, sw), (th, tw) = source, target
    return x1 * tw // sw, y1 * th // sh, -(-x2 * tw // sw), -(-y2 * th // sh)


def outward(box: Sequence[float], size: Size) -> Box:
    """The whole pixels of an image of ``size`` that a box touches; at least one."""
    x1, y1 = (min(max(0, math.floor(v)), n - 1) for v, n in zip(box[:2], size[::-1]))
    x2, y2 = (min(math.ceil(v), n) for v, n in zip(box[2:], size[::-1]))
    return x1, y1, max(x1 + 1, x2), max(y1 + 1, y2)


def area(box: Sequence[float]) -> float:
    """Pixels in a box; 0 for an empty one."""
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def share(box: Sequence[float], size: Size) -> float:
    """The share of an image of ``size`` that a box in it covers, 0 to 1."""
    return area(box) / area(whole(size))


def intersection(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float, float]:
    """The common part of two boxes; `area` of it is 0 when they do not meet."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union, 0 to 1."""
    common = area(intersection(a, b))
    union = area(a) + area(b) - common
    return common / union if union > 0 else 0.0


def holds_centre(region: Sequence[float], box: Sequence[float]) -> bool:
    """True when the centre of `box` lies in `region`."""
    x, y = (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0
    return region[0] <= x < region[2] and region[1] <= y < region[3]


def whole(size: Size) -> Box:
    """The box of a whole image."""
    return 0, 0, size[1], size[0]


def centred_half(size: Size) -> tuple[float, float, float, float]:
    """The box in the middle of an image that has its shape and half its area (edges not
    rounded)."""
    height, width = size
    side = math.sqrt(0.5)
    x, y = width * (1 - side) / 2, height * (1 - side) / 2
    return x, y, width - x, height - y


def size_ranges() -> list[tuple[float, float]]:
    """Small, medium and large: (least share, share above all that belong to it) of an image."""
    ends = (0.0, *SIZES, math.inf)
    return list(zip(ends[:-1], ends[1:]))


def into_crop(
    box: Sequence[float], region: Sequence[float], size: Size
) -> Optional[tuple[float, float, float, float]]:
    """Where `box` lies once `region` has been cropped out and resized to `size`.

    The part of the box inside the region, edges not rounded; None when they do not meet.
    """
    x1, y1, x2, y2 = intersection(box, region)
    if x2 <= x1 or y2 <= y1:
        return None
    sx, sy = size[1] / (region[2] - region[0]), size[0] / (region[3] - region[1])
    left, top = region[0], region[1]
    return (x1 - left) * sx, (y1 - top) * sy, (x2 - left) * sx, (y2 - top) * sy


def quality(
    regions: Iterable[Sequence[float]], boxes: Iterable[Sequence[float]], sizes: Iterable[Size]
) -> dict[str, float]:
    """How well regions sit on the true boxes of their images, one of each per image.

    Returns `mean_iou` (region with true box), `centre_hit` (share of images whose region holds the
    box's centre) and `area_kept` (mean share of the image that the region covers).
    """
    rows = [
        (iou(region, box), holds_centre(region, box), share(region, size))
        for region, box, size in zip(regions, boxes, sizes)
    ]
    means = np.mean(np.asarray(rows, np.float64).reshape(-1, 3), axis=0) if rows else np.zeros(3)
    return dict(zip(("mean_iou", "centre_hit", "area_kept"), (float(v) for v in means)))

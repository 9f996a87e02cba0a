"""Non-maximum suppression, with the arguments and the results of OpenCV 4's dnn module.

Boxes are (x, y, width, height), one row a box; scores one number a box.
"""

from typing import Any

import numpy as np

from .errors import error

SOFT_NMSMETHOD_SOFTNMS_LINEAR = SoftNMSMethod_SOFTNMS_LINEAR = 1
SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN = SoftNMSMethod_SOFTNMS_GAUSSIAN = 2


def _checked(bboxes: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        boxes = np.asarray([] if bboxes is None else bboxes, np.float64)
        values = np.asarray([] if scores is None else scores, np.float32).reshape(-1)
    except (TypeError, ValueError) as problem:
        raise error(f"boxes are rows of four numbers, scores numbers: {problem}") from None
    if boxes.size % 4 or boxes.ndim > 1 and boxes.size and boxes.shape[-1] != 4:
        raise error(f"boxes are rows of x, y, width, height, not of the shape {boxes.shape}")
    boxes = boxes.reshape(-1, 4)
    if len(boxes) != len(values):
        raise error(f"{len(boxes)} boxes have {len(values)} scores")
    return boxes, values


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box with each of `others`, float32; two without area: 1.

    By way of the distance 1 - overlap in float32, as OpenCV, so that ties stay ties.
    """
    left = np.maximum(box[:2], others[:, :2])
    right = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    sides = np.clip(right - left, 0, None)
    both = sides[:, 0] * sides[:, 1]
    areas = others[:, 2] * others[:, 3]
    area = box[2] * box[3]
    union = areas + area
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = both / (union - both)
    distance = np.where(union <= np.finfo(np.float64).eps, 0.0, 1 - shared).astype(np.float32)
    return np.float32(1) - distance


def _suppressed(
    boxes: np.ndarray, scores: np.ndarray, score: float, limit: float, eta: float, top_k: int
) -> np.ndarray:
    candidates = np.flatnonzero(scores > np.float32(score))
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    if top_k > 0:
        candidates = candidates[:top_k]
    kept: list[int] = []
    threshold = np.float32(limit)
    for index in candidates:
        overlaps = _overlap(boxes[index], boxes[kept])
        if np.all(overlaps <= threshold):
            kept.append(int(index))
            if eta < 1 and threshold > 0.5:
                threshold = np.float32(threshold * np.float32(eta))
    return np.asarray(kept, np.int32) if kept else ()  # OpenCV: an empty tuple


def NMSBoxes(  # noqa: N802
    bboxes: Any,
    scores: Any,
    score_threshold: float,
    nms_threshold: float,
    eta: float = 1.0,
    top_k: int = 0,
) -> Any:
    """Indices of the boxes that stay, best first.

    Args:
        bboxes: rows of x, y, width, height.
        scores: one a box.
        score_threshold: boxes must score more than this.
        nms_threshold: a box goes if it overlaps a better one (intersection over union) by more.
        eta: what the threshold is multiplied by after each box kept, while it is above 0.5.
        top_k: only so many of the best boxes are looked at; 0: all.

    Returns:
        int32 indices, or an empty tuple if none stays (as OpenCV gives).

    Raises:
        caffe.dnn.error: numbers of boxes and scores differ, or a threshold is impossible.
    """
    boxes, values = _checked(bboxes, scores)
    _check_thresholds(score_threshold, nms_threshold, eta)
    return _suppressed(boxes, values, score_threshold, nms_threshold, eta, top_k)


def NMSBoxesBatched(  # noqa: N802
    bboxes: Any,
    scores: Any,
    class_ids: Any,
    score_threshold: float,
    nms_threshold: float,
    eta: float = 1.0,
    top_k: int = 0,
) -> Any:
    """`NMSBoxes` for several classes at a time: boxes of different classes do not meet.

    Raises:
        caffe.dnn.error: as `NMSBoxes`, or the number of class ids differs.
    """
    boxes, values = _checked(bboxes, scores)
    classes = np.asarray(class_ids, np.int64).reshape(-1)
    if len(classes) != len(boxes):
        raise error(f"{len(boxes)} boxes have {len(classes)} class ids")
    _check_thresholds(score_threshold, nms_threshold, eta)
    if len(boxes):  # each class gets a place of its own
        far = max(0.0, float((boxes[:, :2] + boxes[:, 2:]).max())) + 1
        boxes = boxes.copy()
        boxes[:, :2] += (classes * far)[:, np.newaxis]
    return _suppressed(boxes, values, score_threshold, nms_threshold, eta, top_k)


def _check_thresholds(score: float, nms: float, eta: float) -> None:
    if not (score >= 0 and nms >= 0 and eta > 0):  # a NaN is none of these
        raise error(
            "score_threshold and nms_threshold are 0 or more and eta above 0, "
            f"not {score}, {nms}, {eta}"
        )


def softNMSBoxes(  # noqa: N802
    bboxes: Any,
    scores: Any,
    score_threshold: float,
    nms_threshold: float,
    top_k: int = 0,
    sigma: float = 0.5,
    method: int = SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN,
) -> tuple[Any, Any]:
    """Soft suppression (Bodla et al., 2017): overlapping boxes lose score instead of going.

    Args:
        bboxes, scores, score_threshold: as for `NMSBoxes`.
        nms_threshold: with the linear method, overlaps up to this cost nothing.
        top_k: at most so many boxes are kept; 0: all.
        sigma: width of the Gaussian.
        method: SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN or SOFT_NMSMETHOD_SOFTNMS_LINEAR.

    Returns:
        The kept boxes' new scores (float32) and their indices (int32).

    Raises:
        caffe.dnn.error: numbers of boxes and scores differ, or an argument is impossible.
    """
    boxes, values = _checked(bboxes, scores)
    _check_thresholds(score_threshold, nms_threshold, 1.0)
    if sigma <= 0:
        raise error(f"sigma is above 0, not {sigma}")
    if method not in (SOFT_NMSMETHOD_SOFTNMS_LINEAR, SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN):
        raise error(f"method is 1 (linear) or 2 (Gaussian), not {method}")
    values = values.copy()
    left = list(range(len(values)))
    kept: list[int] = []
    while left and (top_k <= 0 or len(kept) < top_k):
        best = max(left, key=lambda index: values[index])
        if values[best] < np.float32(score_threshold):
            break
        left.remove(best)
        kept.append(best)
        overlaps = _overlap(boxes[best], boxes[left])
        if method == SOFT_NMSMETHOD_SOFTNMS_LINEAR:
            weights = np.where(overlaps > nms_threshold, 1 - overlaps, np.float32(1))
        else:
            weights = np.exp(-(overlaps * overlaps) / np.float32(sigma))
        values[left] *= weights.astype(np.float32)
        left = [index for index in left if values[index] >= np.float32(score_threshold)]
    return values[kept], np.asarray(kept, np.int32)

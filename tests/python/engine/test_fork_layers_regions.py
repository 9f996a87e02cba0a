"""Layers for regions beside OpenCV's, which are ports of the forks' own, and NumPy in double."""

from pathlib import Path

import caffe
import numpy as np
import pytest
from fork_nets import difference, forward, inputs, load, one, opencv, opencv_reads_caffe

REGIONS = Path(__file__).resolve().parents[2] / "nets" / "forks" / "faster_rcnn_regions.prototxt"
SCALE = 1 / 16  # of maps to images


def images_regions(count, images=1, seed=3):
    """Regions about images of 320 x 224, some partly off them, some ending before they begin."""
    random = np.random.RandomState(seed)
    first = random.uniform(-20, 300, (count, 2))
    rois = np.zeros((count, 5), np.float32)
    rois[:, 0] = np.arange(count) % images
    rois[:, 1:3] = first
    rois[:, 3:] = first + random.uniform(-8, 200, (count, 2))
    return rois


def maps(*shape, seed=5):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(np.float32)


def pooling(height, width):
    size = f"pooled_h: {height} pooled_w: {width}"
    return f"roi_pooling_param {{ {size} spatial_scale: {SCALE} }}"


PS = f"psroi_pooling_param {{ spatial_scale: {SCALE} output_dim: 3 group_size: 7 }}"


@opencv_reads_caffe
@pytest.mark.parametrize("height, width", [(7, 7), (6, 6), (3, 5), (1, 1)])
def test_roi_pooling_is_opencvs(height, width):
    arrays = {"x": maps(1, 24, 14, 20), "rois": images_regions(40)}
    text = one("ROIPooling", pooling(height, width), arrays)
    found = forward(load(text), arrays)
    np.testing.assert_array_equal(found, opencv(text, arrays))
    assert found.std() > 0.1


@opencv_reads_caffe
def test_psroi_pooling_is_opencvs():
    arrays = {"x": maps(1, 147, 14, 20), "rois": images_regions(40)}
    text = one("PSROIPooling", PS, arrays)
    assert difference(forward(load(text), arrays), opencv(text, arrays)) < 1e-6


def spans(from_, to, bins, length, whole):
    """The values that the bins of an axis cover; corners in pixels."""
    f = np.float32  # the type that decides where a bin ends
    away = lambda v: np.sign(v) * np.floor(np.abs(v) + 0.5)  # noqa: E731
    if whole:
        start = f(away(f(from_) * f(SCALE)))
        size = max(f(away(f(to) * f(SCALE))) - start + f(1), f(1)) / f(bins)
        ends = [(start + np.floor(p * size), start + np.ceil((p + 1) * size)) for p in range(bins)]
    else:
        start = f(away(from_)) * f(SCALE)
        size = max((f(away(to)) + f(1)) * f(SCALE) - start, f(0.1)) / f(bins)
        ends = [
            (np.floor(f(p) * size + start), np.ceil(f(p + 1) * size + start)) for p in range(bins)
        ]
    return [slice(*(int(min(max(v, 0), length)) for v in pair)) for pair in ends]


@pytest.mark.parametrize("kind", ["ROIPooling", "PSROIPooling"])
def test_pooling_and_its_gradient_of_a_batch(kind):
    """Forward and backward by loops over the rule, in double."""
    whole = kind == "ROIPooling"
    bins = 3 if whole else 7
    x, rois = maps(3, 147, 14, 20), images_regions(50, images=3)
    dy = maps(50, 147 if whole else 3, bins, bins, seed=9)
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for r, roi in enumerate(rois):
        image = int(roi[0])
        rows = spans(roi[2], roi[4], bins, 14, whole)
        columns = spans(roi[1], roi[3], bins, 20, whole)
        for c, i, j in np.ndindex(*dy.shape[1:]):
            channel = c if whole else (c * 7 + i) * 7 + j
            part = x[image, channel, rows[i], columns[j]].astype(np.float64)
            if part.size == 0:
                continue
            down = dx[image, channel, rows[i], columns[j]]
            if whole:
                y[r, c, i, j] = part.max()
                down[np.unravel_index(part.argmax(), part.shape)] += dy[r, c, i, j]
            else:
                y[r, c, i, j] = part.mean()
                down += dy[r, c, i, j] / part.size
    arrays = {"x": x, "rois": rois}
    net = load(one(kind, pooling(bins, bins) if whole else PS, arrays))
    assert difference(forward(net, arrays), y) < 1e-6
    net.blobs["y"].diff[...] = dy
    net.backward()
    assert difference(net.blobs["x"].diff, dx) < 1e-6


# ---- proposals ----------------------------------------------------------------------------------

HEIGHT, WIDTH, ANCHORS = 14, 20, 9


def proposal(min_size):
    return (
        "proposal_param { ratio: [0.5, 1, 2] scale: [8, 16, 32] feat_stride: 16 base_size: 16 "
        f"min_size: {min_size} pre_nms_topn: 1500 post_nms_topn: 100 nms_thresh: 0.7 }}"
    )


def predictions(seed, info):
    random = np.random.RandomState(seed)
    return {
        "scores": random.uniform(0, 1, (1, 2 * ANCHORS, HEIGHT, WIDTH)).astype(np.float32),
        "deltas": (random.randn(1, 4 * ANCHORS, HEIGHT, WIDTH) * 0.3).astype(np.float32),
        "info": np.array([info], np.float32),
    }


@opencv_reads_caffe
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_proposals_are_opencvs(seed):
    """OpenCV does not look at min_size."""
    arrays = predictions(seed, [224, 320, 1])
    text = one("Proposal", proposal(1), arrays)
    found, expected = forward(load(text), arrays), opencv(text, arrays)
    assert found.shape == (100, 5) and difference(found, expected) < 1e-6


def shifted_anchors():
    """(HEIGHT, WIDTH, 9, 4): centre x, centre y, width, height of each anchor."""
    boxes = []
    for ratio in (0.5, 1, 2):
        width = np.round(np.sqrt(256 / ratio))
        boxes += [(width * scale, np.round(width * ratio) * scale) for scale in (8, 16, 32)]
    sizes = np.broadcast_to(boxes, (HEIGHT, WIDTH, ANCHORS, 2))
    y, x = np.mgrid[:HEIGHT, :WIDTH] * 16 + 8.0  # centre 7.5, and the half that +1 adds
    centres = np.broadcast_to(np.stack([x, y], -1)[:, :, None], sizes.shape)
    return np.concatenate([centres, sizes], -1)


def by_numpy(arrays, min_size, before, after, threshold):
    """The rule of py-faster-rcnn in double; too small boxes get score 0, as in PVANet's layer."""
    anchors = shifted_anchors()
    deltas = arrays["deltas"][0].astype(float).reshape(ANCHORS, 4, HEIGHT, WIDTH)
    deltas = deltas.transpose(2, 3, 0, 1)
    scores = arrays["scores"][0, ANCHORS:].astype(float).transpose(1, 2, 0).ravel()
    height, width, *scale = arrays["info"][0].astype(float)
    centre = anchors[..., :2] + deltas[..., :2] * anchors[..., 2:]
    half = np.exp(deltas[..., 2:]) * anchors[..., 2:] / 2
    boxes = np.concatenate([centre - half, centre + half], -1).reshape(-1, 4)
    boxes = np.clip(boxes, 0, np.array([width, height, width, height]) - 1)
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    small = (sides < min_size * np.array([scale[-1], scale[0]])).any(1)
    scores = np.where(small, 0, scores)
    order = np.argsort(-scores, kind="stable")[:before]
    kept = []
    areas = sides.prod(1)
    for i in order:
        rest = boxes[kept]
        low, high = np.maximum(rest[:, :2], boxes[i, :2]), np.minimum(rest[:, 2:], boxes[i, 2:])
        both = np.maximum(high - low + 1, 0).prod(1)
        if not (both / (areas[kept] + areas[i] - both) > threshold).any():
            kept.append(i)
        if len(kept) == after:
            break
    return np.column_stack([np.zeros(len(kept)), boxes[kept]]), scores[kept]


@pytest.mark.parametrize("info", [[224, 320, 1.5], [200, 300, 1, 2]])
@pytest.mark.parametrize("min_size", [1, 90])
def test_proposals_are_those_of_the_rule(info, min_size):
    arrays = predictions(7, info)
    net = load(one("Proposal", proposal(min_size), arrays, tops=("y", "s")))
    found = forward(net, arrays)
    rois, scores = by_numpy(arrays, min_size, 1500, 100, 0.7)
    assert difference(found, rois) < 1e-5
    assert difference(net.blobs["s"].data, scores) < 1e-6


# ---- hard examples ------------------------------------------------------------------------------

OHEM = """
layer { name: "c" type: "SoftmaxWithLossOHEM" bottom: "score" bottom: "label" top: "all_c" top: "p"
        top: "loss_c" loss_weight: 0 loss_weight: 0 loss_weight: 0 propagate_down: false
        propagate_down: false }
layer { name: "b" type: "SmoothL1LossOHEM" bottom: "box" bottom: "target" bottom: "weight"
        top: "all_b" top: "loss_b" loss_weight: 0 loss_weight: 0 propagate_down: false
        propagate_down: false propagate_down: false }
layer { name: "sum" type: "Eltwise" bottom: "loss_c" bottom: "loss_b" top: "loss_roi"
        propagate_down: false propagate_down: false }
layer { name: "hard" type: "BoxAnnotatorOHEM" bottom: "rois" bottom: "loss_roi" bottom: "label"
        bottom: "weight" top: "hard_label" top: "hard_weight"
        box_annotator_ohem_param { roi_per_img: 6 ignore_label: -1 } propagate_down: false
        propagate_down: false propagate_down: false propagate_down: false }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "hard_label" top: "loss"
        loss_param { ignore_label: -1 } propagate_down: true propagate_down: false }
layer { name: "box_loss" type: "SmoothL1LossOHEM" bottom: "box" bottom: "target"
        bottom: "hard_weight" top: "box_loss" loss_param { normalization: BATCH_SIZE }
        propagate_down: true propagate_down: false propagate_down: false }
"""


def test_training_on_hard_examples():
    """R-FCN's losses: rank the regions, keep those of the greatest loss, learn from these."""
    random = np.random.RandomState(8)
    weight = np.repeat(random.rand(20, 1, 1, 1) < 0.6, 4, axis=1).astype(np.float32)
    arrays = {
        "score": random.randn(20, 5, 1, 1).astype(np.float32),
        "label": random.randint(0, 5, (20, 1, 1, 1)).astype(np.float32),
        "box": (2 * random.randn(20, 4, 1, 1)).astype(np.float32),
        "target": random.randn(20, 4, 1, 1).astype(np.float32),
        "weight": weight,
        "rois": images_regions(20, images=2).reshape(20, 5, 1, 1),
    }
    net = load("force_backward: true\n" + inputs(arrays) + OHEM)
    forward(net, arrays, "loss")
    net.backward()

    score, label = arrays["score"][..., 0, 0].astype(float), arrays["label"].ravel().astype(int)
    p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    by_class = -np.log(p[np.arange(20), label])
    d = (weight * (arrays["box"] - arrays["target"]).astype(float))[..., 0, 0]
    by_box = np.where(np.abs(d) < 1, d * d / 2, np.abs(d) - 0.5).sum(1)
    kept = np.zeros(20, bool)
    for image in (0, 1):
        of = np.flatnonzero(arrays["rois"][:, 0].ravel() == image)
        kept[of[np.argsort(-(by_class + by_box)[of], kind="stable")[:6]]] = True
    assert difference(net.blobs["loss_roi"].data.ravel(), by_class + by_box) < 1e-6
    np.testing.assert_array_equal(net.blobs["hard_label"].data.ravel(), np.where(kept, label, -1))
    assert abs(net.blobs["loss"].data - by_class[kept].mean()) < 1e-6
    assert abs(net.blobs["box_loss"].data - by_box[kept].sum() / 20) < 1e-6
    by_score = np.where(kept[:, None], p - np.eye(5)[label], 0) / 12
    assert difference(net.blobs["score"].diff[..., 0, 0], by_score) < 1e-6
    slope = np.where(kept[:, None], np.where(np.abs(d) < 1, d, np.sign(d)), 0) / 20
    assert difference(net.blobs["box"].diff[..., 0, 0], slope) < 1e-6


# ---- together -----------------------------------------------------------------------------------


@opencv_reads_caffe
def test_faster_rcnn_in_small_is_opencvs(tmp_path):
    caffe.set_random_seed(4)
    net = caffe.Net(REGIONS, caffe.TEST)
    net.save(str(tmp_path / "weights.caffemodel"))
    weights = np.frombuffer((tmp_path / "weights.caffemodel").read_bytes(), np.uint8)
    random = np.random.RandomState(2)
    arrays = {
        "data": random.uniform(-120, 120, (1, 3, 96, 128)).astype(np.float32),
        "im_info": np.array([[96, 128, 1]], np.float32),
    }
    for top in ("cls_prob", "bbox_pred"):
        found = forward(net, arrays, top)
        assert found.shape[0] == net.blobs["rois"].data.shape[0] > 5
        assert difference(found, opencv(REGIONS.read_text(), arrays, top, weights)) < 1e-4

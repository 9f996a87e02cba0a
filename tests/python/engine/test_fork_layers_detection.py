"""SSD's layers beside OpenCV's, which are ports of SSD's own, and NumPy in double."""

from pathlib import Path

import caffe
import numpy as np
import pytest
from fork_nets import difference, forward, gradients, load, one, opencv, opencv_reads_caffe
from ssd_rules import COUNT, decode, overlap, predictions, prior_rows, uniform

SSD = Path(__file__).resolve().parents[2] / "nets" / "forks" / "ssd_deploy.prototxt"

# ---- Permute, Normalize -------------------------------------------------------------------------


@opencv_reads_caffe
@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 3, 1, 2), (3, 1, 0, 2), (0, 1, 3, 2)])
def test_permute_is_opencvs(order):
    arrays = {"x": uniform(2, 6, 5, 7)}
    text = one("Permute", "permute_param { " + "".join(f"order: {k} " for k in order) + "}", arrays)
    net = load(text)
    found = forward(net, arrays)
    np.testing.assert_array_equal(found, opencv(text, arrays))
    np.testing.assert_array_equal(found, arrays["x"].transpose(order))
    dy = uniform(*found.shape, seed=8)
    np.testing.assert_array_equal(gradients(net, dy)[0], dy.transpose(np.argsort(order)))


def normalized(x, scales, across, eps):
    """y and n, in double."""
    x = x.astype(np.float64)
    norm = np.sqrt((x**2).sum((1, 2, 3) if across else 1, keepdims=True) + eps)
    return x / norm * scales.astype(np.float64).reshape(1, -1, 1, 1), norm


def for_opencv(net, path):
    """The net's weights; OpenCV reads no blob without axes."""
    net.save(str(path))
    weights = caffe.proto.caffe_pb2.NetParameter.FromString(path.read_bytes())
    for layer in weights.layer:
        for blob in layer.blobs:
            if not blob.shape.dim:
                blob.shape.dim.append(1)
    return np.frombuffer(weights.SerializeToString(), np.uint8)


@opencv_reads_caffe
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("across", [True, False])
def test_normalize_is_opencvs(tmp_path, across, shared):
    arrays = {"x": uniform(2, 16, 9, 11)}
    settings = f"across_spatial: {str(across).lower()} channel_shared: {str(shared).lower()}"
    text = one("Normalize", f"norm_param {{ {settings} }}", arrays)
    net = load(text)
    scales = net.params["y"][0].data
    assert scales.shape == (() if shared else (16,))
    scales[...] = uniform(*scales.shape, low=5, high=20)
    weights = for_opencv(net, tmp_path / "net.caffemodel")
    found = forward(net, arrays)
    if shared or not across:  # OpenCV has no scales of channels across an item
        assert difference(found, opencv(text, arrays, weights=weights)) < 5e-7
    assert difference(found, normalized(arrays["x"], scales, across, 1e-10)[0]) < 5e-7


@pytest.mark.parametrize("across", [True, False])
def test_the_gradient_of_normalize_with_a_scale_per_channel(across):
    """The derivative of s x / n, in double; n depends on every x."""
    arrays = {"x": uniform(2, 5, 3, 4)}
    settings = f"across_spatial: {str(across).lower()} channel_shared: false"
    net = load(one("Normalize", f"norm_param {{ {settings} }}", arrays))
    scales = net.params["y"][0].data
    scales[...] = uniform(5, low=1, high=9)
    forward(net, arrays)
    dy = uniform(2, 5, 3, 4, seed=9)
    x, s = arrays["x"].astype(np.float64), scales.astype(np.float64).reshape(1, -1, 1, 1)
    _, norm = normalized(x, scales, across, 1e-10)
    dot = (s * dy * x).sum((1, 2, 3) if across else 1, keepdims=True)
    net.params["y"][0].diff[...] = 0
    assert difference(gradients(net, dy)[0], s * dy / norm - x * dot / norm**3) < 1e-6
    assert difference(net.params["y"][0].diff, (dy * x / norm).sum((0, 2, 3))) < 1e-6


@pytest.mark.parametrize("kind", ["L2", "L1"])
def test_normalize_of_happynear(kind):
    arrays = {"x": uniform(2, 7, 3, 4)}
    param = f'normalize_param {{ normalize_type: "{kind}" bp_norm: true }}'
    net = load(one("Normalize", param, arrays, tops=("y", "norm")))
    found = forward(net, arrays)
    x = arrays["x"].astype(np.float64)
    size = (
        np.sqrt((x**2).sum(1, keepdims=True)) if kind == "L2" else np.abs(x).sum(1, keepdims=True)
    )
    assert difference(found, x / size) < 1e-6
    assert difference(net.blobs["norm"].data, size) < 1e-6
    dy, dn = uniform(2, 7, 3, 4, seed=8), uniform(2, 1, 3, 4, seed=9)
    slope = x / size if kind == "L2" else np.sign(x)
    dx = (dy - slope * (dy * x / size).sum(1, keepdims=True)) / size + slope * dn
    net.blobs["norm"].diff[...] = dn
    assert difference(gradients(net, dy)[0], dx) < 1e-6


# ---- SmoothL1Loss -------------------------------------------------------------------------------


@pytest.mark.parametrize("bottoms", [2, 3, 4])
@pytest.mark.parametrize("sigma", [1, 3])
def test_smooth_l1_loss(bottoms, sigma):
    names = ["x", "target", "inside", "outside"][:bottoms]
    arrays = {name: uniform(3, 8, 5, 6, seed=k, low=-2, high=2) for k, name in enumerate(names)}
    text = one("SmoothL1Loss", f"smooth_l1_loss_param {{ sigma: {sigma} }}", arrays)
    net = load(text)
    found = forward(net, arrays)
    a, b = (arrays[name].astype(np.float64) for name in ("x", "target"))
    inside, outside = arrays.get("inside", 1.0), arrays.get("outside", 1.0)
    d = inside * (a - b)
    near = np.abs(d) < 1 / sigma**2
    f = np.where(near, 0.5 * sigma**2 * d**2, np.abs(d) - 0.5 / sigma**2)
    assert difference(found, np.array((outside * f).sum() / 3)) < 1e-6
    slope = outside * inside * np.where(near, sigma**2 * d, np.sign(d)) / 3
    down = gradients(net, 1, ("x", "target"))
    assert difference(down[0], slope) < 1e-6
    assert difference(down[1], -slope) < 1e-6


# ---- PriorBox -----------------------------------------------------------------------------------

PRIORS = [  # OpenCV wants a variance and clips without `clip`
    "min_size: 30 clip: false variance: 0.1",
    "min_size: 30 max_size: 60 aspect_ratio: 2 flip: true clip: false variance: 0.1 variance: 0.1 "
    "variance: 0.2 variance: 0.2 step: 8 offset: 0.5",
    "min_size: 60 max_size: 111 aspect_ratio: 2 aspect_ratio: 3 clip: true variance: 0.1 "
    "variance: 0.1 variance: 0.2 variance: 0.2 step: 16",
    "min_size: 20 min_size: 40 max_size: 40 max_size: 70 aspect_ratio: 2 clip: true variance: 0.1",
    "min_size: 20 aspect_ratio: 3 flip: false step_h: 20 step_w: 30 offset: 0.3 clip: false "
    "variance: 0.3",
]


@opencv_reads_caffe
@pytest.mark.parametrize("param", PRIORS, ids=range(len(PRIORS)))
def test_prior_boxes_are_opencvs(param):
    arrays = {"x": uniform(1, 3, 5, 7), "image": uniform(1, 3, 160, 224)}
    text = one("PriorBox", f"prior_box_param {{ {param} }}", arrays)
    found = forward(load(text), arrays)
    expected = opencv(text, arrays)
    assert difference(found, expected.reshape(found.shape)) < 5e-7


# ---- DetectionOutput ----------------------------------------------------------------------------


def detections(loc, conf, code, classes, threshold, nms, eta, top_k, keep_top_k, shared=True):
    """DetectionOutput by its rules, in double: rows of label, score, box for each image."""
    boxes, variances = prior_rows()
    loc = loc.astype(np.float64).reshape(len(loc), COUNT, 1 if shared else classes, 4)
    conf = conf.astype(np.float64).reshape(len(conf), COUNT, classes)
    found = []
    for n in range(len(loc)):
        rows = []
        for label in range(1, classes):
            order = [p for p in range(COUNT) if conf[n, p, label] > threshold]
            order.sort(key=lambda p: -conf[n, p, label])
            kept, limit = [], nms
            for p in order[:top_k]:
                t = loc[n, p, 0 if shared else label]
                box = decode(code, boxes[p], variances[p], t)
                if any(overlap(box, other) > limit for _, other in kept):
                    continue
                kept.append((conf[n, p, label], box))
                limit *= eta if eta < 1 and limit > 0.5 else 1
            rows += [(n, label, score, *box) for score, box in kept]
        best = sorted(range(len(rows)), key=lambda i: -rows[i][2])[:keep_top_k]
        found += [rows[i] for i in sorted(best)]
    return np.array(found)


def output(code, classes, threshold, nms, eta, top_k, keep_top_k, shared=True):
    return (
        f"detection_output_param {{ num_classes: {classes} share_location: {str(shared).lower()} "
        f"background_label_id: 0 code_type: {code} confidence_threshold: {threshold} "
        f"keep_top_k: {keep_top_k} "
        f"nms_param {{ nms_threshold: {nms} eta: {eta} top_k: {top_k} }} }}"
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("eta", [1, 0.9])
@pytest.mark.parametrize("code", ["CORNER", "CENTER_SIZE", "CORNER_SIZE"])
def test_detection_output(code, eta, shared):
    arrays = predictions(3, 4, shared)
    settings = (code, 4, 0.05, 0.7, eta, 30, 25)
    net = load(one("DetectionOutput", output(*settings, shared), arrays).replace("force", "#"))
    found = forward(net, arrays)
    expected = detections(arrays["loc"], arrays["conf"], *settings, shared=shared)
    assert len(expected) == 75
    assert difference(found, expected[None, None]) < 1e-6


def in_order(rows):
    """OpenCV's rows, as SSD orders them."""
    return np.array(sorted(rows.tolist(), key=lambda row: (row[0], row[1], -row[2])))


@opencv_reads_caffe
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("code", ["CORNER", "CENTER_SIZE"])
def test_detection_output_is_opencvs(code, images):
    arrays = predictions(images, 5, seed=images)
    text = one("DetectionOutput", output(code, 5, 0.1, 0.45, 1, 20, 15), arrays)
    found = forward(load(text.replace("force", "#")), arrays)[0, 0]
    expected = opencv(text, arrays)[0, 0]
    assert len(expected) == 15 * images
    assert difference(found, in_order(expected)) < 1e-6


@opencv_reads_caffe
@pytest.mark.parametrize("seed", [0, 1])
def test_a_whole_ssd_is_opencvs(tmp_path, seed):
    caffe.set_random_seed(1701 + seed)  # of the fillers of the other layers
    net = caffe.Net(str(SSD), caffe.TEST)
    random = np.random.RandomState(seed)
    for name, blobs in net.params.items():
        if "mbox" in name:  # the fillers' scores are all but equal
            blobs[0].data[...] = random.normal(size=blobs[0].data.shape, scale=0.02)
    arrays = {"data": random.uniform(-1, 1, net.blobs["data"].data.shape)}
    found = forward(net, arrays, "detection_out")[0, 0]
    weights = for_opencv(net, tmp_path / "net.caffemodel")
    expected = opencv(SSD.read_text(), arrays, "detection_out", weights)[0, 0]
    assert found.shape == (20, 7) and len(set(found[:, 1])) == 2
    assert difference(found, in_order(expected)) < 1e-5

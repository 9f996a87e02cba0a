"""Layers of PSPNet, SegNet and DeconvNet beside OpenCV and NumPy in double."""

import numpy as np
import pytest
from fork_nets import difference, forward, load, one, opencv, opencv_reads_caffe


def random_maps(*shape, seed=5):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(np.float32)


def back(net, dy, name="x"):
    """The gradient of a blob for the gradient ``dy`` of the net's y."""
    net.blobs["y"].diff[...] = dy
    net.backward()
    return net.blobs[name].diff.copy()


# ---- Interp -------------------------------------------------------------------------------------


def interp(param, x):
    return one("Interp", f"interp_param {{ {param} }}", {"x": x})


def hat(length, count):
    """(count, length): the weight of each of ``length`` values in each of ``count``.

    With aligned corners value i lies at i (length - 1) / (count - 1), or at 0 if there is only one.
    """
    at = np.arange(count) * (length - 1) / max(count - 1, 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(length)), 0)


@opencv_reads_caffe
@pytest.mark.parametrize(
    "param", ["height: 33 width: 65", "zoom_factor: 8", "height: 3 width: 5", "height: 1 width: 7"]
)
def test_interp_is_opencvs(param):
    x = random_maps(2, 3, 9, 13)
    text = interp(param, x)
    assert difference(forward(load(text), {"x": x}), opencv(text, {"x": x})) < 2e-6


@pytest.mark.parametrize(
    "param, low, high, size",
    [
        ("height: 33 width: 65", 0, 0, (33, 65)),
        ("shrink_factor: 2", 0, 0, (30, 45)),
        ("shrink_factor: 2 zoom_factor: 3", 0, 0, (88, 133)),
        ("zoom_factor: 2 pad_beg: -2 pad_end: -1", 2, 1, (113, 173)),
        ("height: 473 width: 713", 0, 0, (473, 713)),  # PSPNet's last layer
    ],
)
def test_interp_and_its_gradient_are_the_rule(param, low, high, size):
    x = random_maps(2, 2, 60, 90)
    net = load(interp(param, x))
    y = forward(net, {"x": x})
    inner = x[:, :, low : 60 - high, low : 90 - high].astype(float)
    rows, columns = hat(inner.shape[2], size[0]), hat(inner.shape[3], size[1])
    assert difference(y, np.einsum("nchw,rh,kw->ncrk", inner, rows, columns, optimize=True)) < 1e-6
    dy = random_maps(*y.shape, seed=6)
    dx = np.zeros(x.shape)
    dx[:, :, low : 60 - high, low : 90 - high] = np.einsum(
        "ncrk,rh,kw->nchw", dy.astype(float), rows, columns, optimize=True
    )
    assert difference(back(net, dy), dx) < 1e-6


# ---- BN -----------------------------------------------------------------------------------------


def batch_norm(x, slope, bias, mean, variance, eps):
    def per_channel(v):
        return np.asarray(v, float).reshape(1, -1, 1, 1)

    n = (x.astype(float) - per_channel(mean)) / np.sqrt(per_channel(variance) + eps)
    return per_channel(slope) * n + per_channel(bias)


@pytest.fixture
def x():
    return random_maps(4, 5, 9, 11) * 3 + 1


@pytest.mark.parametrize("phase", ["running", "frozen"])
def test_bn_of_pspnet_is_the_rule(x, phase):
    """Frozen as in PSPNet's files, and TEST, the phase that `load` makes nets for."""
    param = "slope_filler { value: 1 } frozen: " + ("true" if phase == "frozen" else "false")
    net = load(one("BN", f"bn_param {{ {param} eps: 0.001 }}", {"x": x}))
    blobs = [random_maps(1, 5, 1, 1, seed=n) + 1.5 for n in range(4)]
    for blob, values in zip(net.params["y"], blobs):
        blob.data[...] = values
    expected = batch_norm(x, *(blob.ravel() for blob in blobs), eps=0.001)
    assert difference(forward(net, {"x": x}), expected) < 1e-6


def test_bn_of_pspnet_is_batch_norm_and_scale(x):
    """The usual way to say it in BVLC Caffe's layers."""
    net = load(one("BN", 'dialect: "pspnet"', {"x": x}))
    text = one("BatchNorm", "", {"x": x})
    text += 'layer { name: "s" type: "Scale" bottom: "y" top: "y" scale_param { bias_term: true } }'
    usual = load(text)
    blobs = [random_maps(1, 5, 1, 1, seed=n) + 1.5 for n in range(4)]
    for n, values in enumerate(blobs):
        net.params["y"][n].data[...] = values
        usual.params["s" if n < 2 else "y"][n % 2].data[...] = values.ravel()
    usual.params["y"][2].data[...] = 1
    y = forward(net, {"x": x})
    assert difference(y, forward(usual, {"x": x})) < 1e-6
    dy = random_maps(*y.shape)
    assert difference(back(net, dy), back(usual, dy)) < 1e-6


def test_bn_of_segnet_is_the_rule(x):
    tops = ("y", "mean", "variance")
    net = load(one("BN", "bn_param { bn_mode: LEARN }", {"x": x}, tops))
    scale, shift = (random_maps(1, 5, 1, 1, seed=n) + 1.5 for n in range(2))
    for blob, values in zip(net.params["y"], (scale, shift)):
        blob.data[...] = values
    mean, variance = x.astype(float).mean((0, 2, 3)), x.astype(float).var((0, 2, 3))
    expected = batch_norm(x, scale.ravel(), shift.ravel(), mean, variance, eps=1e-9)
    assert difference(forward(net, {"x": x}), expected) < 1e-6
    assert difference(net.blobs["mean"].data.ravel(), mean) < 1e-6
    assert difference(net.blobs["variance"].data.ravel(), variance) < 1e-6
    plain = load(one("BN", "bn_param { bn_mode: INFERENCE }", {"x": x}))
    for blob, values in zip(plain.params["y"], (scale, shift)):
        blob.data[...] = values
    assert difference(forward(plain, {"x": x}), scale.astype(float) * x + shift) < 1e-6


def test_bn_of_segnet_has_batch_norms_gradient(x):
    net = load(one("BN", "bn_param { scale_filler { value: 1 } }", {"x": x}))
    y = forward(net, {"x": x}).astype(float)
    dy = random_maps(*x.shape, seed=8).astype(float)
    axes = (0, 2, 3)
    rest = dy - dy.mean(axes, keepdims=True) - y * (dy * y).mean(axes, keepdims=True)
    expected = rest / np.sqrt(x.astype(float).var(axes, keepdims=True) + 1e-9)
    assert difference(back(net, dy), expected) < 2e-6
    assert difference(net.params["y"][0].diff.ravel(), (dy * y).sum(axes)) < 1e-5
    assert difference(net.params["y"][1].diff.ravel(), dy.sum(axes)) < 1e-5


# ---- Upsample and Unpooling ---------------------------------------------------------------------


def pooled_and_put_back(x, layer):
    text = one("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", {"x": x}, ("p", "places"))
    text = text.replace('name: "y"', 'name: "p"')
    return load(text + f'layer {{ name: "y" bottom: "p" bottom: "places" top: "y" {layer} }}')


@pytest.mark.parametrize(
    "layer",
    [
        'type: "Upsample"',
        'type: "Upsample" upsample_param { scale: 2 upsample_h: 12 upsample_w: 14 }',
        'type: "Unpooling" unpooling_param { unpool_h: 12 unpool_w: 14 }',
    ],
)
def test_maxima_go_back_to_their_places(layer):
    x = random_maps(2, 3, 12, 14)
    net = pooled_and_put_back(x, layer)
    windows = x.reshape(2, 3, 6, 2, 7, 2)
    taken = (windows == windows.max((3, 5), keepdims=True)).reshape(x.shape)
    assert (forward(net, {"x": x}) == np.where(taken, x, 0)).all()
    dy = random_maps(*x.shape, seed=6)
    assert (back(net, dy) == np.where(taken, dy, 0)).all()


def test_upsample_repeats():
    x = random_maps(2, 3, 5, 4)
    net = load(one("Upsample", "upsample_param { scale: 3 }", {"x": x}))
    assert (forward(net, {"x": x}) == x.repeat(3, axis=2).repeat(3, axis=3)).all()
    dy = random_maps(2, 3, 15, 12)
    expected = dy.astype(float).reshape(2, 3, 5, 3, 4, 3).sum((3, 5))
    assert difference(back(net, dy), expected) < 1e-6


@pytest.mark.parametrize("unpool", ["AVE", "TILE"])
def test_unpooling_sums_windows(unpool):
    x = random_maps(2, 3, 5, 4)
    param = f"unpool: {unpool} kernel_size: 3 stride: 2 unpool_h: 11 unpool_w: 9"
    net = load(one("Unpooling", f"unpooling_param {{ {param} }}", {"x": x}))
    expected = np.zeros((2, 3, 11, 9))
    for h in range(5):
        for w in range(4):
            share = x[:, :, h, w] / (9 if unpool == "AVE" else 1)
            expected[:, :, 2 * h : 2 * h + 3, 2 * w : 2 * w + 3] += share[:, :, None, None]
    assert difference(forward(net, {"x": x}), expected) < 1e-6

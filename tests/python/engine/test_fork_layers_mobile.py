"""Layers of small networks beside OpenCV, NumPy in double, and layers of BVLC Caffe's."""

import numpy as np
import pytest
from fork_nets import difference, forward, inputs, load, one, opencv, opencv_reads_caffe


def random_maps(*shape, seed=5, scale=1.0):
    values = np.random.RandomState(seed).uniform(-scale, scale, shape)
    return values.astype(np.float32)


def back(net, dy, name="x"):
    """The gradient of a blob for the gradient ``dy`` of the net's y."""
    net.blobs["y"].diff[...] = dy
    net.backward()
    return net.blobs[name].diff.copy()


# ---- convolution of each channel ----------------------------------------------------------------

CONVOLUTION = "kernel_size: {} stride: {} pad: {} dilation: {}"


def per_channel(values):
    return values.astype(float).reshape(1, -1, 1, 1)


def convolved(x, weights, bias, stride, pad, dilation):
    """One product after another, in double: window place by window place."""
    size = weights.shape[2]
    padded = np.pad(x.astype(float), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = (
        (n - dilation * (size - 1) - 1) // stride + 1 for n in (padded.shape[2], padded.shape[3])
    )
    y = np.zeros((*x.shape[:2], height, width)) + per_channel(bias)
    for i in range(size):
        for j in range(size):
            rows = slice(i * dilation, i * dilation + stride * (height - 1) + 1, stride)
            columns = slice(j * dilation, j * dilation + stride * (width - 1) + 1, stride)
            y += padded[:, :, rows, columns] * weights[:, 0, i, j].astype(float).reshape(
                1, -1, 1, 1
            )
    return y


@pytest.mark.parametrize("channels", [5, 32])
@pytest.mark.parametrize(
    "size, stride, pad, dilation", [(3, 1, 1, 1), (3, 2, 1, 1), (5, 2, 2, 1), (3, 1, 2, 2)]
)
def test_convolution_of_each_channel(channels, size, stride, pad, dilation):
    """By the definition, and the same bits as a Convolution with a group for each channel."""
    x = random_maps(2, channels, 15, 13)
    param = CONVOLUTION.format(size, stride, pad, dilation)
    grouped = f"{param} num_output: {channels} group: {channels}"
    weights = random_maps(channels, 1, size, size, seed=6)
    bias = random_maps(channels, seed=7)
    found = []
    for kind, text in (
        ("Convolution", grouped),
        ("ConvolutionDepthwise", param),
        ("DepthwiseConvolution", grouped),
    ):
        net = load(one(kind, f"convolution_param {{ {text} }}", {"x": x}))
        for blob, values in zip(net.params["y"], (weights, bias)):
            assert blob.data.shape == values.shape
            blob.data[...] = values
        y = forward(net, {"x": x})
        dx = back(net, random_maps(*y.shape, seed=8))
        found.append([y, dx, *(blob.diff.copy() for blob in net.params["y"])])
    assert difference(found[0][0], convolved(x, weights, bias, stride, pad, dilation)) < 2e-6
    for other in found[1:]:
        for mine, usual in zip(other, found[0]):
            assert (mine == usual).all()


@opencv_reads_caffe
def test_convolution_depthwise_is_opencvs(tmp_path):
    x = random_maps(2, 8, 15, 13)
    text = one("ConvolutionDepthwise", "convolution_param { num_output: 8 group: 8 kernel_size: 3 "
               "stride: 2 pad: 1 weight_filler { type: 'xavier' } }", {"x": x})  # fmt: skip
    net = load(text)
    net.save(str(tmp_path / "net.caffemodel"))
    weights = (tmp_path / "net.caffemodel").read_bytes()
    theirs = opencv(text, {"x": x}, weights=np.frombuffer(weights, np.uint8))
    assert difference(forward(net, {"x": x}), theirs) < 2e-6


def test_weights_of_a_convolution_by_groups_are_read(tmp_path):
    x = random_maps(1, 6, 7, 7)
    usual = load(
        one("Convolution", "convolution_param { num_output: 6 group: 6 kernel_size: 3 "
            "weight_filler { type: 'xavier' } }", {"x": x}))  # fmt: skip
    usual.save(str(tmp_path / "usual.caffemodel"))
    net = load(one("ConvolutionDepthwise", "convolution_param { kernel_size: 3 }", {"x": x}))
    net.copy_from(str(tmp_path / "usual.caffemodel"))
    assert (forward(net, {"x": x}) == forward(usual, {"x": x})).all()


# ---- one value after another --------------------------------------------------------------------


def hard_swish(x):
    return x * np.clip(x + 3, 0, 6) / 6


def mish(x):
    return x * np.tanh(np.log1p(np.exp(x)))


def mish_slope(x):
    gate = np.tanh(np.log1p(np.exp(x)))
    return gate + x * (1 - gate**2) / (1 + np.exp(-x))


VALUES = {
    "HSwish": (hard_swish, lambda x: np.where(np.abs(x) > 3, x > 3, (2 * x + 3) / 6)),
    "ReLU6": (lambda x: np.clip(x, 0, 6), lambda x: ((x > 0) & (x < 6)) * 1.0),
    "HardSwish": (hard_swish, lambda x: np.where(np.abs(x) > 3, x > 3, (2 * x + 3) / 6)),
    "Mish": (mish, mish_slope),
}


@pytest.mark.parametrize("kind", VALUES)
def test_functions_of_one_value(kind):
    x = random_maps(2, 3, 17, 19, scale=12)
    function, slope = VALUES[kind]
    net = load(one(kind, "", {"x": x}))
    assert difference(forward(net, {"x": x}), function(x.astype(float))) < 1e-6
    dy = random_maps(*x.shape, seed=6)
    assert difference(back(net, dy), dy * slope(x.astype(float))) < 1e-6


@opencv_reads_caffe
@pytest.mark.parametrize("kind", sorted(set(VALUES) - {"HSwish"}))
def test_functions_of_one_value_are_opencvs(kind):
    x = random_maps(2, 3, 17, 19, scale=12)
    text = one(kind, "", {"x": x})
    assert difference(forward(load(text), {"x": x}), opencv(text, {"x": x})) < 1e-6


def test_relu6_with_a_slope():
    x = random_maps(2, 3, 17, 19, scale=12)
    net = load(one("ReLU6", "relu6_param { negative_slope: 0.1 }", {"x": x}))
    expected = np.where(x > 0, np.minimum(x, 6), 0.1 * x.astype(float))
    assert difference(forward(net, {"x": x}), expected) < 1e-6


# ---- values at other places ---------------------------------------------------------------------


def moved(kind, param, x):
    """y, and the gradient of x for a gradient that is y: moved back, it must be x."""
    net = load(one(kind, param, {"x": x}))
    y = forward(net, {"x": x})
    return y, back(net, y)


@pytest.mark.parametrize("group", [1, 2, 3, 8])
def test_shuffle_channel(group):
    x = random_maps(2, 24, 5, 3)
    expected = x.reshape(2, group, 24 // group, 5, 3).swapaxes(1, 2).reshape(x.shape)
    y, dx = moved("ShuffleChannel", f"shuffle_channel_param {{ group: {group} }}", x)
    assert (y == expected).all() and (dx == x).all()


@opencv_reads_caffe
@pytest.mark.parametrize("group", [2, 3, 8])
def test_shuffle_channel_is_opencvs(group):
    x = random_maps(2, 24, 5, 3)
    text = one("ShuffleChannel", f"shuffle_channel_param {{ group: {group} }}", {"x": x})
    assert (forward(load(text), {"x": x}) == opencv(text, {"x": x})).all()


def test_channel_shuffle():
    x = random_maps(2, 24, 5, 3)
    expected = x.reshape(2, 4, 3, 2, 5, 3).swapaxes(1, 2).reshape(x.shape)
    y, dx = moved("ChannelShuffle", "channel_shuffle_param { group: 4 shuffle_channel_num: 2 }", x)
    assert (y == expected).all() and (dx == x).all()
    expected = x.reshape(2, 24, 15).swapaxes(1, 2).reshape(x.shape)
    y, dx = moved("ChannelShuffle", "channel_shuffle_param { shuffle_pattern: 0 }", x)
    assert (y == expected).all() and (dx == x).all()


@opencv_reads_caffe
def test_reorg_is_opencvs():
    x = random_maps(2, 64, 26, 38)
    text = one("Reorg", "reorg_param { stride: 2 }", {"x": x})
    assert (forward(load(text), {"x": x}) == opencv(text, {"x": x})).all()


@pytest.mark.parametrize("reverse", [False, True])
def test_reorg_moves_back(reverse):
    """Forward with reverse undoes the layer without, on the same memory."""
    x = random_maps(2, 16, 6, 8)
    y, dx = moved("Reorg", f"reorg_param {{ stride: 2 reverse: {str(reverse).lower()} }}", x)
    assert (dx == x).all() and y.shape == ((2, 4, 12, 16) if reverse else (2, 64, 3, 4))
    other = f"reorg_param {{ stride: 2 reverse: {str(not reverse).lower()} }}"
    again, _ = moved("Reorg", other, y.reshape(x.shape))
    assert (again.reshape(x.shape) == x).all()


def test_pixel_shuffle():
    x = random_maps(2, 18, 5, 4)
    expected = x.reshape(2, 2, 3, 3, 5, 4).transpose(0, 1, 4, 2, 5, 3).reshape(2, 2, 15, 12)
    y, dx = moved("PixelShuffle", "pixelshuffle_param { upscale_factor: 3 }", x)
    assert (y == expected).all() and (dx == x).all()


# ---- Axpy ---------------------------------------------------------------------------------------


def test_axpy():
    arrays = {
        "a": random_maps(2, 7, 1, 1),
        "x": random_maps(2, 7, 9, 8, seed=6),
        "z": random_maps(2, 7, 9, 8, seed=7),
    }
    net = load(one("Axpy", "", arrays))
    a, x, z = (array.astype(float) for array in arrays.values())
    assert difference(forward(net, arrays), a * x + z) < 1e-6
    dy = random_maps(2, 7, 9, 8, seed=8)
    assert (back(net, dy, "z") == dy).all()
    assert difference(net.blobs["x"].diff, a * dy) < 1e-6
    assert difference(net.blobs["a"].diff, (dy * x).sum((2, 3), keepdims=True)) < 1e-6


def test_axpy_is_scale_and_sum():
    """Scale by a second bottom, and Eltwise: the usual way in BVLC Caffe's layers."""
    arrays = {
        "a": random_maps(2, 7),
        "x": random_maps(2, 7, 9, 8, seed=6),
        "z": random_maps(2, 7, 9, 8, seed=7),
    }
    text = (
        inputs(arrays)
        + """
    layer { name: "s" type: "Scale" bottom: "x" bottom: "a" top: "s" scale_param { axis: 0 } }
    layer { name: "y" type: "Eltwise" bottom: "s" bottom: "z" top: "y" }"""
    )
    usual = load("force_backward: true\n" + text)
    net = load(one("Axpy", "", arrays))
    assert difference(forward(net, arrays), forward(usual, arrays)) < 1e-6
    dy = random_maps(2, 7, 9, 8, seed=8)
    for name in arrays:
        assert difference(back(net, dy, name), back(usual, dy, name)) < 1e-6

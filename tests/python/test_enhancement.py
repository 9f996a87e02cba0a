"""The Enhancement layer in a real net, against NumPy in double."""

import numpy as np
import pytest
from maap.host import loader

NET = """
layer {{ name: "data" type: "Input" top: "f"
  input_param {{ shape {{ dim: {0} dim: {1} dim: {2} dim: {3} }} }} }}
layer {{ name: "att" type: "Enhancement" bottom: "f" top: "{4}" top: "a" }}
"""
SHAPES = [(1, 1, 1, 1), (2, 5, 7, 3), (3, 96, 55, 55), (1, 512, 14, 14), (2, 3, 1, 1025)]


def make_net(tmp_path, shape, top, backward=False):
    caffe = loader.load()
    text = ("force_backward: true\n" if backward else "") + NET.format(*shape, top)
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    return caffe.Net(str(path), caffe.TEST)


def features(shape, seed):
    rng = np.random.RandomState(seed)
    return (rng.randn(*shape) * rng.choice([0.1, 1, 30], shape[:1] + (1, 1, 1))).astype(np.float32)


def reference(f):
    f = f.astype(np.float64)
    attention = 1 / (1 + np.exp(-f.mean(axis=1, keepdims=True)))
    return attention, (1 + attention) * f


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("top", ["enhanced", "f"])
def test_forward(tmp_path, shape, top):
    net = make_net(tmp_path, shape, top)
    f = features(shape, 1)
    attention, enhanced = reference(f)
    net.blobs["f"].data[...] = f
    net.forward()
    np.testing.assert_allclose(net.blobs["a"].data, attention, atol=3e-6, rtol=1e-5)
    np.testing.assert_allclose(net.blobs[top].data, enhanced, atol=1e-6, rtol=5e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_backward(tmp_path, shape):
    net = make_net(tmp_path, shape, "enhanced", backward=True)
    f = features(shape, 2)
    attention, _ = reference(f)
    rng = np.random.RandomState(3)
    g, a_gradient = rng.randn(*shape), rng.randn(shape[0], 1, *shape[2:])
    net.blobs["f"].data[...] = f
    net.forward()
    net.blobs["enhanced"].diff[...] = g
    net.blobs["a"].diff[...] = a_gradient
    net.backward()
    shared = (g * f).sum(axis=1, keepdims=True) + a_gradient
    expected = (1 + attention) * g + attention * (1 - attention) / shape[1] * shared
    np.testing.assert_allclose(net.blobs["f"].diff, expected, atol=2e-5, rtol=2e-5)


def test_the_attention_is_accurate_everywhere(tmp_path):
    """sigmoid from -87 to 87 within 4 units in the last place."""
    shape = (1, 1, 1, 200001)
    net = make_net(tmp_path, shape, "enhanced")
    net.blobs["f"].data[...] = np.linspace(-87, 87, shape[3], dtype=np.float32)
    net.forward()
    x = net.blobs["f"].data.astype(np.float64)
    np.testing.assert_allclose(net.blobs["a"].data, 1 / (1 + np.exp(-x)), rtol=4 * 2.0**-24)


def test_the_thread_count_changes_nothing(tmp_path):
    net = make_net(tmp_path, (3, 96, 55, 55), "enhanced")
    net.blobs["f"].data[...] = features((3, 96, 55, 55), 4)
    results = []
    for threads in (1, 2, 3):
        loader.set_threads(threads)
        net.forward()
        results.append(net.blobs["enhanced"].data.copy())
    loader.set_threads(2)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])

"""Nets of one layer of another fork, here and in OpenCV, which reads such files up to version 4."""

import tempfile
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest

opencv_reads_caffe = pytest.mark.skipif(
    int(cv2.__version__.split(".")[0]) > 4, reason="OpenCV 5 has no Caffe"
)


def inputs(arrays):
    """Input layers for {blob: array}."""
    layers = []
    for name, array in arrays.items():
        dims = " ".join(f"dim: {n}" for n in array.shape)
        shape = f"input_param {{ shape {{ {dims} }} }}"
        layers.append(f'layer {{ name: "{name}" type: "Input" top: "{name}" {shape} }}')
    return "\n".join(layers)


def one(kind, param, arrays, tops=("y",)):
    """The text of a net with one layer, "y", whose bottoms are the names of ``arrays``."""
    bottoms = "".join(f'bottom: "{name}" ' for name in arrays)
    tops = "".join(f'top: "{name}" ' for name in tops)
    layer = f'layer {{ name: "y" type: "{kind}" {bottoms} {tops} {param} }}'
    return f"force_backward: true\n{inputs(arrays)}\n{layer}\n"


def load(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.prototxt"
        path.write_text(text)
        return caffe.Net(path, caffe.TEST)


def forward(net, arrays, top="y"):
    """What the net makes of {blob: array}."""
    for name, array in arrays.items():
        net.blobs[name].reshape(*array.shape)
        net.blobs[name].data[...] = array
    net.forward()
    return net.blobs[top].data.copy()


def gradients(net, dy, blobs=("x",), top="y"):
    """What the backward pass makes of the gradient ``dy`` of the top."""
    net.blobs[top].diff[...] = dy
    net.backward()
    return [net.blobs[blob].diff.copy() for blob in blobs]


def opencv(text, arrays, top="y", weights=b""):
    """What OpenCV makes of {blob: array}."""
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8), weights)
    for name, array in arrays.items():
        net.setInput(array.astype(np.float32), name)
    return net.forward(top)


def difference(found, expected):
    """The largest difference, relative to the largest value of ``expected``."""
    assert found.shape == expected.shape
    assert np.isfinite(found).all() and np.abs(expected).max() > 0
    return np.abs(found - expected).max() / np.abs(expected).max()

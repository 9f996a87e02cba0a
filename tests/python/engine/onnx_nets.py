"""Nets of a few layers for the tests of caffe.onnx, with random weights."""

import caffe
import numpy as np


def inputs(*shapes, names=("data", "second", "third", "fourth")):
    """Input layers of these shapes: data, second, third, fourth."""
    return "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {n}" for n in shape)
        + " } } }\n"
        for name, shape in zip(names, shapes)
    )


def layer(kind, settings="", bottoms=("data",), tops=("y",), name="tested"):
    """The text of a layer."""
    ends = [f'bottom: "{b}"' for b in bottoms] + [f'top: "{t}"' for t in tops]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(ends)} {settings} }}\n'


def randomize(net, seed=0):
    """Weights that a layer may have: variances, scale factors and slopes are not negative."""
    random = np.random.default_rng(seed)
    for name, blobs in net.params.items():
        kind = net.layer_dict[name].type
        for i, blob in enumerate(blobs):
            values = random.standard_normal(blob.data.shape) * 0.5
            if (kind == "BatchNorm" and i) or (kind == "BN" and i == 3):
                values = np.abs(values) + 0.5
            blob.data[...] = values


def saved(folder, text, seed=0):
    """(prototxt, caffemodel) of a net with random weights."""
    prototxt, weights = folder / "net.prototxt", folder / "net.caffemodel"
    prototxt.write_text(text)
    net = caffe.Net(prototxt, caffe.TEST)
    randomize(net, seed)
    net.save(weights)
    return prototxt, weights

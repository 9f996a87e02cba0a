"""Small nets with classifiers of several kinds, to look at the map of one class.

Each is the text of the layers behind `data`; images have 20 x 20 pixels, there are four classes
and two images a batch. Run as a program it rewrites a data set, and is killed after some images.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from google.protobuf import text_format
from maap.attention.class_net import open_finder
from maap.data.store import Split
from maap.host import loader
from maap.nets.attention_source import AttentionSource, attended
from maap.nets.prototxt import write_text
from maap.rewrite.rewrite import rewrite
from maap.util.schema import NetParameter, caffe_pb2
from rewrite_fakes import TRANSFORM

BATCH, SIDE, CLASSES = 2, 20, 4
FILLER = 'weight_filler { type: "gaussian" std: %s } bias_filler { type: "gaussian" std: 0.3 }'
DATA = f"""
name: "Small"
layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ dim: {BATCH} dim: 3 dim: {SIDE} dim: {SIDE} }} }} }}
"""


def conv(name, bottom, outputs, kernel, more="", std=0.2):
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" '
        f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} {more} "
        f"{FILLER % std} }} }}\n"
    )


def relu(name, blob):
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{blob}" top: "{blob}" }}\n'


def dropout(name, blob):
    return f'layer {{ name: "{name}" type: "Dropout" bottom: "{blob}" top: "{blob}" }}\n'


def pool(name, bottom, what):
    return (
        f'layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}" '
        f"pooling_param {{ {what} }} }}\n"
    )


def inner(name, bottom, outputs, more=""):
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" '
        f"inner_product_param {{ num_output: {outputs} {more} {FILLER % 0.3} }} }}\n"
    )


def softmax(bottom):
    return f'layer {{ name: "prob" type: "Softmax" bottom: "{bottom}" top: "prob" }}\n'


GLOBAL = "pool: AVE global_pooling: true"
TRUNK = conv("conv1", "data", 6, 5, "stride: 2") + relu("relu1", "conv1")
TRUNK += conv("conv2", "conv1", 7, 3) + relu("relu2", "conv2")  # conv2: 7 x 6 x 6

NETS = {
    # SqueezeNet's end: the means of the classes' own maps
    "maps": TRUNK
    + dropout("drop2", "conv2")
    + conv("conv10", "conv2", CLASSES, 1)
    + pool("pool10", "conv10", GLOBAL)
    + softmax("pool10"),
    # ResNet's: a matrix on the means
    "means": TRUNK + pool("pool5", "conv2", "pool: AVE kernel_size: 6 stride: 1")
    + inner("fc", "pool5", CLASSES) + softmax("fc"),
    "transposed": TRUNK + pool("pool5", "conv2", GLOBAL) + dropout("drop5", "pool5")
    + inner("fc", "pool5", CLASSES, "transpose: true") + softmax("fc"),
    # DenseNet's: the same matrix as a convolution
    "as_convolution": TRUNK + pool("pool5", "conv2", GLOBAL) + conv("fc", "pool5", CLASSES, 1)
    + softmax("fc"),
    # AlexNet's: hidden layers behind the map
    "hidden": TRUNK + pool("pool5", "conv2", "pool: MAX kernel_size: 2 stride: 2")
    + inner("fc6", "pool5", 9) + relu("relu6", "fc6") + dropout("drop6", "fc6")
    + inner("fc7", "fc6", CLASSES) + softmax("fc7"),
    # Enhancement behind conv1, and normalisation across channels
    "enhanced": conv("conv1", "data", 6, 5, "stride: 2") + relu("relu1", "conv1")
    + 'layer { name: "enhance1" type: "Enhancement" bottom: "conv1" top: "conv1" }\n'
    + 'layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1" '
    "lrn_param { local_size: 3 alpha: 0.1 beta: 0.75 } }\n"
    + conv("conv2", "norm1", 7, 3) + relu("relu2", "conv2") + pool("pool5", "conv2", GLOBAL)
    + inner("fc", "pool5", CLASSES) + softmax("fc"),
    # A residual block: the sum reads the map before it as well
    "residual": conv("conv1", "data", 6, 5, "stride: 2") + relu("relu1", "conv1")
    + conv("branch", "conv1", 6, 3, "pad: 1")
    + 'layer { name: "sum" type: "Eltwise" bottom: "conv1" bottom: "branch" top: "sum" }\n'
    + relu("sum_relu", "sum") + conv("conv2", "sum", 7, 3) + relu("relu2", "conv2")
    + pool("pool5", "conv2", GLOBAL) + inner("fc", "pool5", CLASSES) + softmax("fc"),
}  # fmt: skip


class Made(NamedTuple):
    """Files of one net, and its message."""

    deploy: Path
    rewrite: Path
    weights: Path
    message: NetParameter


def parsed(text) -> NetParameter:
    return text_format.Parse(DATA + text, caffe_pb2.NetParameter())


def plain_rewrite(text, blob="conv2", settings="a_star: ROI", until="relu2"):
    """The rewrite net of a text: its layers to ``until``, and an Elimination layer that looks at
    ``blob``."""
    net = parsed(text)
    names = [layer.name for layer in net.layer]
    del net.layer[names.index(until) + 1 :]
    end = net.layer.add(name="eliminate", type="Elimination", bottom=[blob, "data"])
    end.top.extend(["dstar", "region", "attention", "stats"])
    end.python_param.param_str = settings
    return net


def make(folder, text, kind, layer=None, seed=1, **how):
    """The files of a net with random weights that finds regions by ``kind``; ``how``: see
    `plain_rewrite`."""
    caffe = loader.load()
    folder.mkdir(parents=True, exist_ok=True)
    message = parsed(text)
    write_text(message, folder / "deploy.prototxt")
    caffe.set_random_seed(seed)
    net = caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST)
    net.save(str(folder / "random.caffemodel"))
    rewrite = plain_rewrite(text, **how)
    write_text(
        attended(rewrite, message, AttentionSource(kind, layer)), folder / "rewrite.prototxt"
    )
    return Made(
        folder / "deploy.prototxt", folder / "rewrite.prototxt", folder / "random.caffemodel",
        message,
    )  # fmt: skip


def images(seed=0, count=BATCH):
    return np.random.RandomState(seed).randn(count, 3, SIDE, SIDE).astype(np.float32)


class Killed:
    """A finder that ends its process, as kill -9 does, after some images."""

    def __init__(self, finder, after):
        self.finder, self.size, self.left = finder, finder.size, after

    def find(self, images, labels=None):
        self.left -= len(images)
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.finder.find(images, labels)


if __name__ == "__main__":  # python class_map_nets.py SOURCE OUT NET WEIGHTS IMAGES
    source, out, net, weights = map(Path, sys.argv[1:5])
    finder = Killed(open_finder(net, weights, BATCH), int(sys.argv[5]))
    images_of = Split.open(source, "train")
    rewrite(images_of, out, net, weights, "REDUCE", TRANSFORM, BATCH, worker_count=2, finder=finder)

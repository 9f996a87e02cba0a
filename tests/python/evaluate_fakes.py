"""A small run to evaluate: 50 images, a net of one convolution, two sets of weights."""

from pathlib import Path

import numpy as np
from maap.data.feeder import Transform
from maap.host import loader
from rewrite_fakes import MEAN, SIZE, make_source

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 4 dim: 3 dim: 40 dim: 40 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 5 kernel_size: 7 stride: 3
                            weight_filler { type: "gaussian" std: 0.02 } } }
"""
DEPLOY = """
layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" }
layer { name: "fc" type: "InnerProduct" bottom: "relu" top: "fc"
        inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
REWRITE = """
layer { name: "eliminate" type: "Elimination" bottom: "conv" bottom: "data"
        top: "dstar" top: "region" top: "attention" top: "stats"
        python_param { param_str: "a_star: ROI" } }
"""
TRANSFORM = Transform(crop_size=40, mean=MEAN, scale=0.02)


def make_run(folder: Path) -> Path:
    """Into `folder`: a data set (train and test the same 50 images), two nets, two phases' weights;
    returns it."""
    caffe = loader.load()
    make_source(folder / "data", 50, splits=("train", "test"))
    (folder / "deploy.prototxt").write_text(NET + DEPLOY)
    (folder / "rewrite.prototxt").write_text(NET + REWRITE)
    caffe.set_random_seed(3)
    net = caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST)
    for number in (1, 2):
        (folder / f"phase{number}").mkdir()
        net.save(str(folder / f"phase{number}" / "final.caffemodel"))
        net.params["fc"][0].data[...] *= -1
    return folder


def forward_alone(caffe, net, weights, images):
    """Every blob of a net for a list of inputs, one image a pass."""
    network = caffe.Net(str(net), caffe.TEST, weights=str(weights))
    network.blobs["data"].reshape(1, 3, 40, 40)
    network.reshape()
    for image in images:
        network.blobs["data"].data[0] = image
        network.forward()
        yield {name: blob.data.copy() for name, blob in network.blobs.items()}


def centre_input(image):
    """What TRANSFORM makes of a stored image, by hand: (3,40,40)."""
    top, left = (SIZE[0] - 40) // 2, (SIZE[1] - 40) // 2
    crop = image[top : top + 40, left : left + 40].astype(np.float32)
    return ((crop - MEAN) * 0.02).transpose(2, 0, 1)

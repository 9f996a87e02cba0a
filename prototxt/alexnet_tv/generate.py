#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. The layers are those of torchvision's AlexNet (Krizhevsky 2014, "One weird trick"),
named after bvlc_alexnet's: no groups, no LRN, other widths, Dropout in front of fc6 and fc7. Rates
and fillers are bvlc_alexnet's.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from caffe import NetSpec, layers, params  # noqa: E402
from recipe import TORCHVISION_MEAN, Data, Recipe, fine_tuning, run  # noqa: E402


def learn(times: float = 1) -> list:
    """lr_mult and decay_mult of (weights, bias), ``times`` the published rates."""
    return [dict(lr_mult=times, decay_mult=1), dict(lr_mult=2 * times, decay_mult=0)]


def fillers(std: float, bias: float) -> dict:
    return dict(
        weight_filler=dict(type="gaussian", std=std), bias_filler=dict(type="constant", value=bias)
    )


def conv(bottom: Any, outputs: int, kernel: int, bias: float, **kwargs: Any) -> Any:
    return layers.Convolution(
        bottom,
        num_output=outputs,
        kernel_size=kernel,
        param=learn(),
        **fillers(0.01, bias),
        **kwargs,
    )


def pool(bottom: Any) -> Any:
    return layers.Pooling(bottom, pool=params.Pooling.MAX, kernel_size=3, stride=2)


def dropout(bottom: Any) -> Any:
    return layers.Dropout(bottom, in_place=True, dropout_ratio=0.5)


def hidden(bottom: Any) -> Any:
    return layers.InnerProduct(bottom, num_output=4096, param=learn(), **fillers(0.005, 0.1))


def alexnet(n: NetSpec) -> Any:
    """From n.data (N,3,224,224) to the class scores."""
    n.conv1 = conv(n.data, 64, 11, 0, stride=4, pad=2)  # 64 x 55 x 55
    n.relu1 = layers.ReLU(n.conv1, in_place=True)
    n.pool1 = pool(n.conv1)  # 64 x 27 x 27
    n.conv2 = conv(n.pool1, 192, 5, 0.1, pad=2)
    n.relu2 = layers.ReLU(n.conv2, in_place=True)
    n.pool2 = pool(n.conv2)  # 192 x 13 x 13
    n.conv3 = conv(n.pool2, 384, 3, 0, pad=1)
    n.relu3 = layers.ReLU(n.conv3, in_place=True)
    n.conv4 = conv(n.conv3, 256, 3, 0.1, pad=1)
    n.relu4 = layers.ReLU(n.conv4, in_place=True)
    n.conv5 = conv(n.conv4, 256, 3, 0.1, pad=1)  # 256 x 13 x 13
    n.relu5 = layers.ReLU(n.conv5, in_place=True)
    n.pool5 = pool(n.conv5)  # 256 x 6 x 6
    n.drop6 = dropout(n.pool5)
    n.fc6 = hidden(n.pool5)
    n.relu6 = layers.ReLU(n.fc6, in_place=True)
    n.drop7 = dropout(n.fc6)
    n.fc7 = hidden(n.fc6)
    n.relu7 = layers.ReLU(n.fc7, in_place=True)
    n.fc8_cub = layers.InnerProduct(n.fc7, num_output=200, param=learn(10), **fillers(0.01, 0))
    return n.fc8_cub


TEST_BATCH = 50
BATCH, SOLVER = fine_tuning("alexnet_tv", TEST_BATCH)
ALEXNET = Recipe(
    name="AlexNet-torchvision",
    folder="prototxt/alexnet_tv",
    what="torchvision's AlexNet for CUB-200-2011",
    about=(
        "torchvision's weights load by layer name once they are in Caffe's format\n"
        "(maap weights convert); only the classifier is new."
    ),
    body=alexnet,
    enhance=("relu1", "enhance1"),
    eliminate=("relu5", "eliminate5"),
    data=Data(
        crop=224,
        mean=TORCHVISION_MEAN,
        mean_note="mean_value: 255 times the mean that torchvision's weights expect (B, G, R).",
        train_batch=BATCH,
        test_batch=TEST_BATCH,
        train="data/cub/train_lmdb",
        test="data/cub/test_lmdb",
        rewritten="data/cub_haap_alexnet_tv/train_lmdb",
        rewritten_laap="data/cub_maap_alexnet_tv/train_lmdb",
    ),
    solver=SOLVER,
    notes=dict(
        fc8_cub=(
            "The new classifier, 200 species: ten times the learning rate of the layers that\n"
            "start from published weights."
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(ALEXNET))

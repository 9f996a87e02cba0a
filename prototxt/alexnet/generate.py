#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. Layer names, parameters, fillers and multipliers are those of the published
bvlc_alexnet (BVLC/caffe@9b891540, models/bvlc_alexnet), so that its weights load by name.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from caffe import NetSpec, layers, params  # noqa: E402
from recipe import ABOUT_NEW_CLASSIFIER, Data, Recipe, fine_tuning, run  # noqa: E402


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


def norm(bottom: Any) -> Any:
    return layers.LRN(bottom, local_size=5, alpha=1e-4, beta=0.75)


def pool(bottom: Any) -> Any:
    return layers.Pooling(bottom, pool=params.Pooling.MAX, kernel_size=3, stride=2)


def hidden(bottom: Any) -> Any:
    return layers.InnerProduct(bottom, num_output=4096, param=learn(), **fillers(0.005, 0.1))


def alexnet(n: NetSpec) -> Any:
    """From n.data (N,3,227,227) to the class scores."""
    n.conv1 = conv(n.data, 96, 11, 0, stride=4)  # 96 x 55 x 55
    n.relu1 = layers.ReLU(n.conv1, in_place=True)
    n.norm1 = norm(n.conv1)
    n.pool1 = pool(n.norm1)  # 96 x 27 x 27
    n.conv2 = conv(n.pool1, 256, 5, 0.1, pad=2, group=2)
    n.relu2 = layers.ReLU(n.conv2, in_place=True)
    n.norm2 = norm(n.conv2)
    n.pool2 = pool(n.norm2)  # 256 x 13 x 13
    n.conv3 = conv(n.pool2, 384, 3, 0, pad=1)
    n.relu3 = layers.ReLU(n.conv3, in_place=True)
    n.conv4 = conv(n.conv3, 384, 3, 0.1, pad=1, group=2)
    n.relu4 = layers.ReLU(n.conv4, in_place=True)
    n.conv5 = conv(n.conv4, 256, 3, 0.1, pad=1, group=2)  # 256 x 13 x 13
    n.relu5 = layers.ReLU(n.conv5, in_place=True)
    n.pool5 = pool(n.conv5)  # 256 x 6 x 6
    n.fc6 = hidden(n.pool5)
    n.relu6 = layers.ReLU(n.fc6, in_place=True)
    n.drop6 = layers.Dropout(n.fc6, in_place=True, dropout_ratio=0.5)
    n.fc7 = hidden(n.fc6)
    n.relu7 = layers.ReLU(n.fc7, in_place=True)
    n.drop7 = layers.Dropout(n.fc7, in_place=True, dropout_ratio=0.5)
    n.fc8_cub = layers.InnerProduct(n.fc7, num_output=200, param=learn(10), **fillers(0.01, 0))
    return n.fc8_cub


TEST_BATCH = 50
BATCH, SOLVER = fine_tuning("alexnet", TEST_BATCH)
ALEXNET = Recipe(
    name="AlexNet",
    folder="prototxt/alexnet",
    what="AlexNet for CUB-200-2011",
    about=(
        "Layers, names and fillers are those of the published bvlc_alexnet (BVLC/caffe@9b891540),\n"
        "so its weights load by layer name; only the classifier is new."
    ),
    body=alexnet,
    enhance=("relu1", "enhance1"),
    eliminate=("relu5", "eliminate5"),
    data=Data(
        crop=227,
        mean=(104, 117, 123),
        mean_note="mean_value: ImageNet's mean image (B 104.007, G 116.669, R 122.679), rounded.",
        train_batch=BATCH,
        test_batch=TEST_BATCH,
        rewritten="data/cub_haap/train_lmdb",
        rewritten_laap="data/cub_maap/train_lmdb",
    ),
    solver=SOLVER,
    notes=dict(fc8_cub=ABOUT_NEW_CLASSIFIER),
    dropouts={f"relu{i}": f"drop{i}" for i in range(1, 6)},
)

if __name__ == "__main__":
    sys.exit(run(ALEXNET))

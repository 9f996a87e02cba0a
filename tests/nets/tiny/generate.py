#!/usr/bin/env python3
"""Writes the prototxts in this folder: a net of LeNet's size with everything the drivers meet.

56x56 input, in-place ReLUs, dropout, Enhancement and Elimination. An iteration takes some twenty
milliseconds, so tests can train it, kill it and resume it many times.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "prototxt"))

from caffe import NetSpec, layers, params  # noqa: E402
from recipe import Data, Recipe, run  # noqa: E402

LEARN = [dict(lr_mult=1, decay_mult=1), dict(lr_mult=2, decay_mult=0)]
CLASSIFIER = [dict(lr_mult=10, decay_mult=1), dict(lr_mult=20, decay_mult=0)]


def fillers(kind: str) -> dict:
    return dict(weight_filler=dict(type=kind), bias_filler=dict(type="constant"))


def conv(bottom: Any, outputs: int, kernel: int, **kwargs: Any) -> Any:
    return layers.Convolution(
        bottom, num_output=outputs, kernel_size=kernel, param=LEARN, **fillers("msra"), **kwargs
    )


def pool(bottom: Any) -> Any:
    return layers.Pooling(bottom, pool=params.Pooling.MAX, kernel_size=2, stride=2)


def tiny(n: NetSpec) -> Any:
    """From n.data (N,3,56,56) to the class scores."""
    n.conv1 = conv(n.data, 20, 5, stride=2)  # 20 x 26 x 26
    n.relu1 = layers.ReLU(n.conv1, in_place=True)
    n.pool1 = pool(n.conv1)  # 20 x 13 x 13
    n.conv2 = conv(n.pool1, 32, 3, pad=1)
    n.relu2 = layers.ReLU(n.conv2, in_place=True)
    n.pool2 = pool(n.conv2)  # 32 x 7 x 7
    n.fc3 = layers.InnerProduct(n.pool2, num_output=64, param=LEARN, **fillers("msra"))
    n.relu3 = layers.ReLU(n.fc3, in_place=True)
    n.drop3 = layers.Dropout(n.fc3, in_place=True, dropout_ratio=0.5)
    n.fc4 = layers.InnerProduct(n.fc3, num_output=4, param=CLASSIFIER, **fillers("xavier"))
    return n.fc4


TINY = Recipe(
    name="Tiny",
    folder="tests/nets/tiny",
    what="A net for tests",
    about="56x56 input, four classes.",
    body=tiny,
    enhance=("relu1", "enhance1"),
    eliminate=("relu2", "eliminate2"),
    data=Data(
        crop=56,
        mean=(104, 117, 123),
        mean_note="mean_value: B, G, R as in prototxt/alexnet.",
        train_batch=8,
        test_batch=8,
        train="data/tiny/train_lmdb",
        test="data/tiny/test_lmdb",
        rewritten="data/tiny_haap/train_lmdb",
        rewritten_laap="data/tiny_maap/train_lmdb",
        scale=0.017,
    ),
    deploy_batch=8,
    solver=dict(
        test_iter=([4], "x 8 = 32 images"),
        test_interval=(20, ""),
        base_lr=(0.001, ""),
        lr_policy=("step", ""),
        gamma=(0.1, ""),
        stepsize=(30, ""),
        max_iter=(60, ""),
        momentum=(0.9, ""),
        weight_decay=(5e-4, ""),
        random_seed=(1, ""),
        display=(10, ""),
        snapshot=(20, ""),
        solver_mode=("CPU", ""),
    ),
)

if __name__ == "__main__":
    sys.exit(run(TINY))

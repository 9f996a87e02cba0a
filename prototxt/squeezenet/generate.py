#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. Layer names and parameters are those of the published SqueezeNet v1.1 (Iandola et al.
2016), so that its weights load by name. What differs: the classifier, and no ReLU behind it (see
README.md).
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from caffe import NetSpec, layers, params  # noqa: E402
from recipe import (  # noqa: E402
    ABOUT_NEW_CLASSIFIER,
    NEW_CLASSIFIER,
    Data,
    Recipe,
    fine_tuning,
    run,
)

# Number of the Fire module -> outputs of its squeeze and of each of its expand layers.
FIRES = {
    2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128),
    6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256),
}  # fmt: skip
POOLED = (3, 5)  # the Fire modules with a pooling behind them


def conv(bottom: Any, outputs: int, kernel: int, **kwargs: Any) -> Any:
    return layers.Convolution(
        bottom,
        num_output=outputs,
        kernel_size=kernel,
        weight_filler=dict(type="xavier"),
        **kwargs,
    )


def pool(bottom: Any) -> Any:
    return layers.Pooling(bottom, pool=params.Pooling.MAX, kernel_size=3, stride=2)


def fire(n: NetSpec, bottom: Any, number: int) -> Any:
    """A 1x1 convolution to few channels, then a 1x1 and a 3x3 one beside each other."""
    name = f"fire{number}"
    few, many = FIRES[number]

    def branch(bottom: Any, kind: str, outputs: int, kernel: int, **kwargs: Any) -> Any:
        top = conv(bottom, outputs, kernel, **kwargs)
        n[f"{name}/{kind}"] = top
        n[f"{name}/relu_{kind}"] = layers.ReLU(top, in_place=True)
        return top

    squeezed = branch(bottom, "squeeze1x1", few, 1)
    wide = [
        branch(squeezed, "expand1x1", many, 1),
        branch(squeezed, "expand3x3", many, 3, pad=1),
    ]
    n[f"{name}/concat"] = layers.Concat(*wide)
    return n[f"{name}/concat"]


def squeezenet(n: NetSpec) -> Any:
    """From n.data (N,3,227,227) to the class scores (N,classes,1,1)."""
    n.conv1 = conv(n.data, 64, 3, stride=2)  # 64 x 113 x 113
    n.relu_conv1 = layers.ReLU(n.conv1, in_place=True)
    n.pool1 = pool(n.conv1)  # 64 x 56 x 56
    top = n.pool1
    for number in FIRES:
        top = fire(n, top, number)
        if number in POOLED:  # 128 x 28 x 28, 256 x 14 x 14
            n[f"pool{number}"] = pool(top)
            top = n[f"pool{number}"]
    n.drop9 = layers.Dropout(top, in_place=True, dropout_ratio=0.5)  # 512 x 14 x 14
    n.conv10_cub = layers.Convolution(top, kernel_size=1, **NEW_CLASSIFIER)
    n.pool10 = layers.Pooling(n.conv10_cub, pool=params.Pooling.AVE, global_pooling=True)
    return n.pool10


TEST_BATCH = 50
BATCH, SOLVER = fine_tuning("squeezenet", TEST_BATCH)
SQUEEZENET = Recipe(
    name="SqueezeNet",
    folder="prototxt/squeezenet",
    what="SqueezeNet v1.1 for CUB-200-2011",
    about=(
        "Layers and names are those of the published SqueezeNet v1.1, so its weights load by\n"
        "layer name; only the classifier is new, and there is no ReLU behind it."
    ),
    body=squeezenet,
    enhance=("relu_conv1", "enhance1"),
    eliminate=("fire9/concat", "eliminate9"),
    data=Data(
        crop=227,
        mean=(104, 117, 123),
        mean_note="mean_value: B, G, R, as published.",
        train_batch=BATCH,
        test_batch=TEST_BATCH,
        rewritten="data/cub_haap_squeezenet/train_lmdb",
        rewritten_laap="data/cub_maap_squeezenet/train_lmdb",
    ),
    solver=SOLVER,
    notes=dict(
        conv10_cub=(
            f"{ABOUT_NEW_CLASSIFIER} A score is the mean of its map. The published net has\n"
            "a ReLU in between: from new weights it can go to 0 everywhere, and stays there."
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run(SQUEEZENET))

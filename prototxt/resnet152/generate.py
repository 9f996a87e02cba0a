#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. Layer names and parameters are those of the published ResNet-152
(KaimingHe/deep-residual-networks@a7026cb), so that its weights load by name. Only its deploy net
was ever published: fillers and rates are Caffe's defaults, but for the new classifier.
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

# stage -> (names of its blocks, outputs of branch2a and branch2b; branch2c has four times as many)
STAGES = {
    2: (["a", "b", "c"], 64),
    3: (["a", *(f"b{i}" for i in range(1, 8))], 128),
    4: (["a", *(f"b{i}" for i in range(1, 36))], 256),
    5: (["a", "b", "c"], 512),
}


def conv(n: NetSpec, bottom: Any, name: str, suffix: str, relu: bool, **kwargs: Any) -> Any:
    """Convolution NAME with batch normalisation, bnSUFFIX and scaleSUFFIX, and ReLU if wanted."""
    top = layers.Convolution(bottom, bias_term=False, **kwargs)
    n[name] = top
    n[f"bn{suffix}"] = layers.BatchNorm(top, use_global_stats=True, in_place=True)
    n[f"scale{suffix}"] = layers.Scale(top, bias_term=True, in_place=True)
    if relu:
        n[f"{name}_relu"] = layers.ReLU(top, in_place=True)
    return top


def block(
    n: NetSpec, bottom: Any, name: str, outputs: int, strides: tuple[int, int], project: bool
) -> Any:
    """1x1, 3x3 and 1x1 convolutions, added to the bottom or to its projection (branch1). The first
    two have the ``strides``."""

    def branch(bottom: Any, end: str, relu: bool, **kwargs: Any) -> Any:
        suffix = f"{name}_branch{end}"
        return conv(n, bottom, f"res{suffix}", suffix, relu, **kwargs)

    shortcut = bottom
    if project:
        step = strides[0] * strides[1]
        shortcut = branch(bottom, "1", False, num_output=4 * outputs, kernel_size=1, stride=step)
    top = branch(bottom, "2a", True, num_output=outputs, kernel_size=1, stride=strides[0])
    middle = dict(stride=strides[1]) if strides[1] > 1 else {}
    top = branch(top, "2b", True, num_output=outputs, kernel_size=3, pad=1, **middle)
    top = branch(top, "2c", False, num_output=4 * outputs, kernel_size=1)
    total = layers.Eltwise(shortcut, top)
    n[f"res{name}"] = total
    n[f"res{name}_relu"] = layers.ReLU(total, in_place=True)
    return total


def resnet152(n: NetSpec, torchvision: bool = False) -> Any:
    """From n.data (N,3,224,224) to the class scores.

    torchvision: as there, where a stage's stride is in its first 3x3 convolution, not in the 1x1
    before it, and pool1 is padded and rounds down."""
    top = conv(n, n.data, "conv1", "_conv1", True, num_output=64, kernel_size=7, stride=2, pad=3)
    padded = dict(pad=1, round_mode=params.Pooling.FLOOR) if torchvision else {}
    top = layers.Pooling(top, pool=params.Pooling.MAX, kernel_size=3, stride=2, **padded)
    n.pool1 = top  # 64 x 56 x 56
    for stage, (blocks, outputs) in STAGES.items():
        for letter in blocks:
            first = letter == "a"
            stride = 2 if first and stage > 2 else 1
            strides = (1, stride) if torchvision else (stride, 1)
            top = block(n, top, f"{stage}{letter}", outputs, strides, project=first)
    n.pool5 = layers.Pooling(top, pool=params.Pooling.AVE, kernel_size=7, stride=1)
    n.fc_cub = layers.InnerProduct(
        n.pool5,
        **NEW_CLASSIFIER,
        bias_filler=dict(type="constant", value=0),
    )
    return n.fc_cub


TEST_BATCH = 10
BATCH, SOLVER = fine_tuning("resnet152", TEST_BATCH)
RESNET152 = Recipe(
    name="ResNet-152",
    folder="prototxt/resnet152",
    what="ResNet-152 for CUB-200-2011",
    about=(
        "Layers and names are those of the published ResNet-152\n"
        "(KaimingHe/deep-residual-networks@a7026cb), so its weights load by layer name; only the\n"
        "classifier is new. No other layer has a filler: without -weights nothing is learnt.\n"
        "BatchNorm is frozen (use_global_stats: true): it uses the published statistics while\n"
        "training, too. Without these lines it takes each batch's own; see README.md."
    ),
    body=resnet152,
    enhance=("conv1_relu", "conv1_enhance"),
    eliminate=("res4b2_branch2b_relu", "res4b2_branch2b_eliminate"),
    data=Data(
        crop=224,
        mean=(103.0626, 115.9029, 123.1516),
        mean_note=(
            "mean_value: the mean over the pixels of the published mean image (B, G, R). That\n"
            "image, 224 x 224, was subtracted after the crop; Caffe subtracts before it."
        ),
        train_batch=BATCH,
        test_batch=TEST_BATCH,
        rewritten="data/cub_haap_resnet152/train_lmdb",
        rewritten_laap="data/cub_maap_resnet152/train_lmdb",
    ),
    deploy_batch=1,
    solver=SOLVER,
    notes=dict(fc_cub=ABOUT_NEW_CLASSIFIER),
)

if __name__ == "__main__":
    sys.exit(run(RESNET152))

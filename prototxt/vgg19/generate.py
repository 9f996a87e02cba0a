#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. Layer names and parameters are those of the published VGG_ILSVRC_19_layers (gist
ksimonyan/3785162f95cd2d5fee77), so that its weights load by name. Only its deploy net was ever
published: fillers and rates are Caffe's defaults, but for the new classifier.
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

STAGES = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))  # (convolutions, outputs of each)


def vgg19(n: NetSpec) -> Any:
    """From n.data (N,3,224,224) to the class scores."""
    top = n.data
    for stage, (count, outputs) in enumerate(STAGES, start=1):
        for number in range(1, count + 1):
            name = f"{stage}_{number}"
            top = layers.Convolution(top, num_output=outputs, kernel_size=3, pad=1)
            n[f"conv{name}"] = top
            n[f"relu{name}"] = layers.ReLU(top, in_place=True)
        top = layers.Pooling(top, pool=params.Pooling.MAX, kernel_size=2, stride=2)
        n[f"pool{stage}"] = top  # 512 x 7 x 7 after the last
    for number in (6, 7):
        top = layers.InnerProduct(top, num_output=4096)
        n[f"fc{number}"] = top
        n[f"relu{number}"] = layers.ReLU(top, in_place=True)
        n[f"drop{number}"] = layers.Dropout(top, in_place=True, dropout_ratio=0.5)
    n.fc8_cub = layers.InnerProduct(
        top,
        **NEW_CLASSIFIER,
        bias_filler=dict(type="constant", value=0),
    )
    return n.fc8_cub


TEST_BATCH = 10
BATCH, SOLVER = fine_tuning("vgg19", TEST_BATCH)
VGG19 = Recipe(
    name="VGG_ILSVRC_19_layers",
    folder="prototxt/vgg19",
    what="VGG19 for CUB-200-2011",
    about=(
        "Layers and names are those of the published VGG_ILSVRC_19_layers\n"
        "(gist ksimonyan/3785162f95cd2d5fee77), so its weights load by layer name; only the\n"
        "classifier is new. No other layer has a filler: without -weights nothing is learnt."
    ),
    body=vgg19,
    enhance=("relu1_1", "enhance1_1"),
    eliminate=("relu5_4", "eliminate5_4"),
    data=Data(
        crop=224,
        mean=(103.939, 116.779, 123.68),
        mean_note="mean_value: the mean pixel that the weights were published with (B, G, R).",
        train_batch=BATCH,
        test_batch=TEST_BATCH,
        rewritten="data/cub_haap_vgg19/train_lmdb",
        rewritten_laap="data/cub_maap_vgg19/train_lmdb",
    ),
    solver=SOLVER,
    notes=dict(fc8_cub=ABOUT_NEW_CLASSIFIER),
)

if __name__ == "__main__":
    sys.exit(run(VGG19))

#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. The net of prototxt/resnet152 as torchvision has it ("V1.5"): a stage's stride is in
its first 3x3 convolution, and pool1 is padded and rounds down.
"""

import functools
import runpy
import sys
from dataclasses import replace
from pathlib import Path

NETS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(NETS))

import caffe  # noqa: E402, F401  (before recipe, which would find its sources)
from recipe import TORCHVISION_MEAN, fine_tuning, run  # noqa: E402

_, SOLVER = fine_tuning("resnet152_tv", 10)
PUBLISHED = runpy.run_path(str(NETS / "resnet152" / "generate.py"))
RESNET152 = PUBLISHED["RESNET152"]
RESNET152 = replace(
    RESNET152,
    name="ResNet-152-torchvision",
    folder="prototxt/resnet152_tv",
    what="torchvision's ResNet-152 for CUB-200-2011",
    about=(
        "torchvision's weights load by layer name once they are in Caffe's format\n"
        "(maap weights convert); only the classifier is new. No other layer has a filler: without\n"
        "-weights nothing is learnt.\n"
        "BatchNorm is frozen (use_global_stats: true): it uses the published statistics while\n"
        "training, too. Without these lines it takes each batch's own; see README.md."
    ),
    body=functools.partial(PUBLISHED["resnet152"], torchvision=True),
    data=replace(
        RESNET152.data,
        mean=TORCHVISION_MEAN,
        mean_note="mean_value: 255 times the mean that torchvision's weights expect (B, G, R).",
        rewritten="data/cub_haap_resnet152_tv/train_lmdb",
        rewritten_laap="data/cub_maap_resnet152_tv/train_lmdb",
    ),
    solver=SOLVER,
)

if __name__ == "__main__":
    sys.exit(run(RESNET152))

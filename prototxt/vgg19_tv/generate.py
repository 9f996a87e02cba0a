#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. The net of prototxt/vgg19, layer by layer: torchvision's VGG19 has the same layers.
The mean is torchvision's, so that its weights give the same scores at the images' borders too.
"""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

NETS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(NETS))

import caffe  # noqa: E402, F401  (before recipe, which would find its sources)
from recipe import TORCHVISION_MEAN, fine_tuning, run  # noqa: E402

_, SOLVER = fine_tuning("vgg19_tv", 10)
VGG19 = runpy.run_path(str(NETS / "vgg19" / "generate.py"))["VGG19"]
VGG19 = replace(
    VGG19,
    name="VGG19-torchvision",
    folder="prototxt/vgg19_tv",
    what="torchvision's VGG19 for CUB-200-2011",
    about=(
        "torchvision's weights load by layer name once they are in Caffe's format\n"
        "(maap weights convert); only the classifier is new. No other layer has a filler: without\n"
        "-weights nothing is learnt."
    ),
    data=replace(
        VGG19.data,
        mean=TORCHVISION_MEAN,
        mean_note="mean_value: 255 times the mean that torchvision's weights expect (B, G, R).",
        rewritten="data/cub_haap_vgg19_tv/train_lmdb",
        rewritten_laap="data/cub_maap_vgg19_tv/train_lmdb",
    ),
    solver=SOLVER,
)

if __name__ == "__main__":
    sys.exit(run(VGG19))

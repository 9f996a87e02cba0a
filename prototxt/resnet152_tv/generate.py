#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. The net of prototxt/resnet152 as torchvision has it ("V1.5"): a stage's stride is in
its first 3x3 convolution, and pool1 is padded and rounds down.
"""

import functools
import runpy
import sys
from pathlib import Path

NETS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(NETS))

from recipe import of_torchvision, run  # noqa: E402

PUBLISHED = runpy.run_path(str(NETS / "resnet152" / "generate.py"))
RESNET152 = of_torchvision(
    PUBLISHED["RESNET152"],
    "resnet152_tv",
    "ResNet-152-torchvision",
    " No other layer has a filler: without\n"
    "-weights nothing is learnt.\n"
    "BatchNorm is frozen (use_global_stats: true): it uses the published statistics while\n"
    "training, too. Without these lines it takes each batch's own; see README.md.",
    body=functools.partial(PUBLISHED["resnet152"], torchvision=True),
)

if __name__ == "__main__":
    sys.exit(run(RESNET152))

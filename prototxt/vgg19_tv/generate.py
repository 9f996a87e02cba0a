#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. The net of prototxt/vgg19, layer by layer: torchvision's VGG19 has the same layers.
The mean is torchvision's, so that its weights give the same scores at the images' borders too.
"""

import runpy
import sys
from pathlib import Path

NETS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(NETS))

from recipe import of_torchvision, run  # noqa: E402

VGG19 = of_torchvision(
    runpy.run_path(str(NETS / "vgg19" / "generate.py"))["VGG19"],
    "vgg19_tv",
    "VGG19-torchvision",
    " No other layer has a filler: without\n-weights nothing is learnt.",
)

if __name__ == "__main__":
    sys.exit(run(VGG19))

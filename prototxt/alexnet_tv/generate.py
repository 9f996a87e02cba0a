#!/usr/bin/env python3
"""Writes every prototxt in this folder; --check says whether they are as it would write them.

Needs pycaffe. The layers are those of torchvision's AlexNet (Krizhevsky 2014, "One weird trick"),
named after bvlc_alexnet's: no groups, no LRN, other widths, Dropout in front of fc6 and fc7. Rates
and fillers are bvlc_alexnet's.
"""

import runpy
import sys
from pathlib import Path
from typing import Any

NETS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(NETS))

from caffe import NetSpec, layers  # noqa: E402
from recipe import of_torchvision, run  # noqa: E402

PUBLISHED = runpy.run_path(str(NETS / "alexnet" / "generate.py"))
conv, pool, hidden, learn, fillers = (
    PUBLISHED[name] for name in ("conv", "pool", "hidden", "learn", "fillers")
)


def dropout(bottom: Any) -> Any:
    return layers.Dropout(bottom, in_place=True, dropout_ratio=0.5)


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


ALEXNET = of_torchvision(
    PUBLISHED["ALEXNET"], "alexnet_tv", "AlexNet-torchvision", crop=224, body=alexnet, dropouts={}
)

if __name__ == "__main__":
    sys.exit(run(ALEXNET))

"""Writes what tests/gpu/run reads into a bundle: networks at batch size 64, and data to train on.

make_inputs.py BUNDLE
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
from maap.nets.folder import find_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_train

BATCH, CLASSES = 64, 200
NETS = {
    "alexnet": ("alexnet", False),
    "alexnet_laap": ("alexnet", True),
    "vgg19": ("vgg19", False),
    "resnet152": ("resnet152", False),
}
SOLVER = """net: "{net}.prototxt"
base_lr: 0.001 momentum: 0.9 weight_decay: 0.0005 lr_policy: "fixed"
max_iter: 1000000 display: 0 snapshot: 0 snapshot_after_train: false random_seed: 1
"""


def write_nets(folder: Path) -> None:
    for name, (net, laap) in NETS.items():
        message = resolve_train(find_net(net), laap, CLASSES, BATCH, True, batch_norm="train")
        kept = [layer for layer in message.layer if not _is_for_testing(layer)]
        del message.layer[:]
        message.layer.extend(kept)
        write_text(message, folder / f"{name}.prototxt")
        (folder / f"{name}_solver.prototxt").write_text(SOLVER.format(net=name))


def _is_for_testing(layer: object) -> bool:
    return any(rule.HasField("phase") and rule.phase == 1 for rule in layer.include)  # type: ignore


def write_data(folder: Path) -> None:
    """64 images of 64 x 64; a bright spot tells the class, but a third of the labels is wrong."""
    random = np.random.RandomState(0)
    label = np.arange(64) % 10
    y, x = np.mgrid[0:64, 0:64]
    data = random.randn(64, 3, 64, 64).astype(np.float32) * 0.3
    for i, which in enumerate(label):
        spot = (x - 6 * which - 4) ** 2 + (y - 32 + i % 7) ** 2
        data[i, which % 3] += np.exp(-spot / 60.0) * 3
    label[::3] = random.randint(0, 10, len(label[::3]))
    with h5py.File(folder / "data.h5", "w") as file:
        file["data"], file["label"] = data, label.astype(np.float32)
    (folder / "data.txt").write_text("data.h5\n")


def write_sequences(folder: Path) -> None:
    """64 steps of 8 sequences that begin again every 8 steps; a step shows its class in noise, and
    its label is the class of the step before it (0 at the first)."""
    random = np.random.RandomState(1)
    classes = random.randint(0, 4, (64, 8))
    x = random.randn(64, 8, 6) * 0.2
    x[..., :4] += np.eye(4)[classes]
    cont = np.ones((64, 8))
    cont[::8] = 0
    label = np.zeros((64, 8))
    label[1:] = classes[:-1]
    label[::8] = 0
    with h5py.File(folder / "sequences.h5", "w") as file:
        for name, values in (("x", x), ("cont", cont), ("label", label)):
            file[name] = values.astype(np.float32)
    (folder / "sequences.txt").write_text("sequences.h5\n")


if __name__ == "__main__":
    write_nets(Path(sys.argv[1]) / "nets")
    write_data(Path(sys.argv[1]) / "training")
    write_sequences(Path(sys.argv[1]) / "training")

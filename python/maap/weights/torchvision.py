"""torchvision's ImageNet weights for the nets alexnet_tv, vgg19_tv and resnet152_tv.

torchvision's nets take (p / 255 - mean) / std with the channels R, G, B, ours p - 255 mean with B,
G, R: the first convolution's weights are divided by 255 std and their channels turned round. As a
padded 0 stands for the mean colour in both, nothing else changes, at the borders neither.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np

from maap.errors import MaapError
from maap.weights.torch_file import read_torch

MEAN = (0.485, 0.456, 0.406)  # R, G, B, of values in [0, 1]; torchvision's transforms
STD = (0.229, 0.224, 0.225)
Arrays = Mapping[str, np.ndarray]
Blobs = tuple[str, str, list[np.ndarray]]  # a layer's name, its type, its blobs


@dataclass(frozen=True)
class Layer:
    """A layer's blobs: its name and type, and the tensors they come from. "1" is the number 1."""

    name: str
    kind: str
    tensors: tuple[str, ...]


def _learnt(name: str, kind: str, prefix: str) -> Layer:
    return Layer(name, kind, (f"{prefix}.weight", f"{prefix}.bias"))


def _alexnet() -> Iterator[Layer]:
    for number, place in enumerate((0, 3, 6, 8, 10), start=1):
        yield _learnt(f"conv{number}", "Convolution", f"features.{place}")
    for number, place in ((6, 1), (7, 4), (8, 6)):
        yield _learnt(f"fc{number}", "InnerProduct", f"classifier.{place}")


def _vgg19() -> Iterator[Layer]:
    place = 0
    for stage, count in enumerate((2, 2, 4, 4, 4), start=1):
        for number in range(1, count + 1):
            yield _learnt(f"conv{stage}_{number}", "Convolution", f"features.{place}")
            place += 2  # the ReLU between
        place += 1  # the pooling
    for number, place in ((6, 0), (7, 3), (8, 6)):
        yield _learnt(f"fc{number}", "InnerProduct", f"classifier.{place}")


def _normed(conv: str, suffix: str, weight: str, norm: str) -> Iterator[Layer]:
    yield Layer(conv, "Convolution", (f"{weight}.weight",))
    statistics = (f"{norm}.running_mean", f"{norm}.running_var", "1")
    yield Layer(f"bn{suffix}", "BatchNorm", statistics)
    yield _learnt(f"scale{suffix}", "Scale", norm)


def _resnet152() -> Iterator[Layer]:
    yield from _normed("conv1", "_conv1", "conv1", "bn1")
    for stage, count in enumerate((3, 8, 36, 3), start=2):
        for number in range(count):
            letter = "a" if number == 0 else "bc"[number - 1] if count == 3 else f"b{number}"
            prefix = f"layer{stage - 1}.{number}"
            branches = [("1", "downsample.0", "downsample.1")] if number == 0 else []
            branches += [(f"2{x}", f"conv{i}", f"bn{i}") for i, x in enumerate("abc", start=1)]
            for branch, weight, norm in branches:
                suffix = f"{stage}{letter}_branch{branch}"
                yield from _normed(f"res{suffix}", suffix, f"{prefix}.{weight}", f"{prefix}.{norm}")
    yield _learnt("fc1000", "InnerProduct", "fc")


NETS: dict[str, Callable[[], Iterator[Layer]]] = dict(
    alexnet_tv=_alexnet, vgg19_tv=_vgg19, resnet152_tv=_resnet152
)


def read(source: Path) -> tuple[str, Iterator[Blobs]]:
    """The net folder's name that a state_dict of torchvision is for, and its layers with blobs.

    Raises MaapError: tensors of another net (with those that differ), a file that is no state_dict.
    """
    tensors = read_torch(source)
    net = net_of(tensors, source)
    return net, blobs(tensors, net, source)


def net_of(tensors: Arrays, source: Path) -> str:
    """The net folder's name that a state_dict is for. Raises MaapError if there is none."""
    found = {name for name in tensors if not name.endswith("num_batches_tracked")}
    wanted = {
        net: {t for each in made() for t in each.tensors} - {"1"} for net, made in NETS.items()
    }
    net = max(wanted, key=lambda name: len(wanted[name] & found))
    if wanted[net] == found:
        return net
    missing, extra = sorted(wanted[net] - found), sorted(found - wanted[net])
    raise MaapError(
        f"{source}: not the weights of torchvision's AlexNet, VGG19 or ResNet-152; of {net} "
        f"{len(missing)} tensors are missing ({', '.join(missing[:3]) or 'none'}), and "
        f"{len(extra)} are of another net ({', '.join(extra[:3]) or 'none'})"
    )


def blobs(tensors: Arrays, net: str, source: Path) -> Iterator[Blobs]:
    """Each layer of ``net`` with its blobs, from a state_dict. Raises MaapError for a tensor of a
    number of axes that its layer does not have."""
    for number, layer in enumerate(NETS[net]()):
        arrays = [
            np.ones(1, np.float32) if name == "1" else tensors[name] for name in layer.tensors
        ]
        axes = dict(Convolution=4, InnerProduct=2).get(layer.kind, 1)
        if arrays[0].ndim != axes or number == 0 and arrays[0].shape[1] != 3:
            shape = "x".join(map(str, arrays[0].shape))
            raise MaapError(f"{source}: {layer.tensors[0]} has the shape {shape}")
        if number == 0:
            arrays[0] = for_bgr(arrays[0])
        yield layer.name, layer.kind, arrays


def for_bgr(weights: np.ndarray) -> np.ndarray:
    """Weights (outputs, 3, h, w) for (p / 255 - mean) / std of R, G, B as weights for p - 255 mean
    of B, G, R."""
    scaled = weights.astype(np.float64) / (255 * np.array(STD)[:, None, None])
    return scaled[:, ::-1].astype(np.float32)

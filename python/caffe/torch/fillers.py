"""Caffe's fillers: the values that parameters start from. PyTorch's generator draws them."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..proto import caffe_pb2


def fill(tensor: torch.Tensor, filler: Any) -> None:
    """Fill ``tensor`` in place as a FillerParameter says.

    Raises ValueError for an unknown type, and for a shape that the type cannot fill.
    """
    made = _FILLERS.get(filler.type)
    if made is None:
        raise ValueError(f"unknown filler {filler.type!r}; there are {', '.join(_FILLERS)}")
    with torch.no_grad():
        made(tensor, filler)


def _constant(tensor: torch.Tensor, filler: Any) -> None:
    tensor.fill_(filler.value)


def _uniform(tensor: torch.Tensor, filler: Any) -> None:
    tensor.uniform_(filler.min, filler.max)


def _gaussian(tensor: torch.Tensor, filler: Any) -> None:
    tensor.normal_(filler.mean, filler.std)
    if filler.sparse >= 0:  # the share of values other than 0 is sparse / outputs
        share = min(1.0, filler.sparse / tensor.shape[0])
        tensor.mul_(torch.bernoulli(torch.full_like(tensor, share)))


def _fan(tensor: torch.Tensor, filler: Any) -> float:
    """The number that xavier and msra divide by: inputs, outputs, or their mean."""
    count = tensor.numel()
    inputs = count / tensor.shape[0]
    outputs = count / tensor.shape[1] if tensor.dim() > 1 else count
    if filler.variance_norm == caffe_pb2.FillerParameter.AVERAGE:
        return (inputs + outputs) / 2
    return outputs if filler.variance_norm == caffe_pb2.FillerParameter.FAN_OUT else inputs


def _xavier(tensor: torch.Tensor, filler: Any) -> None:
    limit = math.sqrt(3 / _fan(tensor, filler))
    tensor.uniform_(-limit, limit)


def _msra(tensor: torch.Tensor, filler: Any) -> None:
    tensor.normal_(0, math.sqrt(2 / _fan(tensor, filler)))


def _unit_ball(tensor: torch.Tensor, filler: Any) -> None:
    rows = tensor.view(tensor.shape[0], -1)
    rows.uniform_(0, 1)
    rows.div_(rows.sum(1, keepdim=True))


def _bilinear(tensor: torch.Tensor, filler: Any) -> None:
    if tensor.dim() != 4 or tensor.shape[2] != tensor.shape[3]:
        raise ValueError("the bilinear filler is for square kernels of four axes")
    size = tensor.shape[3]
    factor = math.ceil(size / 2)
    centre = (2 * factor - 1 - factor % 2) / (2 * factor)
    line = 1 - (torch.arange(size, dtype=torch.float64) / factor - centre).abs()
    tensor.copy_(line[:, None] * line)


_FILLERS = dict(
    constant=_constant,
    uniform=_uniform,
    gaussian=_gaussian,
    xavier=_xavier,
    msra=_msra,
    positive_unitball=_unit_ball,
    bilinear=_bilinear,
)

"""Layers that normalise: BatchNorm, MVN, LRN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from ..proto import caffe_pb2
from .layer import Layer, Shape, layer, one


def on_channels(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """``values``, one for each channel, shaped so that they lie on axis 1 of x."""
    return values.reshape((1, -1) + (1,) * (x.dim() - 2)) if x.dim() > 1 else values


def is_scaled(layer: Any) -> bool:
    """Whether a BatchNorm is that of NVIDIA's fork with scale and bias."""
    param = layer.batch_norm_param
    if param.scale_bias or layer.dialect == "nv015":
        return True
    filled = param.HasField("scale_filler") or param.HasField("bias_filler")
    return filled and layer.dialect in ("", "nv017")


@layer("BatchNorm")
class BatchNorm(Layer):
    """y = (x - mean) / sqrt(variance + eps) for each channel.

    The buffers mean, variance and factor are Caffe's three blobs: the averages are mean / factor
    and variance / factor, or 0 while factor is 0. With use_global_stats (the default unless the
    module is training) these are used; otherwise the batch's own, which update the buffers.

    NVIDIA's (scale_bias, fillers; in the dialect nv015 always) also learns weight and bias of each
    channel. In its dialects mean and variance move by the fraction, and factor is 1."""

    def build(self, shapes: Sequence[Shape]) -> None:
        channels = shapes[0][1] if len(shapes[0]) > 1 else 1
        self.scaled = is_scaled(self.param)
        self.as_nvidia = self.scaled or self.param.dialect == "nv017"
        self.keep("mean", torch.zeros(channels))
        self.keep("variance", torch.zeros(channels))
        self.keep("factor", torch.zeros(1))
        if self.scaled:
            param = self.param.batch_norm_param
            filler = param.scale_filler if param.HasField("scale_filler") else one()
            self.learn("weight", (channels,), filler)
            self.learn("bias", (channels,), param.bias_filler)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.batch_norm_param
        stored = param.use_global_stats if param.HasField("use_global_stats") else not self.training
        if stored:
            scale = torch.where(self.factor == 0, torch.zeros_like(self.factor), 1 / self.factor)
            mean, variance = self.mean * scale, self.variance * scale
        else:
            axes = [axis for axis in range(x.dim()) if axis != 1]
            mean = x.mean(axes)
            variance = (x - on_channels(mean, x)).square().mean(axes)
            self._enter(mean.detach(), variance.detach(), x.numel() / mean.numel())
        y = (x - on_channels(mean, x)) * on_channels((variance + param.eps).rsqrt(), x)
        return on_channels(self.weight, x) * y + on_channels(self.bias, x) if self.scaled else y

    def _enter(self, mean: torch.Tensor, variance: torch.Tensor, count: float) -> None:
        keep = self.param.batch_norm_param.moving_average_fraction
        unbiased = count / (count - 1) if count > 1 else 1.0
        if self.as_nvidia:
            first = self.factor == 0
            zero = torch.zeros_like(self.factor)
            kept = torch.where(first, zero, keep / self.factor)
            added = 1 - torch.where(first, zero, zero + keep)
            self.factor.fill_(1)
            self.mean.mul_(kept).add_(added * mean)
            self.variance.mul_(kept).add_(added * variance * unbiased)
            return
        self.factor.mul_(keep).add_(1)
        self.mean.mul_(keep).add_(mean)
        self.variance.mul_(keep).add_(variance * unbiased)


@layer("MVN")
class MVN(Layer):
    """Subtracts the mean of each plane, or item (across_channels), and divides by its standard
    deviation + eps (normalize_variance)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.mvn_param
        flat = x.flatten(1 if param.across_channels else 2)
        centred = flat - flat.mean(-1, keepdim=True)
        if param.normalize_variance:
            variance = centred.square().mean(-1, keepdim=True)
            flat_plane = variance == 0  # its root has no gradient
            deviation = torch.where(flat_plane, torch.ones_like(variance), variance).sqrt()
            deviation = torch.where(flat_plane, torch.zeros_like(variance), deviation)
            centred = centred / (deviation + param.eps)
        return centred.reshape(x.shape)


@layer("LRN")
class LRN(Layer):
    """y = x s^-beta; s is k + alpha times the mean square over local_size channels, or
    (WITHIN_CHANNEL) 1 + alpha times that over a window of local_size x local_size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.lrn_param
        size = param.local_size
        if param.norm_region == caffe_pb2.LRNParameter.ACROSS_CHANNELS:
            return F.local_response_norm(x, size, param.alpha, param.beta, param.k)
        squares = F.avg_pool2d(x.square(), size, 1, (size - 1) // 2)
        return x * (1 + param.alpha * squares).pow(-param.beta)

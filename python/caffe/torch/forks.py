"""Layers of other forks of Caffe (docs/forks.md): segmentation, small networks, sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from .layer import Layer, Result, Shape, axis_of, layer, one
from .losses import with_value
from .norms import on_channels
from .windows import Convolution


@layer("Permute")
class Permute(Layer):
    """SSD: the axes in the given order, then those that it does not name."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        order = list(self.param.permute_param.order)
        return x.permute(order + [axis for axis in range(x.dim()) if axis not in order])


@layer("Transpose")
class Transpose(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(tuple(self.param.transpose_param.dim))


@layer("Reverse")
class Reverse(Layer):
    """One axis backwards."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(axis_of(self, x.dim(), self.param.reverse_param.axis))


@layer("Normalize")
class Normalize(Layer):
    """SSD (norm_param): y = x / sqrt(sum of x^2 + eps) weight, over channels or a whole item.
    happynear (normalize_param): L2 or L1 over channels, no weight, a second top has the norm."""

    def build(self, shapes: Sequence[Shape]) -> None:
        self.plain = self.param.HasField("normalize_param") or self.param.dialect == "happynear"
        if not self.plain:
            param = self.param.norm_param
            filler = param.scale_filler if param.HasField("scale_filler") else one()
            self.learn("weight", () if param.channel_shared else (shapes[0][1],), filler)

    def forward(self, x: torch.Tensor) -> Result:
        if self.plain:
            is_l1 = self.param.normalize_param.normalize_type == "L1"
            sums = (x.abs() if is_l1 else x.square()).sum(1, keepdim=True) + 1e-6
            norm = sums if is_l1 else sums.sqrt()
            return (x / norm, norm.detach() if not self.param.normalize_param.bp_norm else norm)
        param = self.param.norm_param
        axes = list(range(1, x.dim())) if param.across_spatial else [1]
        norm = (x.square().sum(axes, keepdim=True) + param.eps).sqrt()
        return x / norm * on_channels(self.weight, x)


@layer("Interp")
class Interp(Layer):
    """Bilinear resize with aligned corners; pads, at most 0, crop first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.interp_param
        begin, end = -param.pad_beg, -param.pad_end
        if begin < 0 or end < 0:
            raise ValueError(f"{self.where}pad_beg and pad_end must be at most 0")
        x = x[:, :, begin : x.shape[2] - end, begin : x.shape[3] - end]
        size = [self._length(length, axis) for axis, length in enumerate(x.shape[2:])]
        if tuple(size) == tuple(x.shape[2:]):
            return x
        return F.interpolate(x, size, mode="bilinear", align_corners=True)

    def _length(self, length: int, axis: int) -> int:
        param = self.param.interp_param
        shrink, zoom = param.HasField("shrink_factor"), param.HasField("zoom_factor")
        if not shrink and not zoom:
            return param.width if axis else param.height
        if shrink != zoom or not (param.HasField("height") and param.HasField("width")):
            if shrink:
                length = (length - 1) // param.shrink_factor + 1
            return length + (length - 1) * (param.zoom_factor - 1) if zoom else length
        return param.width if axis else param.height


@layer("BN")
class BN(Layer):
    """PSPNet: batch normalisation with slope, bias and running averages. SegNet (bn_mode,
    scale_filler or shift_filler, or its dialect): with the batch's statistics, or INFERENCE:
    scale x + shift. All blobs are 1 x C x 1 x 1."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.bn_param
        names = ("bn_mode", "scale_filler", "shift_filler")
        own = any(param.HasField(name) for name in names)
        self.segnet = own or self.param.dialect in ("segnet", "enet", "deconvnet")
        shape = (1, shapes[0][1], 1, 1)
        self.learn("weight", shape, param.scale_filler if self.segnet else param.slope_filler)
        self.learn("bias", shape, param.shift_filler if self.segnet else param.bias_filler)
        if not self.segnet:
            self.keep("mean", torch.zeros(shape))
            self.keep("variance", torch.full(shape, float(param.frozen)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.bn_param
        if self.segnet and param.bn_mode == param.INFERENCE:
            return self.weight * x + self.bias
        if not self.segnet and (param.frozen or not self.training):
            mean, variance, eps = self.mean, self.variance, param.eps
        else:
            mean = x.mean((0, 2, 3), keepdim=True)
            variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
            eps = 1e-9 if self.segnet else param.eps
            if not self.segnet:
                self.mean.mul_(param.momentum).add_((1 - param.momentum) * mean.detach())
                self.variance.mul_(param.momentum).add_((1 - param.momentum) * variance.detach())
        return self.weight * (x - mean) / (variance + eps).sqrt() + self.bias


@layer("Upsample")
class Upsample(Layer):
    """SegNet, two bottoms: values at the places of pooled maxima, 0 elsewhere. YOLO, one bottom:
    each value scale x scale times."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        param = self.param.upsample_param
        if mask is None:
            scale = param.scale if param.HasField("scale") else 1
            return x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        height, width = self._size(x, param)
        places = mask.detach().long().flatten(2)
        if not x.is_meta and bool(((places < 0) | (places >= height * width)).any()):
            raise ValueError(f"{self.where}a place of the mask is outside {height} x {width}")
        y = x.new_zeros(*x.shape[:2], height * width)
        return y.scatter(2, places, x.flatten(2)).reshape(*x.shape[:2], height, width)

    @staticmethod
    def _size(x: torch.Tensor, param: Any) -> tuple[int, int]:
        if param.upsample_h and param.upsample_w:
            return param.upsample_h, param.upsample_w
        return (
            x.shape[2] * (param.scale_h or param.scale) - int(param.pad_out_h),
            x.shape[3] * (param.scale_w or param.scale) - int(param.pad_out_w),
        )


@layer("ReLU6")
class ReLU6(Layer):
    """min(max(x, 0) + negative_slope min(x, 0), threshold), with a threshold of 6."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.relu6_param
        y = F.leaky_relu(x, param.negative_slope) if param.negative_slope else F.relu(x)
        return torch.where(y < param.threshold, y, torch.full_like(y, param.threshold))


@layer("ShuffleChannel")
class ShuffleChannel(Layer):
    """Channels as group x rest, transposed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        group = self.param.shuffle_channel_param.group
        return x.unflatten(1, (group, -1)).transpose(1, 2).flatten(1, 2)


@layer("PixelShuffle")
class PixelShuffle(Layer):
    """N x C r^2 x H x W to N x C x H r x W r."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.param.HasField("pixelshuffle_param")
        param = self.param.pixelshuffle_param if given else self.param.pixel_shuffle_param
        return F.pixel_shuffle(x, param.upscale_factor)


@layer("Reorg")
class Reorg(Layer):
    """Darknet's: space to channels in its order, or (reverse) the other way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.reorg_param
        count, channels, height, width = x.shape
        step = param.stride
        depth = channels // (step * step)
        place = torch.arange(channels * height * width, device=x.device)
        column, row, channel = place % width, place // width % height, place // (width * height)
        offset = channel // depth
        source = ((channel % depth) * height * step + row * step + offset // step) * (
            width * step) + column * step + offset % step  # fmt: skip
        flat = x.flatten(1)
        if param.reverse:
            y = torch.zeros_like(flat).scatter(1, source.expand_as(flat), flat)
            return y.reshape(count, depth, height * step, width * step)
        shape = (count, channels * step * step, height // step, width // step)
        return flat[:, source].reshape(shape)


@layer("Axpy")
class Axpy(Layer):
    """SENet: a x + y, with a of N x C (x 1 x 1)."""

    def forward(self, a: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return a.reshape(*x.shape[:2], *(1,) * (x.dim() - 2)) * x + y


@layer("ConvolutionDepthwise")
class ConvolutionDepthwise(Convolution):
    """A Convolution of each channel alone; num_output and group are those of the bottom."""

    def make_blobs(self, channels: int, param: Any) -> None:
        self.channels = channels
        self.learn("weight", (channels, 1, *self.kernel), param.weight_filler)
        if param.bias_term:
            self.learn("bias", (channels,), param.bias_filler)

    def windows(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return F.conv2d(x, self.weight, bias, self.stride, self.pad, self.dilation, self.channels)


@layer("DepthwiseConvolution")
class DepthwiseConvolution(Convolution):
    """A Convolution under another name."""


@layer("SmoothL1Loss")
class SmoothL1Loss(Layer):
    """0.5 s^2 d^2 where |d| < 1 / s^2, else |d| - 0.5 / s^2, summed / items, with s = sigma. Two or
    three bottoms: prediction, target, weights of d. Four: weights of d and of the loss."""

    def forward(self, x: torch.Tensor, y: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        square = self.param.smooth_l1_loss_param.sigma**2 if len(weights) == 2 else 1.0
        d = x - y
        path = d
        if weights:
            inside = weights[0].detach()
            d = inside * d
            # With three bottoms the gradient is not multiplied by the weights again.
            path = d if len(weights) == 2 else with_value(path, d)
            d = path
        size = d.abs()
        losses = torch.where(size < 1 / square, 0.5 * square * d.square(), size - 0.5 / square)
        if len(weights) == 2:
            losses = losses * weights[1].detach()
        return losses.sum() / max(1, x.shape[0])

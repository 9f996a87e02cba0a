"""Layers of other forks of Caffe (docs/forks.md): segmentation, small networks, sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from .layer import Layer, Result, Shape, axis_of, layer, one
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
        self.segnet = self._is_segnet()
        shape = (1, shapes[0][1], 1, 1)
        self.learn("weight", shape, param.scale_filler if self.segnet else param.slope_filler)
        self.learn("bias", shape, param.shift_filler if self.segnet else param.bias_filler)
        if not self.segnet:
            self.keep("mean", torch.zeros(shape))
            self.keep("variance", torch.full(shape, float(param.frozen)))

    def _is_segnet(self) -> bool:
        """By the dialect, then by fields that one family alone has, then by the number of tops or
        param { }. Raises ValueError where nothing tells."""
        if self.param.dialect:
            return self.param.dialect not in ("pspnet", "happynear")
        given = {field.name for field, _ in self.param.bn_param.ListFields()}
        if given & {"slope_filler", "bias_filler", "momentum", "eps", "frozen"}:
            return False
        if given & {"scale_filler", "shift_filler", "bn_mode"} or len(self.param.top) > 1:
            return True
        if len(self.param.param) in (2, 4):
            return len(self.param.param) == 2
        raise ValueError(
            f"{self.where}nothing says whether it is PSPNet's or SegNet's: give it bn_param with "
            "momentum, or with bn_mode"
        )

    def forward(self, x: torch.Tensor) -> Result:
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
        y = self.weight * (x - mean) / (variance + eps).sqrt() + self.bias
        return (y, mean.detach(), variance.detach())[: len(self.param.top)]


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


@layer("Mish")
class Mish(Layer):
    """y = x tanh(log(1 + exp(x)))."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.tanh(torch.logaddexp(x, torch.zeros_like(x)))


@layer("HardSwish", "HSwish")
class HardSwish(Layer):
    """y = x min(max(x + 3, 0), 6) / 6."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (x + 3).clamp(0, 6) / 6


@layer("ChannelShuffle")
class ChannelShuffle(Layer):
    """Pattern 1: blocks of shuffle_channel_num channels as group x rest, transposed. Pattern 0: the
    values from C x places to places x C, in the same shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.channel_shuffle_param
        if param.shuffle_pattern == 0:
            return x.flatten(2).transpose(1, 2).reshape(x.shape)
        blocks = x.unflatten(1, (param.group, -1, param.shuffle_channel_num))
        return blocks.transpose(1, 2).flatten(1, 3)


@layer("ReverseTime")
class ReverseTime(Layer):
    """Each sequence of x (T, N, ...) turned round to its own length; what follows is 0, or the same
    with copy_remaining."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        steps = torch.arange(x.shape[0], device=x.device)[:, None]
        length = lengths.detach().long().flatten()[None]
        inside = steps < length
        source = torch.where(inside, length - 1 - steps, steps)
        shape = (*source.shape, *(1,) * (x.dim() - 2))
        y = x.gather(0, source.reshape(shape).expand_as(x))
        if self.param.reverse_time_param.copy_remaining:
            return y
        return y * inside.reshape(shape)


@layer("ContinuationIndicator")
class ContinuationIndicator(Layer):
    """(time_step, batch_size): 0 in the first step, then 1."""

    def forward(self, *_: torch.Tensor) -> torch.Tensor:
        param = self.param.continuation_indicator_param
        indicator = torch.ones(param.time_step, param.batch_size)
        indicator[:1] = 0
        return indicator

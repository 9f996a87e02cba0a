"""Layers of other forks that sample or spread maps: SpatialTransformer, Correlation, Unpooling."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .layer import Layer, layer


@layer("SpatialTransformer")
class SpatialTransformer(Layer):
    """Samples maps at the places of an affine grid; theta, N x 6 less the fixed theta_i_j. Output
    (s, t) is at row (p + 1) / 2 H and column (q + 1) / 2 W with (p, q) = theta (2 s / H' - 1,
    2 t / W' - 1, 1); neighbours off the map count as 0."""

    def forward(self, maps: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        param = self.param.st_param
        maps = maps if param.to_compute_dU else maps.detach()
        count, _, height, width = maps.shape
        rows = param.output_H if param.HasField("output_H") else height
        columns = param.output_W if param.HasField("output_W") else width
        s = 2 * torch.arange(rows, device=maps.device, dtype=maps.dtype) / rows - 1
        t = 2 * torch.arange(columns, device=maps.device, dtype=maps.dtype) / columns - 1
        grid = torch.stack(
            [
                s[:, None].expand(rows, columns),
                t.expand(rows, columns),
                maps.new_ones(rows, columns),
            ]
        )
        places = self._whole(theta.flatten(1)).reshape(count, 2, 3) @ grid.flatten(1)
        y, x = (places[:, 0] + 1) / 2 * height, (places[:, 1] + 1) / 2 * width
        return self._bilinear(maps, y, x).unflatten(2, (rows, columns))

    def _whole(self, theta: torch.Tensor) -> torch.Tensor:
        """N x 6, with the fixed ones at their places."""
        param, free, parts = self.param.st_param, 0, []
        for name in ("theta_1_1", "theta_1_2", "theta_1_3", "theta_2_1", "theta_2_2", "theta_2_3"):
            if param.HasField(name):
                parts.append(torch.full_like(theta[:, 0], getattr(param, name)))
            else:
                parts.append(theta[:, free])
                free += 1
        return torch.stack(parts, 1)

    @staticmethod
    def _bilinear(maps: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """N x C x places, for rows y and columns x, N x places."""
        height, width = maps.shape[2:]
        flat = maps.flatten(2)
        top, left = y.detach().floor(), x.detach().floor()
        total = 0
        for row in (top, top + 1):
            for column in (left, left + 1):
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
                weight = (1 - (y - row).abs()) * (1 - (x - column).abs()) * inside
                index = place.long()[:, None].expand(-1, flat.shape[1], -1)
                total = total + flat.gather(2, index) * weight[:, None]
        return total


@layer("Correlation")
class Correlation(Layer):
    """FlowNet: windows of one map against displaced windows of another, a channel for each
    displacement."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        param = self.param.correlation_param
        most, kernel = param.max_displacement, param.kernel_size
        pads = (param.pad,) * 4
        a, b = F.pad(a, pads), F.pad(b, pads)
        spans = []
        for length in a.shape[2:]:
            count = -(-(length - 2 * most - kernel + 1) // param.stride_1)
            if count < 1:
                raise ValueError(f"{self.where}the maps are too small for max_displacement {most}")
            spans.append((count - 1) * param.stride_1 + kernel)
        radius = most // param.stride_2
        steps = range(-radius * param.stride_2, radius * param.stride_2 + 1, param.stride_2)
        first = a[:, :, most : most + spans[0], most : most + spans[1]]
        channels = []
        for down in steps:
            for right in steps:
                top, left = most + down, most + right
                second = b[:, :, top : top + spans[0], left : left + spans[1]]
                subtract = param.correlation_type == param.SUBTRACT
                values = (first - second).abs() if subtract else first * second
                mean = values.mean(1, keepdim=True)
                channels.append(F.avg_pool2d(mean, kernel, param.stride_1))
        return torch.cat(channels, 1)


@layer("Unpooling")
class Unpooling(Layer):
    """DeconvNet's: MAX puts each value to one place (the mask's, or its window's first), AVE and
    TILE add it to all of its window, AVE divided by the window's size inside the plane."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        param = self.param.unpooling_param
        height, width = param.unpool_h or param.unpool_size, param.unpool_w or param.unpool_size
        kernel = (param.kernel_h or param.kernel_size, param.kernel_w or param.kernel_size)
        stride = (param.stride_h or param.stride, param.stride_w or param.stride)
        if param.unpool == param.MAX:
            places = self._first_places(x, stride, (height, width)) if mask is None else (
                mask.detach().long().flatten(2))  # fmt: skip
            y = x.new_zeros(*x.shape[:2], height * width)
            y = y.scatter(2, places, x.flatten(2))
            return y.unflatten(2, (height, width))
        if param.unpool == param.AVE:
            inside = [
                (step * torch.arange(count, device=x.device) + side).clamp(max=length)
                - step * torch.arange(count, device=x.device)
                for count, side, step, length in zip(x.shape[2:], kernel, stride, (height, width))
            ]
            x = x / (inside[0][:, None] * inside[1]).clamp(min=1)
        ones = x.new_ones(x.shape[1], 1, *kernel)
        y = F.conv_transpose2d(x, ones, stride=stride, groups=x.shape[1])
        y = F.pad(y, (0, max(0, width - y.shape[3]), 0, max(0, height - y.shape[2])))
        return y[:, :, :height, :width]

    @staticmethod
    def _first_places(
        x: torch.Tensor, stride: tuple[int, int], size: tuple[int, int]
    ) -> torch.Tensor:
        rows = (torch.arange(x.shape[2], device=x.device) * stride[0]).clamp(max=size[0] - 1)
        columns = (torch.arange(x.shape[3], device=x.device) * stride[1]).clamp(max=size[1] - 1)
        places = rows[:, None] * size[1] + columns
        return places.flatten().expand(*x.shape[:2], -1)

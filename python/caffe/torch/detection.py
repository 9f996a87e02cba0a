"""Layers of SSD, Fast R-CNN and R-FCN: prior boxes and pooling of regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .layer import Layer, Shape, layer


@layer("PriorBox")
class PriorBox(Layer):
    """SSD's prior boxes of a map for an image: 1 x 2 x (H W priors 4), corners and variances.

    Sizes are truncated to whole pixels, as SSD's Caffe does."""

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        param = self.param.prior_box_param
        priors = len(self._ratios()) * len(param.min_size) + len(param.max_size)
        return [(1, 2, shapes[0][2] * shapes[0][3] * priors * 4)]

    def forward(self, maps: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        param = self.param.prior_box_param
        height = float(param.img_h or param.img_size or images.shape[2])
        width = float(param.img_w or param.img_size or images.shape[3])
        rows, columns = maps.shape[2:]
        step_h = (param.step_h or param.step) or height / rows
        step_w = (param.step_w or param.step) or width / columns
        sizes = torch.tensor(self._sizes(), dtype=torch.float64)  # priors x (width, height)
        y = (torch.arange(rows, dtype=torch.float64) + param.offset) * step_h
        x = (torch.arange(columns, dtype=torch.float64) + param.offset) * step_w
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1)[:, :, None].flip(-1)
        scale = torch.tensor([width, height], dtype=torch.float64)
        corners = torch.cat([(grid - sizes / 2) / scale, (grid + sizes / 2) / scale], -1)
        if param.clip:
            corners = corners.clamp(0, 1)
        variance = list(param.variance) or [0.1]
        variances = torch.tensor(variance * (4 // len(variance)), dtype=torch.float64)
        both = torch.stack([corners.flatten(), variances.repeat(corners.numel() // 4)])
        return both[None].to(maps)

    def _ratios(self) -> list[float]:
        param = self.param.prior_box_param
        ratios = [1.0]
        for ratio in param.aspect_ratio:
            if any(abs(ratio - known) < 1e-6 for known in ratios):
                continue
            ratios.append(ratio)
            if param.flip:
                ratios.append(1 / ratio)
        return ratios

    def _sizes(self) -> list[tuple[float, float]]:
        param = self.param.prior_box_param
        sizes = []
        for number, least in enumerate(int(size) for size in param.min_size):
            sizes.append((least, least))
            if param.max_size:
                middle = math.sqrt(least * int(param.max_size[number]))
                sizes.append((middle, middle))
            for ratio in self._ratios()[1:]:
                sizes.append((least * math.sqrt(ratio), least / math.sqrt(ratio)))
        return sizes


def _bins(start: Any, size: Any, bins: int, length: int) -> list[tuple[int, int]]:
    """The places [first, end) of each bin of an axis, inside the map.

    ``start`` and ``size``, of all bins, are NumPy scalars of the maps' type, in which the engine
    computes: an edge that is a whole number in one type may lie beside it in the other.
    """
    kind, edges = type(start), []
    size = size / kind(bins)
    for number in range(bins):
        first = math.floor(kind(number) * size + start)
        end = math.ceil(kind(number + 1) * size + start)
        edges.append((min(max(first, 0), length), min(max(end, 0), length)))
    return edges


def _round(value: float) -> int:
    """Half away from zero."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


class _Regions(Layer):
    """Maps N x C x H x W and regions R x 5: item, x1, y1, x2, y2 in pixels; no gradient to them."""

    @staticmethod
    def kind(maps: torch.Tensor) -> type[np.floating[Any]]:
        """The type that bins are computed in."""
        return np.float64 if maps.dtype == torch.float64 else np.float32

    def rows(self, maps: torch.Tensor, regions: torch.Tensor) -> list[list[float]]:
        rows = regions.detach().reshape(-1, 5).tolist()
        for row in rows:
            if not 0 <= int(row[0]) < maps.shape[0]:
                raise ValueError(f"{self.where}a region is of item {int(row[0])} of a batch of "
                                 f"{maps.shape[0]}")  # fmt: skip
        return rows


@layer("ROIPooling")
class ROIPooling(_Regions):
    """The largest value of each of pooled_h x pooled_w bins of each region; 0 in an empty bin."""

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        param = self.param.roi_pooling_param
        return [(shapes[1][0], shapes[0][1], param.pooled_h, param.pooled_w)]

    def forward(self, maps: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        param, kind = self.param.roi_pooling_param, self.kind(maps)
        scale = kind(param.spatial_scale)
        pooled = []
        for item, *corners in self.rows(maps, regions):
            x1, y1, x2, y2 = (_round(float(kind(corner) * scale)) for corner in corners)
            high, wide = kind(max(y2 - y1 + 1, 1)), kind(max(x2 - x1 + 1, 1))
            rows = _bins(kind(y1), high, param.pooled_h, maps.shape[2])
            columns = _bins(kind(x1), wide, param.pooled_w, maps.shape[3])
            plane = maps[int(item)]
            parts = [
                plane[:, top:bottom, left:right].flatten(1).max(1).values
                if bottom > top and right > left
                else plane.new_zeros(plane.shape[0])
                for top, bottom in rows
                for left, right in columns
            ]
            pooled.append(torch.stack(parts, 1).unflatten(1, (param.pooled_h, param.pooled_w)))
        return torch.stack(pooled)


@layer("PSROIPooling")
class PSROIPooling(_Regions):
    """R-FCN: bin (i, j) of output c averages channel (c group + i) group + j of its region."""

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        param = self.param.psroi_pooling_param
        return [(shapes[1][0], param.output_dim, param.group_size, param.group_size)]

    def forward(self, maps: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        param, kind = self.param.psroi_pooling_param, self.kind(maps)
        group, scale = param.group_size, kind(param.spatial_scale)
        pooled = []
        for item, *corners in self.rows(maps, regions):
            x1, y1 = (kind(_round(corner)) * scale for corner in corners[:2])
            x2, y2 = (kind(_round(corner) + 1) * scale for corner in corners[2:])
            rows = _bins(y1, max(y2 - y1, kind(0.1)), group, maps.shape[2])
            columns = _bins(x1, max(x2 - x1, kind(0.1)), group, maps.shape[3])
            plane = maps[int(item)].unflatten(0, (param.output_dim, group, group))
            parts = []
            for i, (top, bottom) in enumerate(rows):
                for j, (left, right) in enumerate(columns):
                    part = plane[:, i, j, top:bottom, left:right].flatten(1)
                    empty = part.shape[1] == 0
                    parts.append(part.new_zeros(part.shape[0]) if empty else part.mean(1))
            pooled.append(torch.stack(parts, 1).unflatten(1, (group, group)))
        return torch.stack(pooled)

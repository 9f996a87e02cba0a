"""Proposal: regions from the maps of a region proposal network (Faster R-CNN, PVANet)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from .layer import Layer, Result, Shape, layer


@layer("Proposal")
class Proposal(Layer):
    """Bottoms: scores (N, 2A, H, W), of which the last A channels count, deltas (N, 4A, H, W), and
    the images' height, width and scale (one row, or N). Tops: R x 5 regions (image, x1, y1, x2, y2)
    and their R scores, the best of each image that do not overlap. No gradient."""

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        most = shapes[0][0] * self.param.proposal_param.post_nms_topn
        return [(most, 5), (most,)]

    @torch.no_grad()
    def forward(self, scores: torch.Tensor, deltas: torch.Tensor, info: torch.Tensor) -> Result:
        rows = info.reshape(info.shape[0] if info.dim() > 1 else 1, -1)
        regions, found = [], []
        for image in range(scores.shape[0]):
            limits = rows[image if len(rows) > 1 else 0]
            boxes = self._boxes(deltas[image], limits)
            best, kept = self._kept(boxes, self._scores(scores[image], boxes, limits))
            regions.append(torch.cat([torch.full_like(kept[:, :1], image), kept], 1))
            found.append(best)
        return torch.cat(regions), torch.cat(found)

    def _anchors(self) -> list[tuple[float, float]]:
        """Half of (width - 1, height - 1) of each anchor."""
        param = self.param.proposal_param
        sizes = []
        for ratio in param.ratio:
            width = math.floor(math.sqrt(param.base_size**2 / ratio) + 0.5)
            height = math.floor(width * ratio + 0.5)
            sizes += [(0.5 * (width * s - 1), 0.5 * (height * s - 1)) for s in param.scale]
        return sizes

    def _boxes(self, deltas: torch.Tensor, limits: torch.Tensor) -> torch.Tensor:
        """The boxes (H W A, 4) of all anchors at all places, cut at the image's edges."""
        param = self.param.proposal_param
        half = deltas.new_tensor(self._anchors())
        height, width = deltas.shape[1:]
        y, x = torch.meshgrid(
            torch.arange(height).to(deltas), torch.arange(width).to(deltas), indexing="ij"
        )
        middle = param.feat_stride * torch.stack([x, y], -1) + 0.5 * (param.base_size - 1)
        size = 2 * half + 1
        centre = middle[:, :, None] - half + 0.5 * size  # of boxes that own their last pixels
        delta = deltas.reshape(len(half), 4, height, width).permute(2, 3, 0, 1)
        moved = delta[..., :2] * size + centre
        grown = 0.5 * (delta[..., 2:].exp() * size)
        boxes = torch.cat([moved - grown, moved + grown], -1).reshape(-1, 4)
        largest = torch.stack([limits[1], limits[0]] * 2) - 1
        return torch.nan_to_num(torch.minimum(boxes, largest), nan=0.0).clamp(min=0)

    def _scores(
        self, scores: torch.Tensor, boxes: torch.Tensor, limits: torch.Tensor
    ) -> torch.Tensor:
        """The scores in the boxes' order; 0 for NaN and for boxes that are too small."""
        least = self.param.proposal_param.min_size * torch.stack([limits[-1], limits[2]])
        kinds = scores.shape[0] // 2
        flat = scores[kinds:].permute(1, 2, 0).reshape(-1)
        enough = (boxes[:, 2:] - boxes[:, :2] + 1 >= least).all(1) & ~flat.isnan()
        return torch.where(enough, flat, torch.zeros_like(flat))

    def _kept(self, boxes: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(scores, boxes) of those that no better one overlaps, the best first."""
        param = self.param.proposal_param
        order = scores.argsort(descending=True, stable=True)[: param.pre_nms_topn]
        boxes, scores = boxes[order], scores[order]
        area = (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)
        free = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
        kept: list[int] = []
        for place in range(len(boxes)):
            if len(kept) == param.post_nms_topn:
                break
            if not free[place]:
                continue
            kept.append(place)
            low = torch.maximum(boxes[:, :2], boxes[place, :2])
            high = torch.minimum(boxes[:, 2:], boxes[place, 2:])
            both = (high - low + 1).clamp(min=0).prod(1)
            free &= ~(both / (area + area[place] - both) > param.nms_thresh)
        return scores[kept], boxes[kept]

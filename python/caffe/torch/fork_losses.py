"""Losses of other forks of Caffe (docs/forks.md), as the engine computes them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .layer import Layer, Result, Shape, axis_of, layer, product
from .losses import SoftmaxWithLoss, normalizer, with_value


def _huber(d: torch.Tensor, square: float = 1.0) -> torch.Tensor:
    size = d.abs()
    return torch.where(size < 1 / square, 0.5 * square * d.square(), size - 0.5 / square)


@layer("SmoothL1Loss")
class SmoothL1Loss(Layer):
    """Huber's loss of d = inside (a - b), with sigma, times outside, summed / items. Two to four
    bottoms: a, b, inside, outside."""

    def forward(self, a: torch.Tensor, b: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        d = (a - b) * weights[0].detach() if weights else a - b
        losses = _huber(d, self.param.smooth_l1_loss_param.sigma**2)
        if len(weights) == 2:
            losses = losses * weights[1].detach()
        return losses.sum() / max(1, a.shape[0])


@layer("SmoothL1LossOHEM")
class SmoothL1LossOHEM(Layer):
    """SmoothL1Loss with loss_param's divisor; a second top has the loss of each place."""

    def forward(self, a: torch.Tensor, b: torch.Tensor, *weights: torch.Tensor) -> Result:
        d = (a - b) * weights[0].detach() if weights else a - b
        losses = _huber(d).sum(1, keepdim=True)
        places = (a.shape[0], product(a.shape[2:]))
        total = losses.sum() / normalizer(self.param.loss_param, places, product(places))
        return (total, losses.detach())[: len(self.param.top)]


@layer("SoftmaxWithLossOHEM")
class SoftmaxWithLossOHEM(SoftmaxWithLoss):
    """SoftmaxWithLoss; a third top has -log p(label) of each place, 0 where it is ignored."""

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> Result:
        tops = super().forward(scores, labels)
        tops = (tops,) if torch.is_tensor(tops) else tops
        if len(self.param.top) < 3:
            return tops
        items, label, counted = self.items(scores.detach(), labels, self.param.softmax_param.axis)
        own = F.log_softmax(items, 1).gather(1, label[:, None])[:, 0]
        return (*tops, (-own * counted).reshape(labels.shape))


@layer("L1Loss")
class L1Loss(Layer):
    """NVCaffe's: the sum of |a - b| / items. FlowNet 2's (l1_loss_param, or one bottom): also by
    location, with a plateau; a NaN counts as 0."""

    def forward(self, a: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        flownet = self.param.HasField("l1_loss_param") or b is None
        flownet = flownet or self.param.dialect in ("flownet2", "synopsys")
        d = a if b is None else a - b
        if not flownet:
            return d.abs().sum() / max(1, a.shape[0])
        param = self.param.l1_loss_param
        missing = d.isnan()
        d = torch.where(missing, torch.zeros_like(d), d)
        if param.l2_per_location:
            sums = d.square().sum(1)
            if param.l2_prescale_by_channels:
                sums = sums / a.shape[1]
            flat = sums.detach() < param.plateau**2
            total = (torch.where(flat, torch.zeros_like(sums), sums) + param.epsilon).sqrt().sum()
        else:
            size = d.abs()
            total = torch.where(size.detach() < param.plateau, torch.zeros_like(size), size).sum()
        if not param.normalize_by_num_entries:
            return total / max(1, a.shape[0])
        by = (~missing).sum() / a.shape[1]
        return torch.where(by > 0, total / by.clamp(min=1 / a.shape[1]), torch.zeros_like(total))


@layer("TripletLoss")
class TripletLoss(Layer):
    """max(margin + |a - p|^2 - |a - n|^2, 0) of anchors, positives and negatives, / (2 items)."""

    def forward(self, a: torch.Tensor, p: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        near = (a - p).flatten(1).square().sum(1)
        far = (a - n).flatten(1).square().sum(1)
        terms = self.param.triplet_loss_param.margin + near - far
        terms = torch.where(terms < 1e-9, terms.detach().clamp(min=0), terms)
        return terms.sum() / (2 * max(1, a.shape[0]))


@layer("FocalLoss")
class FocalLoss(SoftmaxWithLoss):
    """-alpha (1 - p)^gamma log p of the label's probability p; in the dialect happynear and with
    type ONEADDP w^gamma log p, w = alpha - p or alpha + p, at least 0."""

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> Result:
        param = self.param.focal_loss_param
        axis = param.axis if param.HasField("axis") else self.param.softmax_param.axis
        items, label, counted = self.items(scores, labels, axis)
        logs = F.log_softmax(items, 1).gather(1, label[:, None])[:, 0]
        least = torch.log(torch.tensor(torch.finfo(torch.float32).tiny, dtype=logs.dtype))
        logs = with_value(logs, torch.maximum(logs, least.to(logs.device)))
        happynear = self.param.dialect == "happynear" or param.type == param.ONEADDP
        alpha = param.alpha if param.HasField("alpha") or happynear else 0.25
        if happynear:
            sign = 1 if param.type == param.ONEADDP else -1
            losses = (alpha + sign * logs.exp()).clamp(min=0) ** param.gamma * logs
        else:
            losses = alpha * (1 - logs.exp()).clamp(min=0) ** param.gamma * logs
        losses = -losses * counted
        total = losses.sum() / normalizer(self.param.loss_param, tuple(label.shape), counted.sum())
        if len(self.param.top) < 2:
            return total
        return total, torch.softmax(scores.detach(), axis_of(self, scores.dim(), axis))


@layer("CenterLoss")
class CenterLoss(Layer):
    """The sum of |x - centre of its class|^2 / (2 items). weight: the centres, whose gradient is
    the paper's rule, sum of (c - x) / (1 + items of the class), whatever the loss weight."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.center_loss_param
        features = product(shapes[0][axis_of(self, len(shapes[0]), param.axis) :])
        self.learn("weight", (param.num_output, features), param.center_filler)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        axis = axis_of(self, x.dim(), self.param.center_loss_param.axis)
        flat = x.reshape(product(x.shape[:axis]), -1)
        label = labels.detach().long().flatten()
        loss = (flat - self.weight.detach()[label]).square().sum() / (2 * max(1, len(flat)))
        if x.is_meta or not (torch.is_grad_enabled() and self.weight.requires_grad):
            return loss
        return _CentreRule.apply(loss, self.weight, flat.detach(), label)


class _CentreRule(torch.autograd.Function):
    """The loss as it is, and the rule's gradient for the centres."""

    @staticmethod
    def forward(ctx, loss, centres, x, label):  # noqa: ANN001, ANN205
        ctx.save_for_backward(centres, x, label)
        return loss.clone()

    @staticmethod
    def backward(ctx, gradient):  # noqa: ANN001, ANN205
        centres, x, label = ctx.saved_tensors
        count = torch.bincount(label, minlength=len(centres)).to(x.dtype)
        sums = torch.zeros_like(centres).index_add_(0, label, centres[label] - x)
        return gradient, sums / (1 + count)[:, None], None, None

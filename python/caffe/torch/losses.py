"""Losses. The tops are sums divided as loss_param says; loss weights are the net's business.

Labels and targets get no gradient. A value that Caffe bounds from below in the loss alone has the
gradient that Caffe gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from ..proto import caffe_pb2
from .layer import Layer, Result, Shape, axis_of, layer, product

_LEAST_PROBABILITY = 1e-20  # in losses that take probabilities
_LEAST_SOFTMAX = torch.finfo(torch.float32).tiny  # in SoftmaxWithLoss


def with_value(path: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A tensor of ``value`` whose gradient is that of ``path``."""
    return path + (value - path).detach()


def normalizer(param: caffe_pb2.LossParameter, shape: Shape, valid: torch.Tensor | int,
               unset: int | None = None) -> torch.Tensor | float:  # fmt: skip
    """What the sum over ``shape`` (items, places) is divided by; ``unset`` replaces the default."""
    mode = param.normalization
    if not param.HasField("normalization"):
        if param.HasField("normalize"):
            mode = param.VALID if param.normalize else param.BATCH_SIZE
        elif unset is not None:
            mode = unset
    if mode == param.VALID:
        return valid.clamp(min=1) if torch.is_tensor(valid) else max(1, valid)
    if mode == param.NONE:
        return 1.0
    return float(max(1, shape[0] if mode == param.BATCH_SIZE else product(shape)))


class _ClassLoss(Layer):
    """What losses by class share: items and their labels."""

    def items(
        self, scores: torch.Tensor, labels: torch.Tensor, axis: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores outer x classes x inner, labels and which count, both outer x inner.

        Raises ValueError for a label that is no class."""
        axis = axis_of(self, scores.dim(), axis)
        items = scores.reshape(product(scores.shape[:axis]), scores.shape[axis], -1)
        label = labels.detach().long().reshape(items.shape[0], items.shape[2])
        counted = torch.ones_like(label, dtype=torch.bool)
        if self.param.loss_param.HasField("ignore_label"):
            counted = label != self.param.loss_param.ignore_label
        wrong = counted & ((label < 0) | (label >= items.shape[1]))
        if not label.is_meta and bool(wrong.any()):
            raise ValueError(
                f"{self.where}label {int(label[wrong][0])} is out of range: there are "
                f"{items.shape[1]} classes"
            )
        return items, torch.where(counted, label, torch.zeros_like(label)), counted


@layer("SoftmaxWithLoss")
class SoftmaxWithLoss(_ClassLoss):
    """Minus the logarithm of the label's softmax; a second top has the probabilities."""

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> Result:
        axis = self.param.softmax_param.axis
        items, label, counted = self.items(scores, labels, axis)
        own = F.log_softmax(items, 1).gather(1, label[:, None])[:, 0]
        least = torch.log(torch.tensor(_LEAST_SOFTMAX, dtype=own.dtype, device=own.device))
        losses = -with_value(own, torch.maximum(own, least)) * counted
        total = losses.sum() / normalizer(self.param.loss_param, tuple(label.shape), counted.sum())
        if len(self.param.top) < 2:
            return total
        return total, torch.softmax(scores.detach(), axis_of(self, scores.dim(), axis))


@layer("InfogainLoss")
class InfogainLoss(_ClassLoss):
    """As SoftmaxWithLoss, with a row of the matrix H (a third bottom or the file ``source``) as the
    weights of all classes."""

    def build(self, shapes: Sequence[Shape]) -> None:
        if len(shapes) < 3:
            path = Path(self.param.infogain_loss_param.source)
            blob = caffe_pb2.BlobProto.FromString(path.read_bytes())
            gains = torch.tensor(list(blob.double_data or blob.data))
            self.register_buffer("gains", gains, persistent=False)

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        return [(), tuple(shapes[0])][: len(self.param.top)]

    def forward(
        self, scores: torch.Tensor, labels: torch.Tensor, gains: torch.Tensor | None = None
    ) -> Result:
        axis = self.param.infogain_loss_param.axis
        items, label, counted = self.items(scores, labels, axis)
        gains = (self.gains if gains is None else gains.detach()).to(scores.dtype)
        rows = gains.reshape(items.shape[1], items.shape[1])[label].movedim(-1, 1)
        logs = F.log_softmax(items, 1)
        least = torch.log(torch.tensor(_LEAST_PROBABILITY, dtype=logs.dtype, device=logs.device))
        losses = -(rows * with_value(logs, torch.maximum(logs, least))).sum(1) * counted
        total = losses.sum() / normalizer(self.param.loss_param, tuple(label.shape), counted.sum())
        if len(self.param.top) < 2:
            return total
        return total, torch.softmax(scores.detach(), axis_of(self, scores.dim(), axis))


@layer("MultinomialLogisticLoss")
class MultinomialLogisticLoss(_ClassLoss):
    """Minus the logarithm of the label's probability, which is the bottom; mean over the items."""

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        items, label, _ = self.items(scores.flatten(1), labels, 1)
        own = items.gather(1, label[:, None])
        bounded = with_value(own, own.clamp(min=_LEAST_PROBABILITY))
        return -torch.log(bounded).sum() / max(1, scores.shape[0])


@layer("HingeLoss")
class HingeLoss(_ClassLoss):
    """The mean over items of the sum of max(0, 1 - x) of the label and 1 + x of the others, or of
    their squares."""

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        items, label, _ = self.items(scores.flatten(1), labels, 1)
        scores = items[:, :, 0]
        sign = torch.ones_like(scores).scatter(1, label, -1)
        margins = F.relu(1 + sign * scores)
        if self.param.hinge_loss_param.norm == caffe_pb2.HingeLossParameter.L2:
            margins = margins.square()
        return margins.sum() / max(1, scores.shape[0])


@layer("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(Layer):
    """Cross entropy of sigmoid(x) and targets in [0, 1]; divided by the batch's size by default."""

    def forward(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        param = self.param.loss_param
        targets = targets.detach().reshape(scores.shape).to(scores.dtype)
        losses = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        counted = torch.ones_like(targets, dtype=torch.bool)
        if param.HasField("ignore_label"):
            counted = targets.trunc() != param.ignore_label
        shape = (scores.shape[0], product(scores.shape[1:]))
        by = normalizer(param, shape, counted.sum(), param.BATCH_SIZE)
        return (losses * counted).sum() / by


@layer("EuclideanLoss")
class EuclideanLoss(Layer):
    """The sum of squared differences / (2 items)."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b.reshape(a.shape)).square().sum() / (2 * max(1, a.shape[0]))


@layer("ContrastiveLoss")
class ContrastiveLoss(Layer):
    """For pairs: d^2 of similar ones, max(margin - d, 0)^2 of others, / (2 items). As in Caffe the
    gradient of the others divides by d + 1e-4; legacy_version has max(margin - d^2, 0)."""

    def forward(self, a: torch.Tensor, b: torch.Tensor, similar: torch.Tensor) -> torch.Tensor:
        param = self.param.contrastive_loss_param
        squared = (a - b.reshape(a.shape)).flatten(1).square().sum(1)
        if param.legacy_version:
            others = F.relu(param.margin - squared)
        else:
            distance = squared.detach().sqrt()
            gap = (param.margin - distance).clamp(min=0)
            others = with_value(-gap / (distance + 1e-4) * squared, gap.square())
        is_similar = similar.detach().reshape(-1).trunc() != 0
        return torch.where(is_similar, squared, others).sum() / (2 * max(1, a.shape[0]))

"""Losses of sequences without an alignment (docs/forks.md): CTCLoss, CtcLoss, WarpCTCLoss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .layer import Layer, Shape, layer
from .losses import with_value


class _CTC(Layer):
    """The mean over the items of -log of the sum over all alignments; as in the engine, the
    gradient is that of the sum over the items. Scores (T, N, C) are before the softmax; an item
    whose labels fit no alignment counts 0."""

    finite_alone = False  # whether the mean is over the items that have an alignment

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        return [()]

    def loss(
        self, scores: torch.Tensor, ends: list[int], labels: list[list[int]], blank: int
    ) -> torch.Tensor:
        """For items of ``ends`` steps with these labels."""
        arguments = (
            torch.log_softmax(scores.double(), 2),
            torch.tensor([label for each in labels for label in each], dtype=torch.long),
            torch.tensor(ends),
            torch.tensor([len(each) for each in labels]),
        )
        losses = F.ctc_loss(*arguments, blank, reduction="none", zero_infinity=True)
        count = len(ends)
        if self.finite_alone:
            with torch.no_grad():
                plain = F.ctc_loss(*arguments, blank, reduction="none")
            count = max(1, int(plain.isfinite().sum()))
        total = losses.sum()
        return with_value(total, total / count).to(scores.dtype)

    def checked(self, labels: list[list[int]], classes: int) -> list[list[int]]:
        """The labels. Raises ValueError for one that is no class."""
        for label in (label for each in labels for label in each):
            if label >= classes:
                raise ValueError(f"{self.where}label {label}: there are {classes} classes")
        return labels


def _until_negative(row: torch.Tensor) -> list[int]:
    values = [int(value) for value in row.tolist()]
    ends = [number for number, value in enumerate(values) if value < 0]
    return values[: ends[0]] if ends else values


@layer("CTCLoss")
class CTCLoss(_CTC):
    """Scores, indicators (T, N) and labels (L, N), which a negative value ends."""

    def forward(
        self, scores: torch.Tensor, indicators: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        param = self.param.ctc_loss_param
        if param.output_delay or not param.ctc_merge_repeated:
            raise ValueError(f"{self.where}output_delay and ctc_merge_repeated: false are not here")
        ends = []
        for column in indicators.detach().t().tolist():
            later = [step for step, value in enumerate(column) if step and value == 0]
            ends.append(later[0] if later else len(column))
        said = [_until_negative(column) for column in labels.detach().t()]
        if param.preprocess_collapse_repeated:
            said = [[x for i, x in enumerate(each) if not i or x != each[i - 1]] for each in said]
        classes = scores.shape[2]
        zero = self.param.dialect in ("caffe_ocr", "license_plate")
        blank = param.blank_index if param.HasField("blank_index") or not zero else 0
        return self.loss(scores, ends, self.checked(said, classes), blank % classes)


@layer("CtcLoss")
class CtcLoss(_CTC):
    """CRNN's: scores and labels (N, L), filled up with the blank, which is blank_label."""

    def blank(self) -> int:
        return self.param.ctc_loss_param.blank_label

    def forward(self, scores: torch.Tensor, *bottoms: torch.Tensor) -> torch.Tensor:
        if len(bottoms) != 1:
            raise ValueError(f"{self.where}takes scores and labels, two bottoms")
        classes = scores.shape[2]
        blank = self.blank() % classes
        said = [_until_negative(row) for row in bottoms[0].detach().flatten(1)]
        said = [[label for label in each if label != blank] for each in said]
        ends = [scores.shape[0]] * scores.shape[1]
        return self.loss(scores, ends, self.checked(said, classes), blank)


@layer("WarpCTCLoss")
class WarpCTCLoss(CtcLoss):
    """caffe_ocr's with two bottoms, scores and labels; items without an alignment do not count in
    the mean. The blank is blank_index, 0 by default."""

    finite_alone = True

    def blank(self) -> int:
        param = self.param.ctc_loss_param
        return param.blank_index if param.HasField("blank_index") else 0

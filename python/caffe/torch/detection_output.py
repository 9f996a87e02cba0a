"""SSD's DetectionOutput: from offsets, scores and priors to the objects that were found."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .layer import Layer, Shape, layer


@layer("DetectionOutput")
class DetectionOutput(Layer):
    """Rows of image, label, score, xmin, ymin, xmax, ymax: 1 x 1 x K x 7; a row of -1 for each
    image, after its number, if nothing is found. No gradient; nothing is written to files."""

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        return [(1, 1, 1, 7)]

    @torch.no_grad()
    def forward(
        self, offsets: torch.Tensor, scores: torch.Tensor, priors: torch.Tensor, *_: torch.Tensor
    ) -> torch.Tensor:
        param = self.param.detection_output_param
        boxes, variances = (part.reshape(-1, 4) for part in priors.reshape(2, -1))
        images, count = len(offsets), len(boxes)
        kinds = 1 if param.share_location else param.num_classes
        offsets = offsets.reshape(images, count, kinds, 4)
        scores = scores.reshape(images, count, param.num_classes)
        rows = []
        for image in range(images):
            rows += self._objects(image, offsets[image], scores[image], boxes, variances)
        if not rows:
            rows = [[image, *[-1.0] * 6] for image in range(images)]
        return torch.tensor(rows, dtype=scores.dtype, device=scores.device)[None, None]

    def _objects(
        self, image: int, offsets: torch.Tensor, scores: torch.Tensor, priors: torch.Tensor,
        variances: torch.Tensor,
    ) -> list[list[float]]:  # fmt: skip
        """The rows of one image: offsets P x L x 4, scores P x classes, priors P x 4."""
        param = self.param.detection_output_param
        found = []
        for label in range(param.num_classes):
            if label == param.background_label_id:
                continue
            part = offsets[:, 0 if param.share_location else label]
            boxes = self._decoded(part, priors, variances)
            for place in self._kept(boxes, scores[:, label]):
                found.append([image, label, float(scores[place, label]), *boxes[place].tolist()])
        if param.keep_top_k >= 0:
            best = sorted(range(len(found)), key=lambda i: -found[i][2])[: param.keep_top_k]
            found = [found[i] for i in sorted(best)]
        return found

    def _decoded(
        self, offsets: torch.Tensor, priors: torch.Tensor, variances: torch.Tensor
    ) -> torch.Tensor:
        param = self.param.detection_output_param
        if not param.variance_encoded_in_target:
            offsets = offsets * variances
        size = priors[:, 2:] - priors[:, :2]
        codes = type(self.param.prior_box_param)
        if param.code_type == codes.CENTER_SIZE:
            centre = offsets[:, :2] * size + (priors[:, :2] + priors[:, 2:]) / 2
            half = offsets[:, 2:].exp() * size / 2
            return torch.cat([centre - half, centre + half], 1)
        scale = size.repeat(1, 2) if param.code_type == codes.CORNER_SIZE else 1
        return priors + offsets * scale

    def _kept(self, boxes: torch.Tensor, scores: torch.Tensor) -> list[int]:
        """Places of the boxes that no better one overlaps, the best first."""
        param = self.param.detection_output_param
        nms = param.nms_param
        above = scores > param.confidence_threshold
        if not param.HasField("confidence_threshold"):
            above = ~scores.isnan()
        order = scores.masked_fill(~above, -torch.inf).argsort(descending=True, stable=True)
        order = order[: int(above.sum())]
        if nms.HasField("top_k") and nms.top_k >= 0:
            order = order[: nms.top_k]
        overlaps = _overlaps(boxes[order])
        threshold, kept = nms.nms_threshold, []
        for place in range(len(order)):
            if all(overlaps[place, other] <= threshold for other in kept):
                kept.append(place)
                if nms.eta < 1 and threshold > 0.5:
                    threshold *= nms.eta
        return order[kept].tolist()


def _overlaps(boxes: torch.Tensor) -> torch.Tensor:
    """Intersection over union of all pairs; an inverted box has no area."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    both = (high - low).clamp(min=0).prod(2)
    sides = boxes[:, 2:] - boxes[:, :2]
    area = torch.where((sides < 0).any(1), torch.zeros_like(sides[:, 0]), sides.prod(1))
    union = area[:, None] + area - both
    return torch.where(union > 0, both / union, torch.zeros_like(both))

"""Layers that put values elsewhere, take some of them, or join them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..proto import caffe_pb2
from .layer import Layer, Result, Shape, axis_of, layer, product


@layer("Split")
class Split(Layer):
    def forward(self, x: torch.Tensor) -> Result:
        return (x,) * len(self.param.top)


@layer("Silence")
class Silence(Layer):
    def forward(self, *bottoms: torch.Tensor) -> Result:
        return ()


@layer("Concat")
class Concat(Layer):
    def forward(self, *bottoms: torch.Tensor) -> torch.Tensor:
        param = self.param.concat_param
        axis = param.concat_dim if param.HasField("concat_dim") else param.axis
        return torch.cat(bottoms, axis_of(self, bottoms[0].dim(), axis))


@layer("Slice")
class Slice(Layer):
    """Cuts along ``axis``: at slice_point, or into parts of one length."""

    def forward(self, x: torch.Tensor) -> Result:
        param = self.param.slice_param
        axis = axis_of(
            self, x.dim(), param.slice_dim if param.HasField("slice_dim") else param.axis
        )
        tops = len(self.param.top)
        if param.slice_point:
            points = [0, *param.slice_point, x.shape[axis]]
            lengths = [end - begin for begin, end in zip(points, points[1:])]
        else:
            lengths = [x.shape[axis] // tops] * tops
        if len(lengths) != tops or sum(lengths) != x.shape[axis] or min(lengths) < 1:
            raise ValueError(
                f"{self.where}axis {axis} of {tuple(x.shape)} cannot be cut into {tops} tops of "
                f"{lengths}"
            )
        return tuple(x.split(lengths, axis))


@layer("Flatten")
class Flatten(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.flatten_param
        end = axis_of(self, x.dim(), param.end_axis)
        return x.flatten(axis_of(self, x.dim(), param.axis), end)


@layer("Reshape")
class Reshape(Layer):
    """dim 0 copies the bottom's length, -1 is computed; axis and num_axes bound what changes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.reshape_param
        begin = param.axis if param.axis >= 0 else x.dim() + param.axis + 1
        end = x.dim() if param.num_axes == -1 else begin + param.num_axes
        if not 0 <= begin <= end <= x.dim():
            raise ValueError(
                f"{self.where}axis {param.axis} and num_axes {param.num_axes} do not fit a bottom "
                f"of {x.dim()} axes"
            )
        dims = [x.shape[begin + i] if dim == 0 else dim for i, dim in enumerate(param.shape.dim)]
        return x.reshape(*x.shape[:begin], *dims, *x.shape[end:])


@layer("Crop")
class Crop(Layer):
    """The first bottom from ``offset`` on, in the size of the second from ``axis`` on."""

    def forward(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        param = self.param.crop_param
        begin = axis_of(self, x.dim(), param.axis)
        offsets = list(param.offset) or [0]
        if len(offsets) == 1:
            offsets *= x.dim() - begin
        for axis, offset in zip(range(begin, x.dim()), offsets):
            if offset + like.shape[axis] > x.shape[axis]:
                raise ValueError(
                    f"{self.where}axis {axis}: offset {offset} and length {like.shape[axis]} are "
                    f"more than the bottom's {x.shape[axis]}"
                )
            x = x.narrow(axis, offset, like.shape[axis])
        return x


@layer("Tile")
class Tile(Layer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.tile_param
        return torch.cat([x] * param.tiles, axis_of(self, x.dim(), param.axis))


@layer("Reduction")
class Reduction(Layer):
    """coeff times the SUM, ASUM, SUMSQ or MEAN over ``axis`` and all after it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.reduction_param
        axis = axis_of(self, x.dim(), param.axis) if x.dim() else 0
        rows = x.reshape(*x.shape[:axis], -1)
        if param.operation == param.ASUM:
            rows = rows.abs()
        elif param.operation == param.SUMSQ:
            rows = rows.square()
        total = rows.mean(-1) if param.operation == param.MEAN else rows.sum(-1)
        return param.coeff * total


@layer("Eltwise")
class Eltwise(Layer):
    """SUM with coefficients, PROD or MAX; of equal values the later of the first two bottoms has
    the gradient, as in Caffe."""

    def forward(self, *bottoms: torch.Tensor) -> torch.Tensor:
        param = self.param.eltwise_param
        if any(x.shape != bottoms[0].shape for x in bottoms):
            shapes = ", ".join(str(tuple(x.shape)) for x in bottoms)
            raise ValueError(f"{self.where}the bottoms must have one shape; they have {shapes}")
        coefficients = list(param.coeff) or [1.0] * len(bottoms)
        if len(coefficients) != len(bottoms):
            raise ValueError(f"{self.where}has {len(coefficients)} coeffs, {len(bottoms)} bottoms")
        y = bottoms[0]
        if param.operation == caffe_pb2.EltwiseParameter.SUM and param.coeff:
            y = coefficients[0] * y
        for number, x in enumerate(bottoms[1:], start=1):
            if param.operation == caffe_pb2.EltwiseParameter.PROD:
                y = y * x
            elif param.operation == caffe_pb2.EltwiseParameter.SUM:
                y = y + (coefficients[number] * x if param.coeff else x)
            else:
                y = torch.where((x >= y) if number == 1 else (x > y), x, y)
        return y


@layer("ArgMax")
class ArgMax(Layer):
    """The places of the top_k largest values, or (with ``axis``, out_max_val) the values; without
    an axis, of each item, and out_max_val gives places and values. Of equal values the later."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.argmax_param
        has_axis = param.HasField("axis")
        axis = axis_of(self, x.dim(), param.axis) if has_axis else 1
        rows = x if has_axis else x.flatten(1)
        values, back = rows.flip(axis).sort(dim=axis, descending=True, stable=True)
        places = (rows.shape[axis] - 1 - back).narrow(axis, 0, param.top_k).to(x.dtype)
        values = values.narrow(axis, 0, param.top_k)
        if has_axis:
            return values if param.out_max_val else places
        parts = [places, values] if param.out_max_val else [places]
        y = torch.stack(parts, 1)
        return y.reshape(*y.shape, *(1,) * max(0, x.dim() - 3))


@layer("BatchReindex")
class BatchReindex(Layer):
    """The items of the first bottom that the second one numbers."""

    def forward(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return x[index.flatten().long()]


@layer("Filter")
class Filter(Layer):
    """The items for which the last bottom, the selector, is not 0."""

    def forward(self, *bottoms: torch.Tensor) -> Result:
        kept = bottoms[-1].flatten().nonzero().flatten()
        return tuple(x[kept] for x in bottoms[:-1])

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        return list(shapes[:-1])


@layer("Accuracy")
class Accuracy(Layer):
    """The share of items whose label has one of the top_k largest scores; a second top has it for
    each class. A NaN counts as wrong."""

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> Result:
        param = self.param.accuracy_param
        axis = axis_of(self, scores.dim(), param.axis)
        classes = scores.shape[axis]
        items = scores.detach().reshape(product(scores.shape[:axis]), classes, -1)
        label = labels.long().reshape(items.shape[0], items.shape[2])
        kept = torch.ones_like(label, dtype=torch.bool)
        if param.HasField("ignore_label"):
            kept = label != param.ignore_label
        own = items.gather(1, label.clamp(0, classes - 1)[:, None])
        higher = (~(items < own)).sum(1) - 1
        right = (higher < param.top_k) & ~own[:, 0].isnan() & kept
        tops = [right.sum() / kept.sum().clamp(min=1)]
        if len(self.param.top) > 1:
            one_hot = label.flatten()[:, None] == torch.arange(classes, device=label.device)
            one_hot = one_hot & kept.flatten()[:, None]
            count = one_hot.sum(0)
            tops.append((one_hot & right.flatten()[:, None]).sum(0) / count.clamp(min=1))
        return tuple(top.to(scores.dtype) for top in tops)

"""A net as a module: the layers of a prototxt, by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ..proto import caffe_pb2
from .layer import Layer, Shape, make
from .netfile import read_net

# Layers that bring blobs in: the caller gives their tops to `forward`.
SOURCES = {
    "Input", "Data", "ImageData", "HDF5Data", "MemoryData", "WindowData", "DummyData",
    "AnnotatedData",
}  # fmt: skip


def module(
    prototxt: str | os.PathLike,
    weights: str | os.PathLike | None = None,
    phase: int = caffe_pb2.TEST,
    *,
    level: int = 0,
    stages: Iterable[str] = (),
    shapes: Mapping[str, Shape] | None = None,
) -> Net:
    """The net of a prototxt as a torch.nn.Module with the same names.

    weights: a .caffemodel or .safetensors; without it, the prototxt's fillers are used (PyTorch's
    generator draws). phase, level, stages: as for caffe.Net; in the phase TRAIN the module is in
    training mode. shapes: the shapes of the inputs, by blob; needed for the tops of data layers
    whose size the prototxt does not say, and used instead of those in the prototxt.

    Raises UnknownTypeError for a type of layer that there is not here, ValueError for a net that is
    not right, OSError for a file that cannot be read.
    """
    net = Net(read_net(prototxt, phase, level, stages), phase, shapes)
    if weights is not None:
        from .safetensors import load_safetensors
        from .weights import load_caffemodel

        is_safe = os.fspath(weights).endswith(".safetensors")
        (load_safetensors if is_safe else load_caffemodel)(net, weights)
    return net


class Net(nn.Module):
    """A net; `module` makes it.

    inputs: the names of the input blobs, in the order in which `forward` takes them. outputs: the
    names of the blobs that no layer reads. loss_weights: {blob: weight} of those that have one.
    The layers are children by their names, in which dots become underscores: the keys of
    `state_dict()` are conv1.weight, conv1.bias ... (docs/pytorch.md).
    """

    def __init__(
        self, net: Any, phase: int = caffe_pb2.TEST, shapes: Mapping[str, Shape] | None = None
    ) -> None:
        super().__init__()
        self.name = net.name
        self.inputs: list[str] = []
        self.loss_weights: dict[str, float] = {}
        self._layers: list[Any] = []  # LayerParameters, in order
        self._rates: dict[str, tuple[float, float]] = {}  # by the parameter's key
        self._shared: dict[str, tuple[nn.Parameter, str]] = {}
        self.training = phase == caffe_pb2.TRAIN
        self._known: dict[str, Shape] = {}
        given = dict(shapes or {})
        for param in net.layer:
            if param.type in SOURCES:
                self._add_source(param, given)
            else:
                self._add_layer(param)
        if given:
            raise ValueError(f"shapes for {', '.join(given)}: the net has no such input")
        self.outputs = self._unread()
        self._last_use = self._last_uses()

    # ---- making ---------------------------------------------------------------------------------

    def _add_source(self, param: Any, given: dict[str, Shape]) -> None:
        told = _source_shapes(param)
        for number, top in enumerate(param.top):
            shape = given.pop(top, None) or (told[number] if number < len(told) else None)
            if shape is None:
                raise ValueError(
                    f"layer {param.name} ({param.type}): the prototxt does not say the shape of "
                    f"{top}; give it: shapes={{{top!r}: (...)}}"
                )
            self.inputs.append(top)
            self._known[top] = tuple(shape)

    def _add_layer(self, param: Any) -> None:
        missing = [name for name in param.bottom if name not in self._known]
        made = make(param)
        if missing:
            raise ValueError(f"{made.where}no layer before it has the top {', '.join(missing)}")
        key = param.name.replace(".", "_")
        if key in self._modules:
            raise ValueError(f"{made.where}another layer has that name")
        made.train(self.training)
        shapes = [self._known[name] for name in param.bottom]
        made.build(shapes)
        tops = made.top_shapes(shapes)
        if len(tops) < len(param.top):
            raise ValueError(f"{made.where}has {len(param.top)} tops, and makes {len(tops)}")
        self._known.update(zip(param.top, tops))
        self._share(made)
        self._modules[key] = made  # not add_module: a layer may be called train or float
        self._layers.append(param)
        for number, top in enumerate(param.top):
            default = 1.0 if number == 0 and "Loss" in param.type else 0.0
            weight = param.loss_weight[number] if number < len(param.loss_weight) else (
                0.0 if param.loss_weight else default)  # fmt: skip
            if weight:
                self.loss_weights[top] = weight

    def _share(self, made: Layer) -> None:
        """Parameters of one name (`param { name: ... }`) are one parameter."""
        for number, blob in enumerate(made.blobs):
            spec = made.param.param[number] if number < len(made.param.param) else None
            own = made._parameters.get(blob)
            if own is None:
                continue
            if spec is not None and spec.name:
                first, owner = self._shared.setdefault(spec.name, (own, made.param.name))
                if first.numel() != own.numel() or (
                    first.shape != own.shape and spec.share_mode != spec.PERMISSIVE
                ):
                    raise ValueError(
                        f"{made.where}shares {spec.name!r} with layer {owner}, whose shape "
                        f"is {tuple(first.shape)}, not {tuple(own.shape)}"
                    )
                if first.shape != own.shape:
                    raise ValueError(f"{made.where}caffe.torch cannot share {spec.name!r} between "
                                     "two shapes")  # fmt: skip
                made._parameters[blob] = own = first
            if spec is not None:
                key = f"{made.param.name.replace('.', '_')}.{blob}"
                self._rates[key] = (spec.lr_mult, spec.decay_mult)

    def _unread(self) -> list[str]:
        available = dict.fromkeys(self.inputs)
        for param in self._layers:
            for bottom in param.bottom:
                available.pop(bottom, None)
            available.update(dict.fromkeys(param.top))
        return list(available)

    def _last_uses(self) -> dict[str, int]:
        return {name: number for number, param in enumerate(self._layers) for name in param.bottom}

    # ---- running --------------------------------------------------------------------------------

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers by their names in the prototxt, in its order; those of inputs are not here."""
        return dict(zip((param.name for param in self._layers), self._modules.values()))

    def forward(
        self, *arrays: Any, blobs: Iterable[str] = (), **named: Any
    ) -> dict[str, torch.Tensor]:
        """The outputs by blob, losses included.

        arrays, named: a tensor for each of `inputs`, in that order or by name, or one dict of them.
        blobs: names of blobs to return besides; a blob that layers work on in place has its value
        after the last of them. Inputs that only losses and measures read may be left out; then
        these layers do not run. Raises ValueError for inputs that are missing or unknown.
        """
        values = self._given(arrays, named)
        wanted = {*self.outputs, *self.loss_weights, *blobs}
        self._check_blobs(blobs)
        for number, (param, made) in enumerate(zip(self._layers, self._modules.values())):
            if any(name not in values for name in param.bottom):
                self._leave_out(param, values)
                continue
            tops = made(*self._bottoms(param, values))
            tops = (tops,) if torch.is_tensor(tops) else tops
            values.update(zip(param.top, tops))
            for name in set(param.bottom):
                if self._last_use[name] == number and name not in wanted:
                    values.pop(name, None)
        return {name: values[name] for name in self._order(wanted) if name in values}

    def loss(self, outputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sum of what `forward` returned, by loss weight. Raises ValueError without a loss."""
        parts = [
            weight * outputs[name].sum()
            for name, weight in self.loss_weights.items()
            if name in outputs
        ]
        if not parts:
            raise ValueError(f"net {self.name}: no loss among {', '.join(outputs) or 'nothing'}")
        return torch.stack(parts).sum()

    def parameter_groups(self, lr: float, weight_decay: float = 0) -> list[dict[str, Any]]:
        """Groups for an optimizer of torch.optim, by the lr_mult and decay_mult of parameters."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for key, parameter in self.named_parameters():  # a shared one under its first layer
            groups.setdefault(self._rates.get(key, (1.0, 1.0)), []).append(parameter)
        return [
            dict(params=members, lr=lr * rate, weight_decay=weight_decay * decay)
            for (rate, decay), members in groups.items()
        ]

    def _order(self, wanted: set[str]) -> list[str]:
        """Names in the order of the net, each once."""
        made = [*self.inputs, *(top for param in self._layers for top in param.top)]
        return [name for name in dict.fromkeys(made) if name in wanted]

    def _check_blobs(self, blobs: Iterable[str]) -> None:
        unknown = [name for name in blobs if name not in self._known]
        if unknown:
            raise ValueError(f"the net has no blob {unknown[0]!r}; it has {', '.join(self._known)}")

    def _given(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> dict[str, torch.Tensor]:
        if len(arrays) == 1 and isinstance(arrays[0], Mapping):
            arrays, named = (), {**arrays[0], **named}
        if len(arrays) > len(self.inputs):
            raise ValueError(f"{len(arrays)} inputs given, and the net has {len(self.inputs)}")
        given = {**dict(zip(self.inputs, arrays)), **named}
        unknown = [name for name in given if name not in self.inputs]
        if unknown:
            raise ValueError(
                f"the net has no input {unknown[0]!r}; it has {', '.join(self.inputs)}"
            )
        missing = [name for name in self.inputs if name not in given]
        needed = [
            name
            for name in missing
            for param in self._layers
            if name in param.bottom and not _may_be_left_out(param)
        ]
        if needed:
            raise ValueError(f"the input {needed[0]!r} is missing")
        return {name: torch.as_tensor(value) for name, value in given.items()}

    @staticmethod
    def _bottoms(param: Any, values: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        bottoms = [values[name] for name in param.bottom]
        for number, wanted in enumerate(param.propagate_down):
            if not wanted:
                bottoms[number] = bottoms[number].detach()
        return bottoms

    @staticmethod
    def _leave_out(param: Any, values: Mapping[str, torch.Tensor]) -> None:
        if not _may_be_left_out(param):
            missing = next(name for name in param.bottom if name not in values)
            raise ValueError(
                f"layer {param.name} ({param.type}): its bottom {missing!r} is missing"
            )


def _may_be_left_out(param: Any) -> bool:
    return "Loss" in param.type or param.type in ("Accuracy", "Silence")


def _source_shapes(param: Any) -> list[Shape]:
    """The shapes of a source's tops, as far as the prototxt says them."""
    if param.type == "Input":
        shapes = [tuple(shape.dim) for shape in param.input_param.shape]
        return shapes * len(param.top) if len(shapes) == 1 else shapes
    if param.type == "DummyData":
        dummy = param.dummy_data_param
        shapes = [tuple(shape.dim) for shape in dummy.shape] or list(
            zip(dummy.num, dummy.channels, dummy.height, dummy.width)
        )
        return shapes * len(param.top) if len(shapes) == 1 else shapes
    if param.type == "MemoryData":
        memory = param.memory_data_param
        batch = memory.batch_size
        return [(batch, memory.channels, memory.height, memory.width), (batch,)]
    crop = param.transform_param.crop_size
    sized = dict(Data="data_param", ImageData="image_data_param").get(param.type)
    if crop and sized:  # colour images, as crops of which they are trained on
        batch = getattr(param, sized).batch_size
        return [(batch, 3, crop, crop), (batch,)]
    return []

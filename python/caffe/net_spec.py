"""Nets written in Python.

A layer is a call of ``layers.TYPE``; it returns its top, or a tuple of tops for ``ntop=2`` and
more. A top that is assigned to a NetSpec gets the attribute's name:

    from caffe import NetSpec, layers as L, params as P

    n = NetSpec()
    n.data, n.label = L.Data(source="train_lmdb", backend=P.Data.LMDB, batch_size=64, ntop=2)
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.relu1 = L.ReLU(n.pool1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, param=[dict(lr_mult=1), dict(lr_mult=2)])
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    print(n.to_proto())

Keywords are fields of the layer's own message (``num_output`` of ``convolution_param`` for a
Convolution) or, if it has none of that name, of LayerParameter (``loss_weight``, ``include``,
``transform_param``). A message is written as a dict, a repeated field as a list; one value means
a list of one. ``name=`` overrides the layer's name. Layers without a name are called after their
type: Convolution1, Convolution2 ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .proto import caffe_pb2

_FIELDS = caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name


def param_name_dict() -> dict[str, str]:
    """The field of a type's own parameters, without _param: {"InnerProduct": "inner_product"}.

    Of several fields of one message, the one with the least number: norm_param, SSD's, for
    Normalize.
    """
    return {
        field.message_type.name[: -len("Parameter")]: field.name[: -len("_param")]
        for field in sorted(_FIELDS.values(), key=lambda field: -field.number)
        if field.name.endswith("_param") and field.message_type is not None
    }


_OWN_FIELD = {name: f"{stem}_param" for name, stem in param_name_dict().items()}


def _is_repeated(field: Any) -> bool:
    repeated = getattr(field, "is_repeated", None)  # protobuf 6; `label` is deprecated
    return field.label == field.LABEL_REPEATED if repeated is None else repeated


def _fill(message: Any, value: Any) -> None:
    """Write a dict, or copy a message, into a message."""
    if not isinstance(value, Mapping):
        message.CopyFrom(value)
        return
    message.SetInParent()
    for name, inner in value.items():
        assign_proto(message, name, inner)


def _number(field: Any, value: Any) -> Any:
    """An enum's value may be given by its name, a number by NumPy's or other types."""
    if field.enum_type is not None and isinstance(value, str):
        return field.enum_type.values_by_name[value].number
    return value.item() if hasattr(value, "item") else value


def _listed(value: Any) -> Any:
    """One value means a list of one."""
    if isinstance(value, (str, bytes, Mapping)):
        return [value]
    try:
        return list(value)
    except TypeError:
        return [value]


def assign_proto(proto: Any, name: str, val: Any) -> None:
    """Set a field of a message: a number or text, a dict for a message, a list for a repeated one.

    Raises AttributeError if the message has no such field, TypeError or ValueError if the value
    does not fit it.
    """
    field = proto.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise AttributeError(f"{proto.DESCRIPTOR.name} has no field {name!r}")
    if not _is_repeated(field):
        if field.message_type is None:
            setattr(proto, name, _number(field, val))
        else:
            _fill(getattr(proto, name), val)
        return
    for item in _listed(val):
        if field.message_type is None:
            getattr(proto, name).append(_number(field, item))
        else:
            _fill(getattr(proto, name).add(), item)


class Top:
    """The output number ``n`` of the layer ``fn``."""

    __slots__ = ("fn", "n")  # so that n.conv1.num_output = 3 is an error, not ignored

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> Any:
        """The net that computes this top: a NetParameter."""
        return to_proto(self)


class Function:
    """A layer: its type, the tops it reads, its parameters and how many tops it has."""

    __slots__ = ("type_name", "inputs", "params", "ntop", "in_place", "tops")

    def __init__(self, type_name: str, inputs: tuple[Any, ...], params: Mapping[str, Any]) -> None:
        for i, top in enumerate(inputs):
            if not isinstance(top, Top):
                raise TypeError(f"{type_name} input {i} is not a Top (type is {type(top)})")
        self.type_name = type_name
        self.inputs = inputs
        self.params = dict(params)
        self.ntop = self.params.pop("ntop", 1)
        self.in_place = self.params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def write_params(self, layer: Any) -> None:
        """Write the parameters into a LayerParameter."""
        own = _OWN_FIELD.get(self.type_name)
        own_fields = _FIELDS[own].message_type.fields_by_name if own else {}
        for name, value in self.params.items():
            if name in own_fields and not name.endswith("param"):
                assign_proto(getattr(layer, own), name, value)
            elif name in _FIELDS:
                assign_proto(layer, name, value)
            elif name in own_fields:  # nms_param of DetectionOutput
                assign_proto(getattr(layer, own), name, value)
            else:
                raise AttributeError(
                    f"{self.type_name} has no parameter {name!r}: neither LayerParameter nor "
                    f"{'its ' + own if own else 'a message of its own'} has such a field"
                )


class _Writer:
    """Writes LayerParameters, each after those it reads from."""

    def __init__(self, names: Mapping[Any, str]) -> None:
        self._names = dict(names)  # of tops, and of layers without tops
        self._taken = set(self._names.values())
        self._used: Counter[str] = Counter()  # automatic names by type
        self.layers: dict[Function, Any] = {}

    def add(self, fn: Function) -> None:
        waiting = [fn]  # not by recursion: nets are deeper than Python's stack
        while waiting:
            last = waiting[-1]
            missing = [top.fn for top in last.inputs if top.fn not in self.layers]
            if missing:
                waiting.extend(reversed(missing))
            else:
                waiting.pop()
                if last not in self.layers:
                    self._write(last)

    def _name(self, thing: Any, type_name: str) -> str:
        while thing not in self._names:
            self._used[type_name] += 1
            name = f"{type_name}{self._used[type_name]}"
            if name not in self._taken:
                self._names[thing] = name
        return self._names[thing]

    def _write(self, fn: Function) -> None:
        layer = caffe_pb2.LayerParameter()
        layer.type = fn.type_name
        layer.bottom.extend(self.layers[top.fn].top[top.n] for top in fn.inputs)
        names = [self._name(top, fn.type_name) for top in fn.tops[:1]]
        layer.name = names[0] if names else self._name(fn, fn.type_name)
        if fn.in_place:
            layer.top.extend(layer.bottom)
        else:
            layer.top.extend(names)
            layer.top.extend(self._name(top, fn.type_name) for top in fn.tops[1:])
        fn.write_params(layer)
        self.layers[fn] = layer

    def net(self) -> Any:
        net = caffe_pb2.NetParameter()
        net.layer.extend(self.layers.values())
        return net


def _function_of(value: Any) -> Function:
    return value.fn if isinstance(value, Top) else value


def to_proto(*tops: Top) -> Any:
    """The net that computes the tops: a NetParameter. Names are made from the layers' types."""
    writer = _Writer({})
    for top in tops:
        writer.add(_function_of(top))
    return writer.net()


class UnknownTop(AttributeError, KeyError):
    """A NetSpec has no top of this name: an AttributeError for hasattr, a KeyError as in BVLC's."""

    __str__ = Exception.__str__


class NetSpec:
    """Layers by name: a top that is assigned to an attribute, or an item, gets its name.

    ``n.to_proto()`` writes all of them and what they read, in the order of assignment.
    """

    tops: dict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", {})

    def __setattr__(self, name: str, value: Top | Function) -> None:
        if not isinstance(value, (Top, Function)):
            raise TypeError(
                f"{name} must be a layer's top, not {value!r}; a layer of several tops is assigned "
                "as n.a, n.b = L.Slice(n.x, ntop=2)"
            )
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["tops"][name]
        except KeyError:
            raise UnknownTop(f"the NetSpec has no top {name!r}") from None

    def __delattr__(self, name: str) -> None:
        try:
            del self.tops[name]
        except KeyError:
            raise UnknownTop(f"the NetSpec has no top {name!r}") from None

    def __setitem__(self, name: str, value: Top | Function) -> None:
        self.__setattr__(name, value)

    def __getitem__(self, name: str) -> Any:
        if name not in self.tops:
            raise UnknownTop(f"the NetSpec has no top {name!r}")
        return self.tops[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tops

    def __iter__(self) -> Iterator[str]:
        return iter(self.tops)

    def to_proto(self) -> Any:
        """The net: a NetParameter; ``str()`` of it is a prototxt."""
        writer = _Writer({top: name for name, top in self.tops.items()})
        for top in self.tops.values():
            writer.add(_function_of(top))
        return writer.net()


class Layers:
    """``layers.TYPE(*bottoms, **parameters)`` makes a layer of any type, known here or not."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def layer(*bottoms: Top, **params: Any) -> Any:
            fn = Function(name, bottoms, params)
            if fn.ntop == 0:
                return fn
            return fn.tops[0] if fn.ntop == 1 else fn.tops

        layer.__name__ = name
        return layer


class Parameters:
    """``params.Pooling.MAX``: the values of the enums in a layer's message."""

    def __getattr__(self, name: str) -> Any:
        message = getattr(caffe_pb2, name + "Parameter", None)
        if message is None and name in _OWN_FIELD:  # defined in another file: Elimination
            message = type(getattr(caffe_pb2.LayerParameter(), _OWN_FIELD[name]))
        if message is None:
            raise AttributeError(f"there is no message {name}Parameter")
        return message


layers = Layers()
params = Parameters()

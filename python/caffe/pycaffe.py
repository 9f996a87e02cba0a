"""The parts of Net and the other classes of ``_caffe`` that are written in Python.

The functions here become methods and properties of ``caffe.Net``; so nets that a solver makes have
them, too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from ._caffe import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    CaffeError,
    NesterovSolver,
    Net,
    RMSPropSolver,
    SGDSolver,
    Solver,
    Timer,
)
from .fixed import FixedDict, FixedList
from .proto import caffe_pb2
from .shapes import shape_text
from .solver_param import MessageView

__all__ = [
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "CaffeError",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
]

Arrays = Mapping[str, Any]
FIXED_LAYERS = "the layers of a net, their tops and bottoms cannot be changed: make another net"
FIXED_WEIGHTS = "loss weights cannot be changed in a net: they are set in the prototxt, loss_weight"


def _cached(net: Net, name: str, make: Any) -> Any:
    """Something that never changes in a net: made once and kept by the net."""
    found = net.__dict__.get(name)
    if found is None:
        found = net.__dict__[name] = make()
    return found


def _blobs(net: Net) -> OrderedDict[str, Any]:
    """The blobs by name, in the order of the layers that make them: {"data": Blob, ...}."""
    why = "net.blobs cannot be changed: write into a blob, net.blobs[name].data[...] = array"
    return _cached(net, "_blobs_dict", lambda: FixedDict(zip(net._blob_names, net._blobs), why))


def _blob_loss_weights(net: Net) -> OrderedDict[str, float]:
    """The loss weight of each blob, by name; 0 for most."""
    return FixedDict(zip(net._blob_names, net._blob_loss_weights), FIXED_WEIGHTS)


def _layer_dict(net: Net) -> OrderedDict[str, Any]:
    """The layers by name, first to last."""
    return _cached(
        net, "_layer_dict", lambda: FixedDict(zip(net._layer_names, net.layers), FIXED_LAYERS)
    )


def _params(net: Net) -> OrderedDict[str, Any]:
    """The parameters by layer: net.params["conv1"][0] is the blob of weights, [1] of biases."""
    why = "net.params cannot be changed: write into a blob, net.params[name][0].data[...] = array"

    def make() -> FixedDict:
        named = zip(net._layer_names, net.layers)
        return FixedDict(((name, layer.blobs) for name, layer in named if len(layer.blobs)), why)

    return _cached(net, "_params_dict", make)


def _inputs(net: Net) -> list[str]:
    """The names of the input blobs: tops of Input layers, and inputs that a net names itself.

    A change of the list changes what forward takes.
    """
    return _cached(net, "_input_list", lambda: [net._blob_names[i] for i in net._inputs])


def _outputs(net: Net) -> list[str]:
    """The names of the blobs that no layer reads.

    A change of the list changes what forward returns.
    """
    return _cached(net, "_output_list", lambda: [net._blob_names[i] for i in net._outputs])


def _names_by_layer(net: Net, ids: Any) -> OrderedDict[str, list[str]]:
    names = net._blob_names
    return FixedDict(
        (
            (layer, FixedList((names[i] for i in ids(number)), FIXED_LAYERS))
            for number, layer in enumerate(net._layer_names)
        ),
        FIXED_LAYERS,
    )


def _top_names(net: Net) -> OrderedDict[str, list[str]]:
    """The names of each layer's tops, by layer."""
    return _cached(net, "_top_names_dict", lambda: _names_by_layer(net, net._top_ids))


def _bottom_names(net: Net) -> OrderedDict[str, list[str]]:
    """The names of each layer's bottoms, by layer."""
    return _cached(net, "_bottom_names_dict", lambda: _names_by_layer(net, net._bottom_ids))


def _layer_index(net: Net, name: str) -> int:
    try:
        return net._layer_names.index(name)
    except ValueError:
        raise ValueError(f"the net has no layer {name!r}") from None


def _check_blobs(net: Net, names: Iterable[str]) -> None:
    """KeyError for a name that no blob has, before anything is computed."""
    for name in names:
        if name not in net.blobs:
            close = get_close_matches(name, net.blobs, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f": it has {', '.join(net.blobs)}"
            raise KeyError(f"the net has no blob {name!r}{hint}")


def _check_arguments(arrays: Arrays, expected: Iterable[str], what: str) -> None:
    if set(arrays) != set(expected):
        raise ValueError(
            f"{what} arguments do not match the net's: given {', '.join(arrays) or 'none'}, "
            f"wanted {', '.join(expected) or 'none'}"
        )


def _fill(net: Net, arrays: Arrays, expected: Iterable[str], what: str, attribute: str) -> None:
    """Copy arrays into the data, or the diff, of the blobs that they are named for."""
    _check_arguments(arrays, expected, what)
    for name, array in arrays.items():
        blob = net.blobs[name]
        rows, array = blob.shape[0] if blob.shape else None, np.asarray(array)
        if rows is not None and (array.ndim == 0 or len(array) != rows):
            raise ValueError(
                f"{what} {name!r} has the shape {shape_text(array.shape)}, the blob "
                f"{shape_text(blob.shape)}: it is not batch sized. Call "
                f"net.blobs[{name!r}].reshape(...) first, or forward_all"
            )
        getattr(blob, attribute)[...] = array


def _forward(
    net: Net,
    blobs: Iterable[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    **inputs: Any,
) -> dict[str, np.ndarray]:
    """Run the net forward.

    inputs: an array for each input blob (``data=images``), of the blob's shape; without any, the
    blobs keep their values, or data layers read new ones. blobs: names of blobs to return besides
    the outputs. start, end: names of the first and the last layer to run; with ``end``, its tops
    are returned instead of the net's outputs.

    Returns {name: array}; the arrays are views of the blobs, which the next forward overwrites.
    Raises ValueError for an unknown layer and for arrays that do not fit, KeyError for an unknown
    blob, CaffeError for an error in a layer.
    """
    wanted = set(blobs or [])
    first = 0 if start is None else _layer_index(net, start)
    if end is None:
        last = len(net._layer_names) - 1
        wanted.update(net.outputs)
    else:
        last = _layer_index(net, end)
        wanted.update(net.top_names[end])
    _check_blobs(net, wanted)
    if inputs:
        _fill(net, inputs, net.inputs, "input", "data")
    if last >= first:  # a net may have no layers at all
        net._forward(first, last)
    net._fetch([net.blobs[name] for name in wanted], gradients=False)
    return {name: net.blobs[name].data for name in wanted}


def _backward(
    net: Net,
    diffs: Iterable[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    **top_diffs: Any,
) -> dict[str, np.ndarray]:
    """Run the net backward.

    top_diffs: an array for each output blob, the gradient to begin with (``prob=gradient``);
    without any, the gradients are those of the loss layers, or the values in the outputs' diffs.
    diffs: names of blobs whose gradients to return besides those of the inputs. start, end: names
    of the layers to begin and to end with; with ``end``, the gradients of its bottoms are returned
    instead of those of the net's inputs.

    Returns {name: array}, views of the blobs' diffs. The gradients of the parameters are added to
    net.params[...][i].diff. Raises the same errors as forward.
    """
    wanted = set(diffs or [])
    first = len(net._layer_names) - 1 if start is None else _layer_index(net, start)
    if end is None:
        last = 0
        wanted.update(net.inputs)
    else:
        last = _layer_index(net, end)
        wanted.update(net.bottom_names[end])
    _check_blobs(net, wanted)
    if top_diffs:
        _fill(net, top_diffs, net.outputs, "top diff", "diff")
    if first >= last:
        net._backward(first, last)
    net._fetch([net.blobs[name] for name in wanted], gradients=True)
    return {name: net.blobs[name].diff for name in wanted}


def _batch(net: Net, arrays: Arrays) -> Iterator[dict[str, np.ndarray]]:
    """Cut arrays into batches of the net's size; the last is padded with zeros."""
    if not arrays:
        raise ValueError("an array is needed for each of: " + ", ".join(net.inputs))
    lengths = {name: len(array) for name, array in arrays.items()}
    count = next(iter(lengths.values()))
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the arrays have different lengths: {lengths}")
    size = net.blobs[next(iter(arrays))].shape[0]
    for begin in range(0, count, size):
        batch = {}
        for name, array in arrays.items():
            part = np.asarray(array[begin : begin + size])
            padding = np.zeros((size - len(part), *part.shape[1:]), part.dtype)
            batch[name] = np.concatenate([part, padding]) if len(padding) else part
        yield batch


class _Rows:
    """The results of several batches, by name."""

    def __init__(self, net: Net, names: Iterable[str]) -> None:
        self.parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        self.net = net

    def add(self, arrays: dict[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            self.parts[name].append(np.array(array, copy=True))

    def joined(self, count: int) -> dict[str, np.ndarray]:
        if count == 0:
            return {
                name: np.zeros((0, *self.net.blobs[name].shape[1:]), np.float32)
                for name in self.parts
            }
        return {name: np.concatenate(parts)[:count] for name, parts in self.parts.items()}


def _forward_all(
    net: Net, blobs: Iterable[str] | None = None, **inputs: Any
) -> dict[str, np.ndarray]:
    """Run any number of inputs forward, one batch at a time.

    inputs: for each input blob an array, or a list of arrays, of any length N. blobs: as in
    forward. Returns {name: array of N rows}, copies. Raises the same errors as forward.
    """
    blobs = list(blobs or [])
    values = _Rows(net, {*blobs, *net.outputs})
    _check_blobs(net, values.parts)
    if inputs:
        _check_arguments(inputs, net.inputs, "input")
    for batch in _batch(net, inputs):
        values.add(net.forward(blobs=blobs, **batch))
    return values.joined(len(next(iter(inputs.values()))))


def _forward_backward_all(
    net: Net,
    blobs: Iterable[str] | None = None,
    diffs: Iterable[str] | None = None,
    **arrays: Any,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Run any number of inputs forward and backward, one batch at a time.

    arrays: for each input blob, and for each output blob its gradient, an array of any length N.
    blobs, diffs: as in forward and backward. Returns two dicts, of values and of gradients, of N
    rows, copies. Raises the same errors as forward.
    """
    blobs, diffs = list(blobs or []), list(diffs or [])
    values = _Rows(net, {*blobs, *net.outputs})
    gradients = _Rows(net, {*diffs, *net.inputs})
    _check_blobs(net, [*values.parts, *gradients.parts, *arrays])
    for batch in _batch(net, arrays):
        inputs = {name: array for name, array in batch.items() if name in net.inputs}
        tops = {name: array for name, array in batch.items() if name not in net.inputs}
        values.add(net.forward(blobs=blobs, **inputs))
        gradients.add(net.backward(diffs=diffs, **tops))
    count = len(next(iter(arrays.values())))
    return values.joined(count), gradients.joined(count)


def _set_input_arrays(net: Net, data: np.ndarray, labels: np.ndarray) -> None:
    """Let the net's first layer, which must be of type MemoryData, read from arrays.

    data: float32, N x channels x height x width, C-contiguous, N a multiple of the batch size.
    labels: float32, N values. They are read at each forward, so later changes take effect.
    Raises CaffeError when the first layer or an array has the wrong type.
    """
    if np.ndim(labels) == 1:
        labels = np.ascontiguousarray(np.asarray(labels)[:, np.newaxis, np.newaxis, np.newaxis])
    net._set_input_arrays(data, labels)


def _fixed(listed: property, why: str) -> property:
    """The same property, but a change of its list, which is a copy, is an error."""
    return property(lambda owner: FixedList(listed.fget(owner), why), doc=listed.__doc__)


def _param(solver: Solver) -> Any:
    """The settings of the prototxt, as a SolverParameter.

    A change takes effect at once: solver.param.base_lr = 0.01. Raises AttributeError for a setting
    that a solver reads only when it is made (net, type, random_seed ...), CaffeError for one with
    which it could not continue; then nothing is changed. copy.copy(solver.param) is a message of
    one's own.
    """
    return MessageView(solver)


def _nameable(name: property) -> property:
    """Net.name, which programs set: in BVLC Caffe it is an attribute like any other."""

    def get(net: Net) -> str:
        return net.__dict__.get("_own_name", name.fget(net))

    def set_name(net: Net, value: str) -> None:
        net.__dict__["_own_name"] = value

    return property(get, set_name, doc="The name in the prototxt, or the one it was given since.")


def _refuse_settings(cls: type, message: Any, where: str) -> None:
    """Let an assignment to an attribute that is named like a setting of the prototxt be an error.

    Objects of the class itself take other attributes, and those of derived classes take any.
    """
    settings = set(message.DESCRIPTOR.fields_by_name)

    def set_attribute(self: Any, name: str, value: Any) -> None:
        own = type(self).__module__ == cls.__module__ and not hasattr(type(self), name)
        if own and name in settings:
            raise AttributeError(f"{name} is a setting of the prototxt: {where.format(name)}")
        object.__setattr__(self, name, value)

    cls.__setattr__ = set_attribute


_refuse_settings(Net, caffe_pb2.NetParameter, "change it there, and make another net")
_refuse_settings(Solver, caffe_pb2.SolverParameter, "write solver.param.{} instead")
Net.name = _nameable(vars(Net)["name"])
Solver.param = property(_param)
Solver.test_nets = _fixed(Solver.test_nets, "the test nets of a solver are those of its prototxt")
for _name in ("layers", "_layer_names", "_blob_names", "_blobs", "_inputs", "_outputs"):
    setattr(Net, _name, _fixed(vars(Net)[_name], FIXED_LAYERS))
Net._blob_loss_weights = _fixed(Net._blob_loss_weights, FIXED_WEIGHTS)
Net.__doc__ = """A net.

    net = caffe.Net("deploy.prototxt", caffe.TEST, weights="net.caffemodel")
    net.blobs["data"].data[...] = images      # or net.forward(data=images)
    scores = net.forward()["prob"]

Net(network_file, phase, level=0, stages=None, weights=None): files are str or path-like.
Only one thread at a time can use a net: a call from a second thread waits.
"""
Net.blobs = property(_blobs)
Net.blob_loss_weights = property(_blob_loss_weights)
Net.layer_dict = property(_layer_dict)
Net.params = property(_params)
Net.inputs = property(_inputs)
Net.outputs = property(_outputs)
Net.top_names = property(_top_names)
Net.bottom_names = property(_bottom_names)
Net.forward = _forward
Net.backward = _backward
Net.forward_all = _forward_all
Net.forward_backward_all = _forward_backward_all
Net.set_input_arrays = _set_input_arrays
Net._batch = _batch

"""What a caffemodel holds, found without loading it, and how much of it a net would take.

Caffe copies weights by layer name, skips the rest without a word and aborts the process where a
shape differs. Here both are known beforehand. A file is read as what it is on disk, a protobuf
message (a sequence of tag, length, value): only names, types and shapes are looked at and the
numbers are stepped over, so the published 244 MB AlexNet takes milliseconds and a file that was
cut short is noticed wherever the cut is.
"""

import dataclasses
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from google.protobuf.message import Message

from maap.errors import MaapError
from maap.nets import layer_types
from maap.util.files import cannot_read
from maap.util.schema import LayerParameter, NetParameter, caffe_pb2
from maap.util.wire import BYTES, VARINT, WireError, fields, varint

# Fields of NetParameter that only other forks of Caffe have (NVIDIA's, Intel's, Cambricon's).
_FORKS_OF_NET = frozenset((*range(9, 21), 101, 102, 103))
# BlobProto of NVIDIA's Caffe: values as raw bytes of DOUBLE, FLOAT or FLOAT16.
_RAW_TYPE, _RAW_DATA = 10, 12
_RAW_BYTES = {0: 8, 1: 4, 2: 2}
_PARTIAL = 0.5  # a net that takes less than this share of its layers from a file is another net


@dataclass
class StoredLayer:
    """One layer of a caffemodel: its blobs' shapes as stored (old files: always four numbers)."""

    name: str = ""
    shapes: list[tuple[int, ...]] = dataclasses.field(default_factory=list)


def stored_layers(path: Union[str, Path]) -> list[StoredLayer]:
    """The layers of a caffemodel, in its order, those without weights included.

    Raises MaapError naming the file: missing, not a caffemodel, HDF5, or cut short.
    """
    path = Path(path)
    layers: list[StoredLayer] = []
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise MaapError(f"{path}: empty; copy or download it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _read_net(data, layers)
                start = bytes(data[:8])
    except OSError as error:
        raise cannot_read(path, error, ".caffemodel") from None
    except WireError as error:
        raise MaapError(_not_weights(path, layers, error)) from None
    if not any(layer.shapes for layer in layers):
        raise MaapError(f"{path}: no layer with weights in it (it starts {start!r})")
    return layers


def check_weights(
    net: NetParameter, caffemodel: Union[str, Path], allow_partial: bool = False
) -> dict[str, list[str]]:
    """Which layers of ``net`` (a NetParameter) would start from ``caffemodel``, by name.

    Returns lists of layer names: matched, missing (in the net, with weights, but not in the file)
    and unused (in the file, with weights, but not in the net). Raises MaapError for a file that is
    no caffemodel, for a layer whose shape differs (Caffe would abort), and, unless
    ``allow_partial``, when less than half of the net's layers match (another network's weights) or
    a layer of a type that maap does not know is not in the file.
    """
    path = Path(caffemodel)
    listed = {layer.name: layer for layer in stored_layers(path)}
    stored = {name: layer for name, layer in listed.items() if layer.shapes}
    wanted = {
        layer.name: layer for layer in net.layer if _wants_weights(layer, listed, allow_partial)
    }
    matched = [name for name in wanted if name in stored]
    missing = [name for name in wanted if name not in stored]
    unused = [name for name in stored if name not in wanted]
    differences = {n: d for n in matched if (d := _shape_difference(wanted[n], stored[n]))}
    fitting = [name for name in matched if name not in differences]
    if len(fitting) < _PARTIAL * len(wanted) and not allow_partial:
        shapes = "; ".join(f"{name}: {text}" for name, text in list(differences.items())[:2])
        raise MaapError(
            f"{path}: weights of another network: of {net.name}'s {len(wanted)} layers "
            f"{len(fitting)} are in it ({_list(fitting)}), {len(missing)} are not "
            f"({_list(missing)})"
            + (f", {len(differences)} of another shape ({shapes})" if differences else "")
            + f"; its other layers: {_list(unused)}; --allow-partial takes it nevertheless"
        )
    for name, difference in differences.items():
        raise MaapError(
            f"{path}: layer {name}: {difference}; rename the layer in the net to start it "
            "from its filler, or give the weights of this network"
        )
    return dict(matched=matched, missing=missing, unused=unused)


def has_weights(layer: LayerParameter) -> bool:
    """Whether a layer holds blobs that a caffemodel stores.

    Raises MaapError when only the layer itself knows (a Python layer, a type of somebody's own).
    """
    return layer_types.blob_count(layer) > 0


def _wants_weights(
    layer: LayerParameter, listed: dict[str, StoredLayer], allow_partial: bool
) -> bool:
    """`has_weights`, asked of the file where only the layer itself knows: a caffemodel lists all
    layers of its net, those without blobs too."""
    try:
        return has_weights(layer)
    except MaapError as error:
        if layer.name in listed:
            return bool(listed[layer.name].shapes)
        if allow_partial:
            return True
        raise MaapError(
            f"{error}, and the weights have no layer of that name; --allow-partial takes them "
            "nevertheless"
        ) from None


def _shape_difference(wanted: LayerParameter, stored: StoredLayer) -> Optional[str]:
    """What the net's layer says of its shape that the file contradicts; None if nothing."""
    if wanted.type == "Convolution":
        param, weights = wanted.convolution_param, stored.shapes[0][-4:]
    elif wanted.type == "InnerProduct":
        param, weights = wanted.inner_product_param, stored.shapes[0][-2:]
    else:
        return None
    blobs = 2 if param.bias_term else 1
    if len(stored.shapes) != blobs:
        return f"the net's has {blobs} blobs, the file's {len(stored.shapes)}"
    if weights[0] != param.num_output and not wanted.inner_product_param.transpose:
        return f"the net's has {param.num_output} outputs, the file's {weights[0]}"
    if wanted.type == "Convolution" and len(param.kernel_size) == 1:
        size = param.kernel_size[0]
        if weights[2:] != (size, size):
            found = "x".join(map(str, weights[2:]))
            return f"the net's kernel is {size}x{size}, the file's {found}"
    return None


def _list(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _not_weights(path: Path, layers: list[StoredLayer], error: WireError) -> str:
    with path.open("rb") as file:
        start = file.read(24)
    if start.startswith(b"\x89HDF"):
        return f"{path}: HDF5 weights; save them as a .caffemodel (snapshot_format: BINARYPROTO)"
    if any(layer.shapes for layer in layers):
        return (
            f"{path}: damaged or cut short after {path.stat().st_size:,} bytes, layer "
            f"{layers[-1].name or '?'} ({error}); copy or download it again"
        )
    return f"{path}: not a caffemodel: it starts {start!r} ({error})"


# ---- the messages on disk -----------------------------------------------------------------------


def _numbers(message: type[Message], *names: str) -> tuple[int, ...]:
    return tuple(message.DESCRIPTOR.fields_by_name[name].number for name in names)


def _read_net(data: mmap.mmap, layers: list[StoredLayer]) -> None:
    """Append the layers one by one, so that those before a damaged place are known."""
    layer, v1 = _numbers(caffe_pb2.NetParameter, "layer", "layers")
    known = {*caffe_pb2.NetParameter.DESCRIPTOR.fields_by_number, *_FORKS_OF_NET}
    for field in fields(data, 0, len(data)):
        if field.number not in known:
            raise WireError(f"a network has no field {field.number}")
        if field.number in (layer, v1):
            layers.append(StoredLayer())
            old = field.number == v1
            message = caffe_pb2.V1LayerParameter if old else caffe_pb2.LayerParameter
            _read_layer(data, field.span(), message, layers[-1])


def _read_layer(
    data: mmap.mmap, span: tuple[int, int], message: type[Message], into: StoredLayer
) -> None:
    name, blobs = _numbers(message, "name", "blobs")
    for field in fields(data, *span):
        if field.number == name:
            start, end = field.span()
            into.name = bytes(data[start:end]).decode("utf-8", "replace")
        elif field.number == blobs:
            into.shapes.append(_read_shape(data, field.span()))


def _read_shape(data: mmap.mmap, span: tuple[int, int]) -> tuple[int, ...]:
    """A BlobProto's shape, its count checked against the number of bytes of its values."""
    legacy = _numbers(caffe_pb2.BlobProto, "num", "channels", "height", "width")
    shape, single, double = _numbers(caffe_pb2.BlobProto, "shape", "data", "double_data")
    old: dict[int, int] = {}
    dims: Optional[tuple[int, ...]] = None
    count = raw = 0
    raw_type = 1
    for field in fields(data, *span):
        if field.number in legacy and field.kind == VARINT:
            old[field.number] = field.value
        elif field.number == shape:
            dims = _read_dims(data, field.span())
        elif field.number in (single, double):
            size = 4 if field.number == single else 8
            count += (field.end - field.start) // size  # packed, or one value a field
        elif field.number == _RAW_TYPE and field.kind == VARINT:
            raw_type = field.value
        elif field.number == _RAW_DATA and field.kind == BYTES:
            raw = field.end - field.start
    if raw and not count:
        count = raw // _RAW_BYTES.get(raw_type, 4)
    found = dims if dims is not None else tuple(old.get(number, 0) for number in legacy)
    expected = 1
    for dim in found:
        expected *= dim
    if count != expected:
        raise WireError(f"a blob of shape {'x'.join(map(str, found))} holds {count} values")
    return found


def _read_dims(data: mmap.mmap, span: tuple[int, int]) -> tuple[int, ...]:
    dims: list[int] = []
    for field in fields(data, *span):
        if field.kind == VARINT:
            dims.append(field.value)
            continue
        at, end = field.span()
        while at < end:
            dim, at = varint(data, at, end)
            dims.append(dim)
    return tuple(dims)

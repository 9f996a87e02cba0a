"""Weights files of exactly the published layouts, with made-up numbers in them.

The published files themselves are hundreds of megabytes from elsewhere; what a loader can trip
over is their layout, and that is known to the byte: written out, it has the published size.

    alexnet     V1 (``layers``), the training net of May 2014, blobs with four legacy dimensions
    vgg19       V1, the deploy net with ``input: "data"`` and no dimensions, legacy blobs
    resnet152   V2 (``layer``), ``input: "data"`` and no shape, 50 Split layers, phase TEST in all

A file is streamed: a layer's message without its blobs, then each blob's bytes.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import net_facts
import numpy as np
from maap.util.schema import caffe_pb2

V1 = caffe_pb2.V1LayerParameter
_V1_TYPES = dict(
    Data="DATA",
    Convolution="CONVOLUTION",
    ReLU="RELU",
    LRN="LRN",
    Pooling="POOLING",
    InnerProduct="INNER_PRODUCT",
    Dropout="DROPOUT",
    Softmax="SOFTMAX",
    SoftmaxWithLoss="SOFTMAX_LOSS",
)
_BLOBS = {V1: 6, caffe_pb2.LayerParameter: 7}  # the field's number
Shape = tuple[int, ...]


@cache
def _random() -> np.ndarray:
    return np.random.RandomState(5).standard_normal(1 << 16).astype("<f4")


def values(layer: str, blob: int, count: int) -> np.ndarray:
    """The (count,) float32 values of blob number ``blob`` of ``layer``."""
    start = (sum(map(ord, layer)) * 31 + blob * 101) % 60000
    return np.resize(np.roll(_random(), -start), count)


def layers(net: str) -> list[tuple[Any, list[Shape]]]:
    """(the layer's message without blobs, its blobs' shapes) of a published file, in order."""
    return {"alexnet": _alexnet, "vgg19": _vgg19, "resnet152": _resnet152}[net]()


def write(net: str, path: Path) -> Path:
    """Write the file; returns ``path``."""
    with path.open("wb") as file:
        for part in _parts(net):
            file.write(part() if callable(part) else part)
    return path


def size(net: str) -> int:
    """The file's bytes, without making them."""
    return sum(part.size if callable(part) else len(part) for part in _parts(net))


class _Values:
    """A blob's values, made when they are written."""

    def __init__(self, layer: str, blob: int, count: int) -> None:
        self.of, self.size = (layer, blob, count), 4 * count

    def __call__(self) -> bytes:
        return values(*self.of).tobytes()


def _parts(net: str) -> Iterator[Any]:
    heads = dict(
        alexnet=caffe_pb2.NetParameter(name="AlexNet"),
        vgg19=caffe_pb2.NetParameter(name="VGG_ILSVRC_19_layers", input=["data"]),
        resnet152=caffe_pb2.NetParameter(name="ResNet-152", input=["data"]),
    )
    yield heads[net].SerializeToString()
    for message, shapes in layers(net):
        old = isinstance(message, V1)
        blobs = [_blob(message.name, i, shape, old) for i, shape in enumerate(shapes)]
        field = _BLOBS[type(message)]
        framed = [
            part
            for head, data in blobs
            for part in (_tag(field) + _varint(len(head) + data.size) + head, data)
        ]
        text = message.SerializeToString()
        length = len(text) + sum(p.size if callable(p) else len(p) for p in framed)
        yield _tag(2 if old else 100) + _varint(length) + text
        yield from framed


def _blob(layer: str, number: int, shape: Shape, old: bool) -> tuple[bytes, _Values]:
    """A BlobProto up to its values, and those: packed floats in field 5."""
    count = int(np.prod(shape))
    blob = caffe_pb2.BlobProto()
    if old:
        four = (1,) * (4 - len(shape)) + shape
        blob.num, blob.channels, blob.height, blob.width = four
    else:
        blob.shape.dim.extend(shape)
    return blob.SerializeToString() + _tag(5) + _varint(4 * count), _Values(layer, number, count)


def _tag(field: int) -> bytes:
    return _varint(field << 3 | 2)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


# ---- the three layouts --------------------------------------------------------------------------


def _shapes(row: dict[str, str]) -> list[Shape]:
    texts = row["blob_shapes"].split(";") if row["blob_shapes"] else []
    return [tuple(map(int, text.split("x"))) for text in texts]


def _words(text: str) -> list[str]:
    return text.split(",") if text else []


def _v1(row: dict[str, str]) -> Any:
    """A row of the facts as V1 stores it, without fillers and rates."""
    kind = row["type"]
    layer = V1(name=row["name"], bottom=_words(row["bottoms"]))
    layer.type = V1.LayerType.Value(_V1_TYPES[kind])
    if kind != "SoftmaxWithLoss":
        layer.top.extend(_words(row["tops"]))
    if kind == "Convolution":
        param = layer.convolution_param
        param.num_output = int(row["num_output"])
        param.kernel_size.append(int(row["kernel"]))
        if row["stride"] != "1":
            param.stride.append(int(row["stride"]))
        if row["pad"] != "0":
            param.pad.append(int(row["pad"]))
        if row["group"] != "1":
            param.group = int(row["group"])
    elif kind == "InnerProduct":
        layer.inner_product_param.num_output = int(row["num_output"])
    elif kind == "Pooling":
        _pool(layer.pooling_param, row)
    elif kind == "LRN":
        layer.lrn_param.local_size = int(row["lrn_local_size"])
        layer.lrn_param.alpha, layer.lrn_param.beta = (
            float(row["lrn_alpha"]),
            float(row["lrn_beta"]),
        )
    elif kind == "Dropout":
        layer.dropout_param.dropout_ratio = float(row["dropout_ratio"])
    return layer


def _pool(param: Any, row: dict[str, str]) -> None:
    param.pool = caffe_pb2.PoolingParameter.PoolMethod.Value(row["pool"])
    param.kernel_size, param.stride = int(row["kernel"]), int(row["stride"])


def _fill(filler: Any, text: str) -> None:
    """ "gaussian(mean=0,std=0.01)" as a file of 2014 has it: without a mean of zero."""
    filler.type, rest = text.rstrip(")").split("(")
    for key, value in (each.split("=") for each in rest.split(",")):
        if key != "mean":
            setattr(filler, key, float(value))


def _alexnet() -> list[tuple[Any, list[Shape]]]:
    made = []
    for row in net_facts.rows("alexnet"):
        if "train" not in row["net"].split(","):
            continue
        layer = _v1(row)
        if row["type"] == "Data":  # the transformations are in data_param's old fields
            data = layer.data_param
            data.source, data.batch_size = "ilsvrc12_train_leveldb", 256
            data.mean_file = "../../data/ilsvrc12/imagenet_mean.binaryproto"
            data.crop_size, data.mirror = 227, True
        if row["weight_filler"]:
            conv = row["type"] == "Convolution"
            param = layer.convolution_param if conv else layer.inner_product_param
            _fill(param.weight_filler, row["weight_filler"])
            _fill(param.bias_filler, row["bias_filler"])
            layer.blobs_lr.extend([1, 2])
            layer.weight_decay.extend([1, 0])
        made.append((layer, _shapes(row)))
    return made


def _vgg19() -> list[tuple[Any, list[Shape]]]:
    rows = [row for row in net_facts.rows("vgg19") if row["type"] != "Input"]
    return [(_v1(row), _shapes(row)) for row in rows]


def _resnet152() -> list[tuple[Any, list[Shape]]]:
    splits = {row["placed_after"]: row for row in net_facts.rows("resnet152_splits")}
    waiting: dict[str, list[str]] = {}  # blob -> the split's tops not yet taken
    made: list[tuple[Any, list[Shape]]] = []
    for row in net_facts.rows("resnet152"):
        if row["type"] == "Input":
            continue
        bottoms = [waiting[b].pop(0) if waiting.get(b) else b for b in _words(row["bottoms"])]
        made.append((_v2(row, bottoms), _shapes(row)))
        split = splits.get(row["name"])
        if split is not None:
            tops = _words(split["tops"])
            layer = caffe_pb2.LayerParameter(name=split["name"], type="Split", top=tops)
            layer.bottom.append(split["bottom"])
            layer.phase = caffe_pb2.TEST
            made.append((layer, []))
            waiting[split["bottom"]] = list(tops)
    return made


def _v2(row: dict[str, str], bottoms: list[str]) -> Any:
    kind = row["type"]
    layer = caffe_pb2.LayerParameter(name=row["name"], type=kind, bottom=bottoms)
    layer.top.extend(_words(row["tops"]))
    layer.phase = caffe_pb2.TEST
    if kind == "Convolution":
        param = layer.convolution_param
        param.num_output, param.bias_term = int(row["num_output"]), False
        for field in ("kernel_size", "pad", "stride"):
            getattr(param, field).append(int(row[field.split("_")[0]]))
    elif kind == "BatchNorm":
        layer.batch_norm_param.use_global_stats = True
    elif kind == "Scale":
        layer.scale_param.bias_term = True
    elif kind == "InnerProduct":
        layer.inner_product_param.num_output = int(row["num_output"])
    elif kind == "Pooling":
        _pool(layer.pooling_param, row)
    return layer

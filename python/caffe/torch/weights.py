"""Weights from and to .caffemodel files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import CaffeError, io
from ..proto import caffe_pb2
from .layer import Layer
from .net import Net


def load_caffemodel(net: Net, path: str | os.PathLike) -> list[str]:
    """Copy a caffemodel's weights into the layers of the same names, as Caffe does.

    Returns the names of the layers that took weights; others keep theirs. None at all, where the
    net has parameters, is a warning. Raises OSError, and
    ValueError for a file that is not a caffemodel and for a layer whose number of blobs or shape
    differs; then nothing is changed.
    """
    with open(path, "rb"):
        pass  # an OSError names the file
    try:
        file = io.read_weights(path)
    except CaffeError as error:
        raise ValueError(f"{path}: not a caffemodel, or damaged ({error})") from None
    layers = net.layers
    found = []
    for stored in file.layer:
        made = layers.get(stored.name)
        if made is None or not stored.blobs:
            continue
        try:
            found.append((made, [_array(blob) for blob in stored.blobs]))
        except ValueError as error:  # fewer or more values than the shape needs
            raise ValueError(f"{path}: damaged: {made.where}{error}") from None
    for made, arrays in found:
        _check(made, [array.shape for array in arrays], path)
    for made, arrays in found:
        copy_blobs(made, arrays)
    if not found and list(net.parameters()):
        stored = [layer.name for layer in file.layer if layer.blobs]
        warnings.warn(
            f"{path}: nothing was loaded: no layer of the net has a name of those that it holds "
            f"({', '.join(stored[:5]) or 'none'})",
            stacklevel=2,
        )
    return [made.param.name for made, _ in found]


def save_caffemodel(net: Net, path: str | os.PathLike) -> None:
    """Write the net with its weights as a caffemodel, which Caffe and `load_caffemodel` read.

    Double values are stored as double. Raises OSError.
    """
    file = caffe_pb2.NetParameter(name=net.name)
    for name, made in net.layers.items():
        layer = file.layer.add()
        layer.CopyFrom(made.param)
        layer.name = name
        del layer.blobs[:]
        for blob in made.blobs:
            values = getattr(made, blob).detach().cpu()
            stored = layer.blobs.add()
            stored.shape.dim.extend(values.shape)
            field = "double_data" if values.dtype == torch.float64 else "data"
            stored.MergeFromString(io.packed_values(values.numpy(), field))
    Path(path).write_bytes(file.SerializeToString())


def copy_blobs(made: Layer, arrays: list[np.ndarray]) -> None:
    """Copy arrays, in the order of Caffe's blobs and of their sizes, into a layer."""
    with torch.no_grad():
        for blob, array in zip(made.blobs, arrays):
            target = getattr(made, blob)
            target.copy_(torch.tensor(array).reshape(target.shape))


def _array(blob: Any) -> np.ndarray:
    """The values of a BlobProto in its shape; afterwards it holds nothing else."""
    old = (blob.num, blob.channels, blob.height, blob.width)
    dims = tuple(blob.shape.dim) if blob.HasField("shape") else old
    kind = "double_data" if blob.double_data else "data"
    count = len(getattr(blob, kind))
    for field, _ in blob.ListFields():
        if field.name != kind:
            blob.ClearField(field.name)
    blob.DiscardUnknownFields()
    data = blob.SerializeToString()  # a tag, a length, the values
    dtype = np.dtype("<f8" if kind == "double_data" else "<f4")
    values = np.frombuffer(data, dtype, count, len(data) - count * dtype.itemsize)
    return values.reshape(dims)


def _check(made: Layer, shapes: list[tuple[int, ...]], path: str | os.PathLike) -> None:
    wanted = [tuple(getattr(made, blob).shape) for blob in made.blobs]
    if len(wanted) != len(shapes):
        raise ValueError(
            f"{path}: {made.where}the file has {len(shapes)} blobs, the net {len(wanted)}"
        )
    for ours, theirs in zip(wanted, shapes):
        if not _same(ours, theirs):
            raise ValueError(f"{path}: {made.where}the file's shape is {theirs}, the net's {ours}")


def _same(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Equal; files of 2014 have four axes, the first of them 1."""
    return ours == theirs or (
        len(theirs) == 4 and theirs == (1,) * (4 - len(ours)) + tuple(ours) and len(ours) < 4
    )

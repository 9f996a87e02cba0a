"""Weights that are not in Caffe's format as caffemodels: torchvision's, SqueezeNet's.

What a file holds is found by its name's ending (`published.is_foreign`) and its content; the
modules `torchvision` and `squeezenet` say which layers its arrays belong to.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from maap.util import progress, wire
from maap.util.files import (
    cannot_write,
    default_cache,
    file_sha256,
    one_at_a_time,
    partial_path,
    sync_file,
    sync_folder,
)
from maap.util.schema import caffe_pb2
from maap.weights import published, squeezenet, torchvision
from maap.weights.torch_file import read_torch
from maap.weights.torchvision import Blobs

_VERSION = 1  # of what `convert` writes


def read(source: Path) -> tuple[str, list[Blobs]]:
    """The net folder's name that the weights in ``source`` are for, and its layers with blobs.

    Raises MaapError: a file that cannot be read, or of no net that is known.
    """
    reader = torchvision if published.is_torch(source) else squeezenet
    net, layers = reader.read(source)
    return net, list(layers)


def describe(source: Path) -> str:
    """What is in a file, for people. Raises MaapError as the readers do."""
    if published.is_torch(source):
        return f"{len(read_torch(source))} tensors of PyTorch"
    net, layers = read(source)
    return f"{len(layers)} layers of {net}"


def convert(source: Path, target: Path) -> str:
    """Write the weights in ``source`` as the caffemodel ``target``, which is whole or not there.
    Returns the net folder's name that they are for.

    Raises MaapError as `read` does, and for a target that cannot be written.
    """
    net, layers = read(source)
    _write(net, layers, target)
    return net


def converted(source: Path) -> Path:
    """The caffemodel that `convert` makes of ``source``, in the cache; made once for a content."""
    stem = re.sub(r"\.(tar\.gz|[a-z]+)$", "", source.name)
    target = default_cache() / "weights" / f"{stem}-{file_sha256(source)[:12]}"
    target = target.with_name(f"{target.name}-{_VERSION}.caffemodel")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from None
    with one_at_a_time(target):
        if not target.is_file():
            progress.say(f"{source.name}: written in Caffe's format as {target}")
            convert(source, target)
    return target


def _write(net: str, layers: Iterable[Blobs], target: Path) -> None:
    message = caffe_pb2.NetParameter(name=net)
    for name, kind, arrays in layers:
        stored = message.layer.add(name=name, type=kind)
        for array in arrays:
            blob = stored.blobs.add()
            blob.shape.dim.extend(array.shape)
            blob.MergeFromString(packed(array))
    partial = partial_path(target)
    try:
        partial.write_bytes(message.SerializeToString())
        sync_file(partial)
        partial.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise cannot_write(target, error) from None


def packed(array: np.ndarray) -> bytes:
    """A serialized BlobProto with these values alone, made thirteen times as fast as by a list."""
    data = np.asarray(array, "<f4").tobytes()
    number = caffe_pb2.BlobProto.DESCRIPTOR.fields_by_name["data"].number
    return wire.tag(number, wire.BYTES) + wire.written_varint(len(data)) + data

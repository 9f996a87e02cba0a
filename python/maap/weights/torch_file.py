"""Tensors from the files of torch.save (.pth, .pt), without PyTorch and without running pickle.

Such a file is a pickle, whose instructions `pickled` follows. Both layouts are read: the zip
archive of PyTorch 1.6 and later, and the stream of before.
"""

import io
import math
import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Union

import numpy as np

from maap.errors import MaapError
from maap.util.files import cannot_read
from maap.weights.pickled import LARGEST, MOST_AXES, Bad, Global, Machine, is_count, shown, unpickle

# NumPy's type of a storage's values; bfloat16 is read as its 16 bits.
_STORAGES = dict(
    DoubleStorage="<f8", FloatStorage="<f4", HalfStorage="<f2", BFloat16Storage="<u2",
    LongStorage="<i8", IntStorage="<i4", ShortStorage="<i2", CharStorage="<i1", ByteStorage="<u1",
    BoolStorage="?",
)  # fmt: skip
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


# What zipfile raises besides BadZipFile: encrypted, of a later version, names not UTF-8, cut.
_OF_ZIPFILE = (RuntimeError, NotImplementedError, UnicodeDecodeError, EOFError)


@dataclass(frozen=True)
class _Storage:
    """Where values are: the type's name, the record's key, how many there are."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: Union[str, Path]) -> dict[str, np.ndarray]:
    """The tensors of a file by name, in its order: those of a state_dict that torch.save wrote.

    A dict around it is looked into (`state_dict`, `model`). bfloat16 becomes float32. Raises
    MaapError naming the file: missing, damaged, cut short, or with anything in it that is not a
    tensor, a number or a text.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    content, values = _read_archive(archive)
            else:
                file.seek(0)
                content, values = _read_stream(file)
        return _tensors(content, values)
    except OSError as error:
        raise cannot_read(path, error, ".pth") from None
    except (Bad, zipfile.BadZipFile, *_OF_ZIPFILE) as error:
        raise MaapError(f"{path}: not a file of torch.save, or damaged ({error})") from None


# ---- the two layouts ----------------------------------------------------------------------------

Values = Callable[[_Storage], np.ndarray]


def _read_archive(archive: zipfile.ZipFile) -> tuple[Any, Values]:
    names = {name.partition("/")[2]: name for name in archive.namelist()}
    if "data.pkl" not in names:
        raise Bad("a zip archive without data.pkl")
    if "byteorder" in names and _record(archive, names["byteorder"], 16).strip() != b"little":
        raise Bad("written on a big-endian machine")
    content = _read_pickle(io.BytesIO(_record(archive, names["data.pkl"], 1 << 28)))

    def values(storage: _Storage) -> np.ndarray:
        name = names.get(f"data/{storage.key}")
        if name is None:
            raise Bad(f"record {storage.key} is missing")
        size = storage.count * np.dtype(_STORAGES[storage.kind]).itemsize
        return _array(storage, _record(archive, name, size))

    return content, _while_open(content, values)


def _while_open(content: Any, values: Values) -> Values:
    """``values`` of all storages in ``content``, read now, before the archive is closed."""
    read: dict[_Storage, np.ndarray] = {}
    for tensor in _find(content):
        if tensor.storage not in read:
            read[tensor.storage] = values(tensor.storage)
    return lambda storage: read[storage]


def _record(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
        raise Bad(f"record {name} has {info.file_size} bytes, or is compressed")
    return archive.read(info)


def _read_stream(file: BinaryIO) -> tuple[Any, Values]:
    if _read_pickle(file) != _LEGACY_MAGIC or _read_pickle(file) != _LEGACY_PROTOCOL:
        raise Bad("it does not begin as such a file does")
    system = _read_pickle(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Bad("written on a big-endian machine")
    content = _read_pickle(file)
    keys = _read_pickle(file)
    known = {tensor.storage.key: tensor.storage for tensor in _find(content)}
    read: dict[str, np.ndarray] = {}
    for key in keys if isinstance(keys, list) else []:
        if not isinstance(key, str) or key not in known:
            raise Bad(f"storage {shown(key)} belongs to no tensor")
        storage = known[key]
        head = file.read(8)
        if len(head) < 8 or struct.unpack("<q", head)[0] != storage.count:
            raise Bad(f"storage {key} does not have {storage.count} values")
        read[key] = _array(storage, _exactly(file, storage))
    if set(known) - set(read):
        raise Bad(f"storage {min(set(known) - set(read))} is missing")
    return content, lambda storage: read[storage.key]


def _exactly(file: BinaryIO, storage: _Storage) -> bytes:
    size = storage.count * np.dtype(_STORAGES[storage.kind]).itemsize
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise Bad(f"cut short in storage {storage.key}")
    return file.read(size)


def _array(storage: _Storage, data: bytes) -> np.ndarray:
    dtype = np.dtype(_STORAGES[storage.kind])
    if len(data) != storage.count * dtype.itemsize:
        raise Bad(f"storage {storage.key} has {len(data)} bytes for {storage.count} values")
    array = np.frombuffer(data, dtype)
    if storage.kind == "BFloat16Storage":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


# ---- tensors ------------------------------------------------------------------------------------


def _find(content: Any) -> Iterator[_Tensor]:
    """The tensors of a dict, at any depth."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, _Tensor):
            yield value
        elif isinstance(value, dict) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values())


def _tensors(content: Any, values: Values) -> dict[str, np.ndarray]:
    for outer in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(outer), dict):
            content = content[outer]
    if not isinstance(content, dict):
        raise Bad("no dict of tensors")
    found = {
        name: _view(name, tensor, values(tensor.storage))
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, _Tensor)
    }
    if not found:
        raise Bad("no tensor in it")
    return found


def _view(name: str, tensor: _Tensor, values: np.ndarray) -> np.ndarray:
    """A tensor's values, contiguous; every one of them must be in its storage."""
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
    empty = 0 in tensor.shape
    if not empty and not 0 <= last < len(values):
        raise Bad(f"tensor {name} is not inside its storage")
    if math.prod(tensor.shape) > len(values):
        raise Bad(f"tensor {name} repeats the values of its storage")
    if empty:
        return np.zeros(tensor.shape, values.dtype)
    strides = tuple(stride * values.itemsize for stride in tensor.strides)
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides)
    return np.ascontiguousarray(view).reshape(tensor.shape)


def _make_tensor(*args: Any) -> _Tensor:
    """torch._utils._rebuild_tensor_v2: storage, offset, shape, strides and what is not needed."""
    storage, offset, shape, strides = args[:4]
    right = isinstance(storage, _Storage) and is_count(offset)
    for numbers in (shape, strides):
        right = right and isinstance(numbers, tuple) and all(map(is_count, numbers))
    if not right or len(shape) != len(strides) or len(shape) > MOST_AXES:
        raise Bad("a tensor's description")
    if 8 * max(1, *strides, math.prod(n for n in shape if n)) > LARGEST:
        raise Bad("a tensor's shape or strides")
    return _Tensor(storage, offset, shape, strides)


def _make_parameter(data: Any, *_: Any) -> Any:
    """torch._utils._rebuild_parameter."""
    if not isinstance(data, _Tensor):
        raise Bad("a parameter that is no tensor")
    return data


def _make_dict(*pairs: Any) -> dict:
    if pairs:
        raise Bad("an OrderedDict with arguments")
    return {}


def _make_storage(args: Any) -> _Storage:
    """A persistent id: ("storage", type, key, place, count[, view])."""
    right = isinstance(args, tuple) and len(args) in (5, 6) and args[0] == "storage"
    right = right and isinstance(args[1], Global) and args[1].name.startswith("torch.")
    kind = args[1].name[6:] if right else ""
    if kind not in _STORAGES or not isinstance(args[2], str) or not is_count(args[4]):
        raise Bad(f"a storage described by {shown(args)}")
    if len(args) == 6 and args[5] is not None:
        raise Bad(f"storage {args[2]} is a view of another one")
    return _Storage(kind, args[2], args[4])


class _Machine(Machine):
    calls = {
        "torch._utils._rebuild_tensor_v2": _make_tensor,
        "torch._utils._rebuild_parameter": _make_parameter,
        "collections.OrderedDict": _make_dict,
    }

    def on_binpersid(self, _: Any) -> None:
        self.stack.append(_make_storage(self.stack.pop()))


def _read_pickle(file: Union[BinaryIO, io.BytesIO]) -> Any:
    """The value of the pickle at the file's place; the file is then behind it."""
    return unpickle(file, _Machine())

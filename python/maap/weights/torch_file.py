"""Tensors from the files of torch.save (.pth, .pt), without PyTorch and without running pickle.

Such a file is a pickle, which may name any function of any module and have it called. Here its
instructions are read one by one (pickletools), and only those are followed that build numbers,
texts, tuples, lists, dicts and tensors; anything else is an error that names it. Both layouts are
read: the zip archive of PyTorch 1.6 and later, and the stream of before.
"""

import io
import math
import os
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Optional, Union

import numpy as np

from maap.errors import MaapError
from maap.util.files import cannot_read

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
_MOST_AXES = 32
_LARGEST = 2**62  # bytes; no offset or stride is above


class _Bad(Exception):
    """The file is not right; the text says what is wrong."""


@dataclass(frozen=True)
class _Global:
    """A name of a module, which is not looked up."""

    name: str


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
    except (_Bad, zipfile.BadZipFile, *_OF_ZIPFILE) as error:
        raise MaapError(f"{path}: not a file of torch.save, or damaged ({error})") from None


# ---- the two layouts ----------------------------------------------------------------------------

Values = Callable[[_Storage], np.ndarray]


def _read_archive(archive: zipfile.ZipFile) -> tuple[Any, Values]:
    names = {name.partition("/")[2]: name for name in archive.namelist()}
    if "data.pkl" not in names:
        raise _Bad("a zip archive without data.pkl")
    if "byteorder" in names and _record(archive, names["byteorder"], 16).strip() != b"little":
        raise _Bad("written on a big-endian machine")
    content = _unpickle(io.BytesIO(_record(archive, names["data.pkl"], 1 << 28)))

    def values(storage: _Storage) -> np.ndarray:
        name = names.get(f"data/{storage.key}")
        if name is None:
            raise _Bad(f"record {storage.key} is missing")
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
        raise _Bad(f"record {name} has {info.file_size} bytes, or is compressed")
    return archive.read(info)


def _read_stream(file: BinaryIO) -> tuple[Any, Values]:
    if _unpickle(file) != _LEGACY_MAGIC or _unpickle(file) != _LEGACY_PROTOCOL:
        raise _Bad("it does not begin as such a file does")
    system = _unpickle(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _Bad("written on a big-endian machine")
    content = _unpickle(file)
    keys = _unpickle(file)
    known = {tensor.storage.key: tensor.storage for tensor in _find(content)}
    read: dict[str, np.ndarray] = {}
    for key in keys if isinstance(keys, list) else []:
        if not isinstance(key, str) or key not in known:
            raise _Bad(f"storage {_shown(key)} belongs to no tensor")
        storage = known[key]
        head = file.read(8)
        if len(head) < 8 or struct.unpack("<q", head)[0] != storage.count:
            raise _Bad(f"storage {key} does not have {storage.count} values")
        read[key] = _array(storage, _exactly(file, storage))
    if set(known) - set(read):
        raise _Bad(f"storage {min(set(known) - set(read))} is missing")
    return content, lambda storage: read[storage.key]


def _exactly(file: BinaryIO, storage: _Storage) -> bytes:
    size = storage.count * np.dtype(_STORAGES[storage.kind]).itemsize
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise _Bad(f"cut short in storage {storage.key}")
    return file.read(size)


def _array(storage: _Storage, data: bytes) -> np.ndarray:
    dtype = np.dtype(_STORAGES[storage.kind])
    if len(data) != storage.count * dtype.itemsize:
        raise _Bad(f"storage {storage.key} has {len(data)} bytes for {storage.count} values")
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
        raise _Bad("no dict of tensors")
    found = {
        name: _view(name, tensor, values(tensor.storage))
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, _Tensor)
    }
    if not found:
        raise _Bad("no tensor in it")
    return found


def _view(name: str, tensor: _Tensor, values: np.ndarray) -> np.ndarray:
    """A tensor's values, contiguous; every one of them must be in its storage."""
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
    empty = 0 in tensor.shape
    if not empty and not 0 <= last < len(values):
        raise _Bad(f"tensor {name} is not inside its storage")
    if math.prod(tensor.shape) > len(values):
        raise _Bad(f"tensor {name} repeats the values of its storage")
    if empty:
        return np.zeros(tensor.shape, values.dtype)
    strides = tuple(stride * values.itemsize for stride in tensor.strides)
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides)
    return np.ascontiguousarray(view).reshape(tensor.shape)


def _shown(value: Any) -> str:
    """A value for a message: a text, else the type alone; a tuple may hold another 2**60 times."""
    return repr(value)[:80] if isinstance(value, str) else f"a {type(value).__name__}"


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _make_tensor(*args: Any) -> _Tensor:
    """torch._utils._rebuild_tensor_v2: storage, offset, shape, strides and what is not needed."""
    storage, offset, shape, strides = args[:4]
    right = isinstance(storage, _Storage) and _is_count(offset)
    for numbers in (shape, strides):
        right = right and isinstance(numbers, tuple) and all(map(_is_count, numbers))
    if not right or len(shape) != len(strides) or len(shape) > _MOST_AXES:
        raise _Bad("a tensor's description")
    if 8 * max(1, *strides, math.prod(n for n in shape if n)) > _LARGEST:
        raise _Bad("a tensor's shape or strides")
    return _Tensor(storage, offset, shape, strides)


def _make_parameter(data: Any, *_: Any) -> Any:
    """torch._utils._rebuild_parameter."""
    if not isinstance(data, _Tensor):
        raise _Bad("a parameter that is no tensor")
    return data


def _make_dict(*pairs: Any) -> dict:
    if pairs:
        raise _Bad("an OrderedDict with arguments")
    return {}


def _make_storage(args: Any) -> _Storage:
    """A persistent id: ("storage", type, key, place, count[, view])."""
    right = isinstance(args, tuple) and len(args) in (5, 6) and args[0] == "storage"
    right = right and isinstance(args[1], _Global) and args[1].name.startswith("torch.")
    kind = args[1].name[6:] if right else ""
    if kind not in _STORAGES or not isinstance(args[2], str) or not _is_count(args[4]):
        raise _Bad(f"a storage described by {_shown(args)}")
    if len(args) == 6 and args[5] is not None:
        raise _Bad(f"storage {args[2]} is a view of another one")
    return _Storage(kind, args[2], args[4])


_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _make_tensor,
    "torch._utils._rebuild_parameter": _make_parameter,
    "collections.OrderedDict": _make_dict,
}

# ---- the pickle's instructions ------------------------------------------------------------------

_MARK = object()
_PUSH = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_CONSTANTS: dict[str, Any] = dict(NONE=None, NEWTRUE=True, NEWFALSE=False, EMPTY_TUPLE=())
_SHORT_TUPLES = dict(TUPLE1=1, TUPLE2=2, TUPLE3=3)


class _Machine:
    """Follows instructions. Each method is one, or a few that resemble each other."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def follow(self, name: str, arg: Any) -> None:
        if name in _PUSH:
            self.stack.append(arg)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _SHORT_TUPLES:
            count = _SHORT_TUPLES[name]
            self.stack[-count:] = [tuple(self.stack[-count:])]
        else:
            method = getattr(self, f"on_{name.lower()}", None)
            if method is None:
                raise _Bad(f"the instruction {name}, which weights do not need")
            method(arg)

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise _Bad("no mark")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def on_proto(self, _: Any) -> None:
        pass

    on_frame = on_proto

    def on_mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def on_empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def on_empty_list(self, _: Any) -> None:
        self.stack.append([])

    def on_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def on_append(self, _: Any) -> None:
        self.on_appends(None, [self.stack.pop()])

    def on_appends(self, _: Any, values: Optional[list[Any]] = None) -> None:
        values = self.since_mark() if values is None else values
        if not isinstance(self.stack[-1], list):
            raise _Bad("APPENDS to what is no list")
        self.stack[-1].extend(values)

    def on_setitem(self, _: Any) -> None:
        value = self.stack.pop()
        self.on_setitems(None, [self.stack.pop(), value])

    def on_setitems(self, _: Any, values: Optional[list[Any]] = None) -> None:
        values = self.since_mark() if values is None else values
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise _Bad("SETITEMS on what is no dict")
        for key, value in zip(values[::2], values[1::2]):
            if not isinstance(key, (str, int)):
                raise _Bad("a key that is neither text nor number")
            target[key] = value

    def on_binput(self, at: int) -> None:
        self.memo[at] = self.stack[-1]

    on_long_binput = on_put = on_binput

    def on_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def on_binget(self, at: int) -> None:
        self.stack.append(self.memo[at])

    on_long_binget = on_get = on_binget

    def on_global(self, name: str) -> None:
        self.stack.append(_Global(name.replace(" ", ".")))

    def on_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise _Bad("STACK_GLOBAL of what is no text")
        self.stack.append(_Global(f"{module}.{name}"))

    def on_binpersid(self, _: Any) -> None:
        self.stack.append(_make_storage(self.stack.pop()))

    def on_reduce(self, _: Any) -> None:
        args, called = self.stack.pop(), self.stack.pop()
        name = called.name if isinstance(called, _Global) else _shown(called)
        if name not in _CALLS or not isinstance(args, tuple):
            raise _Bad(f"it would have {name} called")
        self.stack.append(_CALLS[name](*args))

    def on_build(self, _: Any) -> None:
        """What a state_dict keeps besides its tensors (_metadata) is left out."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], dict) or not isinstance(state, dict):
            raise _Bad("BUILD of what is no dict")


def _unpickle(file: Union[BinaryIO, io.BytesIO]) -> Any:
    """The value of the pickle at the file's place; the file is then behind it."""
    machine = _Machine()
    try:
        for opcode, arg, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                break
            machine.follow(opcode.name, arg)
        return machine.stack.pop()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise _Bad(f"not a pickle that can be followed: {error}") from None

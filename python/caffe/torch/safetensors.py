"""Weights from and to .safetensors: eight bytes with the header's length, a JSON header, values."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from .net import Net

_LONGEST_HEADER = 100_000_000  # bytes, the format's own limit
_TYPES = dict(
    F64=torch.float64, F32=torch.float32, F16=torch.float16, BF16=torch.bfloat16,
    I64=torch.int64, I32=torch.int32, I16=torch.int16, I8=torch.int8, U8=torch.uint8,
    BOOL=torch.bool,
)  # fmt: skip
_NAMES = {dtype: name for name, dtype in _TYPES.items()}


def save_safetensors(net: Net, path: str | os.PathLike) -> None:
    """Write the state_dict of a net (or of any module). Raises OSError."""
    write_safetensors(net.state_dict(), path, {"format": "pt"})


def load_safetensors(net: Net, path: str | os.PathLike, strict: bool = True) -> None:
    """Copy a file's tensors into a net.

    strict: every key of the state_dict must be in the file and the other way round. Raises OSError,
    ValueError for a file that is not right, RuntimeError of load_state_dict for what does not fit.
    """
    net.load_state_dict(read_safetensors(path), strict=strict)


def write_safetensors(
    tensors: Mapping[str, torch.Tensor],
    path: str | os.PathLike,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors by name. Raises OSError, and ValueError for a dtype that has no name there."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    parts, offset = [], 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise ValueError(f"{name}: safetensors has no {tensor.dtype}")
        tensor = tensor.detach().cpu().contiguous()
        part = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = dict(
            dtype=_NAMES[tensor.dtype],
            shape=list(tensor.shape),
            data_offsets=[offset, offset + len(part)],
        )
        parts.append(part)
        offset += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with Path(path).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for part in parts:
            file.write(part)


def read_safetensors(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """The tensors of a file by name. Raises OSError, and ValueError naming the file where it is cut
    short, or its header and its size disagree."""
    data = Path(path).read_bytes()
    try:
        return _tensors(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, struct.error) as error:
        raise ValueError(f"{path}: not a safetensors file, or damaged ({error})") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A dict of a JSON object, in which no key stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands twice")
    return found


def _fits(shape: list[int]) -> bool:
    """Whether sizes and strides fit into int64, also where an axis has no length."""
    return math.prod(dim for dim in shape if dim) < 2**60


def _tensors(data: bytes) -> dict[str, torch.Tensor]:
    (length,) = struct.unpack_from("<Q", data)
    if length > min(_LONGEST_HEADER, len(data) - 8):
        raise ValueError(f"a header of {length} bytes in a file of {len(data)}")
    header = json.loads(data[8 : 8 + length], object_pairs_hook=_once)
    values = memoryview(data)[8 + length :]
    tensors: dict[str, torch.Tensor] = {}
    places: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
        begin, stop = entry["data_offsets"]
        if not all(type(number) is int for number in (*shape, begin, stop)):
            raise ValueError(f"{name}: a shape or offsets that are not whole numbers")
        count = 1
        for dim in shape:
            count *= dim
        size = count * torch.empty((), dtype=dtype).element_size()
        if min(shape, default=0) < 0 or len(shape) > 64 or not _fits(shape):
            raise ValueError(f"{name}: a shape that no tensor has")
        if not 0 <= begin <= stop <= len(values):
            raise ValueError(f"{name}: values outside the file")
        if stop - begin != size:
            raise ValueError(f"{name}: {stop - begin} bytes for the shape {shape}")
        part = bytearray(values[begin:stop])
        flat = torch.frombuffer(part, dtype=dtype) if size else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(shape)
        places.append((begin, stop, name))
    end = 0
    for begin, stop, name in sorted(places):
        if begin != end:
            raise ValueError(f"{name} begins at byte {begin}, not where the last one ends, {end}")
        end = stop
    if end != len(values):
        raise ValueError(f"{len(values) - end} bytes behind the last tensor")
    return tensors

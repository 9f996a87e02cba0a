"""Arrays from a pickle that NumPy wrote, without running what it names (`pickled`).

Of every protocol of pickle, and of NumPy before and since version 2: an array is described by its
type, shape, order and bytes.
"""

import io
import math
from collections.abc import Iterator
from typing import Any, Optional, Union

import numpy as np

from maap.errors import MaapError
from maap.weights.pickled import LARGEST, MOST_AXES, Bad, Global, Machine, is_count, shown, unpickle

_KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
Arrays = dict[str, list[np.ndarray]]


class _Dtype:
    """A number's type; its byte order comes with BUILD."""

    def __init__(self, kind: str) -> None:
        self.kind, self.order = kind, "<"

    def build(self, state: Any) -> None:
        """(version, order, None, None, None, -1, -1, 0, ...): no structure, no fields."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise Bad("a dtype's description")
        if any(part is not None for part in state[2:5]):
            raise Bad("a dtype with fields")
        self.order = state[1].replace("|", "<").replace("=", "<")

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.kind)


class _Array:
    """An array; its content comes with BUILD."""

    def __init__(self) -> None:
        self.value: Optional[np.ndarray] = None

    def build(self, state: Any) -> None:
        """([version,] shape, dtype, whether in Fortran's order, bytes)."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Bad("an array's description")
        shape, dtype, fortran, data = state[-4:]
        self.value = _made(data, dtype, shape, "F" if fortran is True else "C")


def _made(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """The array of these bytes, which are exactly as many as its shape needs."""
    right = isinstance(dtype, _Dtype) and isinstance(data, (bytes, bytearray, str))
    right = right and isinstance(shape, tuple) and all(map(is_count, shape))
    if not right or len(shape) > MOST_AXES or order not in ("C", "F"):
        raise Bad("an array's description")
    if 8 * math.prod(n for n in shape if n) > LARGEST:
        raise Bad("an array's shape")
    raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)  # Python 2's are texts
    needed = math.prod(shape) * dtype.dtype.itemsize
    if len(raw) != needed:
        raise Bad(f"an array of {needed} bytes has {len(raw)}")
    return np.frombuffer(raw, dtype.dtype).reshape(shape, order=order)


def _make_empty(*args: Any) -> _Array:
    """numpy.core.multiarray._reconstruct: ndarray, (0,), b'b'; the rest comes with BUILD."""
    if not args or args[0] != Global("numpy.ndarray"):
        raise Bad(f"an array of a type of its own ({shown(args)})")
    return _Array()


def _make_whole(*args: Any) -> _Array:
    """numpy.core.numeric._frombuffer, of protocol 5: bytes, dtype, shape, order."""
    if len(args) != 4:
        raise Bad("an array's description")
    made = _Array()
    made.value = _made(*args)
    return made


def _make_dtype(*args: Any) -> _Dtype:
    """numpy.dtype: its name, and two flags."""
    if not args or not isinstance(args[0], str) or args[0] not in _KINDS:
        raise Bad(f"an array of {shown(args[0]) if args else 'nothing'}, not of numbers")
    return _Dtype(args[0])


def _make_bytes(*args: Any) -> bytes:
    """_codecs.encode, or bytes for none: how protocols before 3 write bytes."""
    if not args:
        return b""
    if len(args) != 2 or not isinstance(args[0], str) or args[1] != "latin1":
        raise Bad("a text to encode")
    return args[0].encode("latin-1")


def _both(name: str) -> tuple[str, str]:
    """A function's name before NumPy 2 and since."""
    return f"numpy.core.{name}", f"numpy._core.{name}"


class _Machine(Machine):
    calls = {
        **dict.fromkeys(_both("multiarray._reconstruct"), _make_empty),
        **dict.fromkeys(_both("numeric._frombuffer"), _make_whole),
        "numpy.dtype": _make_dtype,
        **dict.fromkeys(("_codecs.encode", "__builtin__.bytes", "builtins.bytes"), _make_bytes),
    }

    def on_binbytes(self, data: Union[bytes, bytearray]) -> None:
        self.stack.append(data)

    on_short_binbytes = on_binbytes8 = on_bytearray8 = on_binbytes

    def on_build(self, state: Any) -> None:
        if isinstance(self.stack[-2], (_Array, _Dtype)):
            state = self.stack.pop()
            self.stack[-1].build(state)
        else:
            super().on_build(state)


def read_arrays(data: bytes, name: str) -> Arrays:
    """The arrays of a pickle ``data`` by name, in its order: a dict of arrays, or of lists of them.

    Raises MaapError, which calls the file ``name``: damaged, cut short, or with anything in it that
    is neither an array, a number nor a text.
    """
    try:
        return dict(_arrays(unpickle(io.BytesIO(data), _Machine())))
    except Bad as error:
        raise MaapError(f"{name}: not a pickle of arrays, or damaged ({error})") from None


def _arrays(content: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    if not isinstance(content, dict) or not content:
        raise Bad("no dict of arrays")
    for name, value in content.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if not isinstance(name, str) or not values:
            raise Bad("no name, or no array for it")
        found = [each.value for each in values if isinstance(each, _Array)]
        arrays = [array for array in found if array is not None]
        if len(arrays) != len(values):
            raise Bad(f"{shown(name)} is no array")
        yield name, arrays

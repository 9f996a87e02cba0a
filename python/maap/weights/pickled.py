"""Pickles, followed without running what they name.

A pickle may name any function of any module and have it called. Here its instructions are read one
by one (pickletools), and only those are followed that build numbers, texts, tuples, lists and
dicts, and calls that a reader stands in for itself (`Machine.calls`); anything else is an error
that names it. The readers are `torch_file` and `numpy_file`.
"""

import pickletools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, ClassVar, Optional

LARGEST = 2**62  # bytes; no size, offset or stride is above
MOST_AXES = 32


class Bad(Exception):
    """The file is not right; the text says what is wrong."""


@dataclass(frozen=True)
class Global:
    """A name of a module, which is not looked up."""

    name: str


def shown(value: Any) -> str:
    """A value for a message: a text, else the type alone; a tuple may hold another 2**60 times."""
    return repr(value)[:80] if isinstance(value, str) else f"a {type(value).__name__}"


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


_MARK = object()
_PUSH = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_CONSTANTS: dict[str, Any] = dict(NONE=None, NEWTRUE=True, NEWFALSE=False, EMPTY_TUPLE=())
_SHORT_TUPLES = dict(TUPLE1=1, TUPLE2=2, TUPLE3=3)


class Machine:
    """Follows instructions. Each method is one, or a few that resemble each other."""

    calls: ClassVar[Mapping[str, Callable[..., Any]]] = {}  # name -> what is called in its place

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
                raise Bad(f"the instruction {name}, which weights do not need")
            method(arg)

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise Bad("no mark")
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

    def on_dict(self, _: Any) -> None:
        values = self.since_mark()
        self.stack.append({})
        self.on_setitems(None, values)

    def on_list(self, _: Any) -> None:
        self.stack.append(self.since_mark())

    def on_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def on_append(self, _: Any) -> None:
        self.on_appends(None, [self.stack.pop()])

    def on_appends(self, _: Any, values: Optional[list[Any]] = None) -> None:
        values = self.since_mark() if values is None else values
        if not isinstance(self.stack[-1], list):
            raise Bad("APPENDS to what is no list")
        self.stack[-1].extend(values)

    def on_setitem(self, _: Any) -> None:
        value = self.stack.pop()
        self.on_setitems(None, [self.stack.pop(), value])

    def on_setitems(self, _: Any, values: Optional[list[Any]] = None) -> None:
        values = self.since_mark() if values is None else values
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise Bad("SETITEMS on what is no dict")
        for key, value in zip(values[::2], values[1::2]):
            if not isinstance(key, (str, int)):
                raise Bad("a key that is neither text nor number")
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
        self.stack.append(Global(name.replace(" ", ".")))

    def on_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Bad("STACK_GLOBAL of what is no text")
        self.stack.append(Global(f"{module}.{name}"))

    def on_reduce(self, _: Any) -> None:
        args, called = self.stack.pop(), self.stack.pop()
        name = called.name if isinstance(called, Global) else shown(called)
        if name not in self.calls or not isinstance(args, tuple):
            raise Bad(f"it would have {name} called")
        self.stack.append(self.calls[name](*args))

    def on_build(self, _: Any) -> None:
        """A dict's own attributes (_metadata of a state_dict) are left out."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], dict) or not isinstance(state, dict):
            raise Bad("BUILD of what is no dict")


def unpickle(file: BinaryIO, machine: Machine) -> Any:
    """The value of the pickle at the file's place; the file is then behind it. Raises Bad."""
    try:
        for opcode, arg, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                break
            machine.follow(opcode.name, arg)
        return machine.stack.pop()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise Bad(f"not a pickle that can be followed: {error}") from None
    except MemoryError:
        raise Bad("a size in it that no memory has") from None

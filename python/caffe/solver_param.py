"""solver.param: a solver's settings, to read and to change.

    solver.param.base_lr = 0.001          # of the next update on
    solver.param.stepvalue.append(3000)

It reads as the SolverParameter of the solver's prototxt does. A change reaches the solver at once,
or raises an error and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message

from .proto import caffe_pb2

Path = tuple[Any, ...]  # names of fields, and indices in lists


def _plain(value: Any) -> Any:
    """A message or a list instead of a view of it."""
    return value._target() if isinstance(value, _View) else value


def _is_list(value: Any) -> bool:
    return hasattr(value, "append") and not isinstance(value, (str, bytes))


class _View:
    """A message, or a list in one, of a solver's settings; every change goes through the solver."""

    __slots__ = ("_path", "_solver")

    def __init__(self, solver: Any, path: Path = ()) -> None:
        object.__setattr__(self, "_solver", solver)
        object.__setattr__(self, "_path", path)

    def _read(self) -> tuple[Any, Any]:
        """A copy of all settings, and what this view shows of it."""
        whole = target = caffe_pb2.SolverParameter.FromString(self._solver._settings())
        for step in self._path:
            target = getattr(target, step) if isinstance(step, str) else target[step]
        return whole, target

    def _target(self) -> Any:
        return self._read()[1]

    def _change(self, change: Callable[[Any], Any]) -> Any:
        """Let ``change`` do something with a copy, which the solver then takes."""
        whole, target = self._read()
        before = whole.SerializeToString(deterministic=True)
        result = change(target)
        after = whole.SerializeToString(deterministic=True)
        if before != after:
            self._solver._change_settings(after)
        return result

    def _view(self, value: Any, step: Any) -> Any:
        if isinstance(value, Message):
            return MessageView(self._solver, (*self._path, step))
        return ListView(self._solver, (*self._path, step)) if _is_list(value) else value

    def _method(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            def change(target: Any) -> Any:
                return getattr(target, name)(*map(_plain, arguments), **options)

            result = self._change(change)
            return self._view(result, len(self._target()) - 1) if name == "add" else result

        call.__name__ = name
        return call

    def __eq__(self, other: Any) -> bool:
        return self._target() == _plain(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._target())

    def __str__(self) -> str:
        return str(self._target())

    def __dir__(self) -> list[str]:
        return dir(self._target())

    def __copy__(self) -> Any:
        return self._target()

    def __deepcopy__(self, memo: Any) -> Any:
        return self._target()


class MessageView(_View):
    """A message of a solver's settings: fields and methods are those of the message."""

    __slots__ = ()

    @property
    def __class__(self) -> Any:  # isinstance(solver.param, SolverParameter)
        return type(self._target())

    def __getattr__(self, name: str) -> Any:
        target = self._target()
        value = getattr(target, name)
        if name in target.DESCRIPTOR.fields_by_name:
            return self._view(value, name)
        return self._method(name) if callable(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        self._change(lambda target: setattr(target, name, _plain(value)))

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} cannot be deleted: call ClearField({name!r})")

    def __reduce__(self) -> Any:
        target = self._target()
        return type(target).FromString, (target.SerializeToString(),)


class ListView(_View):
    """A repeated field of a solver's settings: a list."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        getattr(self._target(), name)  # AttributeError if lists have no such method
        return self._method(name)

    def __len__(self) -> int:
        return len(self._target())

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return _plain(value) in self._target()

    def __getitem__(self, index: Any) -> Any:
        target = self._target()
        if isinstance(index, slice):
            return list(target[index])
        return self._view(target[index], range(len(target))[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._change(lambda target: target.__setitem__(index, _plain(value)))

    def __delitem__(self, index: Any) -> None:
        self._change(lambda target: target.__delitem__(index))

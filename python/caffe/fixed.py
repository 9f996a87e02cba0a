"""Lists and dicts that say what to do instead of being changed.

What a net is made of is shown by lists and dicts: net.blobs, net.params, net.layers. An assignment
to one would not reach the net, so it is a TypeError.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NoReturn


def _refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
    raise TypeError(self.why)


class FixedList(list):
    """A list whose every change is a TypeError with the message ``why``; a copy is a plain list."""

    def __init__(self, values: Iterable[Any], why: str) -> None:
        super().__init__(values)
        self.why = why

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __reduce__(self) -> Any:
        return list, (list(self),)


class FixedDict(OrderedDict):
    """An OrderedDict whose every change is a TypeError with the message ``why``.

    A copy is a plain OrderedDict.
    """

    def __init__(self, items: Iterable[tuple[Any, Any]], why: str) -> None:
        super().__init__()
        for key, value in items:
            super().__setitem__(key, value)
        self.why = why

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = move_to_end = _refuse

    def copy(self) -> OrderedDict:
        """A plain OrderedDict of the same items."""
        return OrderedDict(self)

    __copy__ = copy

    def __reduce__(self) -> Any:
        return OrderedDict, (list(self.items()),)

    def __or__(self, other: Any) -> OrderedDict:
        return self.copy() | other

    def __ror__(self, other: Any) -> OrderedDict:
        return other | self.copy()

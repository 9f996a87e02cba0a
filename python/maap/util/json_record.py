"""Dataclasses that are written to a JSON file and read back.

A file's objects are subclasses of `JsonRecord`; the file has the fields in the order of the
class, under their own name or the one that ``named`` gives. A list of records is a list of objects.
The annotations say what a file may hold: str, int, float, bool, Any, Optional, Literal, list[...],
tuple[..., ...], dict[str, ...] and other records.
"""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Optional, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T", bound="JsonRecord")
Json = Union[None, bool, int, float, str, "list[Json]", "dict[str, Json]"]

KEPT = "more"  # the field, if a record has one, that holds the keys which the class does not know


class Damaged(ValueError):
    """A value that its record does not allow; the message says where."""


def left_out() -> Any:
    """A field that is None unless given, and whose key is missing in the file while it is None."""
    return dataclasses.field(default=None, metadata={"left_out": True})


def named(key: str) -> Any:
    """A field under another name in the file (a Python keyword such as ``class``)."""
    return dataclasses.field(metadata={"key": key})


def missing(value: Optional[Union[int, str]]) -> Any:
    """A field that files of older versions lack: they are read as if it were ``value``."""
    return dataclasses.field(metadata={"missing": value})


class JsonRecord:
    """Base of the dataclasses that are written to JSON files."""

    def to_json(self) -> dict[str, Json]:
        """The record as JSON has it: a dict, in the order of the fields."""
        found: dict[str, Json] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name == KEPT:
                found.update(value)
            elif value is not None or not field.metadata.get("left_out"):
                found[field.metadata.get("key", field.name)] = _plain(value)
        return found

    @classmethod
    def from_json(cls: type[T], value: object, where: str = "") -> T:
        """The record of a JSON object. ``where`` is its place in the file, for the error.

        Raises Damaged: a key is missing or its value is of another type.
        """
        if not isinstance(value, Mapping):
            raise Damaged(f"{where or 'the file'} is no JSON object")
        rest, given = dict(value), {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            key = field.metadata.get("key", field.name)
            place = f"{where}.{key}" if where else key
            if field.name == KEPT:
                continue
            if key in rest:
                given[field.name] = _read(_types(cls)[field.name], rest.pop(key), place)
            elif "missing" in field.metadata:
                given[field.name] = field.metadata["missing"]
            elif _is_needed(field):
                raise Damaged(f"{place} is missing")
        if any(field.name == KEPT for field in dataclasses.fields(cls)):  # type: ignore[arg-type]
            given[KEPT] = rest
        return cls(**given)


def _is_needed(field: "dataclasses.Field[object]") -> bool:
    none = dataclasses.MISSING
    return field.default is none and field.default_factory is none


@cache
def _types(cls: type) -> dict[str, object]:
    return get_type_hints(cls)


def _plain(value: object) -> Json:
    if isinstance(value, JsonRecord):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value  # type: ignore[return-value]


def _read(kind: object, value: object, where: str) -> object:
    """The value as ``kind`` asks for it. Numbers stay as they are, so that a file that is read and
    written again has the same bytes."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Union:  # Optional
        return None if value is None else _read(inside[0], value, where)
    if origin is list or origin is tuple:
        if not isinstance(value, list):
            raise Damaged(f"{where} is no list")
        return origin(_read(inside[0], each, f"{where}[{n}]") for n, each in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise Damaged(f"{where} is no JSON object")
        return {key: _read(inside[1], each, f"{where}.{key}") for key, each in value.items()}
    if isinstance(kind, type) and issubclass(kind, JsonRecord):
        return kind.from_json(value, where)
    if not _fits(kind, value):
        raise Damaged(f"{where} is {value!r:.40}")
    return value


def _fits(kind: object, value: object) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)

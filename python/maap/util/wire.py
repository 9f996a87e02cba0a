"""Protobuf's binary format, read without the message classes.

A message is a sequence of fields, each a tag (field number and kind of value), for some kinds a
length, and the value. `fields` walks them and steps over the values, so that a mapped file of
hundreds of megabytes takes milliseconds, and a file that was cut short is noticed wherever the cut
is. The format is described at https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # the kinds of values ("wire types")


class Data(Protocol):
    """What is read: bytes, or a mapped file (mmap)."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int) -> int: ...


class WireError(Exception):
    """The bytes are not the message that they should be."""


class Truncated(WireError):
    """The data ends inside a value."""


class Field(NamedTuple):
    """One field of a message: its value stands in ``data[start:end]``."""

    number: int
    kind: int
    value: int  # of a VARINT; 0 for the other kinds
    start: int
    end: int

    def span(self) -> tuple[int, int]:
        """Where the bytes of a BYTES field start and end. Raises WireError for another kind."""
        if self.kind != BYTES:
            raise WireError("a value of another kind than the format has there")
        return self.start, self.end


def fields(data: Data, at: int, end: int) -> Iterator[Field]:
    """The fields of the message in ``data[at:end]``, in order.

    Raises WireError where a field cannot start, Truncated where a value is longer than the data.
    """
    while at < end:
        tag, at = varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError("field number 0")
        value, start = 0, at
        if kind == VARINT:
            value, at = varint(data, at, end)
        elif kind == BYTES:
            length, start = varint(data, at, end)
            at = start + length
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise WireError(f"no value starts with wire type {kind}")
        if at > end:
            raise Truncated(f"{at - end:,} bytes are missing")
        yield Field(number, kind, value, start, at)


def varint(data: Data, at: int, end: int) -> tuple[int, int]:
    """The integer of 7-bit groups, low first, at ``at``, and where the next value starts.

    Raises Truncated when ``end`` comes before its last group, WireError after ten groups.
    """
    result = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise Truncated("a number is cut off")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
    raise WireError("a number of more than ten bytes")


def tag(number: int, kind: int) -> bytes:
    """The bytes in front of a field's value."""
    return written_varint(number << 3 | kind)


def written_varint(value: int) -> bytes:
    """A number >= 0, seven bits a byte, the lowest first."""
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])

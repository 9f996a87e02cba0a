"""Caffe's text format: reading with errors that point at the line, writing for people to read.

Reading names the file, the line, the unknown field and the nearest known one. Writing puts a small
message of plain values on one line, prints floats as short as their 32 bits allow (0.01, not
0.009999999776), and takes a header and notes that become comments.
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar, Union

from google.protobuf import text_encoding, text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from maap.errors import MaapError
from maap.host import loader
from maap.util.files import cannot_read, write_atomically
from maap.util.schema import NetParameter, SolverParameter, caffe_pb2
from maap.util.text import nearest

Text = TypeVar("Text", bound=Message)
Scalar = Union[str, bytes, bool, int, float]

_WIDTH = 100
_ONE_LINE_FIELDS = 4
_MAAP_PARAM = {"elimination_param", "enhancement_param"}


def parse_file(path: Union[str, Path], message: Text) -> Text:
    """Fill ``message`` from the text file ``path`` and return it.

    Raises MaapError naming the file and line: missing file, not text, bad syntax, unknown field.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MaapError(
            f"{path}: not a text file (byte {error.start} is not UTF-8): give a .prototxt"
        ) from None
    except OSError as error:
        raise cannot_read(path, error, ".prototxt") from None
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        if isinstance(message, caffe_pb2.NetParameter):
            net = _read_by_engine(path)
            if net is not None:
                message.CopyFrom(net)
                return message
        raise MaapError(_explain(path, error) + _open_message(text)) from None


def _read_by_engine(path: Path) -> Optional[NetParameter]:
    """The net as this repository's engine reads it, which skips fields of other forks of Caffe and
    says so in the log. None if it cannot read it either, and on another Caffe."""
    if "dialect" not in caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name:
        return None
    caffe = loader.load()
    try:
        return caffe.io.read_net(path)
    except caffe.CaffeError:
        return None


def _open_message(text: str) -> str:
    """Which message is never closed, the first one if there are several."""
    without = re.sub(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#.*', "''", text)
    stack = []
    for number, line in enumerate(without.split("\n"), 1):
        for name, brace in re.findall(r"(\w*)\s*:?\s*([{}])", line):
            if brace == "{":
                stack.append((name, number))
            elif stack:
                stack.pop()
    if not stack:
        return ""
    return f"; the '{{' of '{stack[0][0]}' in line {stack[0][1]} is never closed"


def _explain(path: Path, error: text_format.ParseError) -> str:
    """The parser's complaint as file, line, what is wrong, and the nearest name that is right."""
    said = re.sub(r"^\d+:\d+\s*:\s*", "", str(error))
    place = f"{path}:{error.GetLine()}" if error.GetLine() else str(path)
    unknown = re.search(r'Message type "([\w.]+)" has no field named "([\w.]+)"', said)
    if unknown:
        message, field = unknown.groups()
        near = nearest(field, [f.name for f in _descriptor(message).fields], "", 1, '"')
        near = f"; {near}" if near else ""
        if field in _MAAP_PARAM:
            near = '; write its text as python_param { param_str: "..." }, which every host reads'
        return f'{place}: unknown field "{field}" in {message.split(".")[-1]}{near}'
    value = re.search(r'Enum type "([\w.]+)" has no value (?:named|with number) "?(\w+)', said)
    if value:
        enum, name = value.groups()
        known = list(caffe_pb2.DESCRIPTOR.pool.FindEnumTypeByName(enum).values_by_name)
        near = nearest(name, known, None, 1, '"')
        return f'{place}: {enum.split(".", 1)[-1]} has no value "{name}"; {near}'
    return f"{place}: {said}"


def _descriptor(name: str) -> Descriptor:
    return caffe_pb2.DESCRIPTOR.pool.FindMessageTypeByName(name)


def to_text(
    message: Message,
    header: str = "",
    notes: Optional[Mapping[str, str]] = None,
    first: Sequence[str] = (),
) -> str:
    """``message`` in text format, ending in a newline.

    ``header`` becomes the comment at the top. ``notes`` maps a top-level field to a comment:
    ``"base_lr"`` for one value (the comment follows on the same line if it fits),
    ``"layer[3]"`` for a repeated message (the comment stands before it). The fields named in
    ``first`` are written first, in that order; the others follow in the order of their numbers.
    """
    notes = notes or {}
    lines = [_comment(line) for line in header.strip().splitlines()] if header else []
    if lines:
        lines.append("")
    rank = {name: i for i, name in enumerate(first)}
    ordered = sorted(_fields(message), key=lambda f: rank.get(f[0].split("[")[0], len(rank)))
    for key, written in ordered:
        note = notes.get(key, "")
        if note and len(written) == 1 and len(written[0]) + 4 + len(note) <= _WIDTH:
            lines.append(f"{written[0]}  # {note}")
            continue
        if note and lines and lines[-1]:
            lines.append("")
        lines += [_comment(line) for line in note.splitlines()]
        lines += written
        if note:
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_text(message: Message, path: Union[str, Path], header: str = "") -> None:
    """Write ``message`` in text format; ``path`` holds either the whole of it or what it held.

    The text is on the disk when the function returns. Raises MaapError when it cannot be written.
    """
    write_atomically(Path(path), to_text(message, header))


def _comment(line: str) -> str:
    return f"# {line}".rstrip()


def _fields(message: Message) -> Iterator[tuple[str, list[str]]]:
    """(key, lines) for every value set in ``message``, in the order of the field numbers."""
    for field, value in message.ListFields():
        if field.label == FieldDescriptor.LABEL_REPEATED:
            for i, item in enumerate(value):
                yield f"{field.name}[{i}]", _value(field, item)
        else:
            yield field.name, _value(field, value)


def _value(field: FieldDescriptor, value: Union[Scalar, Message]) -> list[str]:
    if not isinstance(value, Message):
        return [f"{field.name}: {_scalar(field, value)}"]
    inner = [line for _, lines in _fields(value) for line in lines]
    plain = all(f.type != FieldDescriptor.TYPE_MESSAGE for f, _ in value.ListFields())
    short = f"{field.name} {{ {' '.join(inner)} }}"
    fits = len(inner) <= _ONE_LINE_FIELDS and len(short) + 4 <= _WIDTH
    if inner and plain and fits and field.name != "layer":
        return [short]
    return [f"{field.name} {{", *("  " + line for line in inner), "}"]


def _scalar(field: FieldDescriptor, value: Any) -> str:
    """A value of the type that the field says, as text."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return f'"{text_encoding.CEscape(value, True)}"'
    if field.type == FieldDescriptor.TYPE_BYTES:
        return f'"{text_encoding.CEscape(value, False)}"'
    if field.type == FieldDescriptor.TYPE_BOOL:
        return "true" if value else "false"
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values_by_number[value].name
    if field.type == FieldDescriptor.TYPE_FLOAT:
        return _float32(value)
    return repr(value)


def _float32(value: float) -> str:
    """The shortest decimal that reads back as the same 32-bit float."""
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", value):
            return text
    return f"{value:.9g}"


def read_net(path: Union[str, Path]) -> NetParameter:
    """The NetParameter in a text file; MaapError names file, line and field of what is wrong."""
    net = parse_file(path, caffe_pb2.NetParameter())
    if net.layers:
        raise MaapError(
            f"{path}: written for Caffe before 2014 (`layers {{`); convert it with "
            "`upgrade_net_proto_text OLD NEW`"
        )
    if not net.layer:
        raise MaapError(f"{path}: no layer in it; is it a solver, not a net?")
    return net


def read_solver(path: Union[str, Path]) -> SolverParameter:
    """The SolverParameter in a text file; MaapError names file, line and field."""
    return parse_file(path, caffe_pb2.SolverParameter())

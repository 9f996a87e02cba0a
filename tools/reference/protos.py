"""The page of prototxt parameters, from the comments and fields of the .proto files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEAD = """# Prototxt parameters

Messages, fields, numbers and defaults are BVLC Caffe's; the fields of this project are numbered
from 8001, and what other forks of Caffe add stands in files of its own. The tables are made from
`kernels/maap.proto` and the files in `caffe/proto/`. A prototxt
for BVLC Caffe, whose parser does not know the fields of the two attention layers, gives them as
text: `python_param { param_str: "a_star: REDUCE" }`; this Caffe reads both.
"""
FILES = (
    "kernels/maap.proto",
    "caffe/proto/caffe.proto",
    "caffe/proto/values.proto",
    "caffe/proto/detection.proto",
    "caffe/proto/forks.proto",
)
_FIELD = re.compile(
    r"(optional|repeated|required)\s+([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[(.*?)\])?\s*;\s*(?://(.*))?"
)
_VALUE = re.compile(r"(\w+)\s*=\s*(\d+)\s*(?:\[.*?\])?\s*;\s*(?://(.*))?")


class Row(NamedTuple):
    """One field: its name, type, default and comment."""

    name: str
    kind: str
    default: str
    comment: str


class Enum:
    """An enum: its comment and its values, each with what it says."""

    def __init__(self, comment: str) -> None:
        self.comment = comment
        self.values: list[str] = []


class Message:
    """A message of a .proto file: its comment, its fields, the values of its enums."""

    def __init__(self, name: str, comment: str) -> None:
        self.name, self.comment = name, comment
        self.rows: list[Row] = []
        self.enums: dict[str, Enum] = {}


def read(text: str) -> Iterator[Message]:
    """The messages of a .proto file in order; a nested one comes after the one that holds it."""
    found: list[Message] = []
    open_: list[object] = []  # the messages and enums that are open, outermost first
    comment: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        start = re.match(r"(message|enum)\s+(\w+)\s*\{(\s*\})?", line)
        if line.startswith("//"):
            comment.append(line[2:].strip())
            continue
        if start:
            outer = next((each for each in open_ if isinstance(each, Message)), None)
            name = start.group(2)
            if start.group(1) == "enum":
                entry: object = Enum(" ".join(comment))
                if outer:
                    outer.enums[name] = entry
            else:
                entry = Message(f"{outer.name}.{name}" if outer else name, " ".join(comment))
                found.append(entry)
            if not start.group(3):
                open_.append(entry)
        elif line.startswith("}"):
            open_.pop()
        elif open_:
            _take(open_[-1], line, comment)
        comment = []
    yield from found


def _take(into: object, line: str, comment: list[str]) -> None:
    if isinstance(into, Message):
        match = _FIELD.match(line)
        if match:
            label, kind, name, _, options, behind = match.groups()
            default = re.search(r"default\s*=\s*(\S+?)\s*(?:,|$)", options or "")
            said = " ".join([*comment, (behind or "").strip()]).strip()
            shown = f"repeated {kind}" if label == "repeated" else kind
            into.rows.append(Row(name, shown, default.group(1) if default else "", said))
    elif isinstance(into, Enum):
        match = _VALUE.match(line)
        if match:
            behind = (match.group(3) or "").strip()
            said = f" ({_escaped(behind)})" if behind else ""
            into.values.append(f"`{match.group(1)}`{said}")


def page(repo: Path) -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for file in FILES:
        for message in read((repo / file).read_text(encoding="utf-8")):
            parts.append(_section(message))
    return "\n".join(parts)


def _section(message: Message) -> str:
    lines = [f"\n## {message.name}\n", _escaped(message.comment), ""]
    if message.rows:
        lines += ["| field | type | default | |", "|---|---|---|---|"]
        for row in message.rows:
            default = f"`{row.default}`" if row.default else ""
            lines.append(f"| `{row.name}` | {row.kind} | {default} | {_escaped(row.comment)} |")
    else:
        lines.append("No fields.")
    for name, enum in message.enums.items():
        about = f" {_escaped(enum.comment)}" if enum.comment else ""
        lines.append(f"\n`{name}`: {', '.join(enum.values)}.{about}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"([|*_\[\]])", r"\\\1", text.replace("<", "&lt;"))

"""The text lists of published sets, whatever program they were saved with.

A byte-order mark, UTF-16 (PowerShell's), the line ends of Windows and of old Macs, blanks at the
ends of lines, empty lines and backslashes in paths change nothing.
"""

import codecs
import re
from pathlib import Path

from maap.errors import MaapError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile("\r\n|\n|\r")


def read_lines(path: Path, where: str) -> list[str]:
    """The lines of a list without the blanks at their ends; empty ones are kept, so that numbers
    are those of the file. Bytes that are not UTF-8 are kept as in file names (surrogates).

    ``where`` says where to get a whole copy. Raises MaapError: unreadable, not a text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MaapError(f"cannot read {path}: {error.strerror}; {where}") from None
    encoding = "utf-8"
    for mark, name in _MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], name
            break
    errors = "surrogateescape" if encoding == "utf-8" else "replace"
    text = data.decode(encoding, errors)
    if "\0" in text:
        raise MaapError(f"{path} is not a text file (it holds null characters); {where}")
    return [line.strip() for line in _LINE_END.split(text)]


def read_table(path: Path, columns: int, where: str) -> dict[str, list[str]]:
    """The lines of a list as {id: the ``columns`` values after it}; the last value has the rest of
    its line. Raises MaapError as `read_lines`, for too few values, and for an id given twice."""
    result: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(read_lines(path, where), start=1):
        values = line.split(maxsplit=columns)
        if not values:
            continue
        if len(values) != columns + 1:
            raise MaapError(f"{path}, line {number} is damaged: {line!r}; {where}")
        if values[0] in result:
            raise MaapError(
                f"{path}, line {number} has {values[0]} again, which line {lines[values[0]]} has "
                f"already: remove one of them; {where}"
            )
        result[values[0]], lines[values[0]] = values[1:], number
    return result


def inner_path(text: str, path: Path, where: str) -> str:
    """A path in a list, with slashes. Raises MaapError when it leads out of the set's folder."""
    name = text.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        raise MaapError(f"{path} names {text!r}, which is outside of the set's folder; {where}")
    return re.sub("^(\\./)+", "", name)

"""Pages from templates: the environment they are filled in, and what they show besides text.

Every page is one self-contained file that can be mailed: it contains the style, pictures are data
URIs, and there is no script. The templates are in ``templates/``; all text that they are given is
escaped.
"""

import base64
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Optional

import jinja2

from maap.util.text import duration, plain

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Picture:
    """An image file and what it shows."""

    data: bytes
    description: str
    kind: Literal["jpeg", "png", "svg+xml"] = "jpeg"

    @property
    def uri(self) -> str:
        """The file as a data URI."""
        code = base64.b64encode(self.data).decode("ascii")
        return f"data:image/{self.kind};base64,{code}"


class Table(NamedTuple):
    """Rows of text under a head."""

    head: list[str]
    rows: list[list[str]]

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether its cells are numbers (or dashes), which stand on the right."""
        return [all(_is_number(row[n]) for row in self.rows) for n in range(len(self.head))]


def _is_number(text: str) -> bool:
    return text in ("", "–") or text[0] in "0123456789-+"


def page(template: str, **shown: Any) -> str:
    """The page of a template. Raises jinja2.UndefinedError for a name that it is not given."""
    return _environment().get_template(template).render(**shown)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(TEMPLATES)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, count=count, figure=figure, duration=duration)
    return environment


# ---- numbers as people read them ----------------------------------------------------------------


def percent(share: Optional[float]) -> str:
    """0.2345 as 23.5%; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f}%"


def count(number: Optional[int]) -> str:
    """1234 with a narrow space between the thousands; a dash for None."""
    return "–" if number is None else f"{number:,}".replace(",", "\u202f")


def figure(number: Optional[float], digits: int = 3) -> str:
    """A number with that many digits behind the point; a dash for None."""
    return "–" if number is None else f"{number:.{digits}f}"


def setting(value: object) -> str:
    """The value of a setting as config.yaml has it; a dash for None."""
    return "–" if value is None else plain(value)

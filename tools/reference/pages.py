"""Which pages of the documentation are made from the code, and by what."""

from pathlib import Path
from typing import Callable

from reference import commands, headers, protos, settings

PAGES: dict[str, Callable[[Path], str]] = {
    "reference/commands.md": commands.page,
    "reference/settings.md": settings.page,
    "reference/prototxt.md": protos.page,
    "reference/layers.md": headers.layers_page,
    "reference/cpp.md": headers.api_page,
}

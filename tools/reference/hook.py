"""mkdocs calls this: adds the reference pages that are made from the code to the site."""

import sys
from pathlib import Path

from mkdocs.structure.files import File

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "tools"), str(REPO / "python")]

from reference import commands, headers, protos, settings  # noqa: E402

PAGES = {
    "reference/commands.md": commands.page,
    "reference/settings.md": settings.page,
    "reference/prototxt.md": protos.page,
    "reference/layers.md": headers.layers_page,
    "reference/cpp.md": headers.api_page,
}


def on_files(files, config):
    """Add the generated pages to the files of the site."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make(REPO)))
    return files

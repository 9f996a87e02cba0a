"""mkdocs calls this: adds the reference pages that are made from the code to the site."""

import sys
from pathlib import Path

from mkdocs.structure.files import File

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "tools"), str(REPO / "python")]

from reference.pages import PAGES  # noqa: E402


def on_files(files, config):
    """Add the generated pages to the files of the site."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make(REPO)))
    return files

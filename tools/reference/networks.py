"""The pages of the networks: the READMEs of prototxt/."""

import re
from pathlib import Path


def page(repo: Path, network: str) -> str:
    """The README of ``prototxt/network`` as a page beside those of the other networks."""
    text = (repo / "prototxt" / network / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(\.\./(\w+)/README\.md", r"](\1.md", text)

"""What `pip install .` takes: patterns without a leading slash would leave out maap.data, too."""

from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")  # Python 3.11
REPO = Path(__file__).resolve().parents[3]


def test_what_is_left_out_lies_at_the_root():
    settings = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    left_out = settings["tool"]["scikit-build"]["sdist"]["exclude"]
    assert left_out
    for pattern in left_out:
        assert pattern.startswith("/"), f"{pattern} also matches folders of the packages"

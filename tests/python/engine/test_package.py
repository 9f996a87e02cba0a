"""What `pip install .` takes, and the versions that the launcher and the container install."""

import re
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


def bounds(lines):
    """name -> bounds, of lines such as "numpy>=1.24,<3"."""
    found = [re.match(r"([\w-]+)(.*)", line.split("#")[0].strip()) for line in lines]
    return {match.group(1).lower(): match.group(2) for match in found if match}


LISTS = sorted(REPO.glob("*/requirements.txt")) + sorted(REPO.glob("*/*/requirements.txt"))


def test_the_package_has_the_bounds_of_the_engines_environment():
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = project["optional-dependencies"].items()
    optional = [line for name, group in groups for line in group if name != "torch"]
    wanted = bounds([*project["dependencies"], *optional])
    tested = bounds((REPO / "tools/engine/requirements.txt").read_text().splitlines())
    assert wanted == {name: tested[name] for name in wanted}
    assert all("<" in bound for bound in tested.values())


def test_pytorch_is_tested_within_its_bounds():
    """It comes into a folder of its own, at the versions of tools/engine/torch."""
    packaging = pytest.importorskip("packaging.specifiers")
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = bounds(project["optional-dependencies"]["torch"])
    text = (REPO / "tools/engine/torch").read_text(encoding="utf-8")
    tested = dict(re.findall(r"([\w-]+)==([\w.]+)", text))
    assert list(wanted) == ["torch"]
    assert packaging.SpecifierSet(wanted["torch"]).contains(tested["torch"])


@pytest.mark.parametrize("path", LISTS, ids=lambda path: str(path.relative_to(REPO)))
def test_every_package_is_locked_within_its_bounds_and_has_hashes(path):
    packaging = pytest.importorskip("packaging.specifiers")
    entries = path.with_suffix(".lock").read_text().replace("\\\n", " ").splitlines()
    assert all(" --hash=sha256:" in entry for entry in entries if entry)
    locked = [re.match(r"([\w.-]+)==([\w.]+)", entry).groups() for entry in entries if entry]
    for name, bound in bounds(path.read_text().splitlines()).items():
        versions = [version for other, version in locked if other == name]
        assert versions, f"{name} is not in the lock; run tools/lock"
        for version in versions:
            assert packaging.SpecifierSet(bound).contains(version), f"{name} {version}; {bound}"

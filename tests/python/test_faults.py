"""tests/faults/run can make each of its mistakes in the code as it is."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("faults", REPO / "tests/faults/faults.py")
    module = sys.modules["faults"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAULTS = load().FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_what_a_mistake_replaces_stands_in_its_file_once(fault):
    code = (REPO / fault.file).read_text(encoding="utf-8")
    for old, new in fault.edits:
        assert code.count(old) == 1, old
        assert new != old


def test_mistakes_have_names_of_their_own():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)

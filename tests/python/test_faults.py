"""tests/faults/run can make each of its mistakes in the code as it is."""

from pathlib import Path

import pytest
from loaded_scripts import load_script

REPO = Path(__file__).resolve().parents[2]


FAULTS = load_script(REPO / "tests/faults/faults.py").FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_what_a_mistake_replaces_stands_in_its_file_once(fault):
    code = (REPO / fault.file).read_text(encoding="utf-8")
    for old, new in fault.edits:
        assert code.count(old) == 1, old
        assert new != old


def test_mistakes_have_names_of_their_own():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)

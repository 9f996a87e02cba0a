"""pycaffe's Python part takes, raises and draws what BVLC Caffe's does (make_golden.py)."""

import json

import caffe
import interface
import make_golden
import pytest

THEIRS = json.loads((make_golden.GOLDEN / "interface.json").read_text())
# What may also be left out here.
MORE_DEFAULTS = {"draw.get_layer_label": ["layer", "rankdir='LR'", "display_lrm=False"]}


@pytest.fixture(scope="module")
def raised():
    return interface.exceptions(caffe)


def test_signatures():
    mine = interface.signatures(caffe)
    wanted = {**THEIRS["signatures"], **MORE_DEFAULTS}
    assert {name: mine.get(name) for name in wanted} == wanted
    assert len(wanted) > 40


@pytest.mark.parametrize("call", THEIRS["exceptions"])
def test_exceptions(call, raised):
    """Who catches the class that BVLC Caffe raises catches this one as well."""
    theirs = THEIRS["exceptions"][call]
    assert theirs, "BVLC Caffe accepts it"
    assert theirs[0] in raised[call]


def test_labels_of_drawn_layers():
    assert interface.labels() == THEIRS["labels"]


def test_values():
    """A dict or a list may have more here: this engine has two more layers."""
    mine = interface.values(caffe)
    assert list(mine) == list(THEIRS["values"])
    for text, wanted in THEIRS["values"].items():
        if isinstance(wanted, dict):
            assert wanted.items() <= mine[text].items(), text
        elif text.startswith("sorted"):
            assert set(wanted) <= set(mine[text])
        else:
            assert mine[text] == wanted, text

"""Every layer type that has a gradient has a C++ test that holds it to central differences, for
float and double: read from the tests' sources, so that a layer added without one is found."""

import re
from pathlib import Path

import caffe
import pytest

CPP = Path(__file__).resolve().parents[2] / "cpp"
WITHOUT = {
    "Accuracy": "counts",
    "AnnotatedData": "reads",
    "ArgMax": "gives indices",
    "BoxAnnotatorOHEM": "gives 0 (tested)",
    "ContinuationIndicator": "fills",
    "Data": "reads",
    "DetectionEvaluate": "counts",
    "DetectionOutput": "refuses (tested)",
    "DummyData": "fills",
    "HDF5Data": "reads",
    "HDF5Output": "writes",
    "ImageData": "reads",
    "Input": "is filled by others",
    "LabelsequenceAccuracy": "counts",
    "MemoryData": "reads",
    "PriorBox": "gives 0 (tested)",
    "Proposal": "gives 0 (tested)",
    "Python": "is what its user writes",
    "Silence": "gives 0 (tested)",
    "Threshold": "has none (tested)",
    "WindowData": "reads",
}
SUITES = {"Enhancement": "EnhancementTest", "Elimination": "EliminationTest"}
BOTH_TYPES = ("DtypesAndDevices", "DtypesDevicesAndEngines", "Dtypes")


@pytest.fixture(scope="module")
def sources():
    return "\n".join(path.read_text() for path in CPP.rglob("test_*.cpp"))


def checks_gradient(sources: str, suite: str) -> bool:
    """Whether a typed test of the suite compares a gradient with differences."""
    typed = re.search(rf"TYPED_TEST_SUITE\({suite}, (\w+)\)", sources)
    if not typed or typed[1] not in BOTH_TYPES:
        return False
    tests = re.findall(rf"^TYPED_TEST\({suite}, \w+\) \{{\n(.*?)^\}}", sources, re.M | re.S)
    return any(re.search(r"\bcheck_gradients?\b", body) for body in tests)


@pytest.mark.parametrize("name", sorted(set(caffe.layer_type_list()) - set(WITHOUT)))
def test_has_a_gradient_test(sources, name):
    suite = SUITES.get(name, f"{name}LayerTest")
    assert checks_gradient(sources, suite), f"{suite} has no typed test with check_gradient"


def test_finds_what_is_missing(sources):
    assert not checks_gradient(sources, "AccuracyLayerTest")
    assert not checks_gradient(sources, "NoSuchLayerTest")


def test_those_without_are_types():
    assert set(WITHOUT) <= set(caffe.layer_type_list())

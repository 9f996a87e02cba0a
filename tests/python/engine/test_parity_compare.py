"""The parity test's own measure: what it calls different, and what it lets pass."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "parity"))

import golden  # noqa: E402
from cases import Case, all_cases, select  # noqa: E402
from compare import DIFFERS, FAILED, OK, SKIPPED, Outcome, compare, difference, table  # noqa: E402

CASE = Case("case", "Group", exact=("*/mask",))
A = {"0/data/y": np.array([1.0, -4.0, 2.0]), "0/mask": np.array([3.0, 7.0])}


def changed(name, index, value):
    other = {key: np.array(array) for key, array in A.items()}
    other[name][index] = value
    return other


def test_difference_is_relative_to_the_largest_value():
    a = np.array([1.0, -4.0, 2.0])
    assert difference(a, a + [0, 0, 0.01]) == pytest.approx(0.01 / 4)
    assert difference(a, -a) == 2


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0, 2.0], [1.0, math.nan]),
        ([math.nan, 2.0], [1.0, 2.0]),
        ([math.inf, 2.0], [-math.inf, 2.0]),
        ([0.0, 0.0], [0.0, 1e-30]),
        ([[1.0, 2.0]], [1.0, 2.0]),
        ("a", "b"),
    ],
)
def test_difference_is_infinite(a, b):
    assert difference(np.array(a), np.array(b)) == math.inf


def test_equal_odd_values_do_not_differ():
    odd = np.array([math.nan, math.inf, -math.inf, 0, 5])
    assert difference(odd, np.array(odd)) == 0
    assert difference(np.zeros(3), np.zeros(3)) == 0
    assert difference(np.zeros(0), np.zeros(0)) == 0


def test_limits():
    assert compare(CASE, A, A).status == OK
    assert compare(CASE, A, changed("0/data/y", 0, 1.0003)).status == OK  # 0.75e-4
    worse = compare(CASE, A, changed("0/data/y", 0, 1.0005))
    assert (worse.status, worse.worst) == (DIFFERS, "0/data/y")
    exact = compare(CASE, A, changed("0/mask", 1, 7.00001))
    assert (exact.status, exact.worst) == (DIFFERS, "0/mask")


def test_an_array_of_one_side_alone_differs():
    less = {"0/mask": A["0/mask"]}
    assert compare(CASE, A, less).status == DIFFERS
    assert compare(CASE, less, A).status == DIFFERS


def test_golden_arrays_show_what_full_ones_show():
    large = {"x": np.random.RandomState(1).uniform(-1, 1, (40, 50))}
    condensed = golden.condense(large)
    assert compare(CASE, condensed, golden.condense({"x": large["x"] * 1.0002})).status == DIFFERS
    assert compare(CASE, condensed, golden.condense({"x": large["x"].T})).status == DIFFERS
    assert sum(array.size for array in condensed.values()) < 200


def test_table_counts():
    text = table([Outcome(CASE, OK), Outcome(CASE, SKIPPED, reason="why"), Outcome(CASE, FAILED)])
    assert text.endswith("1 ok, 0 differs, 1 failed, 1 skipped")
    assert "case: why" in text


def test_cases_are_many_and_can_be_chosen():
    assert len(all_cases()) > 500
    assert {case.group for case in select("Pooling,lrn*")} == {"Pooling", "LRN"}
    assert [case.name for case in select("conv_group")] == ["conv_group"]

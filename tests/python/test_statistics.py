"""maap.util.statistics: means of paired differences and their intervals."""

import math

import numpy as np
import pytest
from maap.util.statistics import Interval, paired, t_quantile


def t_below(limit, freedom):
    """The share of Student's t below ``limit``, by Simpson's rule over its density."""
    points = np.linspace(0.0, limit, 20001)
    log = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    density = np.exp(log - (freedom + 1) / 2 * np.log1p(points**2 / freedom))
    density /= math.sqrt(freedom * math.pi)
    weights = np.full(len(points), 2.0)
    weights[1::2], weights[[0, -1]] = 4.0, 1.0
    return 0.5 + float(weights @ density) * (points[1] - points[0]) / 3


@pytest.mark.parametrize("freedom", [*range(1, 36), 50, 99, 1000])
def test_the_quantiles_leave_one_fortieth_above(freedom):
    assert t_below(t_quantile(freedom), freedom) == pytest.approx(0.975, abs=2e-7)


def test_the_quantiles_are_scipy_s():
    special = pytest.importorskip("scipy.special")
    for freedom in [*range(1, 61), 120, 1000]:
        assert t_quantile(freedom) == pytest.approx(special.stdtrit(freedom, 0.975), abs=1e-6)


def test_no_degree_of_freedom_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        t_quantile(0)


def test_a_textbook_s_interval():
    """Student's own example (1908): the gain of sleep of ten patients by one drug over the
    other."""
    gains = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = paired(gains)
    assert found.n == 10
    assert found.mean == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert found.excludes_zero


def test_the_interval_of_two_values():
    """t with one degree is 12.706; s / sqrt(2) of -1 and 3 is 2."""
    found = paired([-1.0, 3.0])
    assert (found.low, found.high) == pytest.approx((1 - 25.41241, 1 + 25.41241), abs=1e-5)
    assert not found.excludes_zero


def test_a_single_value_has_no_interval():
    found = paired([3.2])
    assert found == Interval(1, 3.2)
    assert found.low is None and found.high is None
    assert not found.excludes_zero


@pytest.mark.parametrize(
    ("values", "shown"),
    [([1.0, 1.1, 1.2], True), ([-1.0, -1.1, -1.2], True), ([0.0, 0.0], False), ([1, -1, 1], False)],
)
def test_a_difference_is_shown_where_zero_lies_outside(values, shown):
    found = paired(values)
    assert found.low <= found.mean <= found.high
    assert found.excludes_zero is shown


@pytest.mark.parametrize(
    ("values", "why"), [([], "no differences"), ([1.0, float("nan")], "not finite")]
)
def test_what_has_no_mean_is_an_error(values, why):
    with pytest.raises(ValueError, match=why):
        paired(values)


def test_the_order_of_the_pairs_does_not_matter():
    values = list(np.random.RandomState(0).normal(0.4, 1.0, 12))
    one, other = paired(values), paired(values[::-1])
    assert (one.mean, one.low, one.high) == pytest.approx((other.mean, other.low, other.high))

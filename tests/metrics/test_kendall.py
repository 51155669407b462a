"""Kendall's tau-b of many samples against scipy, and against fractions over all pairs."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau

from calib_assets.metrics import kendall, kendall_tau

tied = st.integers(-3, 3).map(lambda i: i / 4)
samples = st.tuples(st.integers(1, 4), st.integers(2, 12)).flatmap(
    lambda shape: st.tuples(arrays(float, shape, elements=tied), arrays(float, shape, elements=tied))
)


def tau_of_pairs(x, y):
    """From the definition, with exact counts."""
    signs = [(np.sign(b - a), np.sign(d - c)) for (a, c), (b, d) in combinations(zip(x, y), 2)]
    net = sum(int(first * second) for first, second in signs)
    untied = [sum(pair[side] != 0 for pair in signs) for side in (0, 1)]
    if 0 in untied:
        return np.nan
    return net / abs(net) * float(Fraction(net * net, untied[0] * untied[1])) ** 0.5 if net else 0.0


@given(samples)
def test_equals_the_definition_over_pairs(pair):
    x, y = pair
    expected = [tau_of_pairs(*rows) for rows in zip(x, y)]
    np.testing.assert_allclose(kendall_tau(x, y), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("n", "levels"), [(2, 2), (3, 9), (100, 5), (100, 10**6), (256, 10**6), (257, 10**6), (700, 40)]
)
def test_equals_scipy(n, levels):
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, levels, size=(2, 12, n)) / 7
    expected = [kendalltau(*rows).statistic for rows in zip(x, y)]
    np.testing.assert_allclose(kendall_tau(x, y), expected, atol=1e-12)


def test_equals_scipy_with_more_values_than_two_bytes_can_rank():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1, 66_000))
    y = np.round(x + rng.normal(size=x.shape), 4)
    inversions = kendall._inversions
    try:
        # Counting all pairs would take seconds: only the ranks are of interest here.
        kendall._inversions = lambda rows: np.array([_merged_inversions(rows[0].tolist())[1]])
        found = kendall_tau(x, y)
    finally:
        kendall._inversions = inversions
    assert found[0] == pytest.approx(kendalltau(x[0], y[0]).statistic, abs=1e-12)


def _merged_inversions(values):
    if len(values) < 2:
        return values, 0
    half = len(values) // 2
    (left, a), (right, b) = _merged_inversions(values[:half]), _merged_inversions(values[half:])
    merged, count, i = [], a + b, 0
    for value in right:
        while i < len(left) and left[i] <= value:
            merged.append(left[i])
            i += 1
        merged.append(value)
        count += len(left) - i
    return merged + left[i:], count


@given(samples)
def test_only_the_order_matters(pair):
    x, y = pair
    expected = kendall_tau(x, y)
    np.testing.assert_array_equal(kendall_tau(np.exp(5 * x), y**3), expected)
    np.testing.assert_array_equal(kendall_tau(y, x), expected)
    np.testing.assert_allclose(kendall_tau(x, -y), -expected)
    order = np.random.default_rng(0).permutation(x.shape[1])
    np.testing.assert_array_equal(kendall_tau(x[:, order], y[:, order]), expected)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(0, 10**6))
def test_groups_of_different_sizes(sizes, number):
    rng = np.random.default_rng(number)
    groups = rng.permutation(np.repeat([f"g{i}" for i in range(len(sizes))], sizes))
    x, y = rng.integers(0, 4, size=(2, groups.size))
    found = kendall_tau(x, y, groups)
    expected = [kendall_tau(x[None, groups == g], y[None, groups == g])[0] for g in np.unique(groups)]
    np.testing.assert_array_equal(found, expected)


def test_blocks_of_samples_are_put_together(monkeypatch):
    x, y = np.random.default_rng(4).integers(0, 9, size=(2, 11, 6))
    whole = kendall_tau(x, y)
    monkeypatch.setattr(kendall, "BLOCK_ENTRIES", 20)
    np.testing.assert_array_equal(kendall_tau(x, y), whole)


def test_ends_of_the_range_are_exact():
    rising = np.tile(np.arange(101.0), (3, 1))
    np.testing.assert_array_equal(kendall_tau(rising, rising**2), 1)
    np.testing.assert_array_equal(kendall_tau(rising, -rising), -1)


def test_nothing_to_compare():
    assert np.isnan(kendall_tau(np.ones((1, 1)), np.ones((1, 1)))).all()
    assert np.isnan(kendall_tau([[1, 1]], [[1, 2]])).all()
    assert kendall_tau(np.empty((0, 5)), np.empty((0, 5))).shape == (0,)
    assert kendall_tau([], [], groups=[]).shape == (0,)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"x has shape \(1, 2\) and y \(1, 3\)"):
        kendall_tau([[1, 2]], [[1, 2, 3]])
    with pytest.raises(ValueError, match=r"x has shape \(2,\).*two vectors with groups"):
        kendall_tau([1, 2], [1, 2])
    with pytest.raises(ValueError, match="y has 1 NaN of 2 entries"):
        kendall_tau([[1, 2]], [[1, np.nan]])
    with pytest.raises(ValueError, match=r"groups has shape \(1,\); give one for each of 2 values"):
        kendall_tau([1, 2], [1, 2], groups=[1])

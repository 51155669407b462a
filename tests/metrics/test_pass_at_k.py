"""pass@k against its definition: the share of k-subsets that hold a passing sample."""

from itertools import combinations
from math import comb

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import pass_at_k, pass_rates, pass_summary


def share_of_subsets(n: int, c: int, k: int) -> float:
    """Slow, from the definition."""
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    return sum(any(subset) for subset in subsets) / len(subsets)


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_it_is_the_share_of_subsets(case):
    assert pass_at_k(*case) == pytest.approx(share_of_subsets(*case), abs=1e-15)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_it_is_the_ratio_of_binomials_in_exact_arithmetic(case):
    n, c, k = case
    exact = 1 - comb(n - c, k) / comb(n, k) if c else 0.0
    assert pass_at_k(n, c, k) == pytest.approx(exact, rel=1e-12, abs=1e-15)


def test_small_values_keep_their_digits_and_large_counts_do_not_overflow():
    assert pass_at_k(10**9, 1, 2) == pytest.approx(2e-9, rel=1e-12)
    assert pass_at_k(100_000, 10, 50_000) == pytest.approx(1 - 0.5**10, rel=1e-3)


def test_it_is_unbiased():
    """Mean over all outcomes of n draws with success probability p: exactly 1 - (1 - p)^k."""
    n, p = 7, 0.3
    for k in (1, 3, 7):
        mean = sum(comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
        assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


def test_more_tries_than_samples_are_undefined():
    assert pass_at_k(3, 3, 4) is None and pass_at_k(0, 0, 1) is None
    for wrong in ((3, 4, 1), (3, -1, 1), (3, 1, 0)):
        with pytest.raises(ValueError, match="pass@k needs"):
            pass_at_k(*wrong)


def test_rates_and_their_mean():
    counts = pl.DataFrame({"problem_id": ["a", "b", "c"], "n_tested": [4, 4, 1], "n_passed": [2, 0, 1]})
    rates = pass_rates(counts, [1, 2])
    assert rates["pass_at_k"].to_list() == [0.5, pytest.approx(5 / 6), 0.0, 0.0, 1.0, None]
    summary = pass_summary(rates)
    assert summary.select("k", "est", "n_problems", "n_undefined").rows() == [
        (1, 0.5, 3, 0),
        (2, pytest.approx(5 / 12), 2, 1),
    ]
    assert (summary["ci_low"] <= summary["est"]).all() and (summary["est"] <= summary["ci_high"]).all()
    failed = pass_summary(pass_rates(counts.with_columns(n_passed=pl.lit(0)), [1])).row(0)
    assert failed == (1, 0.0, None, None, 3, 0)  # 9 failures show no probability of exactly 0
    nothing = pass_summary(pass_rates(counts, [9]))
    assert nothing.row(0) == (9, None, None, None, 0, 3)
    with pytest.raises(ValueError, match="more than once"):
        pass_rates(pl.concat([counts, counts]), [1])

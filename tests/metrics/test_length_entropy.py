"""Length–entropy correlation against scipy, plain Python aggregates and a draw-by-draw bootstrap."""

import math

import numpy as np
import polars as pl
import pytest
from drawn_rollouts import by_prompt, drawn_rollouts, naive_draws, naive_interval
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, spearmanr

from calib_assets.metrics import correlation_summary, length_entropy_correlation, prompt_correlations
from calib_assets.metrics.length_entropy import CORRELATION_SCHEMA, MEASURES
from calib_assets.stats import Bootstrap


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 10**6), st.booleans())
def test_correlations_of_each_prompt_equal_scipy(sizes, number, ties):
    rollouts = drawn_rollouts(number, sizes, ties=ties)
    found = prompt_correlations(rollouts)
    assert found.schema == CORRELATION_SCHEMA
    assert prompt_correlations(rollouts.lazy()).equals(found)
    for row, rows in zip(found.iter_rows(named=True), by_prompt(rollouts), strict=True):
        x, y = rows["length"], rows["entropy_rate"]
        assert row["n_rollouts"] == len(x)
        values = [row[name] for name in MEASURES]
        if len(x) == 1:
            assert (values, row["reason"]) == ([None] * 4, "one rollout")
        elif len(set(x)) == 1:
            assert (values, row["reason"]) == ([None] * 4, "no variation in length")
        elif max(y) - min(y) <= 1e-12 * max(y):
            assert (values, row["reason"]) == ([None] * 4, "no variation in entropy rate")
        else:
            expected = [test(x, y).statistic for test in (pearsonr, spearmanr, kendalltau)]
            assert values == pytest.approx([*expected, np.cov(x, y)[0, 1]], abs=1e-12)
            assert row["reason"] is None


def aggregate(rows):
    """The weighted means of Paper B, Algorithm 2, over the rows of some prompts, which may recur."""
    found = []
    for name in MEASURES:
        above = below = 0.0
        for row in rows:
            n, value = row["n_rollouts"], row[name]
            weight = {"kendall": n * (n - 1) / 2, "covariance": n - 1}.get(name, n - 3)
            if value is None or weight <= 0:
                continue
            if name in ("pearson", "spearman"):
                value = math.atanh(max(-0.999999, min(0.999999, value)))
            above, below = above + weight * value, below + weight
        mean = above / below if below else math.nan
        found.append(math.tanh(mean) if name in ("pearson", "spearman") else mean)
    return found


def test_summary_equals_the_bootstrap_done_draw_by_draw():
    prompts = prompt_correlations(drawn_rollouts(8, (1, 9, 3, 6, 12, 4, 2), cap=30))
    assert prompts["pearson"].null_count()
    rows = prompts.to_dicts()
    found = correlation_summary(prompts, Bootstrap(n_boot=500))
    draws = naive_draws(lambda drawn: aggregate([rows[i] for i in drawn]), len(rows), 500)
    assert found["measure"].to_list() == list(MEASURES)
    for row, value, column in zip(found.iter_rows(named=True), aggregate(rows), draws.T, strict=True):
        numbers = [row[name] for name in ("est", "se", "ci_low", "ci_high")]
        assert numbers == pytest.approx([value, *naive_interval(column)], rel=1e-9, abs=1e-12)
    least = {"pearson": 4, "spearman": 4, "kendall": 2, "covariance": 2}
    for row in found.iter_rows(named=True):
        entering = sum(r["pearson"] is not None and r["n_rollouts"] >= least[row["measure"]] for r in rows)
        assert (row["n_prompts"], row["n_left_out"]) == (entering, len(rows) - entering)


def prompts_of(*rows):
    names = ("prompt_id", "n_rollouts", "pearson", "spearman", "kendall", "covariance")
    schema = {"prompt_id": pl.String, "n_rollouts": pl.Int64} | dict.fromkeys(MEASURES, pl.Float64)
    table = pl.DataFrame([(f"p{i}", *row) for i, row in enumerate(rows)], schema=names, orient="row")
    return table.cast(schema)


def test_hand_worked_aggregates():
    found = correlation_summary(prompts_of((4, 0.0, 0.0, 0.2, 1), (6, math.tanh(1), 0.5, 0.6, 3), (9, *[None] * 4)))
    # Fisher: weights 1 and 3 on z = 0 and 1. Kendall: 6 and 15 pairs. Covariance: 3 and 5.
    expected = [math.tanh(0.75), math.tanh(0.75 * math.atanh(0.5)), (6 * 0.2 + 15 * 0.6) / 21, 18 / 8]
    assert found["est"].to_list() == pytest.approx(expected)
    assert found["n_prompts"].to_list() == [2] * 4 and found["n_left_out"].to_list() == [1] * 4


def test_perfect_correlations_are_clipped():
    found = correlation_summary(prompts_of((5, 1.0, -1.0, 1.0, 1), (5, 1.0, -1.0, 1.0, 1)))
    assert found["est"].to_list()[:3] == pytest.approx([0.999999, -0.999999, 1])
    one_of_two = correlation_summary(prompts_of((5, 1.0, 0.0, 1.0, 1), (5, 0.0, 0.0, 1.0, 1)))
    assert one_of_two["est"][0] == pytest.approx(math.tanh(math.atanh(0.999999) / 2), rel=1e-12)


def test_three_rollouts_have_no_weight_in_fishers_mean():
    found = correlation_summary(prompts_of((3, 0.9, 0.9, 0.9, 1), (3, 0.1, 0.1, 0.1, 3)))
    assert found["est"].to_list() == pytest.approx([None, None, 0.5, 2])
    assert found["n_left_out"].to_list() == [2, 2, 0, 0]


def test_one_prompt_with_a_value_has_no_spread():
    # In every draw that holds it, the aggregate is that prompt's: a width of 0 would claim certainty.
    found = correlation_summary(prompts_of((9, 0.4, 0.4, 0.4, 1), (9, *[None] * 4), (9, *[None] * 4)))
    assert found["est"].to_list() == pytest.approx([0.4, 0.4, 0.4, 1])
    assert found["se"].null_count() == found["ci_low"].null_count() == found["ci_high"].null_count() == 4


def test_no_prompts():
    found = correlation_summary(prompt_correlations(drawn_rollouts()[:0]))
    assert found["est"].null_count() == 4 and found["n_prompts"].to_list() == [0] * 4


def test_recovers_the_correlation_of_normal_pairs():
    # Pearson rho; Spearman 6/pi asin(rho/2) and Kendall 2/pi asin(rho) for normal pairs. Rates are shifted to > 0.
    rho, n_prompts, n = -0.6, 300, 60
    rng = np.random.default_rng(6)
    shift = rng.normal(0, 5, size=(n_prompts, 1, 1))  # prompts differ: pooled correlations would be near +1
    pairs = shift + rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=(n_prompts, n))
    x, y = pairs.reshape(-1, 2).T
    found = length_entropy_correlation(x, y + 50, np.repeat(np.arange(n_prompts), n))
    truth = [rho, 6 / np.pi * np.arcsin(rho / 2), 2 / np.pi * np.arcsin(rho), rho]
    for row, value in zip(found.summary.iter_rows(named=True), truth, strict=True):
        # A sample's z and rank correlation are off by order 1/n.
        assert abs(row["est"] - value) < 4 * row["se"] + 1 / n
    assert found.summary["se"][0] == pytest.approx((1 - rho**2) / math.sqrt(n_prompts * (n - 3)), rel=0.2)
    assert found.kendall == found.summary["est"][2] and found.prompts.height == n_prompts


@given(st.lists(st.integers(2, 9), min_size=1, max_size=5), st.integers(0, 10**6))
def test_arrays_in_any_order_give_what_the_table_gives(sizes, number):
    rollouts = drawn_rollouts(number, sizes, cap=30)
    mixed = rollouts[np.random.default_rng(number).permutation(rollouts.height)]
    arrays = (mixed[name].to_numpy() for name in ("length", "entropy_rate", "prompt_id"))
    found = length_entropy_correlation(*arrays, Bootstrap(n_boot=3))
    expected = correlation_summary(prompt_correlations(rollouts), Bootstrap(n_boot=3))
    for value, (name, other) in zip(found.summary["est"], expected.select("measure", "est").iter_rows()):
        assert value == (other if other is None else pytest.approx(other, abs=1e-9))
        assert getattr(found, name) == value


def test_rates_that_differ_by_rounding_do_not_vary():
    length = np.arange(1, 200)
    rate = np.array([sum([0.1] * n) / n for n in length.tolist()])  # each sum is rounded in its own way
    assert np.ptp(rate) > 0
    table = pl.DataFrame({"prompt_id": ["a"] * 199, "length": length, "entropy_rate": rate})
    assert prompt_correlations(table)["reason"].item() == "no variation in entropy rate"
    wide = table.with_columns(entropy_rate=pl.Series(0.1 + 1e-11 * length))
    assert prompt_correlations(wide)["pearson"].item() == pytest.approx(1, abs=1e-9)


def test_rates_of_zero_and_of_tiny_size():
    table = pl.DataFrame({"prompt_id": ["a"] * 3, "length": [1, 2, 4], "entropy_rate": [0.0, 0.0, 0.0]})
    assert prompt_correlations(table)["reason"].item() == "no variation in entropy rate"
    tiny = table.with_columns(entropy_rate=pl.Series([1e-200, 2e-200, 4e-200]))
    assert prompt_correlations(tiny)["pearson"].item() == pytest.approx(1)


def test_wrong_input_is_refused():
    rollouts = drawn_rollouts()
    for value in (math.nan, math.inf, None):
        bad = rollouts.with_columns(entropy_rate=pl.lit(value, pl.Float64))
        with pytest.raises(ValueError, match="rollouts holds entropy_rate .* for prompt 'p0-0'; it must be finite"):
            prompt_correlations(bad)
    with pytest.raises(ValueError, match=r"rollouts lacks the columns \['entropy_rate'\]"):
        prompt_correlations(rollouts.drop("entropy_rate"))
    with pytest.raises(ValueError, match=r"prompt_correlations lacks the columns \['kendall'\]"):
        correlation_summary(prompts_of((4, *[0.1] * 4)).drop("kendall"))
    with pytest.raises(ValueError, match=r"prompts has shape \(2,\)"):
        length_entropy_correlation([1, 2, 3], [0.1, 0.2, 0.3], ["a", "b"])

"""Variance split against its definition, known truths and simulation; designs against trying all of them."""

import math
import statistics

import numpy as np
import polars as pl
import pytest
from drawn_rollouts import by_prompt, drawn_rollouts
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import canopy_summary, cheapest_design, prompt_measures, variance_split
from calib_assets.metrics.variance_split import FLOORED, SPLIT_SCHEMA

VALUES = {"canopy_entropy": "sequence_entropy", "mean_length": "length", "mean_entropy_rate": "entropy_rate"}


def measured(sizes, number=0):
    return prompt_measures(drawn_rollouts(number, sizes, ties=False), 12)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(0, 10**6))
def test_equals_the_definition(sizes, number):
    rollouts = drawn_rollouts(number, sizes, ties=False)
    split = variance_split(prompt_measures(rollouts, 12))
    assert split.schema == SPLIT_SCHEMA
    for row, (measure, column) in zip(split.iter_rows(named=True), VALUES.items(), strict=True):
        prompts = [rows[column] for rows in by_prompt(rollouts)]
        total = statistics.variance([statistics.fmean(values) for values in prompts])
        assert (row["measure"], row["n_prompts"]) == (measure, len(sizes))
        assert row["n_rollouts"] == pytest.approx(statistics.harmonic_mean(sizes))
        variances = [statistics.variance(values) if len(values) > 1 else None for values in prompts]
        known = [value for value in variances if value is not None]
        if not known:
            assert (row["between"], row["within"], row["floored"]) == (None, None, None)
            assert row["se"] == pytest.approx(math.sqrt(total / len(sizes)))
            continue
        within = statistics.fmean(known)
        sampling = statistics.fmean((within if v is None else v) / m for v, m in zip(variances, sizes))
        assert row["within"] == pytest.approx(within, rel=1e-9, abs=1e-12)
        assert row["between"] == pytest.approx(max(0, total - sampling), rel=1e-9, abs=1e-12)
        assert row["floored"] == (total < sampling)
        assert row["se"] == pytest.approx(math.sqrt(max(total, sampling) / len(sizes)), rel=1e-9, abs=1e-12)


def test_one_prompt_has_no_variance_between():
    row = variance_split(measured((4,))).row(0, named=True)
    assert row["within"] > 0
    assert (row["between"], row["se"], row["floored"]) == (None, None, None)


def test_no_prompts():
    split = variance_split(measured((1,))[:0])
    assert split["n_prompts"].to_list() == [0] * 3 and split["within"].null_count() == 3


@pytest.mark.parametrize("sizes", [(3,) * 12, (2, 2, 2, 2, 2, 2, 3, 5, 9, 9, 9, 9)])
def test_recovers_the_variances_it_was_drawn_from(sizes):
    # Means N(0, 4) over prompts; within, variances that are larger where there are more rollouts.
    rng = np.random.default_rng(1)
    within = np.array([1 + m / 3 for m in sizes])
    found, errors = [], []
    for _ in range(700):
        centre = rng.normal(0, 2, size=len(sizes))
        draws = [rng.normal(c, math.sqrt(v), size=m) for c, v, m in zip(centre, within, sizes)]
        means, variances = [d.mean() for d in draws], [d.var(ddof=1) for d in draws]
        table = pl.DataFrame({"n_rollouts": sizes, "canopy_entropy": means, "var_sequence_entropy": variances})
        others = dict.fromkeys(("mean_length", "mean_entropy_rate"), means)
        others |= dict.fromkeys(("var_length", "var_entropy_rate"), variances)
        row = variance_split(table.with_columns(**{k: pl.Series(v) for k, v in others.items()})).row(0, named=True)
        # Unfloored here: 4 between against a sampling part below 1.
        found.append((row["between"], row["within"]))
        errors.append((statistics.fmean(means), row["se"] ** 2))
    means, spread = np.mean(found, axis=0), np.std(found, axis=0) / math.sqrt(len(found))
    assert (abs(means - [4, within.mean()]) < 4 * spread).all()
    estimates, squares = np.transpose(errors)
    truth = (4 + (within / sizes).mean()) / len(sizes)
    assert squares.mean() == pytest.approx(truth, rel=4 * math.sqrt(2 / 11 / 700))
    assert estimates.var(ddof=1) == pytest.approx(truth, rel=4 * math.sqrt(2 / 699))


def split_of(between, within, floored=False):
    columns = {"measure": ["canopy_entropy"], "between": [between], "within": [within], "floored": [floored]}
    return pl.DataFrame(columns, schema_overrides={"between": pl.Float64, "within": pl.Float64})


def summary_of(est):
    return pl.DataFrame({"measure": ["canopy_entropy"], "est": [est]}, schema_overrides={"est": pl.Float64})


def design_of(between, within, est, share, context, length, **options):
    design = cheapest_design(
        split_of(between, within, options.pop("floored", False)),
        summary_of(est),
        context_tokens=context,
        mean_length=length,
        relative_se=[share],
        **options,
    )
    return design.row(0, named=True)


variances = st.floats(0, 50).map(lambda value: round(value, 3))


@given(variances, variances, st.floats(0.05, 0.5), st.integers(0, 300), st.integers(1, 100), st.integers(1, 12))
def test_no_design_is_cheaper(between, within, share, context, length, most):
    found = design_of(between, within, -8.0, share, context, length, max_rollouts=most)
    wanted = share * 8
    assert found["wanted_se"] == pytest.approx(wanted)

    def reaches(prompts, rollouts):
        return (between + within / rollouts) / prompts <= wanted**2 * (1 + 1e-9)

    def cost(prompts, rollouts):
        return prompts * (context + rollouts * length)

    chosen = found["prompts"], found["rollouts"]
    assert reaches(*chosen) and found["forward_tokens"] == cost(*chosen)
    for rollouts in range(1, most + 1):
        prompts = 1
        while not reaches(prompts, rollouts):
            prompts += 1
        assert cost(prompts, rollouts) >= found["forward_tokens"]


def test_hand_worked_design():
    # A wanted variance of 1 = (4 + 36 / m) / P at cost P (50 + 10 m): m = 4 gives 13 x 90, m = 5 12 x 100,
    # m = 6 10 x 110, m = 9 8 x 140, m = 12 7 x 170.
    found = design_of(4.0, 36.0, 20.0, 0.05, 50, 10)
    assert (found["prompts"], found["rollouts"], found["forward_tokens"]) == (10, 6, 1100)
    # Exactly 3 prompts, though 0.27 / 0.3**2 is a little more in floats.
    assert design_of(0.27, 0.0, 1.0, 0.3, 1, 1)["prompts"] == 3


def test_the_error_of_the_present_design_is_its_own():
    measures = measured((40,) * 30, number=3)
    split, summary = variance_split(measures), canopy_summary(measures, entropy_ranks=100)
    row = split.row(0, named=True)
    share = row["se"] / summary["est"][0]
    # Rollouts at next to no cost: as many as allowed, and then the prompts that there were.
    found = cheapest_design(split, summary, context_tokens=1e9, mean_length=1, relative_se=[share], max_rollouts=40)
    assert found.select("prompts", "rollouts").row(0) == (30, 40)


def test_more_precision_costs_more_and_rows_are_in_order():
    measures = measured((9,) * 12, number=1)
    design = cheapest_design(
        variance_split(measures), canopy_summary(measures, entropy_ranks=9), context_tokens=30, mean_length=9.5
    )
    assert design["measure"].to_list() == [name for name in VALUES for _ in range(3)]
    assert design["relative_se"].to_list() == [0.1, 0.05, 0.02] * 3
    costs = design["forward_tokens"].to_numpy().reshape(3, 3)
    assert (np.diff(costs, axis=1) > 0).all()


def test_what_has_no_design_says_why():
    assert "at least two prompts" in design_of(None, 1.0, 2.0, 0.1, 1, 1)["reason"]
    unknown = design_of(1.0, 1.0, None, 0.1, 1, 1)
    assert (unknown["prompts"], unknown["wanted_se"]) == (None, None)
    zero = design_of(1.0, 1.0, 0.0, 0.1, 1, 1)
    assert (zero["prompts"], zero["wanted_se"]) == (None, 0) and "the estimate is 0" in zero["reason"]
    nothing_varies = design_of(0.0, 0.0, 0.0, 0.1, 3, 1)
    assert [nothing_varies[name] for name in ("prompts", "rollouts", "forward_tokens", "reason")] == [1, 1, 4, None]
    floored = design_of(0.0, 9.0, 1.0, 0.1, 1, 1, floored=True)
    assert (floored["reason"], floored["prompts"] * floored["rollouts"]) == (FLOORED, 900)


def test_wrong_settings_are_refused():
    for options, message in (
        ({"context": -1}, "context_tokens is -1"),
        ({"length": 0}, "mean_length 0"),
        ({"share": 0}, r"relative_se is \(0,\)"),
        ({"max_rollouts": 0}, "max_rollouts is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            design_of(1.0, 1.0, 1.0, **{"share": 0.1, "context": 1, "length": 1} | options)
    with pytest.raises(ValueError, match=r"prompt_measures lacks the columns \['var_length'\]"):
        variance_split(measured((3, 3)).drop("var_length"))
    with pytest.raises(ValueError, match=r"split lacks the columns \['between'\]"):
        cheapest_design(split_of(1, 1).drop("between"), summary_of(1), context_tokens=1, mean_length=1)

"""The paired comparison against recomputing every draw from its prompts, and what pairing must do."""

import math

import numpy as np
import polars as pl
import pytest
from drawn_rollouts import drawn_rollouts, naive_interval

from calib_assets.metrics import (
    canopy_summary,
    correlation_summary,
    diversity_summary,
    paired_comparison,
    prompt_correlations,
    prompt_measures,
)
from calib_assets.metrics.canopy_comparison import COMPARISON_SCHEMA
from calib_assets.stats import Bootstrap

MEASURES = [
    *("canopy_entropy", "gen_ppl", "branching_factor", "mean_length", "mean_entropy_rate", "truncation_rate"),
    *("pearson", "spearman", "kendall", "covariance", "embedding_diversity", "vendi_score"),
]
SIZES = (6, 9, 3, 12, 1, 8, 5)
WHOLE = (6, 9, 7, 12, 4, 8, 5)


def cell(number, sizes=SIZES, cap=9, names=None, missing=(0,)):
    """Three tables of a model whose prompts are called alike for all numbers."""
    rollouts = drawn_rollouts(number, sizes, cap)
    rng = np.random.default_rng(number)
    diversity = [None if i in missing else float(rng.uniform(0.1, 0.9)) for i in range(len(sizes))]
    ids = rollouts["prompt_id"].unique(maintain_order=True)
    tables = {
        "prompt_measures": prompt_measures(rollouts, cap),
        "prompt_correlations": prompt_correlations(rollouts),
        "prompt_diversity": pl.DataFrame(
            {"prompt_id": ids, "embedding_diversity": diversity, "vendi_score": [d and 1 + 9 * d for d in diversity]}
        ),
    }
    return {name: table for name, table in tables.items() if names is None or name in names}


def rows_of(tables):
    """Prompt -> all its numbers."""
    found = {}
    for table in tables.values():
        for row in table.iter_rows(named=True):
            found.setdefault(row["prompt_id"], {}).update(row)
    return found


def usable(row, measure):
    if measure in ("pearson", "spearman"):
        return row.get(measure) is not None and row["n_rollouts"] > 3
    column = {"gen_ppl": "canopy_entropy", "branching_factor": "canopy_entropy"}.get(measure, measure)
    return row.get(column) is not None


def value(rows, measure):
    """A measure of some prompts, from its definition; nan where there are none."""
    if not rows:
        return math.nan

    def mean(name, weight=lambda row: 1):
        return sum(weight(r) * r[name] for r in rows) / sum(weight(r) for r in rows)

    if measure == "gen_ppl":
        return math.exp(mean("canopy_entropy") / mean("mean_length"))
    if measure == "branching_factor":
        return math.exp(mean("mean_entropy_rate"))
    if measure in ("pearson", "spearman"):
        clipped = [{**r, "z": math.atanh(min(0.999999, max(-0.999999, r[measure])))} for r in rows]
        return math.tanh(sum((r["n_rollouts"] - 3) * r["z"] for r in clipped) / sum(r["n_rollouts"] - 3 for r in rows))
    if measure == "kendall":
        return mean(measure, lambda r: r["n_rollouts"] * (r["n_rollouts"] - 1))
    if measure == "covariance":
        return mean(measure, lambda r: r["n_rollouts"] - 1)
    return mean(measure)


def percent(a, b):
    return math.nan if math.isnan(a) else 100 * (b - a) / abs(a)


def test_equals_recomputing_every_draw():
    base = cell(1)
    instruct = cell(2, (*SIZES, 4), missing=(2,))  # one prompt more, and a value missing elsewhere
    instruct["prompt_measures"] = instruct["prompt_measures"][::-1]  # order of the other side does not matter
    n_boot = 250
    found = paired_comparison(base, instruct, Bootstrap(n_boot=n_boot, level=0.9))
    assert found.schema == COMPARISON_SCHEMA and found["measure"].to_list() == MEASURES
    a, b = rows_of(base), rows_of(instruct)
    common = [name for name in a if name in b]
    assert len(common) == 7 and len(b) == 8
    indexes = np.random.default_rng(42).integers(0, 7, (n_boot, 7))
    for row in found.iter_rows(named=True):
        measure = row["measure"]
        names = [name for name in common if usable(a[name], measure) and usable(b[name], measure)]
        assert (row["n_prompts"], row["n_left_out"]) == (len(names), 8 - len(names)), measure
        draws = []
        for drawn in [range(7), *indexes]:
            chosen = [common[i] for i in drawn if common[i] in names]
            pair = [value([side[name] for name in chosen], measure) for side in (a, b)]
            draws.append([*pair, pair[1] - pair[0], percent(*pair) if pair[0] else math.nan])
        draws = np.array(draws)
        for place, side in enumerate(("base", "instruct", "change", "percent_change")):
            est = row[side if "change" in side else f"{side}_est"]
            assert est == pytest.approx(draws[0, place], rel=1e-9, abs=1e-12), (measure, side)
            numbers = [row[f"{side}_{part}"] for part in ("se", "ci_low", "ci_high")]
            if measure == "truncation_rate" and side == "percent_change":
                continue  # draws with a base of 0: tested below
            assert numbers == pytest.approx(naive_interval(draws[1:, place], 0.9), rel=1e-9, abs=1e-12), (measure, side)


def test_each_side_is_its_own_summary_where_all_prompts_are_common():
    base, instruct = cell(3, WHOLE, missing=()), cell(4, WHOLE, missing=())
    found = paired_comparison(base, instruct)
    for side, tables in (("base", base), ("instruct", instruct)):
        summaries = [
            canopy_summary(tables["prompt_measures"], entropy_ranks=100)[:6],
            correlation_summary(tables["prompt_correlations"]),
            diversity_summary(tables["prompt_diversity"]),
        ]
        expected = pl.concat(summaries)
        for row, other in zip(found.iter_rows(named=True), expected.iter_rows(named=True), strict=True):
            if row["n_left_out"] or other["n_left_out"]:
                assert row["measure"] in ("pearson", "spearman", "kendall", "covariance")
                continue
            for part in ("est", "se", "ci_low", "ci_high"):
                assert row[f"{side}_{part}"] == pytest.approx(other[part], rel=1e-12), row["measure"]


def diversity_of(values, ids=None):
    ids = ids or [f"p{i}" for i in range(len(values))]
    table = pl.DataFrame({"prompt_id": ids, "embedding_diversity": values, "vendi_score": values})
    return {"prompt_diversity": table.cast({"embedding_diversity": pl.Float64, "vendi_score": pl.Float64})}


def test_what_prompts_do_to_both_cancels():
    rng = np.random.default_rng(0)
    base = rng.uniform(0, 100, size=40)
    row = paired_comparison(diversity_of(base), diversity_of(base + 2)).row(0, named=True)
    assert row["change"] == pytest.approx(2) and row["base_se"] > 1
    assert row["change_se"] == pytest.approx(0, abs=1e-12)
    halved = paired_comparison(diversity_of(base), diversity_of(base / 2)).row(0, named=True)
    assert halved["percent_change"] == pytest.approx(-50) and halved["percent_change_se"] == pytest.approx(0, abs=1e-9)


def test_a_model_against_itself_does_not_change():
    found = paired_comparison(cell(5), cell(5))
    assert found["change"].drop_nulls().to_list() == [0.0] * found["change"].drop_nulls().len()
    assert found["change_se"].drop_nulls().abs().max() == 0


def test_percent_change_is_of_the_size_of_the_base():
    row = paired_comparison(diversity_of([-2.0, -2.0]), diversity_of([-1.0, -1.0])).row(0, named=True)
    assert (row["change"], row["percent_change"], row["percent_change_ci_low"]) == (1, 50, 50)


def test_percent_change_of_zero_is_undefined():
    row = paired_comparison(diversity_of([0.0, 0.0]), diversity_of([1.0, 3.0])).row(0, named=True)
    assert row["change"] == 2 and row["change_se"] > 0
    assert [row[f"percent_change{end}"] for end in ("", "_se", "_ci_low", "_ci_high")] == [None] * 4
    # So it is where the base is 0 over all prompts, though not in every draw.
    mixed = paired_comparison(diversity_of([-1.0, 1.0]), diversity_of([1.0, 3.0])).row(0, named=True)
    assert [mixed[f"percent_change{end}"] for end in ("", "_se", "_ci_low", "_ci_high")] == [None] * 4
    # A quarter of the draws has a base of 0 and a change above it: there is no upper end.
    some = paired_comparison(diversity_of([0.0, 2.0]), diversity_of([1.0, 3.0])).row(0, named=True)
    assert (some["percent_change"], some["percent_change_ci_low"]) == (100, 50)
    assert (some["percent_change_se"], some["percent_change_ci_high"]) == (None, None)


def test_prompts_of_one_side_and_undefined_ones_are_left_out_and_counted():
    base = diversity_of([1.0, 2.0, None, 4.0], ["a", "b", "c", "d"])
    instruct = diversity_of([3.0, 5.0, 7.0, None], ["b", "a", "c", "e"])
    row = paired_comparison(base, instruct).row(0, named=True)
    assert (row["base_est"], row["instruct_est"], row["change"]) == (1.5, 4, 2.5)
    assert (row["n_prompts"], row["n_left_out"]) == (2, 3)


def test_tables_that_one_side_or_neither_has():
    both, one = cell(1), cell(2, names=["prompt_measures", "prompt_correlations"])
    found = paired_comparison(both, one | {"prompt_diversity": None})
    assert found["measure"].to_list() == MEASURES
    gone = found[-2:]
    assert gone["base_est"].null_count() == gone["change"].null_count() == 2
    assert gone["n_prompts"].to_list() == [0, 0] and gone["n_left_out"].to_list() == [7, 7]
    assert paired_comparison(one, one)["measure"].to_list() == MEASURES[:-2]
    assert paired_comparison({}, {"prompt_measures": None}).height == 0


def test_one_common_prompt_has_no_interval_and_none_no_numbers():
    one = paired_comparison(diversity_of([1.0, 2.0], ["a", "b"]), diversity_of([3.0, 4.0], ["a", "c"]))
    row = one.row(0, named=True)
    assert (row["change"], row["n_prompts"], row["n_left_out"]) == (2, 1, 2)
    assert row["base_se"] is row["change_ci_low"] is row["percent_change_se"] is None
    none = paired_comparison(diversity_of([1.0], ["a"]), diversity_of([3.0], ["c"])).row(0, named=True)
    assert (none["base_est"], none["change"], none["n_prompts"], none["n_left_out"]) == (None, None, 0, 2)


def test_wrong_tables_are_refused():
    with pytest.raises(ValueError, match="base holds the table 'prompts'"):
        paired_comparison({"prompts": pl.DataFrame()}, {})
    with pytest.raises(ValueError, match=r"prompt_diversity of instruct lacks the columns \['vendi_score'\]"):
        lacking = {"prompt_diversity": diversity_of([1.0])["prompt_diversity"].drop("vendi_score")}
        paired_comparison(diversity_of([1.0]), lacking)
    with pytest.raises(ValueError, match="prompt_diversity of base holds .* more than once; give one row per prompt"):
        paired_comparison(diversity_of([1.0, 2.0], ["a", "a"]), diversity_of([1.0]))

"""Every check of the canopy study passes on finished tables, and fails on tables that are wrong in what it is about."""

import polars as pl
import pytest

from calib_assets.assets.rule import Reader
from calib_assets.assets.verdicts import CANOPY_RULES, COMPARISON_RULES

CELL = ("alpha", "completion")
RULES = {rule.name: rule for rule in (*CANOPY_RULES, *COMPARISON_RULES)}


@pytest.fixture(scope="module")
def store(finished):
    return finished[0].view().store


def holds(store, name, changed=None) -> bool:
    """Whether a rule holds where some tables ((asset, table) -> table) are others."""
    changed = changed or {}
    cell = () if RULES[name] in COMPARISON_RULES else CELL

    def table(asset, table):
        return changed[asset, table] if (asset, table) in changed else store.table(asset, cell, table)

    return RULES[name].holds(Reader(table, lambda asset, name: table(asset, name).lazy())).passed


@pytest.mark.parametrize("name", list(RULES))
def test_holds_of_what_was_computed(store, name):
    assert holds(store, name)


def first(table, **values):
    """The table with other values in its first row."""
    here = pl.int_range(pl.len()) == 0
    return table.with_columns(
        pl.when(here).then(pl.lit(value, table.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda t: first(t, length=99),
        lambda t: first(t, sequence_entropy=99.0),
        lambda t: first(t, entropy_rate=99.0),
        lambda t: t.with_columns(truncated=~pl.col("truncated")),
        lambda t: t.slice(1),
        lambda t: pl.concat([t, t.head(1)]),
        lambda t: t.filter(pl.col("prompt_id") != t["prompt_id"][0]),
        lambda t: first(t, step_entropy=[-1.0, *t["step_entropy"][0][1:]]).with_columns(
            sequence_entropy=pl.col("step_entropy").list.sum(),
            entropy_rate=pl.col("step_entropy").list.mean(),
        ),
    ],
)
def test_rollouts_that_contradict_themselves_or_lack_are_found(store, change):
    table = store.table("rollouts", CELL, "rollouts")
    assert not holds(store, "rollouts_are_whole", {("rollouts", "rollouts"): change(table)})


def test_parts_that_do_not_add_up_are_found(store):
    table = store.table("canopy_entropy", CELL, "canopy_entropy")
    for name in ("canopy_entropy", "covariance_part"):
        worse = table.with_columns(
            est=pl.when(pl.col("measure") == name).then(pl.col("est") + 0.01).otherwise(pl.col("est"))
        )
        assert not holds(store, "entropies_are_bounded", {("canopy_entropy", "canopy_entropy"): worse})
    low = table.with_columns(est=pl.when(pl.col("measure") == "gen_ppl").then(0.9).otherwise(pl.col("est")))
    assert not holds(store, "entropies_are_bounded", {("canopy_entropy", "canopy_entropy"): low})


@pytest.mark.parametrize("values", [{"mean": 9.0}, {"active": 1}])
def test_trajectories_that_lose_entropy_are_found(store, values):
    place = ("entropy_trajectories", "entropy_trajectory")
    worse = first(store.table(place[0], CELL, place[1]), **values)
    assert not holds(store, "trajectories_hold_all_entropy", {place: worse})


def test_lengths_that_are_not_counted_are_found(store):
    place = ("entropy_trajectories", "length_distribution")
    assert not holds(store, "trajectories_hold_all_entropy", {place: store.table(place[0], CELL, place[1]).slice(1)})


def test_correlations_outside_their_range_or_without_reason_are_found(store):
    place = ("length_entropy_correlation", "prompt_correlations")
    table = store.table(place[0], CELL, place[1])
    assert not holds(store, "correlations_are_correlations", {place: first(table, kendall=1.1)})
    assert not holds(store, "correlations_are_correlations", {place: first(table, pearson=None, reason=None)})


def test_diversities_outside_their_range_or_without_reason_are_found(store):
    place = ("semantic_diversity", "prompt_diversity")
    table = store.table(place[0], CELL, place[1])
    for values in ({"embedding_diversity": -0.1}, {"vendi_score": 0.5}, {"vendi_score": 99.0}):
        assert not holds(store, "diversity_is_a_distance", {place: first(table, **values)})
    silent = first(table, embedding_diversity=None, reason=None)
    assert not holds(store, "diversity_is_a_distance", {place: silent})


def test_changes_that_are_no_differences_are_found(store):
    place = ("canopy_comparison", "canopy_comparison")
    table = store.table(place[0], (), place[1])
    assert not holds(store, "changes_are_differences", {place: first(table, change=99.0)})
    assert not holds(store, "changes_are_differences", {place: first(table, change_ci_low=1e9)})


def test_a_regression_without_a_fit_is_found(store):
    notes, summary = ("beta_regression", "fit_notes"), ("beta_regression", "fit_summary")
    failed = pl.DataFrame({"kind": ["not fitted"], "text": ["it did not converge"]})
    assert not holds(store, "regression_is_fitted", {notes: failed})
    worse = store.table(*summary[:1], (), summary[1]).with_columns(converged=pl.lit(False))
    assert not holds(store, "regression_is_fitted", {summary: worse})

"""Every benchmark's check holds at a small size, and breaks when what it measures is made wrong.

The benchmarks of a real model and of whole processes run in `make bench`; here are those of pure functions.
"""

import dataclasses
import importlib
import types

import numpy as np
import polars as pl
import pytest

from benchmarks.harness import benchmarks_in
from benchmarks.machine import ROOT
from benchmarks.rows import NotHere, Row, Run

PURE = ("canopy_coverage", "decoding_grid", "exact_d4_memory", "kendall_tau", "million_leaf_tree", "paired_bootstrap")


def measured(name: str, folder) -> list[Row]:
    """Rows of a benchmark at its small size; those before a missing baseline, if one is."""
    module, found = importlib.import_module(f"benchmarks.{name}"), []
    try:
        found.extend(module.rows(Run(1, folder / "cache", folder), **module.SMALL))
    except NotHere:
        pass
    return found


@pytest.mark.parametrize("name", [*PURE, "self_bleu"])
def test_checks_hold(name, tmp_path):
    rows = measured(name, tmp_path)
    assert rows and [(row.what, row.broken) for row in rows if row.broken] == []


def shifted(by):
    """Add to an array."""
    return lambda found: found + by


def sweep_off(found):
    return dataclasses.replace(found, points=found.points.with_columns(pl.col("validity") + 1e-8))


WRONG = {
    "kendall_tau": ("kendall_tau", shifted(1e-10)),
    "self_bleu": ("self_bleu_scores", shifted(1e-10)),
    "exact_d4_memory": ("sweep", sweep_off),
    "paired_bootstrap": (
        "paired_comparison",
        lambda found: found.with_columns(pl.selectors.ends_with("_se") * (1 + 1e-7)),
    ),
    "million_leaf_tree": ("node_summaries", lambda found: found.with_columns(pl.col("auc") + 1e-9)),
    "decoding_grid": ("select_everywhere", lambda found: dataclasses.replace(found, log_mass=found.log_mass + 1e-6)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_result_breaks_the_check(name, tmp_path, monkeypatch):
    module = importlib.import_module(f"benchmarks.{name}")
    what, spoil = WRONG[name]
    right = getattr(module, what)
    monkeypatch.setattr(module, what, lambda *arguments, **named: spoil(right(*arguments, **named)))
    assert any(row.broken for row in measured(name, tmp_path))


def test_intervals_that_are_too_narrow_break_the_coverage(tmp_path, monkeypatch):
    from benchmarks import canopy_coverage

    right = canopy_coverage.canopy_measures

    def narrow(*arguments):
        found = right(*arguments)
        middle = [pl.col("est") + (pl.col(end) - pl.col("est")) / 2 for end in ("ci_low", "ci_high")]
        return types.SimpleNamespace(
            summary=found.summary.with_columns(middle[0].alias("ci_low"), middle[1].alias("ci_high"))
        )

    monkeypatch.setattr(canopy_coverage, "canopy_measures", narrow)
    assert all(row.broken for row in measured("canopy_coverage", tmp_path))


def test_a_wrong_mean_breaks_the_coverage(tmp_path, monkeypatch):
    from benchmarks import canopy_coverage

    right = canopy_coverage.study
    monkeypatch.setattr(canopy_coverage, "study", lambda *sizes: (1.5 * right(*sizes)[0], right(*sizes)[1]))
    assert any(row.broken for row in measured("canopy_coverage", tmp_path))


def test_samples_of_two_distributions_differ():
    from benchmarks.rollout_decoding import one_distribution

    rng = np.random.default_rng(0)

    def drawn(rate):
        return [(int(rng.random() < rate),) * int(rng.geometric(rate)) for _ in range(400)]

    assert all(check.holds for check in one_distribution(drawn(0.2), drawn(0.2)))
    lengths, firsts = one_distribution(drawn(0.2), drawn(0.4))
    assert not lengths.holds and not firsts.holds


def test_the_two_planners_agree_on_a_small_store(tmp_path):
    """In one process, unlike in the benchmark; nothing is stale before damage, and the same cells after it."""
    from benchmarks import planner_scale as scale

    scale.write_study(tmp_path, 1)
    scale.fill(scale.open_view(tmp_path))
    assert [scale.measure(what, tmp_path)["stale"] for what in scale.PLANS] == [[], []]
    assert scale.damage(tmp_path) > 0
    found = [scale.measure(what, tmp_path)["stale"] for what in scale.PLANS]
    assert found[0] == found[1] and found[0]


def test_every_benchmark_is_seen():
    names = set(benchmarks_in(ROOT / "benchmarks"))
    assert {*PURE, "self_bleu", "planner_scale", "rollout_decoding", "judge_throughput"} <= names
    assert not names & {"harness", "rows", "page", "results", "turns", "machine"}

"""Sentences under the headline: what the canopy study found, every number with its interval.

A direction is named only where the 95 % interval lies on one side of zero.
"""

from collections.abc import Mapping

import polars as pl

from calib_assets.figures.canopy_parts import SIZE, measure_label
from calib_assets.figures.text import share
from calib_assets.report.canopy_chapter import Sources, has_rows
from calib_assets.report.canopy_numbers import direction, value
from calib_assets.report.canopy_tables import MOSTLY
from calib_assets.report.contract import Finding, sources
from calib_assets.report.order_examples import plain
from calib_assets.report.regression_findings import residuals, slope
from calib_assets.report.shape_study import Tables
from calib_assets.report.study import count

SINGLE = 4
"""Up to so many pairs of models have a sentence of their own; more are counted."""


def canopy_findings(
    overall: Tables, records: Sources, families: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """What the tables of the whole study say; nothing where there is no value.

    Args:
        overall: ``canopy_models``, ``canopy_comparison``, ``beta_panel``, ``coefficients``, ``residual_tests``; any may
            be None, absent or empty.
        records: Manifests by table name.
        families: Name of a model -> its family, where the study names one. A pair of two families is said to be one.
    """
    models, comparison = overall.get("canopy_models"), overall.get("canopy_comparison")
    cut = _mostly_cut(models)
    found: list[tuple[str, tuple[str, ...]]] = []
    if has_rows(comparison):
        for say in (_sizes, _correlations):
            found += [(text, ("canopy_comparison",)) for text in say(comparison, cut)]
        mixed = _two_families(comparison, families or {})
        found += [(mixed, ("canopy_comparison",))] if mixed else []
    elif has_rows(models):
        found += [(text, ("canopy_models",)) for text in _levels(models)]
    if has_rows(models):
        found += [(text, ("canopy_models",)) for text in _truncation(models, cut)]
    if has_rows(overall.get("coefficients")):
        text = slope(overall["coefficients"], overall.get("beta_panel"))
        found += [(text, ("coefficients",))] if text else []
    if has_rows(overall.get("residual_tests")):
        found += [(residuals(overall["residual_tests"]), ("residual_tests",))]
    return tuple(Finding(text, sources(*(records.get(name) for name in names))) for text, names in found)


def _change(row: dict, name: str, unit: str) -> str:
    """``rises by 3 % [1 %, 5 %]``, with the interval turned around for a fall."""
    est, low, high = (row[f"{name}{end}"] for end in ("", "_ci_low", "_ci_high"))
    way = direction(low, high)
    if way > 0:
        return f"rises by {value(est, low, high, unit)}"
    if way < 0:
        return f"falls by {value(-est, -high, -low, unit)}"
    known = low is not None and high is not None
    so = "its direction is open" if known else "no direction is known"
    return f"changes by {value(est, low, high, unit)}, so {so}"


def _pair(row: dict) -> str:
    return f"{plain(row['task'], 60)}, {plain(row['base'], 60)} to {plain(row['instruct'], 60)}"


def _warning(rows: list[dict], cut: set) -> str:
    """Which members of these pairs were mostly cut."""
    names = dict.fromkeys(row[side] for row in rows for side in ("base", "instruct") if (row[side], row["task"]) in cut)
    if not names:
        return ""
    who = " and ".join(plain(name, 60) for name in names)
    return f" Most rollouts of {who} were cut, so this holds for their beginnings."


def _sizes(table: pl.DataFrame, cut: set) -> list[str]:
    """Percent changes of CE, GenPPL and BF: a sentence a pair, or a sentence a measure over many pairs."""
    known = table.filter(pl.col("measure").is_in(SIZE)).drop_nulls("percent_change")
    pairs = known.partition_by("task", "base", "instruct", maintain_order=True)
    if len(pairs) > SINGLE:
        return [_counted(known, name, "percent_change", " %", cut) for name in SIZE if name in known["measure"]]
    texts = []
    for rows in pairs:
        first = rows.row(0, named=True)
        by_name = {row["measure"]: row for row in rows.iter_rows(named=True)}
        parts = [f"{measure_label(name).lower()} {_change(by_name[name], 'percent_change', ' %')}"
                 for name in SIZE if name in by_name]  # fmt: skip
        texts.append(f"{_pair(first)}: {'; '.join(parts)} ({_prompts(first)}).{_warning([first], cut)}")
    return texts


def _correlations(table: pl.DataFrame, cut: set) -> list[str]:
    known = table.filter(pl.col("measure") == "pearson").drop_nulls("change")
    if known.height > SINGLE:
        return [_counted(known, "pearson", "change", "", cut)]
    texts = []
    for row in known.iter_rows(named=True):
        ends = [
            value(*(row[f"{side}{end}"] for end in ("_est", "_ci_low", "_ci_high"))) for side in ("base", "instruct")
        ]
        texts.append(
            f"{_pair(row)}: the Pearson correlation of length and entropy rate is {ends[0]} in the base model and "
            f"{ends[1]} in the other; it {_change(row, 'change', '')} ({_prompts(row)}).{_warning([row], cut)}"
        )
    return texts


def _two_families(table: pl.DataFrame, families: Mapping[str, str]) -> str:
    """That a base model and the one that names it as its pair are of two families, so that more than tuning differs."""
    pairs = [(names, [families.get(name, "") for name in names])
             for names in table.select("base", "instruct").unique(maintain_order=True).iter_rows()]  # fmt: skip
    mixed = [(names, own) for names, own in pairs if all(own) and own[0] != own[1]]
    if not mixed:
        return ""
    named = "; ".join(f"{plain(base, 60)} ({plain(one, 40)}) and {plain(instruct, 60)} ({plain(other, 40)})"
                      for (base, instruct), (one, other) in mixed[:SINGLE])  # fmt: skip
    more = f"; and {count(len(mixed) - SINGLE, 'more pair')}" if len(mixed) > SINGLE else ""
    return f"Two families in a pair, so its changes are not those of fine-tuning alone: {named}{more}."


def _prompts(row: dict) -> str:
    return count(row["n_prompts"], "common prompt")


def _counted(table: pl.DataFrame, measure: str, column: str, unit: str, cut: set) -> str:
    """How often a measure rises, falls, or has an open direction, with its extremes."""
    rows = table.filter(pl.col("measure") == measure).sort(column, maintain_order=True).rows(named=True)
    ways = [direction(row[f"{column}_ci_low"], row[f"{column}_ci_high"]) for row in rows]
    label = "The Pearson correlation of length and entropy rate" if measure == "pearson" else measure_label(measure)
    ends = [
        f"{value(row[column], row[f'{column}_ci_low'], row[f'{column}_ci_high'], unit)} ({_pair(row)})"
        for row in (rows[0], rows[-1])
    ]
    cells = {(row[side], row["task"]) for row in rows for side in ("base", "instruct")} & cut
    warning = f" In {count(len(cells), 'of these cells', 'of these cells')} most rollouts were cut." if cells else ""
    return (
        f"{label} rises from base to instruct in {ways.count(1)} of {len(rows)} pairs and tasks, falls in "
        f"{ways.count(-1)}, and its direction is open in {ways.count(0)}; changes run from {ends[0]} to {ends[1]}."
        f"{warning}"
    )


def _levels(models: pl.DataFrame) -> list[str]:
    """CE, GenPPL and BF of single models, where there is no pair to compare; nothing for many."""
    known = models.filter(pl.col("measure").is_in(SIZE)).drop_nulls("est")
    cells = known.partition_by("task", "model", maintain_order=True)
    if len(cells) > SINGLE:
        return []
    texts = []
    for rows in cells:
        found = {row["measure"]: row for row in rows.iter_rows(named=True)}
        units = {"canopy_entropy": " nats"}
        parts = [
            f"{measure_label(name).lower()} {value(found[name]['est'], found[name]['ci_low'], found[name]['ci_high'])}"
            f"{units.get(name, '')}"
            for name in SIZE
            if name in found
        ]
        first = rows.row(0, named=True)
        texts.append(f"{plain(first['task'], 60)}, {plain(first['model'], 60)}: {', '.join(parts)}.")
    return texts


def _mostly_cut(models: pl.DataFrame | None) -> set[tuple[str, str]]:
    """(model, task) of which more than half of the rollouts were cut."""
    if not has_rows(models):
        return set()
    cut = models.filter((pl.col("measure") == "truncation_rate") & (pl.col("est") > MOSTLY))
    return set(cut.select("model", "task").iter_rows())


def _truncation(models: pl.DataFrame, cut: set) -> list[str]:
    all_rates = models.filter(pl.col("measure") == "truncation_rate")
    rates = all_rates.drop_nulls("est").sort("est", maintain_order=True)
    if rates.is_empty():
        return []
    if cut:
        named = [f"{plain(row['model'], 60)} on {plain(row['task'], 60)} ({share(row['est'])})"
                 for row in rates.reverse().iter_rows(named=True) if row["est"] > MOSTLY]  # fmt: skip
        more = f" and {len(named) - SINGLE} more" if len(named) > SINGLE else ""
        return [
            f"Most rollouts were cut at the length limit for {', '.join(named[:SINGLE])}{more}: these values describe "
            "how rollouts begin, not whole ones."
        ]
    top = rates.row(-1, named=True)
    if top["est"] == 0:
        known = ", as far as that is known" if rates.height < all_rates.height else ""
        return [f"No rollout was cut at the length limit{known}."]
    return [
        f"The largest share of rollouts of a model and task that were cut at the length limit is {share(top['est'])} "
        f"({plain(top['model'], 60)} on {plain(top['task'], 60)})."
    ]

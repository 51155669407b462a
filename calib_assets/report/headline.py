"""The table at the top of a report: one row a (model, task), present or missing."""

from collections.abc import Mapping, Sequence

import polars as pl

from calib_assets.figures.style import is_oracle, order_rules, rule_label
from calib_assets.report.cells import DASH
from calib_assets.report.contract import Absent, Column, Provenance, ReportTable, sources

Partition = tuple[str, str]
TIE = 1e-9
"""Diversities that differ by no more are alike: sums of the same probabilities in another order."""
_UNDEFINED = "diversity is undefined where validity is 0"


def headline_table(
    partitions: Sequence[Partition],
    sweeps: Mapping[Partition, pl.DataFrame],
    gaps: Mapping[Partition, pl.DataFrame],
    *,
    floor: float,
    provenance: Mapping[Partition, Sequence[Provenance]] | None = None,
) -> ReportTable:
    """Validity and diversity at T = 1, and what a validity floor leaves of diversity.

    Args:
        partitions: Every (model, task) of the study; one without tables has a row of cells marked missing.
        sweeps: ``decoding_sweep`` tables.
        gaps: ``calibration_gap`` tables.
        floor: Validity floor of the last columns.
        provenance: The artifacts behind each row.
    """
    never = f"no configuration has validity ≥ {floor:g}"
    columns = (
        Column("Model"),
        Column("Task"),
        Column("Validity at T = 1", "share", help="Sampling from the model as it is"),
        Column("Diversity at T = 1", "share", null_means=_UNDEFINED),
        Column(f"Best diversity at validity ≥ {floor:g}", "share", null_means=never),
        Column("by rule", null_means=never, help="all that reach it, to nine decimals"),
        Column("Cutoff oracle", "share", null_means=f"the cutoff oracle never has validity ≥ {floor:g}"),
        Column(
            "Order gap",
            "share",
            null_means="needs the cutoff oracle",
            help="1 − diversity of the cutoff oracle",
        ),
        Column(
            "Shape gap",
            "number",
            null_means="needs the cutoff oracle and a practical rule",
            help="diversity of the cutoff oracle − best practical rule",
        ),
        Column("Sources", "sources"),
    )
    rows = []
    for model, task in partitions:
        key = (model, task)
        records = (provenance or {}).get(key, ())
        rows.append(
            (
                model,
                task,
                *_at_one(sweeps.get(key)),
                *_at_floor(gaps.get(key), floor, sweeps.get(key)),
                sources(*records),
            )
        )
    return ReportTable(
        id="headline-table",
        title="Calibration of every model on every task",
        columns=columns,
        rows=tuple(rows),
        caption=(
            "Practical rules are swept over temperature and their own parameter. The cutoff oracle keeps the "
            "top |G| tokens, |G| being how many are valid: what it loses is lost to order, what practical rules lose "
            "beyond it to shape. A shape gap below 0 means that a practical rule beats the oracle."
        ),
        paper="Paper A, §5.3",
    )


def _at_one(sweep: pl.DataFrame | None) -> tuple:
    if sweep is None:
        return (Absent("decoding_sweep is not materialised for this model and task"),) * 2
    row = sweep.filter((pl.col("rule") == "unrestricted") & ((pl.col("temperature") - 1).abs() < 1e-9))
    if row.is_empty():
        return (Absent("the grid has no temperature 1 without truncation", DASH),) * 2
    return row.select("validity", "diversity").row(0)


def _at_floor(gaps: pl.DataFrame | None, floor: float, sweep: pl.DataFrame | None) -> tuple:
    if gaps is None:
        return (Absent("calibration_gap is not materialised for this model and task"),) * 5
    row = gaps.filter((pl.col("floor") - floor).abs() < 1e-9)
    if row.is_empty():
        return (Absent(f"the study has no validity floor {floor:g}", DASH),) * 5
    best, rule, oracle, order, shape = row.select(
        "best_rule_diversity", "best_rule", "oracle_diversity", "order_gap", "shape_gap"
    ).row(0)
    return best, None if rule is None else _alike(sweep, floor, best, rule), oracle, order, shape


def _alike(sweep: pl.DataFrame | None, floor: float, best: float, rule: str) -> str:
    """The rule that is named best, and every other practical one that keeps as much."""
    names = {rule}
    if sweep is not None:
        level = (pl.col("validity") >= floor) & (pl.col("diversity") > best - TIE)
        names |= {name for name in sweep.filter(level)["rule"].unique() if not is_oracle(name)}
    return ", ".join(rule_label(name) for name in order_rules(names))

"""Tables across models and judges: scaling, agreement of judges, agreement of annotators."""

import polars as pl

from calib_assets.figures.layout import require
from calib_assets.report.contract import Column
from calib_assets.report.order_tables import MEASURES, first_seen, interval, measure_columns, with_intervals
from calib_assets.report.shape_tables import Shown

_AGREEMENT = {
    "accuracy": Column("Accuracy", "share"),
    "precision": Column("Precision", "share", "the judge finds nothing valid"),
    "recall": Column("Recall", "share", "nothing is valid by the reference"),
    "f1": Column("F1", "share", "nothing is valid by either"),
    "kappa": Column("Cohen's κ", "number", "both always give one and the same verdict"),
}


def scaling(table: pl.DataFrame) -> Shown:
    """A row a model, sweep, judge and weighting, over the nodes of all depths."""
    names = ("model", "family", "size", "stage", "sweep", "judge", "weighting", "depth", "n_nodes", "p0")
    require(table, (*names, *MEASURES), "model_scaling")
    rows = with_intervals(table.filter(pl.col("depth") == 0)).with_columns(
        pl.col("family").replace("", None).alias("family")
    )
    frame = rows.sort(
        first_seen(table, "sweep"),
        first_seen(table, "judge"),
        pl.col("weighting") != "token",
        "size",
        "model",
        nulls_last=True,
        maintain_order=True,
    )
    return frame, {
        "sweep": Column("Sweep"),
        "judge": Column("Judge"),
        "weighting": Column("Recall of"),
        "model": Column("Model"),
        "family": Column("Family", null_means="the study names no family"),
        "size": Column("Size (billions)", "number", "the study gives no size"),
        "stage": Column("Stage"),
        "n_nodes": Column("Nodes", "count"),
        **measure_columns(rows),
    }


def judge_pairs(table: pl.DataFrame) -> Shown:
    """Each judge against each other and against people; the second of a pair is taken as the truth."""
    ends = [f"{name}{end}" for name in _AGREEMENT for end in ("", "_ci_low", "_ci_high")]
    require(table, ("judge_a", "judge_b", "n", "n_valid_a", "n_valid_b", *ends), "judge_pairs")
    keys = [name for name in ("model", "sweep") if name in table.columns]
    frame = table.with_columns(
        interval(f"{name}_ci_low", f"{name}_ci_high").alias(f"{name}_interval") for name in _AGREEMENT
    )
    columns = {name: Column(name.capitalize()) for name in keys} | {
        "judge_a": Column("Judge"),
        "judge_b": Column("Reference", help="taken as the truth"),
        "n": Column("Items", "count", help="with a verdict of both"),
        "n_valid_a": Column("Valid by judge", "count"),
        "n_valid_b": Column("Valid by reference", "count"),
    }
    span = Column("95 % interval", null_means="no two repetitions that differ")
    for name, column in _AGREEMENT.items():
        columns |= {name: column, f"{name}_interval": span}
    return frame, columns


def annotators(table: pl.DataFrame) -> Shown:
    """Krippendorff's α among annotators, by what they scored."""
    require(table, ("measure", "level", "n_items", "n_annotators", "alpha", "ci_low", "ci_high"), "annotator_agreement")
    frame = table.with_columns(interval("ci_low", "ci_high").alias("interval"))
    return frame, {
        "measure": Column("Score"),
        "level": Column("Level", help="the distance of two scores: their squared difference, or equal or not"),
        "n_items": Column("Items", "count"),
        "n_annotators": Column("Annotators", "count"),
        "alpha": Column("Krippendorff's α", "number", "all scores are equal"),
        "interval": Column("95 % interval", null_means="no two repetitions that differ"),
    }

"""Tables of one model and task of the canopy study: each function takes artifacts and gives (frame, columns)."""

from collections.abc import Sequence

import polars as pl

from calib_assets.figures.canopy_parts import MEASURES, measure_label
from calib_assets.figures.layout import require
from calib_assets.figures.text import short
from calib_assets.report.contract import Column
from calib_assets.report.shape_tables import Shown

SUMMARY = ("measure", "est", "se", "ci_low", "ci_high", "n_prompts", "n_left_out")
UNDEFINED = "undefined for these rollouts"
NO_INTERVAL = "an interval needs two prompts, and a value"
MOSTLY = 0.5
"""Truncation rate above which values describe the beginnings of rollouts, which the report then says."""


def between(low: str, high: str) -> pl.Expr:
    """Both ends of an interval as text in four digits; null where either is null.

    >>> pl.DataFrame({"a": [-0.5, None], "b": [1234.5, 1.0]}).select(between("a", "b").alias("i"))["i"].to_list()
    ['−0.5 to 1,234', None]
    """
    ends = pl.struct(pl.col(low).alias("low"), pl.col(high).alias("high"))
    return ends.map_elements(
        lambda row: None if None in row.values() else f"{short(row['low'], 4)} to {short(row['high'], 4)}",
        return_dtype=pl.String,
        skip_nulls=False,
    )


def summaries(table: pl.DataFrame, name: str, measures: Sequence[str] = tuple(MEASURES)) -> Shown:
    """A row a measure: estimate, standard error, interval, and how many prompts stand behind it."""
    require(table, SUMMARY, name)
    places = {measure: place for place, measure in enumerate(measures)}
    frame = (
        table.filter(pl.col("measure").is_in(list(measures)))
        .sort(pl.col("measure").replace_strict(places, default=len(places), return_dtype=pl.Int64))
        .with_columns(
            pl.col("measure").map_elements(measure_label, return_dtype=pl.String).alias("label"),
            pl.col("measure").map_elements(_unit, return_dtype=pl.String).alias("unit"),
            between("ci_low", "ci_high").alias("interval"),
        )
    )
    return frame, {
        "label": Column("Measure"),
        "unit": Column("Unit"),
        "est": Column("Estimate", "number", UNDEFINED),
        "se": Column("Standard error", "number", NO_INTERVAL, "over prompts"),
        "interval": Column("95 % interval", null_means=NO_INTERVAL),
        "n_prompts": Column("Prompts", "count"),
        "n_left_out": Column("left out", "count", help="prompts without a value; a table of its own says why"),
    }


def _unit(measure: str) -> str:
    return MEASURES[measure].unit if measure in MEASURES else ""


def counts(measures: pl.DataFrame, lengths: pl.DataFrame) -> Shown:
    """One row: how many rollouts there are, how long, and how many were cut."""
    require(measures, ("n_rollouts", "truncation_rate"), "prompt_measures")
    require(lengths, ("length", "n", "n_truncated"), "length_distribution")
    total = int(lengths["n"].sum() or 0)
    cut = int(lengths["n_truncated"].sum() or 0)
    numbers = {
        "prompts": measures.height,
        "rollouts": total,
        "fewest": measures["n_rollouts"].min(),
        "most": measures["n_rollouts"].max(),
        "median": _median(lengths),
        "longest": lengths["length"].max(),
        "cut": cut,
        "rate": cut / total if total else None,
        "all_cut": int((measures["truncation_rate"] >= 1).sum()),
    }
    frame = pl.DataFrame([numbers], schema_overrides={"rate": pl.Float64, "median": pl.Float64})
    return frame, {
        "prompts": Column("Prompts", "count"),
        "rollouts": Column("Rollouts", "count"),
        "fewest": Column("Fewest a prompt", "count", "no prompt"),
        "most": Column("Most a prompt", "count", "no prompt"),
        "median": Column("Median length", "number", "no rollout", "tokens; the end token counts"),
        "longest": Column("Longest", "count", "no rollout"),
        "cut": Column("Cut", "count", help="rollouts that reached the length limit without ending"),
        "rate": Column("Share cut", "share", "no rollout"),
        "all_cut": Column("Prompts all cut", "count", help="none of their rollouts ended"),
    }


def _median(lengths: pl.DataFrame) -> float | None:
    """Length that half of the rollouts do not exceed."""
    ordered = lengths.sort("length")
    reached = ordered["length"].filter(ordered["n"].cum_sum() * 2 >= (ordered["n"].sum() or 0))
    return float(reached[0]) if len(reached) else None


def reasons(table: pl.DataFrame, name: str, column: str = "reason") -> Shown | None:
    """Prompts without a value by the reason why, which stands in ``column``; None where every prompt has a value."""
    require(table, ("prompt_id", column), name)
    frame = table.drop_nulls(column).group_by(reason=pl.col(column), maintain_order=True).agg(pl.len().alias("n"))
    if frame.is_empty():
        return None
    return frame.sort("n", descending=True, maintain_order=True), {
        "reason": Column("Why there is no value"),
        "n": Column("Prompts", "count"),
    }


def semantic_entropy(summary: pl.DataFrame, prompts: pl.DataFrame) -> Shown:
    """Means over prompts, with the bounds between which missing verdicts leave the entropy."""
    names = ("n_pairs", "n_missing", "semantic_entropy", "semantic_entropy_low", "semantic_entropy_high")
    require(prompts, names, "prompt_semantic_entropy")
    shown = ("semantic_entropy", "semantic_entropy_normalised", "n_clusters")
    frame, columns = summaries(summary, "semantic_entropy", shown)
    low, high = prompts["semantic_entropy_low"].mean(), prompts["semantic_entropy_high"].mean()
    text = None if low is None or high is None else f"{short(low, 4)} to {short(high, 4)}"
    is_entropy = pl.col("measure") == "semantic_entropy"
    frame = frame.with_columns(
        bounds=pl.when(is_entropy).then(pl.lit(text, pl.String)),
        pairs=pl.lit(int(prompts["n_pairs"].sum() or 0)),
        missing=pl.lit(int(prompts["n_missing"].sum() or 0)),
    )
    return frame, {
        **columns,
        "bounds": Column("Bounds, all prompts", null_means="for the entropy only",
                         help="mean over all prompts if every missing pair is similar, and if none is"),
        "pairs": Column("Pairs", "count"),
        "missing": Column("without verdict", "count", help="a missing verdict is neither similar nor different"),
    }  # fmt: skip


def split(table: pl.DataFrame) -> Shown:
    """Variance between prompts and among the rollouts of one, by measure."""
    require(table, ("measure", "n_prompts", "n_rollouts", "between", "within", "floored", "se"), "variance_split")
    total = pl.col("between") + pl.col("within")
    frame = table.with_columns(
        pl.col("measure").map_elements(measure_label, return_dtype=pl.String).alias("label"),
        pl.when(total > 0).then(pl.col("between") / total).alias("share"),
    )
    undefined = "needs two prompts with two rollouts each"
    return frame, {
        "label": Column("Measure"),
        "n_prompts": Column("Prompts", "count"),
        "n_rollouts": Column("Rollouts a prompt", "number", help="harmonic mean"),
        "between": Column("Between prompts", "number", undefined, "variance of the prompts' true means"),
        "within": Column("Within a prompt", "number", undefined, "mean variance among its rollouts"),
        "share": Column("Share between", "share", undefined),
        "floored": Column("Set to 0", "flag", undefined, "the estimate between prompts was below 0"),
        "se": Column("Standard error", "number", undefined, "of the mean, from both parts"),
    }


def design(table: pl.DataFrame) -> Shown:
    """The cheapest numbers of prompts and rollouts that reach a wanted standard error."""
    names = ("measure", "relative_se", "wanted_se", "prompts", "rollouts", "forward_tokens", "reason")
    require(table, names, "design")
    frame = table.with_columns(pl.col("measure").map_elements(measure_label, return_dtype=pl.String).alias("label"))
    unreached = "there is none, see the note"
    return frame, {
        "label": Column("Measure"),
        "relative_se": Column("Wanted error, share", "share", help="standard error as a share of the estimate"),
        "wanted_se": Column("Wanted standard error", "number", unreached),
        "prompts": Column("Prompts", "count", unreached),
        "rollouts": Column("Rollouts a prompt", "count", unreached),
        "forward_tokens": Column("Tokens", "count", unreached, "contexts and rollouts through the model"),
        "reason": Column("Note", null_means="nothing to note"),
    }

"""Tables of the canopy study across models and tasks: sizes, relations, truncation, and what fine-tuning changes."""

from collections.abc import Sequence

import polars as pl

from calib_assets.figures.canopy_parts import MEASURES, measure_label
from calib_assets.figures.layout import require
from calib_assets.report.canopy_tables import NO_INTERVAL, SUMMARY, between
from calib_assets.report.contract import Column
from calib_assets.report.order_tables import first_seen
from calib_assets.report.shape_tables import Shown

PLACE = ("model", "task", "variant")
COMPARED = tuple(
    f"{part}{end}"
    for part, middle in (("base", "_est"), ("instruct", "_est"), ("change", ""), ("percent_change", ""))
    for end in (middle, "_se", "_ci_low", "_ci_high")
)
KEYS = ("task", "base", "instruct", "measure")
NO_VALUE = "undefined for this model and task"


def sizes(table: pl.DataFrame) -> Shown:
    """Canopy entropy and its two normalisations for every model and task, with what they are made of."""
    frame = _wide(table, ("canopy_entropy", "gen_ppl", "branching_factor", "mean_length", "mean_entropy_rate",
                          "length_driven", "covariance_part"))  # fmt: skip
    return frame, _places() | {
        "canopy_entropy": Column("Canopy entropy (nats)", "number", NO_VALUE),
        "canopy_entropy_interval": Column("95 % interval", null_means=NO_INTERVAL),
        "gen_ppl": Column("Generation perplexity", "number", NO_VALUE),
        "gen_ppl_interval": Column("95 % interval", null_means=NO_INTERVAL),
        "branching_factor": Column("Branching factor", "number", NO_VALUE),
        "branching_factor_interval": Column("95 % interval", null_means=NO_INTERVAL),
        "mean_length": Column("Mean length", "number", NO_VALUE),
        "mean_entropy_rate": Column("Entropy rate", "number", NO_VALUE),
        "length_driven": Column("Length times rate", "number", NO_VALUE, "mean length times mean entropy rate"),
        "covariance_part": Column("Covariance part", "number", NO_VALUE, "canopy entropy less the column before"),
        "n_prompts": Column("Prompts", "count", NO_VALUE),
    }


def relations(table: pl.DataFrame) -> Shown:
    """Length–entropy correlations and semantic measures for every model and task; only measures that occur."""
    wanted = ("pearson", "spearman", "kendall", "covariance", "embedding_diversity", "vendi_score",
              "semantic_entropy", "semantic_entropy_normalised")  # fmt: skip
    present = set(table["measure"]) if "measure" in table.columns else set()
    names = tuple(name for name in wanted if name in present)
    columns = {}
    for name in names:
        columns |= {
            name: Column(MEASURES[name].axis, "number", NO_VALUE),
            f"{name}_interval": Column("95 % interval", null_means=NO_INTERVAL),
        }
    return _wide(table, names), _places() | columns


def truncation(table: pl.DataFrame) -> Shown:
    """Share of rollouts that were cut, and how much canopy entropy that can hide at most."""
    frame = _wide(table, ("truncation_rate", "bias_bound", "canopy_entropy", "mean_length"))
    positive = pl.col("canopy_entropy") > 0
    frame = frame.with_columns(relative=pl.when(positive).then(pl.col("bias_bound") / pl.col("canopy_entropy")))
    no_bound = "no rollout ended in the last quarter of the positions, or the limit is not known"
    return frame, _places() | {
        "truncation_rate": Column("Truncation rate", "share", NO_VALUE),
        "truncation_rate_interval": Column("95 % interval", null_means=NO_INTERVAL),
        "mean_length": Column("Mean length", "number", NO_VALUE),
        "canopy_entropy": Column("Canopy entropy (nats)", "number", NO_VALUE),
        "bias_bound": Column("Bound on its bias (nats)", "number", no_bound, "canopy entropy is too small by no more"),
        "relative": Column("Bound over canopy entropy", "number", no_bound),
    }


def changes(table: pl.DataFrame, measures: Sequence[str], *, percent: bool = True) -> Shown:
    """Base, instruct and their difference with paired intervals: a row a task, pair and measure.

    A percentage of a correlation says nothing, so ``percent`` columns can be left out.
    """
    require(table, (*KEYS, *COMPARED, "n_prompts", "n_left_out"), "canopy_comparison")
    places = {name: place for place, name in enumerate(measures)}
    rows = table.filter(pl.col("measure").is_in(list(measures)))
    frame = rows.sort(
        pl.col("measure").replace_strict(places, default=len(places), return_dtype=pl.Int64),
        first_seen(rows, "task"),
        maintain_order=True,
    ).with_columns(
        pl.col("measure").map_elements(measure_label, return_dtype=pl.String).alias("label"),
        between("change_ci_low", "change_ci_high").alias("change_interval"),
        between("percent_change_ci_low", "percent_change_ci_high").alias("percent_change_interval"),
    )
    undefined = "undefined on the common prompts"
    columns = {
        "label": Column("Measure"),
        "task": Column("Task"),
        "base": Column("Base model"),
        "instruct": Column("Instruct model"),
        "base_est": Column("Base", "number", undefined),
        "base_se": Column("± SE", "number", NO_INTERVAL),
        "instruct_est": Column("Instruct", "number", undefined),
        "instruct_se": Column("± SE", "number", NO_INTERVAL),
        "change": Column("Change", "number", undefined),
        "change_se": Column("± SE", "number", NO_INTERVAL),
        "change_interval": Column("95 % interval of the change", null_means=NO_INTERVAL),
        "percent_change": Column("Change, %", "number", "the base model's value is 0, or undefined",
                                 "of the base model's absolute value"),
        "percent_change_interval": Column("95 % interval of the change, %", null_means=NO_INTERVAL),
        "n_prompts": Column("Common prompts", "count"),
        "n_left_out": Column("left out", "count", help="prompts that one model lacks, or has no value of"),
    }  # fmt: skip
    return frame, {name: column for name, column in columns.items() if percent or not name.startswith("percent")}


def _places() -> dict[str, Column]:
    return {"task": Column("Task"), "model": Column("Model"), "variant": Column("Variant")}


def _wide(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """A row a task and model, a column a measure and one for its interval; tasks together, models in order."""
    require(table, (*PLACE, *SUMMARY), "canopy_models")
    keys = ["task", "model", "variant"]
    frame = table.select(keys).unique(maintain_order=True)
    for name in names:
        own = table.filter(pl.col("measure") == name).select(
            *keys, pl.col("est").alias(name), between("ci_low", "ci_high").alias(f"{name}_interval")
        )
        frame = frame.join(own, on=keys, how="left", maintain_order="left", nulls_equal=True)
    counted = table.group_by(keys, maintain_order=True).agg(pl.col("n_prompts").max())
    frame = frame.join(counted, on=keys, how="left", maintain_order="left", nulls_equal=True)
    return frame.sort(first_seen(table, "task"), maintain_order=True)

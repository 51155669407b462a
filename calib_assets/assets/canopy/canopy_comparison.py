"""What fine-tuning changes: each model beside its base model, on the same resampled prompts."""

import polars as pl

from calib_assets.assets.canopy.gathering import MEASURED, gathered, pairs_of
from calib_assets.metrics import paired_comparison
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap

PROMPT_TABLES = ("prompt_measures", "prompt_correlations", "prompt_diversity")
SUMMARIES = ("canopy_entropy", "length_entropy_correlation", "semantic_diversity")
KEYS = {"task": pl.String, "base": pl.String, "instruct": pl.String}


def canopy_comparison(run: Run) -> Result:
    """Every measure of every model, and the change from base to instruct with paired intervals (METHODS §4)."""
    models = [table for name in SUMMARIES if (table := gathered(run, name)).width]
    prompts = {name: gathered(run, name) for name in PROMPT_TABLES}
    pairs = pairs_of(prompts["prompt_measures"])
    parts = []
    for task, base, instruct in pairs:
        cells = [{name: _cell(table, model, task) for name, table in prompts.items()} for model in (base, instruct)]
        place = [pl.lit(value, pl.String).alias(key) for key, value in zip(KEYS, (task, base, instruct), strict=True)]
        parts.append(paired_comparison(*cells, Bootstrap()).select(*place, pl.all()))
    return Result(
        tables={
            "canopy_models": pl.concat(models, how="vertical_relaxed") if models else pl.DataFrame(),
            "canopy_comparison": pl.concat(parts) if parts else pl.DataFrame(),
        },
        numbers={"pairs": len(pairs)},
    )


def _cell(table: pl.DataFrame, model: str, task: str) -> pl.DataFrame | None:
    """The rows of one model and task; None where the study has no such table."""
    if not table.width:
        return None
    rows = table.filter((pl.col("model") == model) & (pl.col("task") == task))
    return rows.drop("model", "task", "model_name", "variant") if rows.height else None


NODE = Node(
    key="canopy_comparison",
    axes=(),
    deps=("pairs_spec", *dict.fromkeys(MEASURED.values()), "external_data"),
    body=canopy_comparison,
    group="canopy",
    description="Base against instruct: absolute and percent change of every measure, paired by prompt (Paper B, "
    "Tables 1, 2 and 6).",
)

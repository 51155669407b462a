"""Rollouts and panels that were made elsewhere, taken through the same measures as our own."""

import polars as pl

from calib_assets.assets.canopy.semantic_diversity import embedded
from calib_assets.assets.code_in_use import ENCODER_LIBRARIES, encoder_code
from calib_assets.metrics import (
    canopy_summary,
    correlation_summary,
    diversity_summary,
    entropy_trajectory,
    length_distribution,
    prompt_correlations,
    prompt_diversity,
    prompt_measures,
)
from calib_assets.staleness.graph import Node
from calib_assets.staleness.pieces import Pieces
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap
from calib_assets.study.external import read_external

# What every table says of a row first: where it belongs.
PLACE = ["model", "task", "model_name", "variant"]
PANEL = ["prompt_id", "D", "R_bar", "N_bar", "M"]


def external_data(run: Run) -> Result:
    """Every measure that the data allow, for each model and task in them, and the rows of a panel (METHODS §4).

    Without entropies there are lengths and meanings; without texts no meanings. What is lacking has no rows.
    """
    row = run.context.study.external_data(run.external)
    run.slice("external_spec")  # says that its content is what is read
    data = read_external(row)
    tables: dict[str, list[pl.DataFrame]] = {}
    if row.kind == "panel":
        tables["panel"] = [data.select(*PLACE, *PANEL).collect()]
    else:
        pieces = run.pieces("external_spec")
        for place in data.select(PLACE).unique(maintain_order=True).sort(PLACE).collect().iter_rows(named=True):
            here = pl.all_horizontal(pl.col(name) == value for name, value in place.items())
            cell = data.filter(here).drop(PLACE).collect()
            for name, table in _measures(run, cell, row, pieces, place).items():
                labels = [pl.lit(value, pl.String).alias(key) for key, value in place.items()]
                tables.setdefault(name, []).append(table.select(*labels, pl.all()))
    joined = {name: pl.concat(parts, how="vertical_relaxed") for name, parts in tables.items()}
    missing = [name for name in TABLES if name not in joined]
    numbers = {f"{name} rows": table.height for name, table in joined.items()}
    return Result(tables=joined | {name: pl.DataFrame() for name in missing}, numbers=numbers)


TABLES = (
    "prompt_measures",
    "canopy_entropy",
    "entropy_trajectory",
    "length_distribution",
    "prompt_correlations",
    "length_entropy_correlation",
    "prompt_diversity",
    "semantic_diversity",
    "panel",
)


def _measures(run: Run, rows: pl.DataFrame, row, pieces: Pieces, place: dict) -> dict[str, pl.DataFrame]:
    """Tables of one model and task, as the assets of our own rollouts make them."""
    bootstrap = Bootstrap()
    rows = rows.with_columns(entropy_rate=pl.col("sequence_entropy") / pl.col("length"))
    found = {"length_distribution": length_distribution(rows)}
    if not rows["sequence_entropy"].null_count():
        limit = row.max_new_tokens
        measures = prompt_measures(rows, limit)
        found["prompt_measures"] = measures
        found["canopy_entropy"] = canopy_summary(
            measures, entropy_ranks=row.entropy_ranks, max_new_tokens=limit, bootstrap=bootstrap
        )
        found["prompt_correlations"] = prompt_correlations(rows)
        found["length_entropy_correlation"] = correlation_summary(found["prompt_correlations"], bootstrap)
    if "step_entropy" in rows.columns:
        found["entropy_trajectory"] = entropy_trajectory(rows, bootstrap)
    if "text" in rows.columns:
        texts = rows.with_columns(pl.col("text").fill_null("")).lazy()
        vectors = embedded(run, texts, pieces, f"{place['model']} {place['task']}")
        found["prompt_diversity"] = pl.concat([prompt_diversity(table) for table in vectors])
        found["semantic_diversity"] = diversity_summary(found["prompt_diversity"], bootstrap)
    return found


NODE = Node(
    key="external_data",
    axes=("external",),
    deps=("external_spec", "embedder_spec"),
    body=external_data,
    group="canopy",
    description="Rollouts or panels computed elsewhere, checked and measured as our own are.",
    dispatches=encoder_code,
    libraries=ENCODER_LIBRARIES,
    pool="gpu",
)

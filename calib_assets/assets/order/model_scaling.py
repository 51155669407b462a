"""Local precision and recall against model size, by family and stage."""

import polars as pl

from calib_assets.figures import model_scaling as draw
from calib_assets.figures.encode import thumbnail
from calib_assets.metrics import model_scaling as scaling_of
from calib_assets.metrics.node_frontiers import SUMMARY_SCHEMA
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run

CATALOGUE = {"name": pl.String, "family": pl.String, "size": pl.Float64, "variant": pl.String}


def model_scaling(run: Run) -> Result:
    """Area under the frontier and recall at a precision for every model, sweep and depth (METHODS §3.7)."""
    models = pl.DataFrame(run.slice("catalogue_spec")["models"], schema=CATALOGUE)
    found = run.table("precision_recall_frontier", "node_summaries")
    if found.is_empty():
        found = pl.DataFrame(schema={"model": pl.String, "sweep": pl.String, **SUMMARY_SCHEMA})
    # A sweep at a time: each reports its recall at a precision of its own.
    sweeps = found.partition_by("sweep", maintain_order=True) or [found]
    table = pl.concat([scaling_of(sweep, models) for sweep in sweeps])
    return Result(tables={"model_scaling": table}, numbers={"models": models.height})


NODE = Node(
    key="model_scaling",
    axes=(),
    deps=("precision_recall_frontier", "catalogue_spec"),
    body=model_scaling,
    group="order",
    description="Area under the precision–recall frontier and recall at a precision against model size, by family and "
    "stage (Paper A §4.3, Figures 4 and 8).",
    preview=lambda result: thumbnail(draw(result.tables["model_scaling"])),
)

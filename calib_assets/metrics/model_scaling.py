"""Area under the frontier and recall at precision against model size (Paper A, Figures 4 and 8; METHODS §3.7)."""

import polars as pl

from calib_assets.metrics._tables import check_columns
from calib_assets.metrics.depth_summary import summary_rows
from calib_assets.stats import Bootstrap

ALL_DEPTHS = 0
PRE_TRAINED, POST_TRAINED = "pre-trained", "post-trained"
SCHEMA = {
    "model": pl.String,
    "family": pl.String,
    "size": pl.Float64,
    "variant": pl.String,
    "stage": pl.String,
    "sweep": pl.String,
    "judge": pl.String,
    "weighting": pl.String,
    "depth": pl.Int64,
    "auc": pl.Float64,
    "auc_ci_low": pl.Float64,
    "auc_ci_high": pl.Float64,
    "recall_at_precision": pl.Float64,
    "recall_ci_low": pl.Float64,
    "recall_ci_high": pl.Float64,
    "p0": pl.Float64,
    "n_nodes": pl.Int64,
}
_GROUP = ["model", "sweep", "judge", "weighting"]


def model_scaling(
    summaries: pl.DataFrame, models: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()
) -> pl.DataFrame:
    """Means over the nodes of each depth, and of all depths, of every model, beside what the model is.

    Args:
        summaries: The node_summaries tables of all models under each other, with columns model and sweep.
        models: Catalogue: name, family, size (billions of parameters, null if unknown), variant ("base" is
            pre-trained, anything else post-trained). Models that were not swept are ignored.
        bootstrap: How the intervals over seeds are made.

    Returns:
        Columns of `SCHEMA`; by model in the order of the catalogue, then sweep, judge, weighting, depth.
        Depth 0 stands for all depths together, each node one vote. ``n_nodes`` have a curve. Nulls as in
        `depth_summaries`.

    Raises:
        ValueError: If a column is missing, ``p0`` differs between rows, or a model is not in the catalogue
            or twice in it.

    >>> summaries = pl.DataFrame({"judge": ["j"] * 3, "weighting": ["token"] * 3, "seed": [0, 0, 1], "node": [0, 1, 0],
    ...     "depth": [1] * 3, "n_candidates": [5] * 3, "n_unlabelled": [0] * 3, "n_valid": [2, 2, 0],
    ...     "auc": [1.0, 0.5, None], "recall_at_precision": [0.8, 0.4, None], "p0": [0.8] * 3})
    >>> summaries = summaries.with_columns(model=pl.lit("m"), sweep=pl.lit("s"))
    >>> models = pl.DataFrame({"name": ["m"], "family": ["f"], "size": [0.1], "variant": ["instruct"]})
    >>> model_scaling(summaries, models).select("stage", "depth", "auc", "n_nodes").rows()  # depth 0: all of them
    [('post-trained', 0, 0.75, 2), ('post-trained', 1, 0.75, 2)]
    """
    check_columns(summaries, "summaries", _GROUP, "pass node_summaries tables with their model and sweep")
    check_columns(models, "models", ("name", "family", "size", "variant"), "pass the catalogue of models")
    unknown = sorted(set(summaries["model"]) - set(models["name"]))
    if unknown or models["name"].is_duplicated().any():
        raise ValueError(
            f"models names {models['name'].to_list()}; each swept model must be in it once, missing: {unknown}"
        )
    rows = summary_rows(summaries, [*_GROUP, "depth"], bootstrap) + [
        row | {"depth": ALL_DEPTHS} for row in summary_rows(summaries, _GROUP, bootstrap)
    ]
    stage = pl.when(pl.col("variant") == "base").then(pl.lit(PRE_TRAINED)).otherwise(pl.lit(POST_TRAINED))
    catalogue = models.select("name", "family", "size", "variant", stage=stage).with_row_index("place")
    numbers = {name: dtype for name, dtype in SCHEMA.items() if name not in catalogue.columns}
    return (
        pl.DataFrame(rows, schema=numbers, orient="row")
        .join(catalogue, left_on="model", right_on="name", how="left")
        .sort("place", "sweep", "judge", "weighting", "depth")
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    )

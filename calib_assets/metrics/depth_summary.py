"""Frontiers and their summaries by depth of the sweep tree, with intervals over seeds (METHODS §3.6, Figure 2).

Each node of a depth has one vote. Nodes of one seed share a prompt and a prefix, so seeds are resampled, not
nodes.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from calib_assets.metrics._tables import check_columns, mean_with_interval, open_interval
from calib_assets.metrics.node_frontiers import CURVE_SCHEMA, SUMMARY_SCHEMA
from calib_assets.stats import Bootstrap, cluster_bootstrap

# k / 100 exactly as a recall of k out of 100 would be rounded, so equality holds at the grid's points.
RECALL_GRID = tuple(step / 100 for step in range(101))
"""Recalls at which frontiers are averaged: 0, 0.01, … 1."""
FRONTIER_SCHEMA = {
    "judge": pl.String,
    "weighting": pl.String,
    "depth": pl.Int64,
    "recall": pl.Float64,
    "mean": pl.Float64,
    "min": pl.Float64,
    "max": pl.Float64,
    "n_nodes": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
DEPTH_SCHEMA = {
    "judge": pl.String,
    "weighting": pl.String,
    "depth": pl.Int64,
    "n_nodes": pl.Int64,
    "n_without_valid": pl.Int64,
    "auc": pl.Float64,
    "auc_ci_low": pl.Float64,
    "auc_ci_high": pl.Float64,
    "recall_at_precision": pl.Float64,
    "recall_ci_low": pl.Float64,
    "recall_ci_high": pl.Float64,
    "p0": pl.Float64,
    "n_seeds": pl.Int64,
}
_GROUP = ["judge", "weighting", "depth"]


def depth_frontiers(
    curves: pl.DataFrame, grid: Sequence[float] = RECALL_GRID, bootstrap: Bootstrap = Bootstrap()
) -> pl.DataFrame:
    """Mean, smallest and largest precision at each recall of a grid, over the nodes of each depth.

    A node's precision at recall r is the best precision of its cutoffs with recall at least r; at r = 0 that
    is its best precision of all.

    Args:
        curves: The node_curves table; nodes without a valid candidate have no rows and no vote.
        grid: Recalls in [0, 1], strictly rising.
        bootstrap: How the intervals of the mean are made; all recalls share the resampled seeds.

    Returns:
        Columns of `FRONTIER_SCHEMA`; by judge, weighting, depth, recall. ``n_nodes`` have a curve; the
        interval is null with a single seed, or where all seeds have one mean.

    Raises:
        ValueError: If a column is missing, the grid is not rising within [0, 1], or a curve ends below
            recall 1.

    >>> curves = pl.DataFrame({
    ...     "judge": ["j"] * 2, "weighting": ["token"] * 2, "seed": [0] * 2, "node": [0] * 2, "depth": [1] * 2,
    ...     "k": [1, 3], "precision": [1.0, 2 / 3], "recall": [0.5, 1.0], "is_frontier": [True, True]})
    >>> depth_frontiers(curves, grid=[0, 0.5, 0.75]).select("recall", "mean").rows()
    [(0.0, 1.0), (0.5, 1.0), (0.75, 0.6666666666666666)]
    """
    columns = [name for name in CURVE_SCHEMA if name != "rank"]
    check_columns(curves, "curves", columns, "pass the node_curves table")
    recalls = np.asarray(grid, dtype=np.float64)
    if recalls.ndim != 1 or not recalls.size or not ((0 <= recalls) & (recalls <= 1)).all() or not (
        np.diff(recalls) > 0
    ).all():
        raise ValueError(f"grid is {grid}; give strictly rising recalls in [0, 1]")
    parts = [pl.DataFrame(schema=FRONTIER_SCHEMA)]
    points = curves.filter("is_frontier").sort(*_GROUP, "seed", "node", "k")
    for (judge, weighting, depth), at_depth in points.group_by(_GROUP, maintain_order=True):
        precision, seeds = _on_grid(at_depth, recalls)
        estimate = cluster_bootstrap(
            precision, seeds, n_boot=bootstrap.n_boot, rng=bootstrap.rng(), level=bootstrap.level
        )
        ends = [(None, None)] * recalls.size
        if estimate.ci_low is not None:
            ends = [open_interval(*pair) for pair in zip(estimate.ci_low, estimate.ci_high, strict=True)]
        columns = {
            "judge": pl.repeat(judge, recalls.size, eager=True, dtype=pl.String),
            "weighting": pl.repeat(weighting, recalls.size, eager=True, dtype=pl.String),
            "depth": pl.repeat(depth, recalls.size, eager=True, dtype=pl.Int64),
            "recall": recalls,
            "mean": estimate.est,
            "min": precision.min(axis=0),
            "max": precision.max(axis=0),
            "n_nodes": pl.repeat(len(precision), recalls.size, eager=True, dtype=pl.Int64),
            "ci_low": [low for low, _ in ends],
            "ci_high": [high for _, high in ends],
        }
        parts.append(pl.DataFrame(columns, schema=FRONTIER_SCHEMA))
    return pl.concat(parts)


def depth_summaries(summaries: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()) -> pl.DataFrame:
    """Mean area under the frontier and mean recall at precision of the nodes of each depth.

    Args:
        summaries: The node_summaries table, one ``p0`` throughout.
        bootstrap: How the intervals are made.

    Returns:
        Columns of `DEPTH_SCHEMA`; by judge, weighting, depth. ``n_nodes`` have a curve and enter the means;
        ``n_without_valid`` have none. The means are null where no node has a curve, the intervals also with
        a single seed or seeds that are all alike; ``n_seeds`` of the nodes with a curve are what is resampled.

    Raises:
        ValueError: If a column is missing or ``p0`` differs between rows.

    >>> summaries = pl.DataFrame({"judge": ["j"] * 3, "weighting": ["token"] * 3, "seed": [0, 0, 1], "node": [0, 1, 0],
    ...     "depth": [1] * 3, "n_candidates": [5] * 3, "n_unlabelled": [0] * 3, "n_valid": [2, 2, 0],
    ...     "auc": [1.0, 0.5, None], "recall_at_precision": [0.8, 0.4, None], "p0": [0.8] * 3})
    >>> depth_summaries(summaries).select("n_nodes", "n_without_valid", "auc", "n_seeds").row(0)  # (1 + 0.5) / 2
    (2, 1, 0.75, 1)
    """
    rows = summary_rows(summaries, _GROUP, bootstrap)
    return pl.DataFrame(rows, schema=DEPTH_SCHEMA, orient="row").sort(_GROUP)


def summary_rows(summaries: pl.DataFrame, group: Sequence[str], bootstrap: Bootstrap) -> list[dict]:
    """One record of `DEPTH_SCHEMA`'s numbers per group of nodes; ``group`` names the columns that split them.

    Args:
        summaries: A node_summaries table, perhaps with further columns.
        group: Columns whose values are copied into the records.
        bootstrap: How the intervals are made.

    Returns:
        Records with the columns of ``group``, n_nodes, n_without_valid, the two means with their intervals,
        p0 and n_seeds; in no particular order.

    Raises:
        ValueError: If a column is missing or ``p0`` differs between rows.
    """
    check_columns(summaries, "summaries", [*SUMMARY_SCHEMA, *group], "pass the node_summaries table")
    if summaries["p0"].n_unique() > 1:
        raise ValueError(
            f"summaries holds the precisions p0 {summaries['p0'].unique().sort().to_list()}; "
            "a mean needs recalls at one precision"
        )
    records = []
    for key, nodes in summaries.sort("seed", "node").group_by(group, maintain_order=True):
        curved = nodes.drop_nulls("auc")
        seeds = curved["seed"].to_numpy()
        auc, auc_low, auc_high = mean_with_interval(curved["auc"].to_numpy(), seeds, bootstrap)
        recall = mean_with_interval(curved["recall_at_precision"].to_numpy(), seeds, bootstrap)
        records.append(
            dict(zip(group, key, strict=True))
            | {"n_nodes": curved.height, "n_without_valid": nodes.height - curved.height}
            | {"auc": auc, "auc_ci_low": auc_low, "auc_ci_high": auc_high}
            | dict(zip(("recall_at_precision", "recall_ci_low", "recall_ci_high"), recall, strict=True))
            | {"p0": nodes["p0"][0], "n_seeds": curved["seed"].n_unique()}
        )
    return records


def _on_grid(points, recalls) -> tuple[Float[np.ndarray, "nodes grid"], np.ndarray]:
    """Precision of each node at each recall of the grid, and the node's seed.

    Frontier points come by rising recall; a point serves the grid's recalls above the previous point's recall
    and up to its own, so repeating each point as often as it serves fills the table row by row.
    """
    node = points.select(pl.struct("seed", "node").rle_id()).to_series().to_numpy()
    is_last = np.r_[node[1:] != node[:-1], True]
    if (points["recall"].to_numpy()[is_last] != 1).any():
        raise ValueError("curves holds a curve that ends below recall 1; pass whole curves of node_curves")
    served = np.searchsorted(recalls, points["recall"].to_numpy(), side="right")
    before = np.where(np.r_[True, is_last[:-1]], 0, np.r_[0, served[:-1]])
    precision = np.repeat(points["precision"].to_numpy(), served - before)
    return precision.reshape(-1, recalls.size), points["seed"].to_numpy()[is_last]

"""Labels, frontiers and depth summaries of a sweep tree with a million judged leaves: time and peak memory.

The paper's tree: 100 candidates at each of three levels (ranks 1, 11, ... 991), 1,010,100 candidates in all,
with synthetic verdicts whose chance of being valid falls with the ranks on the path; one in a hundred is
missing. A random sample of nodes is computed again one by one with the functions for a single conditional,
compared, and its time scaled to all nodes.
"""

import resource
import time
from collections.abc import Iterator

import numpy as np
import polars as pl

from benchmarks.rows import Check, Row, Run
from calib_assets.metrics import (
    depth_frontiers,
    depth_summaries,
    frontier_auc,
    local_precision_recall,
    node_curves,
    node_summaries,
    precision_recall_frontier,
    recall_at_precision,
    token_validity,
)

SMALL = {"branching": 12, "nodes": 40}
FULL = {"nodes": None}
SECONDS, GIGABYTES = 60.0, 4.0  # limits of the whole
DEPTH, STRIDE = 3, 10
TOLERANCE = 1e-12


def peak_gb() -> float:
    """Largest resident set so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def synthetic(branching: int, n_seeds: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Complete trees in level order and one judge's verdicts on their leaves."""
    trees, labels = [], []
    sizes = [branching**level for level in range(DEPTH + 1)]
    first = np.cumsum([0, *sizes])
    depth = np.repeat(np.arange(DEPTH + 1), sizes)
    node = np.arange(depth.size)
    parent = np.where(depth == 0, -1, first[np.maximum(depth - 1, 0)] + (node - first[depth]) // branching)
    place = np.where(depth == 0, 0, (node - first[depth]) % branching)
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        merit = np.zeros(depth.size)  # falls with the ranks on the path, plus noise
        for level in range(1, DEPTH + 1):
            at = depth == level
            merit[at] = merit[parent[at]] - 3 * place[at] / branching + rng.normal(size=sizes[level]) - 0.5
        verdict = rng.random(depth.size) < 1 / (1 + np.exp(-merit - 1))
        missing = rng.random(depth.size) < 0.01
        columns = {"seed": np.full(node.size, seed), "node": node, "parent": parent, "depth": depth}
        columns |= {"token": rng.integers(150_000, size=node.size), "rank": np.where(depth, 1 + STRIDE * place, 0)}
        tree = pl.DataFrame(columns).with_columns(
            text=pl.format(" token{}", "token"),
            log_probability=pl.Series(-rng.exponential(size=node.size)),
            is_leaf=pl.col("depth") == DEPTH,
        )
        trees.append(tree)
        leaf = depth == DEPTH
        verdicts = pl.Series(verdict[leaf]).to_frame("is_valid").with_columns(missing=pl.Series(missing[leaf]))
        labels.append(
            tree.filter("is_leaf")
            .select(pl.lit("synthetic").alias("judge"), "seed", "node")
            .hstack(verdicts.select(pl.when(~pl.col("missing")).then("is_valid").alias("is_valid")))
        )
    return pl.concat(trees), pl.concat(labels)


def one_by_one(validity: pl.DataFrame, nodes: pl.DataFrame) -> tuple[float, list[tuple]]:
    """Seconds and values of the sampled nodes by the functions for a single conditional."""
    groups = {
        key: group
        for key, group in validity.join(
            nodes, left_on=["seed", "parent"], right_on=["seed", "node"], how="semi"
        ).group_by("seed", "parent", maintain_order=True)
    }
    start = time.perf_counter()
    found = []
    for (seed, node), candidates in groups.items():
        candidates = candidates.drop_nulls("is_valid").sort("rank")
        is_valid, n_valid = candidates["is_valid"].to_numpy(), candidates["n_valid"].to_numpy()
        for weighting, weight in (("continuation", n_valid), ("token", None)):
            if not is_valid.any():
                found.append((seed, node, weighting, None, None, 0))
                continue
            curve = local_precision_recall(-candidates["rank"].to_numpy().astype(float), is_valid, weight)
            size = precision_recall_frontier(*curve).recall.size
            found.append((seed, node, weighting, frontier_auc(*curve), recall_at_precision(*curve), size))
    return time.perf_counter() - start, found


def largest_difference(found, summaries: pl.DataFrame, curves: pl.DataFrame) -> float:
    """Largest difference of area or recall in the sample; frontiers of another size count as infinite."""
    keys = {"seed": pl.Int64, "node": pl.Int64, "weighting": pl.String}
    values = {"slow_auc": pl.Float64, "slow_recall": pl.Float64, "slow_points": pl.Int64}
    slow = pl.DataFrame(found, schema=keys | values, orient="row")
    points = curves.filter("is_frontier").group_by(list(keys)).agg(points=pl.len().cast(pl.Int64))
    both = slow.join(summaries, on=list(keys), how="left").join(points, on=list(keys), how="left")
    same_points = both["slow_points"] == both["points"].fill_null(0)
    same_nulls = both["auc"].is_null() == both["slow_auc"].is_null()
    if not (same_points & same_nulls).all():
        return float("inf")
    differences = both.select(
        (pl.col("auc") - pl.col("slow_auc")).abs().max(),
        (pl.col("recall_at_precision") - pl.col("slow_recall")).abs().max().alias("recall"),
    )
    return max(differences.row(0))


def rows(run: Run, branching: int = 100, seeds: int = 1, nodes: int | None = 200, repeat: int = 3) -> Iterator[Row]:
    """Against single nodes (``nodes`` of them; None: all); limits of time and memory for all steps together."""
    tree, labels = synthetic(branching, seeds)
    totals, tabled = [], []
    for _ in range(repeat):
        start = time.perf_counter()
        validity = token_validity(tree, labels)
        began = time.perf_counter()
        curves = node_curves(validity)
        summaries = node_summaries(validity, 0.8, curves)
        tabled.append(time.perf_counter() - began)
        depth_frontiers(curves)
        depth_summaries(summaries)
        totals.append(time.perf_counter() - start)
    peak = peak_gb()
    internal = summaries.select("seed", "node").unique(maintain_order=True)
    sample = internal.sample(min(nodes or internal.height, internal.height), seed=0)
    slow, found = one_by_one(validity, sample)
    how = "" if sample.height == internal.height else f"the baseline from {sample.height} random nodes"
    size = f"{tree['is_leaf'].sum():,} leaves, {internal.height:,} nodes with candidates"
    same = Check("largest difference of an area or recall", largest_difference(found, summaries, curves), TOLERANCE)
    yield Row(
        "judged tree: all node curves and frontiers", size, "the same functions of this project, node by node",
        float(np.median(tabled)), slow * internal.height / sample.height, (same,), scaled=how,
    )  # fmt: skip
    limits = Check("seconds", float(np.median(totals)), SECONDS), Check("peak memory in GB", peak, GIGABYTES)
    what = "judged tree: validity, curves, frontiers, depths"
    yield Row(what, size, "limits that were asked for", limits[0].error, checks=limits)

"""Frontiers and means by depth, and by model, against loops over the nodes."""

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from calib_assets.metrics import (
    RECALL_GRID,
    depth_frontiers,
    depth_summaries,
    model_scaling,
    node_curves,
    node_summaries,
    token_validity,
)
from calib_assets.metrics.depth_summary import DEPTH_SCHEMA, FRONTIER_SCHEMA
from calib_assets.metrics.model_scaling import SCHEMA
from calib_assets.stats import Bootstrap, cluster_bootstrap

numbers = st.integers(0, 10**6)
few = Bootstrap(n_boot=12)
GROUP = ["judge", "weighting", "depth"]


def interval(values, seeds):
    """Mean and interval over seeds, by the generic path; none of width 0."""
    found = cluster_bootstrap(np.array(values), np.array(seeds), np.mean, n_boot=few.n_boot)
    alike = found.ci_low is not None and found.ci_high - found.ci_low < 1e-12
    return (found.est, None, None) if alike else (found.est, found.ci_low, found.ci_high)


def same(found, expected):
    assert all(
        (one is None and other is None) or one == pytest.approx(other, abs=1e-12)
        for one, other in zip(found, expected, strict=True)
    )


@settings(max_examples=40)
@given(numbers, st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True).map(sorted))
def test_best_precision_at_each_recall(judged_trees, number, steps):
    grid = [step / 12 for step in steps]
    curves = node_curves(token_validity(*judged_trees(number, n_seeds=3)))
    found = depth_frontiers(curves, grid, few)
    assert dict(found.schema) == FRONTIER_SCHEMA
    assert found.height == curves.select(GROUP).n_unique() * len(grid)
    assert_frame_equal(found, found.sort(*GROUP, "recall"))
    for row in found.iter_rows(named=True):
        at = curves.filter(judge=row["judge"], weighting=row["weighting"], depth=row["depth"])
        best, seeds = [], []
        for (seed, _), node in at.group_by("seed", "node"):
            points = node.select("precision", "recall").rows()
            best.append(max(precision for precision, recall in points if recall >= row["recall"]))
            seeds.append(seed)
        assert (row["n_nodes"], row["min"], row["max"]) == (len(best), min(best), max(best))
        same((row["mean"], row["ci_low"], row["ci_high"]), interval(best, seeds))


@given(numbers)
@example(1430)
def test_frontiers_fall_and_bracket_their_mean(judged_trees, number):
    curves = node_curves(token_validity(*judged_trees(number)))
    found = depth_frontiers(curves, bootstrap=few)
    # A tree without a single valid leaf has no curve and no rows.
    assert found["recall"].unique().sort().to_list() == (list(RECALL_GRID) if curves.height else [])
    assert ((found["min"] <= found["mean"] + 1e-12) & (found["mean"] <= found["max"] + 1e-12)).all()
    for _, curve in found.group_by(GROUP, maintain_order=True):
        for column in ("mean", "min", "max"):
            assert (curve[column].diff().drop_nulls() <= 1e-12).all()


def test_area_is_the_integral_of_the_mean_frontier(judged_trees):
    # Recalls of a node are fractions; a grid finer than all of them makes the Riemann sum exact.
    validity = token_validity(*judged_trees(11, n_seeds=3))
    curves = node_curves(validity)
    grid = np.unique(np.r_[curves["recall"].to_numpy(), 0.0, 1.0])
    frontiers = depth_frontiers(curves, grid.tolist(), few)
    for row in depth_summaries(node_summaries(validity), few).iter_rows(named=True):
        curve = frontiers.filter(judge=row["judge"], weighting=row["weighting"], depth=row["depth"])
        area = np.diff(grid) @ curve["mean"].to_numpy()[1:]
        assert row["auc"] == pytest.approx(area, abs=1e-12)


@given(numbers, st.sampled_from([0.5, 0.8]))
def test_means_by_depth(judged_trees, number, p0):
    nodes = node_summaries(token_validity(*judged_trees(number, n_seeds=3)), p0)
    found = depth_summaries(nodes, few)
    assert dict(found.schema) == DEPTH_SCHEMA
    assert found.height == nodes.select(GROUP).n_unique()
    for row in found.iter_rows(named=True):
        at = nodes.filter(judge=row["judge"], weighting=row["weighting"], depth=row["depth"])
        curved = [node for node in at.iter_rows(named=True) if node["auc"] is not None]
        seeds = [node["seed"] for node in curved]
        assert (row["n_nodes"], row["n_without_valid"]) == (len(curved), at.height - len(curved))
        assert (row["n_seeds"], row["p0"]) == (len(set(seeds)), p0)
        for name, short in (("auc", "auc"), ("recall_at_precision", "recall")):
            numbers_ = (row[name], row[f"{short}_ci_low"], row[f"{short}_ci_high"])
            if curved:
                same(numbers_, interval([node[name] for node in curved], seeds))
            else:
                assert numbers_ == (None, None, None)


def test_one_seed_has_no_interval(judged_trees):
    validity = token_validity(*judged_trees(5, n_seeds=1))
    frontiers, summaries = depth_frontiers(node_curves(validity)), depth_summaries(node_summaries(validity))
    for table, column in ((frontiers, "ci_low"), (frontiers, "ci_high"), (summaries, "auc_ci_low")):
        assert table.height and table[column].null_count() == table.height
    assert frontiers["mean"].null_count() == 0


def test_seeds_that_are_all_alike_have_no_interval(judged_trees):
    tree, labels = judged_trees(5, n_seeds=1)
    validity = token_validity(tree, labels)
    copies = pl.concat([validity.with_columns(seed=pl.lit(seed, pl.Int64)) for seed in range(3)])
    summaries, frontiers = depth_summaries(node_summaries(copies)), depth_frontiers(node_curves(copies))
    assert summaries["n_seeds"].min() == 3 and summaries["auc"].null_count() == 0
    for table, column in ((summaries, "auc_ci_low"), (summaries, "recall_ci_high"), (frontiers, "ci_low")):
        assert table.height and table[column].null_count() == table.height


def test_depth_without_any_curve(judged_trees):
    tree, labels = judged_trees(5)
    nodes = node_summaries(token_validity(tree, labels.with_columns(is_valid=pl.lit(False))))
    found = depth_summaries(nodes)
    assert found["n_nodes"].sum() == found["n_seeds"].sum() == 0
    assert found["n_without_valid"].sum() == nodes.height
    assert found["auc"].null_count() == found["recall_ci_high"].null_count() == found.height
    assert depth_frontiers(node_curves(token_validity(tree, labels.clear()))).is_empty()


def test_wrong_input_is_named(judged_trees):
    validity = token_validity(*judged_trees(5))
    curves, nodes = node_curves(validity), node_summaries(validity)
    for grid in ([], [0.5, 0.5], [0.2, 0.1], [0.5, 1.1], [-0.1, 0.5]):
        with pytest.raises(ValueError, match="strictly rising recalls"):
            depth_frontiers(curves, grid)
    with pytest.raises(ValueError, match="ends below recall 1"):
        depth_frontiers(curves.filter(pl.col("recall") < 1))
    with pytest.raises(ValueError, match=r"curves lacks the columns \['k'\]"):
        depth_frontiers(curves.drop("k"))
    with pytest.raises(ValueError, match=r"p0 \[0.5, 0.8\]"):
        depth_summaries(pl.concat([nodes, node_summaries(validity, 0.5)]))
    with pytest.raises(ValueError, match=r"summaries lacks the columns \['auc'\]"):
        depth_summaries(nodes.drop("auc"))


MODELS = pl.DataFrame(
    {
        "name": ["b-it", "a", "unswept"],
        "family": ["B", "A", "A"],
        "size": [0.1, None, 3.0],
        "variant": ["instruct", "base", "base"],
    }
)


def swept(judged_trees):
    return {
        (model, sweep): node_summaries(token_validity(*judged_trees(number, n_seeds=3)))
        for number, (model, sweep) in enumerate([("a", "s1"), ("b-it", "s1"), ("b-it", "s2")])
    }


def test_scaling_is_the_depth_summary_of_each_model(judged_trees):
    cells = swept(judged_trees)
    tables = [
        table.select(pl.lit(model).alias("model"), pl.lit(sweep).alias("sweep"), pl.all())
        for (model, sweep), table in cells.items()
    ]
    found = model_scaling(pl.concat(tables), MODELS, few)
    assert dict(found.schema) == SCHEMA
    assert found["model"].unique(maintain_order=True).to_list() == ["b-it", "a"]
    assert found.select("model", "family", "size", "variant", "stage").unique(maintain_order=True).rows() == [
        ("b-it", "B", 0.1, "instruct", "post-trained"),
        ("a", "A", None, "base", "pre-trained"),
    ]
    for (model, sweep), table in cells.items():
        rows = found.filter(model=model, sweep=sweep)
        by_depth = depth_summaries(table, few).drop("n_without_valid", "n_seeds")
        assert_frame_equal(rows.filter(pl.col("depth") > 0).select(by_depth.columns), by_depth)
        for row in rows.filter(depth=0).iter_rows(named=True):
            curved = table.filter(judge=row["judge"], weighting=row["weighting"]).drop_nulls("auc")
            assert row["n_nodes"] == curved.height
            same((row["auc"], row["auc_ci_low"], row["auc_ci_high"]), interval(curved["auc"], curved["seed"]))


def test_scaling_names_what_is_missing(judged_trees):
    table = next(iter(swept(judged_trees).values()))
    with pytest.raises(ValueError, match="summaries lacks the columns"):
        model_scaling(table, MODELS)
    named = table.with_columns(model=pl.lit("new"), sweep=pl.lit("s"))
    with pytest.raises(ValueError, match=r"missing: \['new'\]"):
        model_scaling(named, MODELS)
    with pytest.raises(ValueError, match="must be in it once"):
        model_scaling(named.with_columns(model=pl.lit("a")), pl.concat([MODELS, MODELS]))
    with pytest.raises(ValueError, match=r"models lacks the columns \['size'\]"):
        model_scaling(named, MODELS.drop("size"))

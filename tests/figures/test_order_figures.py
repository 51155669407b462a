"""The order study's figures hold what their tables hold; undefined values are said, never drawn as numbers."""

import math
import re

import numpy as np
import polars as pl
import pytest
from drawn import artists, footnote, misplaced, words, xy
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection

from calib_assets import figures
from calib_assets.figures.order_parts import STATUSES, strategy_style
from calib_assets.figures.plotted import plotted_data
from calib_assets.figures.sweep_tree import even_places, telling_seed

HOSTILE = '<script>alert("$x$")</script> & \x00\u202e'


def only(frame: pl.DataFrame, **values) -> pl.DataFrame:
    return frame.filter([pl.col(name) == value for name, value in values.items()])


@pytest.mark.parametrize("weighting", ["token", "continuation"])
@pytest.mark.parametrize("judge", ["strict", "lenient"])
def test_depth_frontiers_are_the_rows_of_judge_and_weighting(order, judge, weighting):
    table = order.tables["depth_frontiers"]
    figure = figures.depth_frontiers(table.sample(fraction=1.0, shuffle=True, seed=1), judge=judge, weighting=weighting)
    assert len(figure.axes) == 4
    for depth in (1, 2, 3):
        rows = only(table, judge=judge, weighting=weighting, depth=depth).sort("recall")
        for gid, column in (("compare", "mean"), ("mean", "mean"), ("min", "min"), ("max", "max")):
            [line] = artists(figure, f"{gid}-{depth}")
            np.testing.assert_array_equal(xy(line), rows.select("recall", column).to_numpy())
        bands = figure.axes[depth].collections
        corners = np.vstack([path.vertices for band in bands for path in band.get_paths()])
        assert corners[:, 1].max() == rows["max"].max() and corners[:, 1].min() == rows["min"].min()
        ends = bands[1].get_paths()[0].vertices[:, 1]
        assert (ends.max(), ends.min()) == (rows["ci_high"].max(), rows["ci_low"].min())
        assert f"Depth {depth} ({rows['n_nodes'][0]} node" in words(figure)
    assert f"Judge: {judge}." in footnote(figure)


def test_one_depth_is_one_panel_and_one_seed_has_no_interval(order):
    tables = order.cell(seeds=1, judges=("strict",))
    figure = figures.depth_frontiers(only(tables["depth_frontiers"], depth=1))
    assert len(figure.axes) == 1 and "No intervals: they need two seeds that differ." in footnote(figure)
    figures.png(figure, dpi=50)
    robust = figures.greedy_robustness(tables["robustness_frontiers"])
    assert "No intervals" in footnote(robust)
    assert "No intervals" not in footnote(figures.depth_frontiers(order.tables["depth_frontiers"]))


def test_the_line_at_a_precision_is_named_and_looks_like_no_other(order):
    tables = order.cell(seeds=2, judges=("strict",))
    names = {"depth_frontiers": figures.depth_frontiers, "robustness_frontiers": figures.greedy_robustness}
    for table, draw in names.items():
        figure = draw(tables[table], p0=0.75)
        assert misplaced(figure) == []
        [legend] = figure.legends
        looks = [(line.get_color(), line.get_linestyle()) for line in legend.get_lines()]
        assert "precision 0.75" in words(figure) and looks.count(looks[-1]) == 1
        named = plotted_data(figure).filter(series="precision 0.75")
        assert set(named["y"]) == {0.75} and named.height == len(figure.axes)
        assert "precision 0" not in words(draw(tables[table], p0=None))


def test_a_judge_or_weighting_that_is_not_there_is_an_error_that_names_those_that_are(order):
    with pytest.raises(ValueError, match=r"depth_frontiers has no judge 'nobody'; it has \['lenient', 'strict'\]"):
        figures.depth_frontiers(order.tables["depth_frontiers"], judge="nobody")
    with pytest.raises(ValueError, match="no weighting 'mass'"):
        figures.greedy_robustness(order.tables["robustness_frontiers"], weighting="mass")
    with pytest.raises(ValueError, match=r"node_curves lacks the column\(s\) precision"):
        figures.single_step(order.tables["node_curves"].drop("precision"), order.tables["token_validity"])


def test_robustness_lines_are_the_table(order):
    table = order.tables["robustness_frontiers"]
    figure = figures.greedy_robustness(table, judge="lenient", weighting="continuation")
    for kind in ("greedy", "sampled"):
        for depth in (1, 2, 3):
            rows = only(table, judge="lenient", weighting="continuation", continuation=kind, depth=depth)
            [line] = artists(figure, f"{kind}-{depth}")
            np.testing.assert_array_equal(xy(line), rows.select("recall", "mean").to_numpy())
    alone = figures.greedy_robustness(table.filter(pl.col("continuation") == "greedy"))
    assert "no sampled frontier" in words(alone)


def test_single_step_is_counted_by_hand_from_the_tokens(order):
    tokens = only(order.tables["token_validity"], judge="lenient", seed=1, parent=0).sort("rank")
    figure = figures.single_step(
        order.tables["node_curves"], order.tables["token_validity"], judge="lenient", seed=1, weighting="continuation"
    )
    known = tokens.drop_nulls("is_valid").rows(named=True)
    weight = [row["n_valid"] * row["is_valid"] for row in known]
    for name, expected in (
        ("precision", [sum(r["is_valid"] for r in known[:k]) / k for k in range(1, len(known) + 1)]),
        ("recall", [sum(weight[:k]) / sum(weight) for k in range(1, len(known) + 1)]),
    ):
        [line] = artists(figure, name)
        np.testing.assert_allclose(xy(line), np.column_stack([[r["rank"] for r in known], expected]))
    for kind, name in ((True, "valid"), (False, "invalid")):
        [ticks] = artists(figure, f"ticks-{name}")
        expected = tokens.filter(pl.col("is_valid") == kind)["rank"].to_list()
        assert sorted(segment[0, 0] for segment in ticks.get_segments()) == expected
    assert figure.axes[0].get_xscale() == "log" and "seed 1" in words(figure)


def wide_step(n: int = 4000) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One node of ``n`` tokens at every tenth rank whose validity fades; some have no label."""
    rng = np.random.default_rng(0)
    rank = np.arange(n) * 10 + 1
    draw = rng.random(n)
    valid = [None if u > 0.97 else bool(u < 0.9 * (k / 40 + 1) ** -0.5) for k, u in enumerate(draw)]
    tokens = pl.DataFrame(
        {"judge": "j", "seed": 0, "node": np.arange(1, n + 1), "parent": 0, "rank": rank, "is_valid": valid}
    )
    known = tokens.drop_nulls("is_valid")
    hits = known["is_valid"].cast(pl.Int64).cum_sum().to_numpy()
    curve = known.select("judge", "seed", "rank", node=pl.lit(0), weighting=pl.lit("token")).with_columns(
        precision=pl.Series(hits / np.arange(1, len(hits) + 1)), recall=pl.Series(hits / hits[-1])
    )
    return curve, tokens


def test_published_normalisation_counts_recall_inside_the_top_ranks():
    curve, tokens = wide_step()
    inside = tokens.filter(pl.col("rank") <= 2000).drop_nulls("is_valid")
    figure = figures.single_step(curve, tokens, normalise="top")
    recall = xy(artists(figure, "recall")[0])
    expected = inside["is_valid"].cast(pl.Int64).cum_sum() / inside["is_valid"].sum()
    np.testing.assert_array_equal(recall[:, 0], inside["rank"])
    np.testing.assert_allclose(recall[:, 1], expected)
    precision = xy(artists(figure, "precision")[0])
    np.testing.assert_allclose(precision[:, 1], curve.filter(pl.col("rank") <= 2000)["precision"])
    assert "inside the top 2,000 ranks" in words(figure) and "inside the top 2,000 ranks only" in footnote(figure)
    whole = figures.single_step(curve, tokens)
    assert xy(artists(whole, "recall")[0])[-1].tolist() == [curve["rank"].max(), 1.0]
    assert "inside the top" not in words(whole)
    assert len(artists(whole, "ticks-not judged")[0].get_segments()) == tokens["is_valid"].null_count()
    assert len(figures.thumbnail(whole)) <= 45_000 and len(figures.svg(whole)) < 900_000


def test_a_step_without_valid_tokens_says_that_recall_is_undefined():
    curve, tokens = wide_step(30)
    none = tokens.with_columns(is_valid=pl.lit(False))
    figure = figures.single_step(curve.clear(), none)
    assert "recall undefined" in words(figure) and not [a for a in figure.axes[0].lines if a.get_gid() == "recall"]
    figures.png(figure, dpi=50)
    late = curve.with_columns(recall=pl.when(pl.col("rank") <= 100).then(0.0).otherwise("recall"))
    assert "recall undefined" in words(figures.single_step(late, tokens, normalise="top", top=100))
    assert not figures.single_step(curve, tokens, node=99).axes


def test_scaling_points_and_bars_are_the_table(order):
    table = order.tables["model_scaling"]
    figure = figures.model_scaling(table, judge="strict", weighting="continuation", depth=2)
    rows = only(table, judge="strict", weighting="continuation", depth=2)
    figures.png(figure, dpi=50)
    for column, short in (("auc", "auc"), ("recall_at_precision", "recall")):
        for (family, stage), part in rows.drop_nulls("size").group_by("family", "stage"):
            part = part.sort("size")
            [line] = artists(figure, f"{column}-{family}-{stage}")
            np.testing.assert_array_equal(xy(line), part.select("size", column).to_numpy())
            bars = [c for c in line.axes.collections if isinstance(c, LineCollection)]
            ends = {tuple(np.round(segment[:, 1], 9)) for bar in bars for segment in bar.get_segments()}
            expected = part.select(f"{short}_ci_low", f"{short}_ci_high").drop_nulls().rows()
            assert {tuple(np.round(pair, 9)) for pair in expected} <= ends
        [line] = artists(figure, f"{column}-unknown-api")
        assert line.get_ydata()[0] == only(rows, model="api")[column][0]
    assert "size unknown" in words(figure) and "pre-trained" in words(figure) and "depth 2" in footnote(figure)
    assert "recall at\nprecision 0.8" in words(figure)


def test_scaling_of_two_models_of_one_size_each_sweep_its_own_column(order):
    table = order.tables["model_scaling"].filter(pl.col("model").is_in(["q-base", "q-chat"]))
    both = pl.concat([table, table.with_columns(sweep=pl.lit("single step"), p0=pl.lit(0.9))])
    figure = figures.model_scaling(both)
    figures.png(figure, dpi=50)
    assert len(figure.axes) == 4
    assert "single step (p0 = 0.9)" in words(figure) and "precision p0" in words(figure)
    low, high = figure.axes[0].get_xlim()
    assert low < 0.6 < high and high / low < 10


def test_models_without_a_value_are_counted_not_drawn(order):
    table = only(order.tables["model_scaling"], depth=0).with_columns(
        auc=pl.when(pl.col("model") == "l-chat").then(None).otherwise("auc")
    )
    figure = figures.model_scaling(table)
    figures.png(figure, dpi=50)
    assert "no node has a valid candidate: 1." in footnote(figure)
    assert all(math.isnan(y) for y in artists(figure, "auc-L-post-trained")[0].get_ydata())
    only_unknown = figures.model_scaling(table.filter(pl.col("size").is_null()))
    figures.png(only_unknown, dpi=50)
    assert len(only_unknown.axes) == 2


def best_by_hand(rows: pl.DataFrame, measure: str, floor: float) -> dict | None:
    able = [row for row in rows.rows(named=True) if row["validity"] >= floor and row[measure] is not None]
    sign = -1 if measure == "self_bleu" else 1
    return max(able, key=lambda row: sign * row[measure], default=None)


def test_decoding_points_and_the_best_of_them(order):
    table, best = order.tables["decoding_points"], order.tables["best_decoding"]
    figure = figures.decoding_comparison(table, best, judge="lenient", over="all")
    for name in ("unrestricted", "top_p", "min_p", "oracle_filter"):
        rows = only(table, judge="lenient", over="all", strategy=name)
        for measure in ("embedding_diversity", "self_bleu"):
            height = pl.col(measure) if measure == "embedding_diversity" else 1 - pl.col(measure)
            [cloud] = artists(figure, f"{measure}-{name}")
            np.testing.assert_allclose(cloud.get_offsets(), rows.select("validity", height).to_numpy())
            top = best_by_hand(rows, measure, order.floor)
            [ring] = artists(figure, f"best-{measure}-{name}")
            value = top[measure] if measure == "embedding_diversity" else 1 - top[measure]
            np.testing.assert_allclose(xy(ring), [[top["validity"], value]])
    assert "oracle filter (knows V)" in words(figure) and "validity 0.8" in words(figure)
    assert strategy_style("oracle_filter").colour != strategy_style("top_p").colour


def test_strategies_below_the_floor_and_undefined_diversities_are_said(order):
    points, best = order.tables["decoding_points"], order.tables["best_decoding"]
    never = best.with_columns(value=pl.when(pl.col("strategy") == "min_p").then(None).otherwise("value"))
    lost = points.with_columns(
        pl.when((pl.col("strategy") == "top_p") & (pl.col("temperature") == 1.7))
        .then(None)
        .otherwise(pl.col("embedding_diversity", "self_bleu"))
        .name.keep()
    )
    figure = figures.decoding_comparison(lost, never)
    figures.png(figure, dpi=50)
    assert "Never at validity 0.8: min-p." in footnote(figure)
    before = only(points, judge="strict", over="valid")["embedding_diversity"].null_count()
    after = only(lost, judge="strict", over="valid")["embedding_diversity"].null_count()
    assert after > before and f"not drawn: {after}." in footnote(figure)
    assert not [a for ax in figure.axes for a in ax.lines if (a.get_gid() or "").endswith("best-self_bleu-min_p")]
    unknown = figures.decoding_comparison(points, best.clear())
    figures.png(unknown, dpi=50)
    assert "Never" not in footnote(unknown)


def test_score_bars_add_to_the_verdicts_and_shares_to_one(order):
    labels = order.tables["judge_labels"]
    figure = figures.judge_scores(labels, thresholds={"strict": 99})
    for judge in ("strict", "lenient"):
        rows = only(labels, judge=judge)
        for valid, name in ((True, "valid"), (False, "invalid")):
            bars = artists(figure, f"scores-{name}-{judge}")
            scores = rows.filter(pl.col("is_valid") == valid)["overall"]
            for bar in bars:
                low = round(bar.get_x() - 0.2)
                inside = sum(low <= score < low + 5 for score in scores)
                assert bar.get_height() == inside
            assert sum(bar.get_height() for bar in bars) == len(scores)
        widths = {}
        for name in STATUSES:
            kind = {"valid": pl.col("is_valid"), "invalid": ~pl.col("is_valid")}.get(name, pl.col("status") == name)
            count = rows.filter(kind).height
            if count:
                widths[name] = artists(figure, f"{name}-{judge}")[0].get_width()
                assert widths[name] == pytest.approx(count / rows.height)
        assert sum(widths.values()) == pytest.approx(1)
    assert artists(figure, "threshold-strict")[0].get_xdata()[0] == 99
    assert not [a for ax in figure.axes for a in ax.lines if a.get_gid() == "threshold-lenient"]


def test_a_judge_with_no_verdict_at_all_is_drawn_as_missing(order):
    labels = only(order.tables["judge_labels"], judge="strict").with_columns(
        status=pl.lit("a new status"),
        overall=pl.lit(None, dtype=pl.Int64),
        is_valid=pl.lit(None, dtype=pl.Boolean),
    )
    figure = figures.judge_scores(labels)
    figures.png(figure, dpi=50)
    assert artists(figure, "a new status-strict")[0].get_width() == 1
    assert f"1 missing ({labels.height})" in words(figure)
    assert sum(bar.get_height() for bar in artists(figure, "scores-valid-strict")) == 0


def tokens_drawn(figure) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {"valid": [], "invalid": [], "not judged": []}
    for line in figure.axes[0].lines:
        if (line.get_gid() or "").startswith("token-"):
            _, label, node = line.get_gid().split("-")
            found[label].append(int(node))
    return found


def test_tree_colours_are_the_labels_and_what_is_left_out_is_counted(order):
    table = order.tables["token_validity"]
    figure = figures.sweep_tree(table, judge="lenient", seed=1, completions=order.tables["completions"])
    rows = only(table, judge="lenient", seed=1).filter(pl.col("depth") > 0)
    drawn = tokens_drawn(figure)
    for label, kind in (("valid", True), ("invalid", False), ("not judged", None)):
        assert set(drawn[label]) <= set(rows.filter(pl.col("is_valid").eq_missing(kind))["node"])
    shown = {node for nodes in drawn.values() for node in nodes}
    assert len(shown) == sum(map(len, drawn.values())) < rows.height
    assert f"{len(shown)} of {rows.height} swept tokens" in footnote(figure)
    assert f"{rows.height - len(shown)} are not." in footnote(figure)
    parents = rows.filter(pl.col("node").is_in(sorted(shown)))["parent"].unique().to_list()
    hidden = sum(rows.filter(pl.col("parent") == parent).height for parent in parents) - len(shown)
    notes = [word for word in words(figure).splitlines() if word.startswith("+ ")]
    assert sum(int(note.split()[1].replace(",", "")) for note in notes) == hidden
    for parent in parents:  # drawn tokens hang on drawn tokens, and both kinds show where both are
        assert parent == 0 or parent in shown
        group = rows.filter(pl.col("parent") == parent)
        seen = set(group.filter(pl.col("node").is_in(sorted(shown)))["is_valid"])
        assert seen - {None} == set(group["is_valid"]) - {None}
    by_text = only(order.tables["completions"], seed=1)
    leaf = rows.filter(pl.col("is_leaf") & pl.col("node").is_in(sorted(shown)))["node"][0]
    text = by_text.filter(pl.col("node") == leaf)["completion"][0].strip()
    assert text[:30] in words(figure)


def test_a_wide_tree_of_depth_one_and_text_that_attacks(order):
    n = 8000
    table = pl.DataFrame(
        {
            "judge": HOSTILE,
            "seed": 3,
            "node": range(1, n + 1),
            "parent": 0,
            "depth": 1,
            "rank": range(1, 10 * n, 10),
            "text": [HOSTILE, "数", "\n", ""] * (n // 4),
            "is_leaf": True,
            "is_valid": [None] * (n - 1) + [True],
        }
    )
    figure = figures.sweep_tree(table, prefix=HOSTILE, completions=table.select("seed", "node", completion="text"))
    page = figures.inline_svg(figure, prefix="x", label=HOSTILE)
    assert "<script" not in page and len(figures.thumbnail(figure)) <= 45_000
    assert "14 of 8,000 swept tokens" in footnote(figure) and tokens_drawn(figure)["valid"] == [n]


def test_hostile_names_are_drawn_as_text_in_every_figure(order):
    def renamed(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
        return frame.with_columns((pl.col(name) + HOSTILE) for name in columns)

    tables = order.tables
    drawn = [
        figures.depth_frontiers(renamed(tables["depth_frontiers"], "judge")),
        figures.single_step(renamed(tables["node_curves"], "judge"), renamed(tables["token_validity"], "judge")),
        figures.model_scaling(renamed(tables["model_scaling"], "model", "family", "sweep", "judge")),
        figures.decoding_comparison(
            renamed(tables["decoding_points"], "judge", "strategy"),
            renamed(tables["best_decoding"], "judge", "strategy"),
        ),
        figures.judge_scores(renamed(tables["judge_labels"], "judge")),
    ]
    for figure in drawn:
        page = figures.inline_svg(figure, prefix="x", label="l")
        assert "<script" not in page and "\x00" not in page and "\u202e" not in page
        assert r"\x00" in page or "…" in page
        assert len(set(re.findall(r' id="([^"]*)"', page))) == page.count(" id=")


@given(st.lists(st.sampled_from([True, False, None]), max_size=60), st.integers(1, 14))
def test_thinning_keeps_the_ends_the_limit_and_both_kinds(kinds, limit):
    places = even_places(kinds, limit)
    assert places == sorted(set(places)) and len(places) <= limit and set(places) <= set(range(len(kinds)))
    if len(kinds) <= limit:
        assert places == list(range(len(kinds)))
    if limit >= 2:
        assert {kinds[i] for i in places} - {None} == set(kinds) - {None}
    if limit >= 4 and kinds:
        assert {0, len(kinds) - 1} <= set(places)


def test_the_seed_shown_is_the_first_that_tells_something(order):
    table = order.tables["token_validity"]
    dull = table.with_columns(is_valid=pl.when(pl.col("seed") == 0).then(False).otherwise("is_valid"))
    assert telling_seed(dull, judge="lenient") == 1
    assert telling_seed(dull.filter(pl.col("seed") == 0)) == 0
    assert telling_seed(table.clear()) is None
    assert "seed 1." in footnote(figures.sweep_tree(dull, judge="lenient"))

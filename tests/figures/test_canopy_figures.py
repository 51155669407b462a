"""The canopy study's figures hold what their tables hold; long axes are pooled without changing means."""

import math

import matplotlib
import numpy as np
import polars as pl
import pytest
from drawn import artists, footnote, words, xy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from calib_assets import figures
from calib_assets.figures.canopy_parts import key_of, measure_label, thinned, variant_style, with_places
from calib_assets.figures.diversity_regression import binned
from calib_assets.figures.length_distributions import edges_of

HOSTILE = '<script>alert("$x$")</script> & \x00\u202e'


def side(canopy, name: str, task: str) -> pl.DataFrame:
    """A table of all models on a task, as the report joins them."""
    parts = []
    for pair, both in canopy.PAIRS.items():
        for model, variant in zip(both, ("base", "instruct"), strict=True):
            labels = {"panel": pair, "model": model, "variant": variant}
            parts.append(canopy.every[model, task][name].with_columns(pl.lit(v).alias(k) for k, v in labels.items()))
    return pl.concat(parts)


def long_trajectory(last: int = 4000, hazard: float = 0.001) -> pl.DataFrame:
    """A trajectory of ``last`` positions whose rollouts end at a constant rate; the last 50 have no interval."""
    position = np.arange(1, last + 1)
    active = np.maximum(np.round(10_000 * np.exp(-hazard * position)), 1).astype(np.int64)
    mean = 2 + np.sin(position / 50)
    known = [i < last - 50 for i in range(last)]
    ends = {side: [m + sign if k else None for m, k in zip(mean, known, strict=True)]
            for side, sign in (("ci_low", -0.1), ("ci_high", 0.1))}  # fmt: skip
    return pl.DataFrame({"position": position, "mean": mean, **ends, "active": active, "active_share": active / 10_000})


def test_a_trajectory_of_one_cell_is_its_table(canopy):
    table = canopy.every["llama-it", "stories"]["entropy_trajectory"]
    assert table["active_share"].min() >= 0.05  # else the test would not see the whole line
    figure = figures.entropy_trajectories(table.sample(fraction=1.0, shuffle=True, seed=3), title="lengths $")
    [line] = artists(figure, "mean-all")
    np.testing.assert_allclose(xy(line), table.select("position", "mean").to_numpy())
    [active] = artists(figure, "active-all")
    np.testing.assert_allclose(xy(active), table.select("position", "active_share").to_numpy())
    band = np.vstack([path.vertices for band in figure.axes[0].collections for path in band.get_paths()])
    assert band[:, 1].max() == pytest.approx(table["ci_high"].max()) and r"\$" in words(figure)
    assert f"Longest rollout: {table['position'].max()}." in footnote(figure) and "pools" not in footnote(figure)


def test_trajectories_of_pairs_have_a_panel_each_and_pale_ends(canopy):
    table = side(canopy, "entropy_trajectory", "math")
    figure = figures.entropy_trajectories(table)
    assert len(figure.axes) == 4 and {"llama", "qwen", "base", "instruct"} <= set(words(figure).split("\n"))
    for (pair, model), own in table.group_by("panel", "model"):
        key = f"{pair}-{model}"
        often, shown = (own.filter(pl.col("active_share") >= share).sort("position") for share in (0.05, 0.01))
        np.testing.assert_allclose(xy(artists(figure, f"mean-{key}")[0]), often.select("position", "mean").to_numpy())
        rare = xy(artists(figure, f"rare-{key}")[0])
        np.testing.assert_allclose(rare, shown.select("position", "mean").to_numpy()[often.height - 1 :])
        assert xy(artists(figure, f"active-{key}")[0])[-1, 1] == shown["active_share"][-1]
    [(low, high)] = {ax.get_ylim() for ax in figure.axes[::2]}  # one scale of entropies to compare on
    often = table.filter(pl.col("active_share") >= 0.05)
    assert low == 0 and often["mean"].max() < high < 1.2 * often["ci_high"].max()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_pooled_positions_are_means_over_steps(logarithmic):
    table = long_trajectory()
    found, width = thinned(table, 160, logarithmic=logarithmic)
    assert found.height <= 160 and width > 1
    sums: dict[int, list[float]] = {}
    for row in table.iter_rows(named=True):
        reach = math.log(row["position"]) / math.log(4000) if logarithmic else (row["position"] - 1) / 4000
        group = sums.setdefault(min(int(reach * 160), 159), [0.0, 0, 0.0, 0])
        group[0] += row["mean"] * row["active"]
        group[1] += row["active"]
        if row["ci_low"] is not None:
            group[2] += row["ci_low"] * row["active"]
            group[3] += row["active"]
    expected = [sums[group] for group in sorted(sums)]
    np.testing.assert_allclose(found["mean"], [a / n for a, n, *_ in expected])
    assert found["ci_low"].to_list() == pytest.approx([b / m if m else None for *_, b, m in expected])


def test_long_trajectories_stay_small_and_say_how_they_were_pooled():
    figure = figures.entropy_trajectories(long_trajectory())
    line = xy(artists(figure, "mean-all")[0])
    assert len(line) <= 160 and "A point pools up to 25 positions." in footnote(figure)
    assert figure.axes[0].get_xscale() == "linear" and len(figures.svg(figure)) < 60_000
    short = long_trajectory(100, 0.02).with_columns(model=pl.lit("b"), variant=pl.lit("base"))
    both = pl.concat([short, long_trajectory(hazard=0.002).with_columns(model=pl.lit("i"), variant=pl.lit("instruct"))])
    figure = figures.entropy_trajectories(both)
    figures.png(figure, dpi=50)
    assert figure.axes[0].get_xscale() == "log"
    last = xy(artists(figure, "active-i")[0])[-1, 1]
    assert 0.01 <= last < 0.012  # nothing beyond one rollout in a hundred
    bare = long_trajectory(60).with_columns(ci_low=pl.lit(None, pl.Float64), ci_high=pl.lit(None, pl.Float64))
    assert "No intervals: they need two prompts." in footnote(figures.entropy_trajectories(bare))


@given(st.integers(1, 20_000), st.booleans())
def test_bins_cover_every_length_once(last, logarithmic):
    edges = edges_of(last, logarithmic)
    assert edges[0] == 0.5 and edges[-1] >= last + 0.5 and len(edges) <= 42
    assert (np.diff(edges) >= 1).all() and (edges % 1 == 0.5).all()
    if logarithmic:
        assert edges[-1] == last + 0.5
    else:
        assert edges[-1] - (edges[1] - edges[0]) < last + 0.5  # no bin beyond the longest


@pytest.mark.parametrize("task", ["math", "stories"])
def test_histograms_count_the_rollouts(canopy, task):
    table = side(canopy, "length_distribution", task)
    figure = figures.length_distributions(table)
    logarithmic = figure.axes[0].get_xscale() == "log"
    assert logarithmic is (task == "math")  # the fixture has one of each kind
    for (pair, model), own in table.group_by("panel", "model"):
        [steps] = artists(figure, f"lengths-{pair}-{model}")
        heights, edges, _ = steps.get_data()
        total, weight = own["n"].sum(), np.log2(edges[1:] / edges[:-1]) if logarithmic else np.ones(len(edges) - 1)
        for low, high, height, width in zip(edges, edges[1:], heights, weight, strict=False):
            inside = own.filter((pl.col("length") > low) & (pl.col("length") < high))
            assert height * width == pytest.approx(inside["n"].sum() / total)
        mean = (own["length"] * own["n"]).sum() / total
        assert artists(figure, f"mean-{pair}-{model}")[0].get_xdata()[0] == pytest.approx(mean)
        cut = own["n_truncated"].sum()
        drawn = [a for ax in figure.axes for a in ax.get_children() if a.get_gid() == f"cut-{pair}-{model}"]
        assert len(drawn) == (cut > 0)
        if cut:
            hatched, _, _ = drawn[0].get_data()
            assert (hatched * weight).sum() == pytest.approx(cut / total) and drawn[0].get_hatch()
    notes = footnote(figure).replace("\n", " ")
    assert "Hatched: cut at the limit." in notes and "Share of all rollouts: " in notes
    if task == "stories":
        cut = table.filter(pl.col("model") == "qwen-it")
        assert f"qwen instruct {cut['n_truncated'].sum() / cut['n'].sum():.2g}" in notes


def test_lengths_of_one_cell_without_truncation_say_so():
    table = pl.DataFrame({"length": [3, 9], "n": [1, 1], "n_truncated": [0, 0]})
    figure = figures.length_distributions(table)
    figures.png(figure, dpi=50)
    assert "No rollout was cut." in footnote(figure) and not figure.legends
    some = table.with_columns(n_truncated=pl.Series([0, 1]))
    assert "Share of all rollouts: 0.5." in footnote(figures.length_distributions(some)).replace("\n", " ")
    unknown = figures.length_distributions(table.with_columns(n_truncated=pl.Series([0, None])))
    assert "No rollout was cut, as far as that is known." in footnote(unknown).replace("\n", " ")
    assert not figures.length_distributions(table.with_columns(n=pl.lit(0))).axes
    one = figures.length_distributions(table.with_columns(length=pl.lit(1)))
    figures.png(one, dpi=50)


def test_prompts_stand_in_rising_order_with_their_spread(canopy):
    table = canopy.every["llama-it", "math"]["prompt_measures"]
    figure = figures.prompt_variability(table.sample(fraction=1.0, shuffle=True, seed=5))
    for mean, variance in (("mean_length", "var_length"), ("mean_entropy_rate", "var_entropy_rate"),
                           ("canopy_entropy", "var_sequence_entropy")):  # fmt: skip
        rows = sorted(table.select(mean, variance).rows())
        points = xy(artists(figure, f"prompts-{mean}")[0])
        np.testing.assert_allclose(points, [(i, value) for i, (value, _) in enumerate(rows, 1)])
        for (value, var), segment in zip(rows, artists(figure, f"spread-{mean}")[0].get_segments(), strict=True):
            ends = (max(value - math.sqrt(var), 0), value + math.sqrt(var))
            assert sorted(segment[:, 1]) == pytest.approx(sorted(ends))
        assert artists(figure, f"overall-{mean}")[0].get_ydata()[0] == pytest.approx(table[mean].mean())
    single = table.with_columns(n_rollouts=pl.lit(1), var_length=pl.lit(None, pl.Float64))
    figure = figures.prompt_variability(single)
    figures.png(figure, dpi=50)
    assert f"no standard deviation: {table.height}." in footnote(figure)
    lost = figures.prompt_variability(table.with_columns(canopy_entropy=pl.lit(None, pl.Float64)))
    assert "no prompt has a value" in words(lost)


def bars_at(axes, place: float) -> list[tuple[float, float]]:
    """Ends of the horizontal bars of a row."""
    found = []
    for artist in axes.collections:
        if isinstance(artist, matplotlib.collections.LineCollection):
            found += [tuple(s[:, 0]) for s in artist.get_segments() if (s[:, 1] == place).all()]
    return found


def test_levels_are_the_rows_of_the_models_pairs_on_one_row(canopy):
    table = canopy.overall["canopy_models"].with_columns(pair=pl.col("model_name"))
    figure = figures.canopy_levels(table)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [measure_label(name) for name in table["measure"][:3]]
    places = {}
    for axes, name in zip(figure.axes, ("canopy_entropy", "gen_ppl", "branching_factor"), strict=True):
        for row in table.filter(pl.col("measure") == name).iter_rows(named=True):
            [point] = artists(figure, f"{name}-{row['task']}-{row['model']}")
            [(value, place)] = xy(point).tolist()
            assert value == row["est"] and point.get_marker() == variant_style(row["variant"]).marker
            places.setdefault((row["task"], row["model_name"]), set()).add(place)
            assert any(b == pytest.approx((row["ci_low"], row["ci_high"])) for b in bars_at(axes, place))
    assert all(len(found) == 1 for found in places.values()) and len(set().union(*places.values())) == len(places) == 4
    alone = figures.canopy_levels(table.drop("pair"))
    rows = {tick.get_text() for tick in alone.axes[0].get_yticklabels()}
    assert rows == {"math", "stories", *table["model"].unique()}
    assert "not drawn: 1." in footnote(figures.canopy_levels(
        table.with_columns(est=pl.when((pl.col("measure") == "gen_ppl") & (pl.col("task") == "math")
                                       & (pl.col("model") == "qwen-it")).then(None).otherwise("est"))
    ))  # fmt: skip
    assert "Bars: 95 % intervals" in footnote(figure)
    bare = table.with_columns(ci_low=pl.lit(None, pl.Float64), ci_high=pl.lit(None, pl.Float64))
    figures.png(figures.canopy_levels(bare.head(9)), dpi=50)
    assert footnote(figures.canopy_levels(bare)).startswith("No intervals: they need two prompts")
    assert not figures.canopy_levels(table, measures=("no_such",)).axes


def changes(rows: list[tuple]) -> pl.DataFrame:
    """(instruct, value, low, high) -> comparison rows of one measure."""
    labelled = [("t", "b", name, "gen_ppl", *numbers) for name, *numbers in rows]
    names = ("task", "base", "instruct", "measure")
    ends = [f"percent_change{end}" for end in ("", "_ci_low", "_ci_high")]
    kinds = dict.fromkeys(names, pl.String) | dict.fromkeys(ends, pl.Float64)
    return pl.DataFrame(labelled, schema=kinds, orient="row")


def test_changes_are_filled_only_where_the_interval_has_no_zero():
    rows = [("up", 20.0, 5.0, 40.0), ("open", 20.0, -1.0, 40.0), ("down", -20.0, -30.0, -1.0)]
    rows.append(("bare", 9.0, None, None))
    figure = figures.canopy_change(changes([*rows, ("lost", None, None, None)]), measures=("gen_ppl",))
    for (name, value, low, high), marker, filled in zip(rows, "^^v^", (1, 0, 1, 0), strict=True):
        [point] = artists(figure, f"gen_ppl-t-{name}")
        place = point.get_ydata()[0]
        assert point.get_xdata()[0] == value and point.get_marker() == marker
        assert (point.get_markerfacecolor() == point.get_color()) is bool(filled)
        assert bars_at(figure.axes[0], place) == ([] if low is None else [(low, high)])
    assert "not drawn: 1." in footnote(figure) and figure.axes[0].get_xscale() == "linear"


def test_huge_changes_are_drawn_by_ratio_unless_one_is_a_loss_of_everything():
    rows = [("up", 900.0, 700.0, 1100.0), ("down", -90.0, -95.0, -80.0)]
    figure = figures.canopy_change(changes(rows), measures=("gen_ppl",))
    figures.png(figure, dpi=50)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert artists(figure, "gen_ppl-t-up")[0].get_xdata()[0] == pytest.approx(10)
    assert artists(figure, "gen_ppl-t-down")[0].get_xdata()[0] == pytest.approx(0.1)
    labels = [(round(x, 6), tick.get_text()) for x, tick in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)]
    assert len(labels) >= 3 and {(1.0, "0"), (10.0, "+900"), (0.1, "−90")} <= set(labels)
    assert [text for _, text in labels] == [
        f"{100 * (x - 1):+g}".replace("-", "−") if x != 1 else "0" for x, _ in labels
    ]
    all_gone = figures.canopy_change(changes([*rows, ("gone", -100.0, -100.0, -100.0)]), measures=("gen_ppl",))
    assert all_gone.axes[0].get_xscale() == "linear"
    assert not figures.canopy_change(changes([("lost", None, None, None)]), measures=("gen_ppl",)).axes


def test_changes_of_the_study_are_the_differences(canopy):
    table = canopy.overall["canopy_comparison"]
    figure = figures.canopy_change(table, measures=("pearson", "kendall"), percent=False)
    for row in table.filter(pl.col("measure").is_in(["pearson", "kendall"])).iter_rows(named=True):
        [point] = artists(figure, f"{row['measure']}-{row['task']}-{row['instruct']}")
        assert point.get_xdata()[0] == pytest.approx(row["instruct_est"] - row["base_est"])


def residuals(n: int, kind: str = "conditional") -> pl.DataFrame:
    rng = np.random.default_rng(n)
    return pl.DataFrame({"kind": [kind] * n, "row": np.arange(n), "fitted": rng.random(n), "residual": rng.random(n)})


def test_quantiles_are_sorted_residuals_against_plotting_positions(canopy):
    tests = canopy.overall["residual_tests"]
    table = residuals(100)
    figure = figures.residual_qq(table, tests)
    line = xy(artists(figure, "quantiles-conditional")[0])
    np.testing.assert_allclose(line[:, 0], (np.arange(1, 101) - 0.5) / 100)
    np.testing.assert_allclose(line[:, 1], sorted(table["residual"].to_list()))
    by_rank = xy(artists(figure, "residuals-conditional")[0])
    np.testing.assert_array_equal(by_rank[:, 1], table.sort("fitted")["residual"])
    shown = words(figure)
    row = tests.filter((pl.col("kind") == "conditional") & (pl.col("test") == "uniformity")).row(0, named=True)
    assert f"uniformity: p = {row['p']:.2g}" in shown and "Simulations: 1,000." in footnote(figure)
    assert "Lines below: running quartiles." in footnote(figure).replace("\n", " ")
    few = footnote(figures.residual_qq(residuals(12), tests)).replace("\n", " ")
    assert "Below, too few rows for running quartiles." in few
    # The band's lower end x at the i-th of n: P(at least i of n uniform values lie below x) = 0.025.
    corners = {tuple(v) for path in figure.axes[0].collections[0].get_paths() for v in path.vertices}
    for i in (1, 50, 100):
        low, high = sorted(y for x, y in corners if x == pytest.approx((i - 0.5) / 100))[:: max(1, 1)][:2]
        assert binom.sf(i - 1, 100, low) == pytest.approx(0.025) and binom.sf(i - 1, 100, high) == pytest.approx(0.975)


def test_quartiles_run_level_for_uniform_residuals_and_kinds_stand_in_order():
    table = pl.concat([residuals(36_000, kind) for kind in ("closed_form", "unconditional", "other")])
    tests = pl.DataFrame(
        [("closed_form", "dispersion", None, None, 36_000, None)],
        schema={"kind": pl.String, "test": pl.String, "statistic": pl.Float64, "p": pl.Float64, "n": pl.Int64,
                "n_simulations": pl.Int64}, orient="row",
    )  # fmt: skip
    figure = figures.residual_qq(table, tests)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert titles == ["Unconditional", "Conditional, closed form", "other"]
    for level in (0.25, 0.5, 0.75):
        heights = artists(figure, f"quartile-{level:g}-closed_form")[0].get_ydata()
        assert np.abs(heights - level).max() < 0.04 and len(heights) == 12
    assert len(xy(artists(figure, "quantiles-other")[0])) == 400 and "dispersion: not computed" in words(figure)
    assert "Simulations" not in footnote(figure) and len(figures.svg(figure)) < 500_000


def test_a_panel_is_drawn_row_by_row_with_its_own_fitted_means(canopy):
    panel, fitted = canopy.overall["beta_panel"], canopy.overall["predictions"]
    figure = figures.diversity_regression(panel, fitted.sample(fraction=1.0, shuffle=True, seed=2))
    mu = dict(zip(fitted.select("prompt_uid", "model").rows(), fitted["mu_population"], strict=True))
    for (task, variant), own in panel.group_by("task", "variant"):
        [cloud] = artists(figure, f"rows-{task}-{variant}")
        offsets = np.asarray(cloud.get_offsets())
        assert set(map(tuple, offsets.tolist())) == set(own.select("R_bar", "D").rows())
        ordered = own.sort("R_bar")
        values = [mu[key] for key in ordered.select("prompt_uid", "model").rows()]
        groups = np.array_split(np.arange(len(values)), 12)
        line = xy(artists(figure, f"fitted-{task}-{variant}")[0])
        expected = [(ordered["R_bar"].to_numpy()[g].mean(), np.asarray(values)[g].mean()) for g in groups]
        np.testing.assert_allclose(line, expected)
    low, high = figure.axes[0].get_ylim()
    assert low == 0 and high >= panel["D"].max()  # no point outside


def test_regression_without_a_fit_large_panels_and_lost_rows(canopy):
    panel, fitted = canopy.overall["beta_panel"], canopy.overall["predictions"]
    bare = figures.diversity_regression(panel, fitted.clear())
    assert "No fitted means: there is no fit." in footnote(bare) and "fitted mean" not in words(bare).split("\n")
    part = figures.diversity_regression(panel, fitted.head(150))
    assert "Rows without a fitted mean: 50." in footnote(part)
    large = canopy.beta_panel(n=900, tasks=("math",))
    figure = figures.diversity_regression(large, canopy.predictions(large))
    assert len(artists(figure, "rows-math-base")[0].get_offsets()) == 400
    assert "a random 400 of each variant's rows" in footnote(figure)
    assert not figures.diversity_regression(panel.with_columns(D=pl.lit(None, pl.Float64)), fitted).axes


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=80))
@settings(max_examples=40)
def test_groups_of_neighbours_keep_the_mean(values):
    x = np.arange(len(values), dtype=float)
    middles, means = binned(x, np.asarray(values))
    sizes = [len(group) for group in np.array_split(x, len(means))]
    assert len(means) == max(1, min(12, len(values) // 4)) and max(sizes) - min(sizes) <= 1
    assert np.average(means, weights=sizes) == pytest.approx(np.mean(values), abs=1e-9)
    assert np.average(middles, weights=sizes) == pytest.approx(x.mean())


@pytest.mark.parametrize(
    ("draw", "table", "column"),
    [
        ("entropy_trajectories", "entropy_trajectory", "active_share"),
        ("length_distributions", "length_distribution", "n_truncated"),
        ("prompt_variability", "prompt_measures", "var_entropy_rate"),
        ("canopy_levels", "canopy_models", "variant"),
        ("canopy_change", "canopy_comparison", "percent_change_ci_low"),
    ],
)
def test_a_missing_column_of_a_canopy_table_is_named(canopy, draw, table, column):
    with pytest.raises(ValueError, match=rf"{table} lacks the column\(s\) {column}"):
        getattr(figures, draw)(canopy.tables[table].drop(column))


def test_hostile_names_are_drawn_as_text(canopy):
    attack = [pl.lit(HOSTILE).alias(name) for name in ("panel", "model", "variant")]
    figure = figures.entropy_trajectories(canopy.tables["entropy_trajectory"].with_columns(attack), title=HOSTILE)
    lengths = figures.length_distributions(canopy.tables["length_distribution"].with_columns(attack), title=HOSTILE)
    hostile = [pl.lit(HOSTILE).alias(name) for name in ("model", "task", "variant")]
    levels = figures.canopy_levels(canopy.tables["canopy_models"].with_columns(hostile))
    pairs = [pl.lit(HOSTILE).alias(name) for name in ("task", "base", "instruct")]
    change = figures.canopy_change(canopy.tables["canopy_comparison"].with_columns(pairs))
    kinds = pl.lit(HOSTILE).alias("kind")
    residual = figures.residual_qq(
        residuals(30).with_columns(kinds), canopy.tables["residual_tests"].with_columns(kinds, test=pl.lit(HOSTILE))
    )
    for drawn in (figure, lengths, levels, change, residual):
        text = figures.inline_svg(drawn, prefix="x", label=HOSTILE)
        assert "<script" not in text and "\x00" not in words(drawn) and "\u202e" not in words(drawn)


def test_styles_depend_on_the_name_alone_and_places_are_filled_in():
    assert variant_style("new") == variant_style("new") and variant_style("base") != variant_style("instruct")
    frame = with_places(pl.DataFrame({"model": ["m", None]}))
    assert frame.rows() == [("m", "", ""), ("", "", "")]
    assert (key_of("", ""), key_of("p", "m")) == ("all", "p-m")

"""Validity, diversity and sequence figures hold what their tables hold; nothing is dropped silently."""

import math

import numpy as np
import polars as pl
import pytest
import shape_tables
from drawn import artists, footnote, misplaced, words, xy
from hypothesis import given
from hypothesis import strategies as st

from calib_assets import figures
from calib_assets.decoding import RULES
from calib_assets.figures.style import PAPER, order_rules, rule_label, rule_style, temperature_colours
from calib_assets.figures.validity_diversity_frontier import pareto


def test_frontier_lines_hold_the_table_and_every_registered_rule_appears(tables):
    frontier = tables["validity_diversity_frontier"]
    figure = figures.validity_diversity_frontier(frontier, floors=(0.8, 0.95))
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    for name, rule in RULES.items():
        assert rule.label in legend
        expected = (
            frontier.filter(pl.col("rule") == name)
            .sort("validity")
            .select("validity", "diversity")
            .to_numpy()
        )
        [line] = artists(figure, f"rule-{name}")
        np.testing.assert_array_equal(xy(line), expected)
        assert line.get_drawstyle() == "steps-pre"
        # Read as "best diversity at validity >= x": between two points the height is that of the next.
        if len(expected) > 1:
            middle = expected[:2, 0].mean()
            assert expected[expected[:, 0] >= middle, 1].max() == expected[1, 1]
    floors = [line.get_xdata()[0] for line in figure.axes[0].lines if list(line.get_ydata()) == [0, 1]]
    assert floors == [0.8, 0.95]


def test_oracles_are_drawn_apart_from_practical_rules_and_from_each_other():
    oracles = [rule_style(name) for name, rule in RULES.items() if rule.uses_valid_set]
    practical = [rule_style(name) for name, rule in RULES.items() if not rule.uses_valid_set]
    assert len({(str(style.dashes), style.marker) for style in oracles}) == len(oracles) == 2
    assert not {style.colour for style in oracles} & {style.colour for style in practical}
    assert order_rules(RULES)[-2:] == ["oracle_cutoff", "validity_oracle"]


def test_practical_rules_of_the_palette_have_distinct_colours_and_markers():
    styles = [rule_style(name) for name in RULES]
    assert len({(style.colour, style.marker) for style in styles}) == len(styles)


def test_a_rule_that_nobody_registered_is_drawn_and_named(tables):
    frontier = tables["validity_diversity_frontier"]
    extra = frontier.filter(pl.col("rule") == "top_p").with_columns(rule=pl.lit("mirostat_$2"))
    figure = figures.validity_diversity_frontier(pl.concat([frontier, extra]))
    figures.png(figure, dpi=50)
    np.testing.assert_array_equal(
        xy(artists(figure, "rule-mirostat_$2")[0]), xy(artists(figure, "rule-top_p")[0])
    )
    assert rule_label("mirostat_$2") in {text.get_text() for text in figure.legends[0].get_texts()}
    assert rule_style("mirostat_$2") == rule_style("mirostat_$2") != rule_style("mirostat_$3")


def test_frontier_panels_cover_every_model_and_task_and_say_which_are_absent(tables):
    frontier = tables["validity_diversity_frontier"]
    pairs = [("a", "x"), ("a", "y"), ("b", "x")]
    joined = pl.concat([frontier.with_columns(model=pl.lit(m), task=pl.lit(t)) for m, t in pairs])
    figure = figures.validity_diversity_frontier(joined)
    figures.png(figure, dpi=50)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a\nx", "a\ny", "b\nx", "b\ny"]
    assert "not in this table" in [text.get_text() for text in figure.axes[3].texts]
    assert len(artists(figure, "rule-top_k")) == 3


@pytest.mark.parametrize(("models", "tasks"), [(2, 1), (1, 2), (3, 1), (1, 4), (3, 2)])
def test_frontier_panels_leave_the_legend_its_room(tables, models, tasks):
    """Two models on one task are a column of two panels; its titles ran under the legend."""
    frontier = tables["validity_diversity_frontier"]
    pairs = [(f"organisation-name/model-{m}-instruct", f"task {t}") for m in range(models) for t in range(tasks)]
    joined = pl.concat([frontier.with_columns(model=pl.lit(m), task=pl.lit(t)) for m, t in pairs])
    figure = figures.validity_diversity_frontier(joined)
    assert misplaced(figure) == []
    assert len(figure.axes) == models * tasks
    for ax in figure.axes:
        box = ax.get_position()
        assert min(box.width * figure.get_figwidth(), box.height * figure.get_figheight()) > 1.6  # inches


def test_colours_of_temperatures_are_told_apart_on_a_light_and_on_a_dark_ground():
    def luminance(colour: str) -> float:  # WCAG 2, relative luminance
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    for count in (1, 2, 6):
        shades = temperature_colours([0.5 * (i + 1) for i in range(count)])
        assert len(set(shades.values())) == count
        for ground in (PAPER, "#12161b"):  # white, and the dark ground of the report's page
            for shade in shades.values():
                low, high = sorted((luminance(shade), luminance(ground)))
                assert (high + 0.05) / (low + 0.05) > 2.9, (shade, ground)


def test_all_null_diversity_and_a_single_point(tables):
    frontier = tables["validity_diversity_frontier"].with_columns(
        validity=pl.lit(0.0), diversity=pl.lit(None, dtype=pl.Float64)
    )
    figure = figures.validity_diversity_frontier(frontier)
    figures.png(figure, dpi=50)
    assert "validity is 0 throughout" in words(figure)
    assert footnote(figure) == f"Points of validity 0, where diversity is undefined: {frontier.height}."
    single = tables["validity_diversity_frontier"].head(1)
    [line] = artists(figures.validity_diversity_frontier(single), f"rule-{single['rule'][0]}")
    assert len(line.get_xdata()) == 1 and line.get_marker() not in ("", "None", None)


def test_tiny_validities_get_a_logarithmic_axis_and_keep_their_values(tables):
    small = pl.when(pl.col("rule") == "validity_oracle").then("validity").otherwise(pl.col("validity") * 1e-4)
    frontier, sweep = (
        tables[name].with_columns(validity=small)
        for name in ("validity_diversity_frontier", "decoding_sweep")
    )
    for figure in (
        figures.validity_diversity_frontier(frontier, sweep=sweep),
        figures.temperature_tradeoff(sweep),
        figures.shape_bound(tables["theory_f4"].with_columns(validity=pl.col("validity") * 1e-4)),
    ):
        figures.png(figure, dpi=50)
        axes = figure.axes[0]
        assert axes.get_xscale() == "log" and axes.get_xlim()[0] < 1e-4 * sweep["validity"].min() + 1e-5
        assert axes.get_xlim()[1] > 1
    line = artists(figures.validity_diversity_frontier(frontier), "rule-top_p")[0]
    expected = frontier.filter(pl.col("rule") == "top_p")["validity"].sort()
    np.testing.assert_array_equal(line.get_xdata(), expected)
    linear = figures.validity_diversity_frontier(tables["validity_diversity_frontier"])
    assert linear.axes[0].get_xscale() == "linear"
    points = tables["sequence_precision_recall"].with_columns(
        sequence_precision=pl.when(pl.col("rule") == "validity_oracle")
        .then(1.0)
        .otherwise(pl.col("sequence_precision") * 1e-3)
    )
    assert figures.sequence_precision_recall(points).axes[0].get_yscale() == "log"


def test_panels_of_tiny_and_ordinary_validity_have_axes_of_their_own(tables):
    frontier = tables["validity_diversity_frontier"]
    tiny = frontier.filter(pl.col("rule") == "top_p").with_columns(validity=pl.col("validity") * 1e-3)
    joined = pl.concat([frontier.with_columns(task=pl.lit("a")), tiny.with_columns(task=pl.lit("b"))])
    figure = figures.validity_diversity_frontier(joined)
    figures.png(figure, dpi=50)
    assert [ax.get_xscale() for ax in figure.axes] == ["linear", "log"]


def test_temperature_tradeoff_follows_temperature_and_counts_undefined_points(tables):
    sweep = tables["decoding_sweep"]
    undefined = sweep.head(1).with_columns(
        rule=pl.lit("unrestricted"),
        temperature=pl.lit(9.0),
        validity=pl.lit(0.0),
        diversity=pl.lit(None, dtype=pl.Float64),
    )
    joined = pl.concat(
        [pl.concat([sweep, undefined]).with_columns(task=pl.lit(task)) for task in ("d-2", "d-3")]
    )
    figure = figures.temperature_tradeoff(joined.sample(fraction=1.0, shuffle=True, seed=3))
    own = (
        sweep.filter(pl.col("rule") == "unrestricted")
        .sort("temperature")
        .select("validity", "diversity")
        .to_numpy()
    )
    for task in ("d-2", "d-3"):
        np.testing.assert_array_equal(xy(artists(figure, f"series-{task}")[0]), own)
    assert footnote(figure) == "Points of validity 0, where diversity is undefined: 2."
    assert "T=1" in words(figure)


def test_sequence_lines_are_log_probabilities_and_bars_the_invalid_mass(tables):
    table = tables["sequence_probabilities"]
    figure = figures.sequence_probability(table, temperatures=(0.5, 1.0, 2.0), decades=400)
    for place, temperature in enumerate((0.5, 1.0, 2.0)):
        rows = table.filter(pl.col("temperature") == temperature)
        valid = rows.filter(pl.col("answer") >= 0).sort("rank")
        [line] = artists(figure, f"temperature-{temperature:g}")
        np.testing.assert_allclose(10.0 ** xy(line)[:, 1], valid["probability"], rtol=1e-9)
        assert (np.diff(xy(line)[:, 1]) <= 0).all()
        bar = figure.axes[1].patches[place]
        top = bar.get_y() + bar.get_height()
        assert 10.0**top == pytest.approx(rows.filter(pl.col("answer") == -1)["probability"][0])
    assert figure.axes[1].get_xlabel() == "invalid"
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["T=0.5", "T=1", "T=2"]


def test_sequence_values_that_underflow_vanish_or_lie_below_the_axis_are_handled_and_counted():
    log_p = [-0.1, -5.0, -2000.0, -math.inf]
    table = pl.DataFrame(
        {
            "temperature": [1.0] * 5,
            "rank": [1, 2, 3, 4, None],
            "answer": [0, 1, 2, 3, -1],
            "text": ["a"] * 5,
            "probability": [*np.exp(log_p), 0.0],
            "log_probability": [*log_p, None],
        }
    )
    figure = figures.sequence_probability(table)
    figures.png(figure, dpi=50)
    assert footnote(figure).startswith("2 of 4 points lie below the axis")
    assert not figure.axes[1].patches


def test_ten_thousand_sequences_stay_small():
    figure = figures.sequence_probability(shape_tables.sequences_table(10_000))
    assert len(artists(figure, "temperature-1")[0].get_xdata()) == 10_000
    assert len(figures.svg(figure)) < 120_000


def test_gap_parts_add_to_one_and_unreached_floors_are_words(tables):
    table = (
        tables["calibration_gap"]
        .head(1)
        .with_columns(
            oracle_diversity=pl.lit(0.7),
            best_rule_diversity=pl.lit(0.4),
            order_gap=pl.lit(0.3),
            shape_gap=pl.lit(0.3),
        )
    )
    unreached = table.with_columns(
        floor=pl.lit(0.99),
        best_rule=pl.lit(None, dtype=pl.String),
        **{
            name: pl.lit(None, dtype=pl.Float64)
            for name in ("oracle_diversity", "best_rule_diversity", "order_gap", "shape_gap")
        },
    )
    oracle_only = unreached.with_columns(floor=pl.lit(0.9), oracle_diversity=pl.lit(0.6), order_gap=pl.lit(0.4))
    figure = figures.calibration_gap(pl.concat([table, oracle_only, unreached]))
    figures.png(figure, dpi=50)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    # Achieved (three rows), shape (where both are known: no rule, no shape gap), order (where the oracle is known).
    np.testing.assert_allclose(widths, [0.4, 0.0, 0.0, 0.3, 0.3, 0.4])
    assert "nothing reaches it" in words(figure) and "no rule reaches it" in words(figure)
    assert artists(figure, "oracle")[0].get_xdata()[0] == 0.7


def test_names_that_differ_at_the_end_alone_stay_apart(tables):
    names = [f"deepseek-r1-distill-llama-{size}-2025" for size in ("8b", "70b")]
    gaps = pl.concat([tables["calibration_gap"].with_columns(model=pl.lit(name), task=pl.lit("t")) for name in names])
    labels = [tick.get_text() for tick in figures.calibration_gap(gaps, floor=0.8).axes[0].get_yticklabels()]
    assert len(set(labels)) == 2 and all(len(label) <= 26 + len(" · t") for label in labels)


def test_gap_bars_are_named_by_model_and_task(tables):
    table = tables["calibration_gap"].with_columns(
        model=pl.lit("m"), task=pl.lit("a very long task name" * 4)
    )
    figure = figures.calibration_gap(table)
    figures.png(figure, dpi=50)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        f"Validity ≥ {floor:g}" for floor in table["floor"]
    ]
    assert figure.axes[0].get_yticklabels()[0].get_text().startswith("m · a very long")


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_pareto_points_by_comparing_all_pairs(points):
    first, second = np.array(points, dtype=float).T
    keep = pareto(first, second)
    expected = {p for p in points if not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in points)}
    assert sorted(p for p, kept in zip(points, keep, strict=True) if kept) == sorted(expected)

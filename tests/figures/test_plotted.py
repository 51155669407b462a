"""What a figure shows as a table: each kind of mark with the numbers that it was drawn from."""

import math

import numpy as np
import polars as pl
import pytest
import shape_tables
from matplotlib.figure import Figure

from calib_assets import figures
from calib_assets.figures import plotted_data


@pytest.fixture
def axes():
    return Figure().subplots()


def rows(axes, *columns) -> list[tuple]:
    return plotted_data(axes.figure).select(columns or ("mark", "series", "x", "y", "x_end", "y_end")).rows()


def test_lines_keep_full_precision_and_leave_out_what_is_not_drawn(axes):
    axes.plot([1, 2, 3], [1 / 3, math.nan, 0.1], label="a")
    assert rows(axes, "x", "y") == [(1.0, 1 / 3), (3.0, 0.1)]


def test_reference_lines_and_spans_have_one_coordinate(axes):
    axes.axhline(0.5, label="half")
    axes.axvspan(1, 2, label="span")
    assert rows(axes) == [("line", "half", None, 0.5, None, None), ("bar", "span", 1.0, None, 2.0, None)]


def test_points_bars_bands_steps_and_segments(axes):
    axes.scatter([1, 2], [3, 4], label="points")
    axes.bar([0, 1], [3, 4], width=0.5, label="bars")
    axes.fill_between([1, 2], [0, 1], [2, 3], label="band")
    axes.stairs([5, 6], [0, 1, 2], label="steps")
    axes.vlines([7], 0, 1, label="bar of error")
    assert sorted(rows(axes), key=str) == sorted(
        [
            ("point", "points", 1.0, 3.0, None, None), ("point", "points", 2.0, 4.0, None, None),
            ("bar", "bars", -0.25, 0.0, 0.25, 3.0), ("bar", "bars", 0.75, 0.0, 1.25, 4.0),
            ("band", "band", 1.0, 0.0, None, 2.0), ("band", "band", 2.0, 1.0, None, 3.0),
            ("step", "steps", 0.0, 5.0, 1.0, None), ("step", "steps", 1.0, 6.0, 2.0, None),
            ("segment", "bar of error", 7.0, 0.0, 7.0, 1.0),
        ],
        key=str,
    )  # fmt: skip


def test_a_band_with_steps_or_a_gap_is_still_lower_and_upper_edge(axes):
    axes.fill_between([1, 2, 3], [0, 0, 0], [1, 2, 3], step="mid", label="band")
    found = plotted_data(axes.figure)
    assert found["y"].to_list() == [0.0] * found.height and found["y_end"].max() == 3.0


def test_places_that_the_axis_names(axes):
    axes.barh([0, 1], [5, 6], label="bars")
    axes.set_yticks([0, 1], ["zero", "one"])
    assert rows(axes, "y_name", "x_end") == [("zero", 5.0), ("one", 6.0)]


def test_the_legend_names_what_has_no_label_of_its_own(axes):
    (line,) = axes.plot([1], [2], color="red")
    (other,) = axes.plot([3], [4], color="blue")
    axes.legend([line], ["the red one"])
    assert rows(axes, "series", "x") == [("the red one", 1.0), ("series 2", 3.0)]
    axes.legend([line, line], ["one", "two"])  # a colour that stands for two things names neither
    assert rows(axes, "series", "x") == [("series 1", 1.0), ("series 2", 3.0)]


def test_texts_at_places_of_the_data_only(axes):
    axes.text(0.5, 2.0, "here")
    axes.annotate("there", (1, 2), xytext=(4, 4), textcoords="offset points")
    axes.text(0.5, 0.5, "corner", transform=axes.transAxes)
    axes.annotate("edge", (1, 1), xycoords="axes fraction")
    assert rows(axes, "mark", "x", "y", "text") == [("text", 0.5, 2.0, "here"), ("text", 1.0, 2.0, "there")]


def test_a_real_figure_gives_its_table_back():
    sweep = shape_tables.all_tables()["decoding_sweep"]
    alone = (
        sweep.filter(pl.col("rule") == "unrestricted")
        .sort("temperature")
        .with_columns(task=pl.lit("t"), model=pl.lit("m"))
    )
    data = plotted_data(figures.temperature_tradeoff(alone))
    lines = data.filter(pl.col("mark").is_in(["line", "point"]))
    drawn = {(row["x"], row["y"]) for row in lines.iter_rows(named=True)}
    pairs = list(zip(alone["validity"], alone["diversity"]))
    assert all(any(np.allclose(pair, point, rtol=0, atol=0) or np.allclose(pair[::-1], point, rtol=0, atol=0)
                   for point in drawn if None not in point) for pair in pairs)  # fmt: skip
    assert data["x_axis"].unique().to_list() != [""]


def test_data_are_those_of_the_axis_label_where_the_drawing_is_in_something_else(tables, canopy):
    """Heights are drawn as exponents, changes as ratios, 0 at the foot of a logarithm, dots beside their depth."""
    sequences = tables["sequence_probabilities"]
    data = plotted_data(figures.sequence_probability(sequences, decades=300))
    for temperature in (0.3, 3.0):
        own = sequences.filter((pl.col("temperature") == temperature) & (pl.col("answer") >= 0)).sort("rank")
        shown = data.filter(pl.col("series") == f"T = {temperature:g}")
        np.testing.assert_allclose(shown["y"], own["probability"], rtol=1e-12)
    invalid = sequences.filter((pl.col("answer") == -1) & (pl.col("temperature") == 0.3))["probability"][0]
    assert data.filter((pl.col("mark") == "bar") & (pl.col("x_name") == "T=0.3"))["y_end"][0] == pytest.approx(invalid)

    comparison = canopy.overall["canopy_comparison"]
    wide = comparison.with_columns(pl.col("^percent_change.*$").abs() * 20)
    data = plotted_data(figures.canopy_change(wide, measures=("canopy_entropy",)))
    assert set(data["x_axis"]) == {"Change (%), ratio scale"}
    points = data.filter(pl.col("series").str.starts_with("canopy_entropy-"))["x"]
    own = wide.filter(pl.col("measure") == "canopy_entropy")["percent_change"]
    np.testing.assert_allclose(points.sort(), own.drop_nulls().sort())
    assert set(data.filter((pl.col("mark") == "line") & pl.col("x").is_null())["series"]) >= {"row"}

    bounds = tables["theory_e3"].with_columns(measured_best_recall=pl.lit(0.0))
    measured = plotted_data(figures.order_bound(bounds)).filter(pl.col("series") == "measured, best cutoff rule")
    assert measured.height and set(measured["y"]) == {0.0}

    table = tables["conditional_calibration"]
    data = plotted_data(figures.conditional_calibration(table))
    data = data.filter((pl.col("panel") == 2) & (pl.col("mark") == "point"))
    assert sorted(data.select("x", "y").rows()) == sorted(table.select(pl.col("depth") * 1.0, "valid_mass").rows())

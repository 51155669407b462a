"""Paper B, Figures 4 and 5: how length and entropy rate vary across prompts, and among the rollouts of one prompt."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib_assets.figures.canopy_parts import MEASURES, wrapped_footnote
from calib_assets.figures.layout import empty_figure, require
from calib_assets.figures.order_parts import nothing, numbers
from calib_assets.figures.style import FULL, INK, PAPER, SERIES, themed

PANELS = (
    ("mean_length", "var_length"),
    ("mean_entropy_rate", "var_entropy_rate"),
    ("canopy_entropy", "var_sequence_entropy"),
)
COLUMNS = ("prompt_id", "n_rollouts", *(name for pair in PANELS for name in pair))
MANY = 300


@themed
def prompt_variability(prompt_measures: pl.DataFrame) -> Figure:
    """A panel a measure: the mean of each prompt, in rising order, with one standard deviation of its rollouts.

    The slope of the points is variation between prompts, the length of the bars is variation within one: more
    prompts help against the first, more rollouts against the second.

    Args:
        prompt_measures: Columns ``prompt_id, n_rollouts, mean_length, var_length, mean_entropy_rate,
            var_entropy_rate, canopy_entropy, var_sequence_entropy``; a row a prompt. Variances are those among
            a prompt's rollouts, null where it has one only.

    Returns:
        A figure with three axes: length, entropy rate, entropy of the whole rollout.
    """
    require(prompt_measures, COLUMNS, "prompt_measures")
    if prompt_measures.is_empty():
        return empty_figure("No prompt has rollouts.")
    figure = Figure(figsize=(FULL, 3.5), layout="constrained")
    for axes, (mean, variance), colour in zip(figure.subplots(1, 3), PANELS, SERIES, strict=False):
        _panel(axes, prompt_measures, mean, variance, colour)
    single = int((prompt_measures["n_rollouts"] < 2).sum())
    figure.legend(
        handles=[
            Line2D([], [], color=INK, marker="o", linestyle="none", markersize=4.5, label="mean of a prompt"),
            Line2D([], [], color=INK, linewidth=2.2, alpha=0.35, label="± 1 standard deviation of its rollouts"),
            Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label="mean over prompts"),
        ],
        loc="outside upper left",
        ncols=3,
    )
    wrapped_footnote(
        figure,
        [
            "Each panel has its own order of prompts.",
            f"Prompts with one rollout, which have no standard deviation: {single:,}." if single else "",
        ],
    )
    return figure


def _panel(axes: Axes, table: pl.DataFrame, mean: str, variance: str, colour: str) -> None:
    rows = table.drop_nulls(mean).sort(mean, "prompt_id")
    measure = MEASURES[mean]
    axes.set(xlabel="Prompts in rising order", ylabel=measure.axis)
    if rows.is_empty():
        nothing(axes, "no prompt has a value")
        return
    place, value, spread = np.arange(1, rows.height + 1), numbers(rows, mean), np.sqrt(numbers(rows, variance))
    many = rows.height > MANY
    axes.vlines(
        place,
        np.maximum(value - spread, 0.0),  # none of these can be negative
        value + spread,
        color=colour,
        alpha=0.16 if many else 0.35,
        linewidth=1.0 if many else min(3.0, 130 / rows.height + 0.7),
        gid=f"spread-{mean}",
        rasterized=many,
    )
    axes.plot(
        place,
        value,
        linestyle="none",
        marker="o",
        markersize=2.4 if rows.height > 80 else 5.2,
        color=colour,
        markeredgecolor=PAPER,
        markeredgewidth=0.0 if rows.height > 80 else 0.5,
        gid=f"prompts-{mean}",
        rasterized=many,
        zorder=4,
    )
    axes.axhline(value.mean(), color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=3, gid=f"overall-{mean}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5 - 0.02 * rows.height, rows.height + 0.5 + 0.02 * rows.height)
    axes.grid(visible=False, axis="x")
    axes.xaxis.get_major_locator().set_params(integer=True)

"""Paper B, Tables 1, 2 and 6 as pictures: levels of every model by task, and what fine-tuning changes."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib_assets.figures.canopy_parts import (
    MEASURES,
    SIZE,
    Measure,
    order_variants,
    variant_handles,
    variant_style,
    wrapped_footnote,
    zero_line,
)
from calib_assets.figures.canopy_rows import Row, bar, canvas, rows_of, undefined
from calib_assets.figures.layout import empty_figure, log_axis, require
from calib_assets.figures.plotted import drawn_from
from calib_assets.figures.style import INK, MUTED, PAPER, SERIES, themed

LEVEL_COLUMNS = ("model", "task", "variant", "measure", "est", "ci_low", "ci_high")
CHANGE_COLUMNS = ("task", "base", "instruct", "measure")
FALLS, RISES = SERIES[0], SERIES[1]
WIDE = 20.0
"""Positive values are drawn on a logarithmic axis where the largest is this many times the smallest."""
_RATIOS = tuple(
    tuple(digit * 10.0**power for power in range(-4, 6) for digit in digits) for digits in ((1, 2, 5), (1, 3), (1,))
)
"""Ratios at which a logarithmic axis of changes may have ticks, from many to few."""


@themed
def canopy_levels(canopy_models: pl.DataFrame, *, measures: Sequence[str] = SIZE) -> Figure:
    """Every model's values with their intervals: a row a pair of models and task, a column a measure.

    Args:
        canopy_models: Columns ``model, task, variant, measure, est, ci_low, ci_high``; optional ``pair`` puts the
            models that have it in common on one row.
        measures: Measures to show, in order.

    Returns:
        A figure with an axes a measure; values that are undefined are counted in its footnote.
    """
    require(canopy_models, LEVEL_COLUMNS, "canopy_models")
    table = canopy_models.filter(pl.col("measure").is_in(list(measures)))
    if table.is_empty() or table["est"].null_count() == table.height:
        return empty_figure("No model has a value of these measures.")
    names = pl.col("pair") if "pair" in table.columns else pl.col("model")
    rows = rows_of(table.with_columns(names.fill_null(pl.col("model")).alias("row"), pl.col("variant").fill_null("")))
    figure, axes = canvas(rows, measures)
    for ax, name in zip(axes, measures, strict=True):
        own = table.filter(pl.col("measure") == name)
        for row in rows:
            if row.rows is not None:
                _level(ax, row, row.rows.filter(pl.col("measure") == name), name)
        _value_axis(ax, own, MEASURES.get(name, Measure(name)))
    variants = order_variants(table["variant"])
    if variants != [""]:
        figure.legend(handles=variant_handles(variants, markers=True), loc="outside upper left", ncols=6)
    wrapped_footnote(figure, [_bars_are(table, "ci_low", "95 % intervals over prompts."), undefined(table, "est")])
    return figure


@themed
def canopy_change(
    canopy_comparison: pl.DataFrame, *, measures: Sequence[str] = SIZE, percent: bool = True
) -> Figure:
    """What fine-tuning changes: a row a task and fine-tuned model, a column a measure.

    A filled marker has an interval without zero, a hollow one has an interval that holds it, and so says nothing
    on the direction.

    Args:
        canopy_comparison: Columns ``task, base, instruct, measure`` and ``change`` or ``percent_change`` with
            ``_ci_low`` and ``_ci_high``.
        measures: Measures to show, in order.
        percent: Percent of the base model's value, or else the difference itself. Beyond + 300 % the axis is
            logarithmic in the ratio of both values.

    Returns:
        A figure with an axes a measure; pairs without a value are counted in its footnote.
    """
    name = "percent_change" if percent else "change"
    require(canopy_comparison, (*CHANGE_COLUMNS, name, f"{name}_ci_low", f"{name}_ci_high"), "canopy_comparison")
    table = canopy_comparison.filter(pl.col("measure").is_in(list(measures)))
    if table.is_empty() or table[name].null_count() == table.height:
        return empty_figure("No pair of models has a value of these measures on the same prompts.")
    rows = rows_of(table.with_columns(row=pl.col("instruct")))
    figure, axes = canvas(rows, measures)
    for ax, measure in zip(axes, measures, strict=True):
        own = table.filter(pl.col("measure") == measure)
        ratio = percent and _is_wide(own, name)
        for row in rows:
            if row.rows is not None:
                _change(ax, row, row.rows.filter(pl.col("measure") == measure), name, ratio, measure)
        label = MEASURES.get(measure, Measure(measure))
        if ratio:
            ax.axvline(1.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1.5)
            ax.set_xscale("log")
            _ratio_axis(ax)
            drawn_from(ax.xaxis, lambda times: 100 * (times - 1))
        else:
            zero_line(ax)
        ax.margins(x=0.08)
        ax.set_title(label.label, fontsize=10)
        ax.set_xlabel(("Change (%)" if percent else "Change") if not ratio else "Change (%), ratio scale")
    figure.legend(handles=_directions(), loc="outside upper left", ncols=3)
    paired = _bars_are(table, f"{name}_ci_low", "95 % intervals, both models on the same resampled prompts.")
    wrapped_footnote(figure, [paired, undefined(table, name)])
    return figure


def _bars_are(table: pl.DataFrame, low: str, what: str) -> str:
    """The footnote on bars, or that there are none."""
    there = table[low].null_count() < table.height
    return f"Bars: {what}" if there else "No intervals: they need two prompts with a value."


def _level(axes: Axes, row: Row, own: pl.DataFrame, measure: str) -> None:
    known = own.drop_nulls("est")
    if known.height > 1:
        ends = known["est"].min(), known["est"].max()
        axes.plot(ends, [row.place] * 2, color=MUTED, alpha=0.45, linewidth=1.2, zorder=1.5)
    for line in known.iter_rows(named=True):
        style = variant_style(line["variant"])
        bar(axes, line["ci_low"], line["ci_high"], row.place, style.colour)
        axes.plot(line["est"], row.place, marker=style.marker, markersize=6.5, color=style.colour, linestyle="none",
                  markeredgecolor=PAPER, markeredgewidth=0.6, zorder=4,
                  gid=f"{measure}-{line['task']}-{line['model']}")  # fmt: skip


def _change(axes: Axes, row: Row, own: pl.DataFrame, name: str, ratio: bool, measure: str) -> None:
    for line in own.drop_nulls(name).iter_rows(named=True):
        value, low, high = (line[f"{name}{end}"] for end in ("", "_ci_low", "_ci_high"))
        colour = FALLS if value < 0 else RISES
        sure = low is not None and high is not None and (low > 0 or high < 0)
        drawn = [None if end is None else 1 + end / 100 if ratio else end for end in (value, low, high)]
        bar(axes, drawn[1], drawn[2], row.place, colour)
        axes.plot(drawn[0], row.place, marker="v" if value < 0 else "^", markersize=6.5, linestyle="none", zorder=4,
                  color=colour, markerfacecolor=colour if sure else PAPER, markeredgecolor=colour, markeredgewidth=1.1,
                  gid=f"{measure}-{line['task']}-{line['instruct']}")  # fmt: skip


def _value_axis(axes: Axes, own: pl.DataFrame, measure: Measure) -> None:
    """Limits and scale of one measure's values."""
    axes.set_title(measure.label, fontsize=10)
    axes.set_xlabel(measure.unit)
    values = np.array([v for name in ("est", "ci_low", "ci_high") for v in own[name].drop_nulls().to_list()])
    if not len(values):
        return
    axes.margins(x=0.08)
    if values.min() > 0 and values.max() > WIDE * values.min():
        axes.set_xscale("log")
        axes.autoscale_view()
        log_axis(axes.xaxis)
    elif values.min() < 0:
        zero_line(axes)
    axes.xaxis.get_major_locator().set_params(**({} if axes.get_xscale() == "log" else {"nbins": 5}))


def _is_wide(own: pl.DataFrame, name: str) -> bool:
    """Whether percent changes need the ratio scale, and can have it: a ratio of 0 has no place on it."""
    values = [v for column in (name, f"{name}_ci_low", f"{name}_ci_high") for v in own[column].drop_nulls().to_list()]
    return bool(values) and max(values) > 300 and min(values) > -100


def _ratio_axis(axes: Axes) -> None:
    low, high = axes.get_xlim()
    for ratios in _RATIOS:
        ticks = [ratio for ratio in ratios if low <= ratio <= high]
        if len(ticks) <= 6:
            break
    axes.set_xticks(ticks, [_percent(ratio) for ratio in ticks])
    axes.minorticks_off()


def _percent(ratio: float) -> str:
    """A ratio as a signed change in percent.

    >>> _percent(10.0), _percent(0.1), _percent(1.0), _percent(0.001)
    ('+900', '−90', '0', '−99.9')
    """
    change = round(100 * (ratio - 1), 2)
    return f"{change:+,g}".replace("-", "−") if change else "0"


def _directions() -> list[Line2D]:
    common = {"linestyle": "none", "markersize": 6.5, "markeredgewidth": 1.1}
    return [
        Line2D([], [], marker="v", color=FALLS, label="lower than the base model", **common),
        Line2D([], [], marker="^", color=RISES, label="higher", **common),
        Line2D([], [], marker="o", color=MUTED, markerfacecolor=PAPER, label="the interval holds 0, or there is none",
               **common),
    ]  # fmt: skip

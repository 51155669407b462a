"""Rows of names with values beside them, grouped by task: the layout of the canopy study's comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calib_assets.figures.style import FULL, MUTED
from calib_assets.figures.text import visible


@dataclass(frozen=True)
class Row:
    """A row of the picture: its place from the top and the table's rows that it shows; a task's name has none."""

    place: float
    label: str
    is_task: bool
    rows: pl.DataFrame | None = None


def rows_of(table: pl.DataFrame) -> list[Row]:
    """Tasks in the order of appearance, each over its rows."""
    rows, place = [], 0.0
    for (task,), part in table.group_by("task", maintain_order=True):
        rows.append(Row(place, visible(str(task), 34), True))
        place += 1.0
        for (name,), own in part.group_by("row", maintain_order=True):
            rows.append(Row(place, visible(str(name), 44, keep="both"), False, own))
            place += 1.0
        place += 0.35
    return rows


def canvas(rows: list[Row], measures: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Axes side by side with the rows' names at the left of the first."""
    width = {1: 5.6, 2: 8.6}.get(len(measures), FULL)
    figure = Figure(figsize=(width, 1.35 + 0.25 * (rows[-1].place + 1)), layout="constrained")
    axes = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0].tolist()
    for ax in axes:
        ax.set_ylim(rows[-1].place + 0.7, -0.7)
        ax.set_yticks([row.place for row in rows], [row.label for row in rows])
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        for row in rows:
            if not row.is_task:
                ax.axhline(row.place, color=MUTED, alpha=0.16, linewidth=0.7, zorder=0.5, gid="row")
    for label, row in zip(axes[0].get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.is_task else "normal")
        label.set_fontsize(9.5 if row.is_task else 8.5)
    return figure, axes


def bar(axes: Axes, low: float | None, high: float | None, place: float, colour: str) -> None:
    """An interval as a horizontal bar; none where an end is unknown."""
    if low is not None and high is not None:
        axes.hlines(place, low, high, color=colour, linewidth=1.6, alpha=0.8, zorder=3)


def undefined(table: pl.DataFrame, name: str) -> str:
    """The footnote sentence on values that cannot be drawn."""
    lost = table[name].null_count()
    return f"Values that are undefined, not drawn: {lost:,}." if lost else ""

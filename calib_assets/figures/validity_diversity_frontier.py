"""Paper A, Figures 6 and 9: the best validity and diversity that each decoding rule can reach together."""

import itertools

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib_assets.figures.layout import (
    empty_figure,
    footnote,
    grid_of_axes,
    is_tiny,
    practical,
    require,
    rule_legend,
    rule_line,
    share_axis,
)
from calib_assets.figures.style import FULL, INK, MUTED, order_rules, themed
from calib_assets.figures.text import visible

COLUMNS = ("rule", "validity", "diversity")
LEGEND = 1.9
"""Inches that the legend beside several panels takes."""


@themed
def validity_diversity_frontier(
    frontier: pl.DataFrame, *, sweep: pl.DataFrame | None = None, floors: tuple[float, ...] = (0.8,)
) -> Figure:
    """Pareto frontier of each rule, both oracles drawn apart, the ideal point (1, 1) marked.

    A frontier is a staircase: at a validity floor, read the height of the step above it; that is the largest
    diversity of any swept configuration with at least that validity. The validity axis is logarithmic where
    no practical rule reaches a tenth.

    Args:
        frontier: Columns ``rule, validity, diversity``, the Pareto-optimal points; columns ``model`` and
            ``task``, when present, give one panel a pair, as in Figure 9; a pair without rows says so in its
            panel.
        sweep: Every configuration, drawn as a faint cloud behind the frontiers; same columns.
        floors: Validity floors, drawn as vertical lines.

    Returns:
        A figure with one axes a panel; points without diversity (validity 0) are counted in its footnote.
    """
    require(frontier, COLUMNS, "validity_diversity_frontier")
    if frontier.is_empty():
        return empty_figure("No frontier points in this table.")
    keys = [column for column in ("model", "task") if column in frontier.columns]
    values = [frontier[key].unique(maintain_order=True).to_list() for key in keys]
    panels = [dict(zip(keys, combination, strict=True)) for combination in itertools.product(*values)]
    alone = len(panels) == 1
    across = 1 if alone else min(4, len(values[-1]))
    chosen = [[pl.col(key).eq_missing(value) for key, value in panel.items()] for panel in panels]
    parts = [frontier.filter(*matching) for matching in chosen]
    tiny = any(is_tiny(practical(part.drop_nulls("diversity"), "validity")) for part in parts)
    size = (7.2, 4.6) if alone else (min(3.0, (FULL - LEGEND) / across), 3.0)
    figure, axes = grid_of_axes(len(panels), across, size, sharex=not alone and not tiny, sharey=not alone)
    if not alone:  # room of its own for the legend, which is as tall as its rules are many
        tall = 0.21 * (len(order_rules(frontier["rule"])) + 3)
        figure.set_size_inches(figure.get_figwidth() + LEGEND, max(figure.get_figheight(), tall))
    for place, (panel, part, matching, ax) in enumerate(zip(panels, parts, chosen, axes, strict=True)):
        _panel(ax, part, None if sweep is None else sweep.filter(*matching), floors)
        ax.set_xlabel("Validity" if place >= len(panels) - across else "")
        ax.set_ylabel("Diversity" if place % across == 0 else "")
        title = [visible(str(value), 40 if alone else 26, keep="both") for value in panel.values()]
        if alone:
            ax.set_title(" · ".join(title) or "Validity–diversity frontiers")
        else:
            ax.set_title("\n".join(title), fontsize=9)
    floor = Line2D([], [], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="validity floor")
    ideal = Line2D(
        [],
        [],
        color=MUTED,
        marker="+",
        linestyle="none",
        markersize=9,
        markeredgewidth=2,
        label="ideal (1, 1)",
    )
    rule_legend(figure, frontier["rule"], [ideal, floor] if floors else [ideal])
    undefined = frontier["diversity"].null_count()
    footnote(
        figure, [f"Points of validity 0, where diversity is undefined: {undefined}." if undefined else ""]
    )
    return figure


def _panel(ax: Axes, frontier: pl.DataFrame, sweep: pl.DataFrame | None, floors: tuple[float, ...]) -> None:
    share_axis(ax, "x", practical(frontier.drop_nulls("diversity"), "validity"))
    share_axis(ax, "y")
    for floor in floors:
        ax.axvline(floor, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1.5)
    ax.plot([1], [1], marker="+", markersize=11, markeredgewidth=2.2, color=MUTED, zorder=2, clip_on=False)
    if sweep is not None:
        cloud = sweep.drop_nulls("diversity")
        ax.scatter(
            cloud["validity"].to_numpy(),
            cloud["diversity"].to_numpy(),
            s=4,
            color=MUTED,
            alpha=0.3,
            linewidths=0,
            rasterized=True,
            zorder=1,
            gid="sweep",
        )
    for name in order_rules(frontier["rule"]):
        points = frontier.filter(pl.col("rule") == name).drop_nulls("diversity").sort("validity", "diversity")
        rule_line(ax, name, points["validity"].to_numpy(), points["diversity"].to_numpy(), steps="steps-pre")
    if frontier["diversity"].null_count() == frontier.height:
        reason = "not in this table" if frontier.is_empty() else "validity is 0 throughout"
        ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", color=INK)


def pareto(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mask of the points that no other point beats in one coordinate without losing in the other.

    Both are maximised; of equal points the first is kept.

    >>> pareto(np.array([1.0, 0.5, 0.4, 0.5]), np.array([0.1, 0.5, 0.2, 0.5])).tolist()
    [True, True, False, False]
    """
    keep = np.zeros(len(first), dtype=bool)
    best = -np.inf
    for index in np.lexsort((np.arange(len(first)), -second, -first)):
        if second[index] > best:
            keep[index], best = True, second[index]
    return keep

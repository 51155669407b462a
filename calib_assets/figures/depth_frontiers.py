"""Paper A, Figure 2 (right): local precision–recall frontiers by depth, mean, extremes and interval."""

import math

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from calib_assets.figures.layout import empty_figure, footnote, grid_of_axes, require, share_axis
from calib_assets.figures.order_parts import line_with_band, no_interval, nothing, numbers, pick
from calib_assets.figures.style import FULL, HALF, INK, MUTED, SERIES, themed
from calib_assets.figures.text import visible

COLUMNS = ("judge", "weighting", "depth", "recall", "mean", "min", "max", "n_nodes", "ci_low", "ci_high")


@themed
def depth_frontiers(
    depth_frontiers: pl.DataFrame, *, judge: str | None = None, weighting: str = "token", p0: float | None = 0.8
) -> Figure:
    """Mean frontier of each depth with its interval, then a panel a depth with the best and the worst node.

    A frontier is read from recall: the height at r is the best precision of any cutoff that keeps at least a
    share r of what is valid. Depth 1 is the choice of the first swept token.

    Args:
        depth_frontiers: Columns ``judge, weighting, depth, recall, mean, min, max, n_nodes, ci_low, ci_high``;
            a row a depth and recall.
        judge: Whose labels; default the first in the table.
        weighting: ``"token"`` or ``"continuation"`` recall.
        p0: Precision to mark, None for none.

    Returns:
        A figure with one axes if there is one depth, else one more axes than depths, the first comparing them.
    """
    require(depth_frontiers, COLUMNS, "depth_frontiers")
    rows = pick(depth_frontiers, "depth_frontiers", judge=judge, weighting=weighting)
    if rows.is_empty():
        return empty_figure("No node of this tree has a valid candidate, so there is no frontier.")
    depths = rows["depth"].unique().sort().to_list()
    panels = [None, *depths] if len(depths) > 1 else depths
    across = min(4, len(panels))
    size = (HALF, 3.9) if len(panels) == 1 else (FULL / across, 3.1 if across > 2 else 3.6)
    figure, axes = grid_of_axes(len(panels), across, size)
    name = "recall of tokens" if weighting == "token" else "recall of continuations"
    for place, (depth, ax) in enumerate(zip(panels, axes, strict=True)):
        share_axis(ax, "x")
        share_axis(ax, "y")
        if p0 is not None:
            ax.axhline(p0, color=INK, linewidth=0.8, zorder=1.5)
        for index, own in enumerate(depths):
            part = rows.filter(pl.col("depth") == own).sort("recall")
            colour = SERIES[index % len(SERIES)]
            if depth == own:
                ax.fill_between(
                    part["recall"].to_numpy(),
                    numbers(part, "min"),
                    numbers(part, "max"),
                    color=colour,
                    alpha=0.07,
                    linewidth=0,
                )
                for column, dashes in (("max", (0, (5, 2))), ("min", (0, (1, 1.5)))):
                    ax.plot(
                        part["recall"].to_numpy(),
                        numbers(part, column),
                        color=colour,
                        linewidth=1.1,
                        linestyle=dashes,
                        gid=f"{column}-{own}",
                        zorder=3,
                    )
            if depth in (None, own):
                gid = f"mean-{own}" if depth == own else f"compare-{own}"
                line_with_band(ax, part, colour, label=f"depth {own}", gid=gid)
                if part["mean"].null_count() == part.height:
                    nothing(ax, "no value at this depth")
        nodes = 0 if depth is None else rows.filter(pl.col("depth") == depth)["n_nodes"][0]
        title = "Mean of each depth" if depth is None else f"Depth {depth} ({_count(nodes)})"
        ax.set_title(title, fontsize=10 if len(panels) > 1 else None)
        ax.set_xlabel(name.capitalize())
        ax.set_ylabel("Best precision" if place % across == 0 else "")
    grey = MUTED
    handles = [
        *(
            Line2D([], [], color=SERIES[index % len(SERIES)], linewidth=2.0, label=f"depth {own}, mean")
            for index, own in enumerate(depths)
        ),
        Patch(facecolor=grey, alpha=0.25, label="95 % interval of the mean"),
        Line2D([], [], color=grey, linewidth=1.1, linestyle=(0, (5, 2)), label="best node"),
        Line2D([], [], color=grey, linewidth=1.1, linestyle=(0, (1, 1.5)), label="worst node"),
    ]
    if p0 is not None:
        handles.append(Line2D([], [], color=INK, linewidth=0.8, label=f"precision {p0:g}"))
    ncols = len(handles) if len(panels) > 2 else math.ceil(len(handles) / 2)
    figure.legend(handles=handles, loc="outside upper left", ncols=ncols, handlelength=2.2, columnspacing=1.4)
    footnote(figure, [f"Judge: {visible(str(rows['judge'][0]), 40)}. {no_interval(rows)}".strip()])
    return figure


def _count(number: int) -> str:
    return f"{number:,} node" if number == 1 else f"{number:,} nodes"

"""Paper A, Figure 7: frontiers from greedy completions beside those from sampled ones."""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from calib_assets.figures.depth_frontiers import COLUMNS
from calib_assets.figures.layout import empty_figure, footnote, grid_of_axes, require, share_axis
from calib_assets.figures.order_parts import line_with_band, no_interval, nothing, pick
from calib_assets.figures.style import FULL, HALF, INK, MUTED, themed
from calib_assets.figures.text import visible

_STYLES = {"greedy": ("#0072b2", "-"), "sampled": ("#d55e00", (0, (5, 2)))}


@themed
def greedy_robustness(
    robustness_frontiers: pl.DataFrame, *, judge: str | None = None, weighting: str = "token", p0: float | None = 0.8
) -> Figure:
    """A panel a depth: mean frontier from greedy and from sampled continuations, each with its interval.

    Curves that lie on each other say that greedy completion is a fair stand-in for sampling.

    Args:
        robustness_frontiers: Columns of ``depth_frontiers`` and ``continuation`` ("greedy" or "sampled"),
            both for the same tokens.
        judge: Whose labels; default the first in the table.
        weighting: ``"token"`` or ``"continuation"`` recall.
        p0: Precision to mark, None for none.

    Returns:
        A figure with one axes a depth.
    """
    require(robustness_frontiers, ("continuation", *COLUMNS), "robustness_frontiers")
    rows = pick(robustness_frontiers, "robustness_frontiers", judge=judge, weighting=weighting)
    if rows.is_empty():
        return empty_figure("No token was completed both greedily and by sampling.")
    depths = rows["depth"].unique().sort().to_list()
    size = (HALF, 3.9) if len(depths) == 1 else (FULL / min(3, len(depths)), 3.5)
    figure, axes = grid_of_axes(len(depths), 3, size)
    for place, (depth, ax) in enumerate(zip(depths, axes, strict=True)):
        share_axis(ax, "x")
        share_axis(ax, "y")
        if p0 is not None:
            ax.axhline(p0, color=INK, linewidth=0.8, zorder=1.5)
        for name, (colour, dashes) in _STYLES.items():
            part = rows.filter((pl.col("depth") == depth) & (pl.col("continuation") == name)).sort("recall")
            if part.is_empty():
                nothing(ax, f"no {name} frontier")
                continue
            line_with_band(ax, part, colour, dashes=dashes, label=name, gid=f"{name}-{depth}")
        ax.set_title(f"Depth {depth}", fontsize=10)
        ax.set_xlabel("Recall of tokens" if weighting == "token" else "Recall of continuations")
        ax.set_ylabel("Best precision, mean" if place % 3 == 0 else "")
    handles = [
        Line2D([], [], color=c, linestyle=d, linewidth=2.0, label=f"{n} continuations") for n, (c, d) in _STYLES.items()
    ]
    handles.append(Patch(facecolor=MUTED, alpha=0.25, label="95 % interval"))
    if p0 is not None:
        handles.append(Line2D([], [], color=INK, linewidth=0.8, label=f"precision {p0:g}"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2 if len(depths) == 1 else 4, handlelength=2.4)
    footnote(figure, [f"Judge: {visible(str(rows['judge'][0]), 40)}. {no_interval(rows)}".strip()])
    return figure

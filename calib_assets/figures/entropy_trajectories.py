"""Paper B, Figure 2: mean step entropy by position, with the rollouts that are still active there."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from calib_assets.figures.canopy_parts import (
    key_of,
    lines_of,
    order_variants,
    panel_title,
    rule_of,
    thinned,
    variant_handles,
    variant_style,
    with_places,
    wrapped_footnote,
)
from calib_assets.figures.layout import empty_figure, log_axis, require
from calib_assets.figures.order_parts import nothing, numbers
from calib_assets.figures.style import HALF, MUTED, themed
from calib_assets.figures.text import visible

COLUMNS = ("position", "mean", "ci_low", "ci_high", "active", "active_share")
POINTS = 160
SKEW = 8.0
"""Positions are drawn on a logarithmic axis where one line of a panel is this many times longer than another."""
RARE, SHOWN = 0.05, 0.01
"""Shares of rollouts still active below which a line is pale, and below which it is not drawn."""


@themed
def entropy_trajectories(entropy_trajectory: pl.DataFrame, *, title: str = "") -> Figure:
    """Mean step entropy (top) and share of active rollouts (bottom) by position, a panel a pair of models.

    A mean at a position is over the rollouts that are still running there, so a late one describes long rollouts
    only: the line is pale where fewer than 5 % run on, and it ends where fewer than 1 % do.

    Args:
        entropy_trajectory: Columns ``position`` (from 1), ``mean, ci_low, ci_high`` (nats), ``active,
            active_share``. Optional ``panel, model, variant`` (strings): a panel each, a line for each model.
        title: Written above the panels.

    Returns:
        A figure with two axes a panel; long rollouts are drawn at no more than 160 places, as its footnote says.
    """
    require(entropy_trajectory, COLUMNS, "entropy_trajectory")
    if entropy_trajectory.is_empty():
        return empty_figure("No step entropies: these rollouts have none.")
    rows = with_places(entropy_trajectory).sort("position", maintain_order=True)
    panels = rule_of(with_places(entropy_trajectory), "panel")
    columns = min(3, len(panels))
    tall = -(-len(panels) // columns)
    width = {1: HALF, 2: 8.6}.get(columns, 11.4)
    figure = Figure(figsize=(width, 3.5 * tall + 0.7), layout="constrained")
    grid = figure.add_gridspec(2 * tall, columns, height_ratios=[2.4, 1] * tall)
    top, pooled = None, 1
    shown = rows.filter(pl.col("active_share") >= SHOWN)
    ends = shown.group_by("panel", "model", "variant").agg(last=pl.col("position").max())
    reach = ends.group_by("panel").agg(ratio=pl.col("last").max() / pl.col("last").min())["ratio"].max()
    logarithmic = reach is not None and reach > SKEW
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        above = figure.add_subplot(grid[2 * row, column], sharey=top)
        below = figure.add_subplot(grid[2 * row + 1, column], sharex=above)
        pooled = max(pooled, _panel(above, below, shown.filter(pl.col("panel") == panel), panel, logarithmic))
        above.set_title(panel_title(panel))
        above.tick_params(labelbottom=False)
        if column == 0:
            above.set_ylabel("Mean step entropy (nats)")
            below.set_ylabel("Active")
        below.set_xlabel("Position in the rollout" if number + columns >= len(panels) else "")
        top = top or above
    top.set_ylim(0, _ceiling(rows))
    variants = order_variants(rows["variant"])
    handles = variant_handles(variants) if variants != [""] else []
    known = rows["ci_low"].null_count() < rows.height
    band = [Patch(facecolor=MUTED, alpha=0.25, label="95 % interval")] if known else []
    figure.legend(handles=[*handles, *band], loc="outside upper left", ncols=6, handlelength=2.6)
    if title:
        figure.suptitle(visible(title, 60), x=0.01, ha="left")
    wrapped_footnote(
        figure,
        [
            "Pale where fewer than 5 % of the rollouts are active; not drawn where fewer than 1 % are. "
            f"Longest rollout: {rows['position'].max():,}.",
            f"A point pools up to {pooled:,} positions." if pooled > 1 else "",
            "" if band else "No intervals: they need two prompts.",
        ],
    )
    return figure


def _panel(above: Axes, below: Axes, rows: pl.DataFrame, panel: str, logarithmic: bool) -> int:
    """The lines of one panel; how many positions a point stands for at most."""
    if rows.is_empty():
        nothing(above, "no active rollouts")
        return 1
    pooled, last = 1, int(rows["position"].max())
    for model, variant, line in lines_of(rows):
        style, key = variant_style(variant), key_of(panel, model)
        points, width = thinned(line, POINTS, logarithmic=logarithmic)
        pooled = max(pooled, width)
        often = points.filter(pl.col("active_share") >= RARE)
        rare = points.slice(max(often.height - 1, 0))  # joined to the line before it
        # A single position has no line.
        look = {"color": style.colour, "linestyle": style.dashes, "marker": "o" if points.height == 1 else None}
        above.fill_between(
            often["position"].to_numpy(),
            numbers(often, "ci_low"),
            numbers(often, "ci_high"),
            color=style.colour,
            alpha=0.18,
            linewidth=0,
        )
        above.plot(
            often["position"].to_numpy(), numbers(often, "mean"), linewidth=1.7, zorder=4, gid=f"mean-{key}", **look
        )
        above.plot(
            rare["position"].to_numpy(), numbers(rare, "mean"), linewidth=1.1, alpha=0.4, zorder=3, gid=f"rare-{key}",
            **look,
        )  # fmt: skip
        below.plot(points["position"].to_numpy(), numbers(points, "active_share"), linewidth=1.6, gid=f"active-{key}",
                   **look)  # fmt: skip
    below.set(ylim=(-0.04, 1.06), yticks=(0, 0.5, 1))
    below.set_yticklabels(("0", "0.5", "1"))
    if logarithmic:
        below.set_xscale("log")
        below.set_xlim(0.9, max(last, 2))
        log_axis(below.xaxis)
        above.tick_params(which="both", labelbottom=False)
    else:
        below.set_xlim(0, last + 1)
    return pooled


def _ceiling(rows: pl.DataFrame) -> float:
    """Upper end of the entropy axis: the lines that many rollouts stand behind, with their intervals."""
    often = rows.filter(pl.col("active_share") >= RARE)
    most = [often["mean"].max(), often["ci_high"].quantile(0.99)]
    known = [value for value in most if value is not None]
    return 1.08 * max(known) if known and max(known) > 0 else 1.0

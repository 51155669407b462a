"""Paper A, Figure 1 (right): how temperature moves mass between valid and invalid tokens."""

import polars as pl
from matplotlib.figure import Figure

from calib_assets.figures.layout import empty_figure, require, share_axis
from calib_assets.figures.style import GROUP_COLOURS, HALF, INK, PAPER, themed
from calib_assets.figures.text import prefix_label

COLUMNS = ("node", "prefix", "temperature", "group", "mass")


@themed
def mass_by_temperature(masses: pl.DataFrame, *, node: int | None = None) -> Figure:
    """Stacked shares of the next-token distribution against temperature, at one context.

    Args:
        masses: Columns ``node, prefix, temperature, group, mass``, one row a (node, temperature, group),
            groups named as in ``GROUP_COLOURS``; the masses of one temperature add to 1.
        node: The context to draw; default the first in the table.

    Returns:
        A figure with one axes; a table with a single temperature gives one stacked bar.
    """
    require(masses, COLUMNS, "mass_by_temperature")
    if masses.is_empty():
        return empty_figure("No temperatures in this table.")
    node = masses["node"][0] if node is None else node
    rows = masses.filter(pl.col("node") == node)
    if rows.is_empty():
        raise ValueError(f"mass_by_temperature has no node {node}; it has {sorted(set(masses['node']))[:20]}")
    temperatures = rows["temperature"].unique().sort().to_numpy()
    shares = [
        rows.filter(pl.col("group") == group)
        .group_by("temperature")
        .agg(pl.col("mass").sum())
        .join(pl.DataFrame({"temperature": temperatures}), on="temperature", how="right")
        .sort("temperature")["mass"]
        .fill_null(0.0)
        .to_numpy()
        for group in GROUP_COLOURS
    ]
    figure = Figure(figsize=(HALF, 3.9), layout="constrained")
    axes = figure.subplots()
    if len(temperatures) == 1:
        floor = 0.0
        for (group, colour), share in zip(GROUP_COLOURS.items(), shares, strict=True):
            axes.bar([0], share, bottom=floor, width=0.5, color=colour, edgecolor=PAPER, label=group)
            floor = floor + share
        axes.set(xticks=[0], xticklabels=[f"{temperatures[0]:g}"], xlim=(-1, 1))
    else:
        axes.stackplot(
            temperatures,
            *shares,
            colors=list(GROUP_COLOURS.values()),
            labels=list(GROUP_COLOURS),
            edgecolor=PAPER,
            linewidth=0.8,
        )
        axes.set_xlim(temperatures[0], temperatures[-1])
        if temperatures[0] < 1.0 < temperatures[-1]:
            axes.axvline(1.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    share_axis(axes, "y")
    axes.set_ylim(0, 1)
    axes.set(xlabel="Temperature", ylabel="Share of the probability mass")
    axes.set_title(f"Where the mass goes {prefix_label(rows['prefix'][0])}")
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1.4, handlelength=1.2)
    return figure

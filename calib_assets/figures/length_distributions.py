"""Paper B, Figure 3: how long rollouts are, base and fine-tuned over each other."""

import math

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calib_assets.figures.canopy_parts import (
    key_of,
    lines_of,
    order_variants,
    panel_title,
    rule_of,
    variant_handles,
    variant_style,
    with_places,
    wrapped_footnote,
)
from calib_assets.figures.layout import empty_figure, grid_of_axes, log_axis, require
from calib_assets.figures.style import HALF, PAPER, themed
from calib_assets.figures.text import share, visible

COLUMNS = ("length", "n", "n_truncated")
BINS = 40
SKEW = 12.0
"""Lengths are drawn on a logarithmic axis where the long ones are this many times the typical short ones."""


@themed
def length_distributions(length_distribution: pl.DataFrame, *, title: str = "") -> Figure:
    """Histograms of lengths, a panel a pair of models; a triangle on the axis marks the mean.

    Where one model's rollouts are far longer than another's the axis is logarithmic and heights are shares for
    each doubling of length, so that equal areas are equal shares; else they are shares of a bin.

    Args:
        length_distribution: Columns ``length`` (tokens, the EOS step included), ``n`` rollouts of that length,
            ``n_truncated`` of them cut there (null: not known). Optional ``panel, model, variant`` (strings): a panel
            each, a histogram for each model.
        title: Written above the panels.

    Returns:
        A figure with one axes a panel. Its footnotes say what share was cut, and that a panel ends where fewer
        than 1 % of each model's rollouts remain.
    """
    require(length_distribution, COLUMNS, "length_distribution")
    if length_distribution.is_empty() or length_distribution["n"].sum() == 0:
        return empty_figure("There are no rollouts.")
    rows = with_places(length_distribution)
    panels = rule_of(rows, "panel")
    size = {1: (HALF, 3.3), 2: (4.4, 3.1)}.get(len(panels), (3.8, 2.9))
    figure, axes = grid_of_axes(len(panels), 3, size)
    notes = []
    every = [lines_of(rows.filter(pl.col("panel") == panel)) for panel in panels]
    logarithmic = any(_is_skewed(lines) for lines in every)
    for number, (panel, ax, lines) in enumerate(zip(panels, axes, every, strict=True)):
        _panel(ax, panel, lines, logarithmic)
        ax.set_title(panel_title(panel))
        ax.set_xlabel("Length (tokens)" if number + 3 >= len(panels) else "")
        ax.set_ylabel("Share for each doubling" if logarithmic else "Share of rollouts")
        notes.append(_cut(panel, lines))
    variants = order_variants(rows["variant"])
    if variants != [""]:
        figure.legend(handles=variant_handles(variants), loc="outside upper left", ncols=6, handlelength=2.6)
    if title:
        figure.suptitle(visible(title, 60), x=0.01, ha="left")
    cut = "; ".join(note for note in notes if note)
    known = ", as far as that is known" if rows["n_truncated"].null_count() else ""
    wrapped_footnote(
        figure,
        [
            "Triangles: means. A panel ends where fewer than 1 % of each model's rollouts remain.",
            (f"Hatched: cut at the limit. Share of all rollouts: {cut}" if cut else "No rollout was cut") + f"{known}.",
        ],
    )
    return figure


def edges_of(last: int, logarithmic: bool) -> np.ndarray:
    """Edges of bins of whole lengths up to ``last``: equally wide, or from the top down by a constant factor.

    A bin never splits a length, so short ones have a bin each on a logarithmic axis.

    >>> edges_of(80, False)[:3], len(edges_of(80, False))
    (array([0.5, 2.5, 4.5]), 41)
    >>> edges_of(12, True)
    array([ 0.5,  1.5,  2.5,  3.5,  4.5,  5.5,  6.5,  7.5,  8.5, 10.5, 12.5])
    """
    if not logarithmic:
        width = math.ceil(last / BINS)
        return np.arange(0, last + width, width) + 0.5
    factor, ends = max(last ** (1 / 26), 1.2), [last]
    while ends[-1] > 0:
        ends.append(max(0, min(ends[-1] - 1, round(ends[-1] / factor))))
    return np.asarray(ends[::-1]) + 0.5


def _is_skewed(lines: list) -> bool:
    """Whether the long rollouts of a panel leave the typical short ones no room on a linear axis."""
    return max(_quantile(part, 0.99) for *_, part in lines) > SKEW * min(_quantile(part, 0.5) for *_, part in lines)


def _panel(axes: Axes, panel: str, lines: list, logarithmic: bool) -> None:
    """Histograms of one panel on common bins."""
    edges = edges_of(max(_quantile(part, 0.99) for *_, part in lines), logarithmic)
    widths = np.log2(edges[1:] / edges[:-1]) if logarithmic else np.ones(len(edges) - 1)
    for model, variant, part in lines:
        style, weight = variant_style(variant), part["n"].to_numpy()
        found, _ = np.histogram(part["length"].to_numpy(), bins=edges, weights=weight)
        heights = found / weight.sum() / widths
        axes.stairs(heights, edges, fill=True, color=style.colour, alpha=0.2, linewidth=0)
        axes.stairs(heights, edges, color=style.colour, linestyle=style.dashes, linewidth=1.5,
                    gid=f"lengths-{key_of(panel, model)}")  # fmt: skip
        lost = part["n_truncated"].fill_null(0).to_numpy()
        cut, _ = np.histogram(part["length"].to_numpy(), bins=edges, weights=lost)
        if cut.any():
            axes.stairs(cut / weight.sum() / widths, edges, fill=False, edgecolor=style.colour, linewidth=0,
                        hatch="/////", gid=f"cut-{key_of(panel, model)}")  # fmt: skip
        mean = float((part["length"] * part["n"]).sum() / weight.sum())
        axes.plot(mean, 0.0, marker="^", markersize=7, color=style.colour, clip_on=False, zorder=5, linestyle="none",
                  markeredgecolor=PAPER, markeredgewidth=0.6, gid=f"mean-{key_of(panel, model)}")  # fmt: skip
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(1.04 * edges[0] if logarithmic else 0, edges[-1])  # no tick at half a token
    if logarithmic:
        log_axis(axes.xaxis)
    axes.set_ylim(bottom=0)
    axes.yaxis.get_major_locator().set_params(nbins=5)


def _quantile(part: pl.DataFrame, level: float) -> int:
    """Shortest length that at least a share ``level`` of the rollouts does not exceed."""
    ordered = part.sort("length")
    reached = ordered["n"].cum_sum() >= level * ordered["n"].sum() - 1e-9
    return int(ordered["length"].filter(reached)[0])


def _cut(panel: str, lines: list) -> str:
    """Shares of rollouts that reached the limit, in words; nothing where none did."""
    parts = []
    for model, variant, part in lines:
        lost = part["n_truncated"].fill_null(0).sum()
        if lost:
            name = visible(variant or model, 24)
            parts.append(f"{name} {share(lost / part['n'].sum())}".strip())
    where = f"{visible(panel, 44)} " if panel and parts else ""
    return where + ", ".join(parts)

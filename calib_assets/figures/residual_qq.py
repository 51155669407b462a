"""Paper B, Figure 6: scaled residuals of the beta regression against the uniform distribution."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import beta

from calib_assets.figures.canopy_parts import rule_of, wrapped_footnote
from calib_assets.figures.layout import empty_figure, require
from calib_assets.figures.order_parts import nothing
from calib_assets.figures.style import INK, MUTED, SERIES, themed
from calib_assets.figures.text import short, visible

COLUMNS = ("kind", "row", "fitted", "residual")
TEST_COLUMNS = ("kind", "test", "statistic", "p", "n", "n_simulations")
POINTS = 400
FEWEST = 15
"""Rows that a bin of running quartiles has at least."""
QUARTILES = (0.25, 0.5, 0.75)
_TICKS = ((0, 0.25, 0.5, 0.75, 1), ("0", "0.25", "0.5", "0.75", "1"))
KINDS = {
    "unconditional": "Unconditional",
    "conditional": "Conditional",
    "closed_form": "Conditional, closed form",
}
"""Kinds of residual: new random effects in each simulation, the fitted ones, and these without simulation."""


@themed
def residual_qq(scaled_residuals: pl.DataFrame, residual_tests: pl.DataFrame) -> Figure:
    """A column a kind of residual: its quantiles against uniform ones (top), and by rank of the fitted mean (bottom).

    A model that fits has residuals on the diagonal, and the three quartiles below run level at 0.25, 0.5, 0.75.

    Args:
        scaled_residuals: Columns ``kind, row, fitted, residual`` (in [0, 1]).
        residual_tests: Columns ``kind, test, statistic, p, n, n_simulations``; p-values stand in the panels.

    Returns:
        A figure with two axes a kind; a long diagonal is drawn at 400 quantiles, and points of the lower panel
        are a sample of as many.
    """
    require(scaled_residuals, COLUMNS, "scaled_residuals")
    require(residual_tests, TEST_COLUMNS, "residual_tests")
    if scaled_residuals.is_empty():
        return empty_figure("No residuals: there is no fit.")
    kinds = sorted(rule_of(scaled_residuals, "kind"), key=lambda kind: (*KINDS, kind).index(kind))
    width = {1: 4.6, 2: 7.8}.get(len(kinds), 10.8)
    figure = Figure(figsize=(width, 6.1), layout="constrained")
    grid = figure.subplots(2, len(kinds), squeeze=False, height_ratios=(1.45, 1))
    for place, kind in enumerate(kinds):
        rows = scaled_residuals.filter(pl.col("kind") == kind).drop_nulls("residual")
        tests = residual_tests.filter(pl.col("kind") == kind)
        above, below = grid[0][place], grid[1][place]
        above.set_title(visible(KINDS.get(kind, kind), 40), fontsize=10)
        for axes in (above, below):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axes.set_xticks(*_TICKS)
            axes.set_yticks(*_TICKS)
        if rows.is_empty():
            nothing(above, "no residuals")
            continue
        _quantiles(above, np.sort(rows["residual"].to_numpy()), kind)
        above.text(0.04, 0.96, _words(tests), transform=above.transAxes, ha="left", va="top", fontsize=8.0, color=INK)
        _by_fitted(below, rows, kind)
        above.set_xlabel("Expected quantile")
        below.set_xlabel("Rank of the fitted mean")
        if place == 0:
            above.set_ylabel("Scaled residual, sorted")
            below.set_ylabel("Scaled residual")
    many = scaled_residuals.drop_nulls("residual").group_by("kind").len()["len"].max() or 0
    many = many >= 2 * FEWEST
    simulated = residual_tests["n_simulations"].drop_nulls().unique().sort().to_list()
    counted = ", ".join(f"{number:,}" for number in simulated)
    wrapped_footnote(
        figure,
        [
            "Grey band: where 95 % of the points of independent uniform residuals lie. "
            + ("Lines below: running quartiles." if many else "Below, too few rows for running quartiles."),
            f"Simulations: {counted}." if simulated else "",
        ],
    )
    return figure


def _quantiles(axes: Axes, residuals: np.ndarray, kind: str) -> None:
    n = len(residuals)
    order = np.arange(1, n + 1)
    if n > POINTS:
        order = np.unique(np.round(np.linspace(1, n, POINTS)).astype(np.int64))
    expected = (order - 0.5) / n
    low, high = beta.ppf([[0.025], [0.975]], order, n + 1 - order)
    axes.fill_between(expected, low, high, color=MUTED, alpha=0.25, linewidth=0, zorder=1)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    axes.plot(expected, residuals[order - 1], linestyle="none", marker="o", markersize=2.6, color=SERIES[0],
              markeredgewidth=0, zorder=3, gid=f"quantiles-{kind}")  # fmt: skip
    axes.set_aspect("equal", adjustable="box")


def _by_fitted(axes: Axes, rows: pl.DataFrame, kind: str) -> None:
    """Residuals by rank of the fitted mean, and their quartiles in bins of equally many rows."""
    ordered = rows.drop_nulls("fitted").sort("fitted", "row")["residual"].to_numpy()
    if not len(ordered):
        nothing(axes, "no fitted means")
        return
    rank = (np.arange(len(ordered)) + 0.5) / len(ordered)
    chosen = np.unique(np.round(np.linspace(0, len(ordered) - 1, min(POINTS, len(ordered)))).astype(np.int64))
    axes.plot(rank[chosen], ordered[chosen], linestyle="none", marker="o", markersize=2.2, color=MUTED, alpha=0.45,
              markeredgewidth=0, rasterized=True, zorder=2, gid=f"residuals-{kind}")  # fmt: skip
    bins = np.array_split(np.arange(len(ordered)), max(1, min(12, len(ordered) // FEWEST)))
    for level in QUARTILES:
        axes.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.5)
        if len(bins) > 1:
            heights = [np.quantile(ordered[part], level) for part in bins]
            axes.plot([rank[part].mean() for part in bins], heights, color=SERIES[1], linewidth=1.6, zorder=3,
                      gid=f"quartile-{level:g}-{kind}")  # fmt: skip


def _words(tests: pl.DataFrame) -> str:
    """The tests' p-values, a line each."""
    lines = []
    for row in tests.iter_rows(named=True):
        value = "not computed" if row["p"] is None else f"p = {short(row['p'], 2)}"
        lines.append(f"{visible(str(row['test']), 24)}: {value}")
    return "\n".join(lines)

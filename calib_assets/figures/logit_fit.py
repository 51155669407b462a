"""Paper A, Figures 13 to 15: sorted logits with a linear head and a logarithmic tail."""

import math

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib_assets.figures.layout import empty_figure, footnote, grid_of_axes, log_axis, require
from calib_assets.figures.style import INK, MUTED, themed
from calib_assets.figures.text import prefix_label, short

COLUMNS = ("node", "prefix", "c", "mse", "r2")
CURVE_COLUMNS = ("node", "prefix", "rank", "logit", "fitted")
_DATA, _FIT = "#56b4e9", "#d55e00"


@themed
def logit_fit(
    logit_fit_curves: pl.DataFrame, logit_fits: pl.DataFrame, *, columns: int = 4, max_panels: int = 12
) -> Figure:
    """A panel a conditional: logits by rank, the piecewise fit, the change point ``c`` as a line.

    Args:
        logit_fit_curves: Columns ``node, prefix, rank, logit, fitted``; ranks may be thinned.
        logit_fits: Columns ``node, prefix, c, mse, r2``, one row a conditional.
        columns: Panels in a row.
        max_panels: Most conditionals to draw; with more, they are taken at even steps and the footnote says
            so.

    Returns:
        A figure with a panel a conditional, titled by its prefix, R² and mean squared error.
    """
    require(logit_fits, COLUMNS, "logit_fits")
    require(logit_fit_curves, CURVE_COLUMNS, "logit_fit_curves")
    fits = logit_fits.sort("node").filter(pl.col("node").is_in(logit_fit_curves["node"].unique().to_list()))
    if fits.is_empty():
        return empty_figure("No fitted conditionals in this table.")
    total = fits.height
    if total > max_panels:
        places = [i * (total - 1) // max(max_panels - 1, 1) for i in range(max_panels)]
        fits = fits[places]
    figure, axes = grid_of_axes(
        fits.height, columns, (2.85 if fits.height > 1 else 5.6, 2.5 if fits.height > 1 else 3.6)
    )
    for place, (fit, ax) in enumerate(zip(fits.iter_rows(named=True), axes, strict=True)):
        curve = logit_fit_curves.filter(pl.col("node") == fit["node"]).sort("rank")
        rank = curve["rank"].to_numpy()
        ax.plot(
            rank,
            curve["logit"].to_numpy(),
            marker="o",
            markersize=3.4,
            markeredgewidth=0,
            linestyle="none",
            color=_DATA,
            alpha=0.9,
            gid=f"logits-{fit['node']}",
            rasterized=len(rank) * fits.height > 600,
        )
        for part, side in (("head", rank <= fit["c"]), ("tail", rank > fit["c"])):
            fitted = curve["fitted"].to_numpy()[side]
            ax.plot(rank[side], fitted, color=_FIT, linewidth=1.6, gid=f"{part}-{fit['node']}")
        ax.set_xscale("log")
        log_axis(ax.xaxis)
        ax.axvline(max(fit["c"], 0.5), color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        left = fit["c"] ** 2 < rank[-1]  # in the left half of the logarithmic axis: write to its right
        ax.annotate(
            f"c = {fit['c']:,.0f}",
            (max(fit["c"], 0.5), 1),
            xycoords=("data", "axes fraction"),
            xytext=(3 if left else -3, -9),
            ha="left" if left else "right",
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )
        ax.set_title(
            f"{prefix_label(fit['prefix'], 20)}\nR² {_r2(fit['r2'])}   MSE {short(fit['mse'], 2)}",
            fontsize=9,
            fontweight="normal",
            color=INK,
        )
        ax.set_xlabel("Rank" if place >= fits.height - columns else "")
        ax.set_ylabel("Logit" if place % columns == 0 else "")
    figure.legend(
        handles=[
            Line2D([], [], marker="o", linestyle="none", color=_DATA, markersize=4, label="logits by rank"),
            Line2D([], [], color=_FIT, linewidth=1.6, label="mk + b up to c, then A + B ln(k + C)"),
            Line2D([], [], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="change point c"),
        ],
        loc="outside upper left",
        ncols=3 if fits.height > 2 else 1,
    )
    footnote(
        figure, [f"{fits.height} of {total} conditionals, at even steps." if total > fits.height else ""]
    )
    return figure


def _r2(value: float | None) -> str:
    """R² with enough digits to tell 0.9996 from 1."""
    if value is None or not math.isfinite(value):
        return "—"
    return f"{value:.3f}" if value < 0.9995 else f"{value:.5f}"

"""Order and shape calibration of every conditional (Paper A, Definition D.1 made graded), by depth."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib_assets.figures.layout import empty_figure, footnote, require
from calib_assets.figures.plotted import drawn_from
from calib_assets.figures.style import FULL, INK, MUTED, themed

COLUMNS = ("depth", "n_valid", "order_auroc", "shape_divergence", "valid_mass", "effective_support")
_PANELS = (
    ("order_auroc", "Order AUROC", "a valid token outranks an invalid one", 1.0),
    ("valid_mass", "Valid mass", "probability of a valid next token", 1.0),
    ("shape_divergence", "Shape divergence (nats)", "distance from the ideal shape", 0.0),
    ("effective_support", "Effective support", "share of valid tokens in real use", 1.0),
)
_BRANCHING, _FORCED = "#0072b2", "#e69f00"


@themed
def conditional_calibration(table: pl.DataFrame) -> Figure:
    """Order AUROC, valid mass, shape divergence and effective support by depth, a dot a conditional.

    Bars mark the median. Contexts with one valid token (separators, say) have their own colour: their shape
    is trivially perfect and must not be read as calibration.

    Args:
        table: Columns ``depth, n_valid, order_auroc, shape_divergence`` (nats), ``valid_mass,
            effective_support``, one row a conditional; nulls are left out.

    Returns:
        A figure with four axes in a row; infinite divergences are counted in its footnote.
    """
    require(table, COLUMNS, "conditional_calibration")
    if table.is_empty():
        return empty_figure("No conditionals in this table.")
    depths = table["depth"].unique().sort().to_list()
    figure = Figure(figsize=(FULL, 3.5), layout="constrained")
    notes = []
    for ax, (column, label, meaning, ideal) in zip(figure.subplots(1, 4), _PANELS, strict=True):
        rows = table.drop_nulls(column)
        finite = rows.filter(pl.col(column).is_finite())
        if rows.height > finite.height:
            lost = rows.height - finite.height
            notes.append(f"Infinite values of {label.split(' (')[0].lower()}, not drawn: {lost}.")
        ax.axhline(ideal, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        for place, depth in enumerate(depths):
            _strip(ax, place, finite.filter(pl.col("depth") == depth), column)
        ax.set_xticks(range(len(depths)), [str(depth) for depth in depths])
        drawn_from(ax.xaxis, lambda place: depths[round(place)])  # dots are spread beside their depth
        ax.set(xlabel="Depth (tokens before)", ylabel=label, xlim=(-0.6, len(depths) - 0.4))
        ax.set_title(meaning, fontsize=9, fontweight="normal", color=MUTED)
        if column == "shape_divergence":
            ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        elif not finite.is_empty():
            low = float(finite[column].min())
            room = max(1 - low, 1e-4)  # an axis that ends at 1, scaled to the values below it
            ax.set_ylim(-0.03 if low < 0.5 else low - 0.12 * room, 1 + 0.04 * room)
            ax.ticklabel_format(axis="y", useOffset=False)
    figure.legend(
        handles=[
            Line2D([], [], marker="o", linestyle="none", color=_BRANCHING, label="two or more valid tokens"),
            Line2D([], [], marker="s", linestyle="none", color=_FORCED, label="one valid token"),
            Line2D([], [], color=INK, linewidth=2.2, label="median"),
            Line2D([], [], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="calibrated"),
        ],
        loc="outside upper left",
        ncols=4,
    )
    footnote(figure, notes)
    return figure


def _strip(ax: Axes, place: int, rows: pl.DataFrame, column: str) -> None:
    """Dots of one depth, spread sideways by a golden-ratio sequence: even, and the same at every drawing."""
    if rows.is_empty():
        return
    rows = rows.sort(column)
    value = rows[column].to_numpy()
    spread = ((np.arange(len(value)) * 0.6180339887498949) % 1.0 - 0.5) * min(0.6, 0.06 * len(value))
    branching = rows["n_valid"].to_numpy() >= 2
    for mask, colour, marker in ((branching, _BRANCHING, "o"), (~branching, _FORCED, "s")):
        ax.scatter(
            place + spread[mask],
            value[mask],
            s=13 if len(value) <= 200 else 6,
            color=colour,
            marker=marker,
            alpha=0.6,
            linewidths=0,
            rasterized=len(value) > 150,
            zorder=2,
            gid=f"{column}-{place}",
        )
    ax.plot(
        [place - 0.33, place + 0.33],
        [np.median(value)] * 2,
        color=INK,
        linewidth=2.2,
        solid_capstyle="butt",
        zorder=3,
    )

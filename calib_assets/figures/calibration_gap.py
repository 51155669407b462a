"""How far decoding stays from full diversity at a validity floor, and which miscalibration is to blame."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from calib_assets.figures.layout import empty_figure, grid_of_axes, require, share_axis
from calib_assets.figures.style import INK, MUTED, PAPER, rule_label, themed
from calib_assets.figures.text import name_rows, share

COLUMNS = ("floor", "oracle_diversity", "best_rule", "best_rule_diversity", "order_gap", "shape_gap")
PART_COLOURS = {"achieved": "#0072b2", "shape gap": "#e69f00", "order gap": "#d55e00"}


@themed
def calibration_gap(gaps: pl.DataFrame, *, floor: float | None = None) -> Figure:
    """One stacked bar a row: diversity of the best practical rule, then the shape gap, then the order gap.

    The parts add to 1 (METHODS §2): order gap = 1 − Div(cutoff oracle), shape gap = Div(cutoff oracle) −
    Div(best practical rule). A practical rule may beat the cutoff oracle, which then has a negative shape
    gap: the bar of what was achieved runs past the oracle's mark. A floor that nothing reaches is written
    out, never drawn as zero; where only the oracle reaches it there is no shape gap, and none is drawn.

    Args:
        gaps: Columns ``floor, oracle_diversity, best_rule, best_rule_diversity, order_gap, shape_gap``;
            ``model`` and ``task``, when present, name the bars.
        floor: The only validity floor to draw; default every floor, a panel each.

    Returns:
        A figure with one axes a floor.
    """
    require(gaps, COLUMNS, "calibration_gap")
    rows = gaps if floor is None else gaps.filter(pl.col("floor") == floor)
    if rows.is_empty():
        return empty_figure("No calibration gaps in this table.")
    named = any(column in rows.columns for column in ("model", "task"))
    if named:
        parts = list(rows.partition_by("floor", maintain_order=True))
        titles = [f"Validity ≥ {part['floor'][0]:g}" for part in parts]
    else:
        parts, titles = [rows.sort("floor")], ["Diversity at a validity floor"]
    tallest = max(part.height for part in parts)
    figure, axes = grid_of_axes(len(parts), 2, (7.4 if len(parts) == 1 else 5.7, 1.35 + 0.42 * tallest))
    for part, ax, title in zip(parts, axes, titles, strict=True):
        _bars(ax, part)
        labels = name_rows(part, limit=26) if named else [f"Val ≥ {value:g}" for value in part["floor"]]
        ax.set_yticks(range(part.height), labels)
        ax.set_title(title)
    swatches = [Patch(facecolor=colour, label=name) for name, colour in PART_COLOURS.items()]
    oracle = Line2D(
        [],
        [],
        color=INK,
        marker="|",
        linestyle="none",
        markersize=11,
        markeredgewidth=2.2,
        label="cutoff oracle",
    )
    figure.legend(
        handles=[*swatches, oracle], loc="outside lower center", ncols=4, columnspacing=1.4, handlelength=1.2
    )
    return figure


def _bars(ax: Axes, rows: pl.DataFrame) -> None:
    """Stacked horizontal bars, the first row on top."""
    places = np.arange(rows.height)
    achieved = _numbers(rows, "best_rule_diversity")
    oracle = _numbers(rows, "oracle_diversity")
    best = np.nan_to_num(achieved, nan=0.0)
    reached = np.fmax(best, np.nan_to_num(oracle, nan=0.0))
    ax.barh(places, best, color=PART_COLOURS["achieved"], height=0.62, edgecolor=PAPER, gid="achieved")
    both = np.isfinite(oracle) & np.isfinite(achieved)  # the shape gap is a difference of the two
    ax.barh(
        places[both],
        (reached - best)[both],
        left=best[both],
        color=PART_COLOURS["shape gap"],
        height=0.62,
        edgecolor=PAPER,
    )
    known = np.isfinite(oracle)
    ax.barh(
        places[known],
        (1 - reached)[known],
        left=reached[known],
        color=PART_COLOURS["order gap"],
        height=0.62,
        edgecolor=PAPER,
    )
    ax.plot(
        oracle,
        places,
        linestyle="none",
        marker="|",
        markersize=19,
        markeredgewidth=2.4,
        color=INK,
        zorder=4,
        gid="oracle",
    )
    for place, row in zip(places, rows.iter_rows(named=True), strict=True):
        label = _sentence(row)
        ax.annotate(
            label,
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=MUTED if row["best_rule_diversity"] is None else INK,
            annotation_clip=False,
        )
    share_axis(ax, "x")
    ax.set(xlim=(0, 1), ylim=(rows.height - 0.5, -0.5), xlabel="Diversity")
    ax.grid(visible=False, axis="y")


def _sentence(row: dict) -> str:
    if row["best_rule_diversity"] is None:
        return "no rule reaches it" if row["oracle_diversity"] is not None else "nothing reaches it"
    best = f"{rule_label(row['best_rule'])} {share(row['best_rule_diversity'])}"
    return best if row["oracle_diversity"] is not None else f"{best}, oracle does not reach it"


def _numbers(rows: pl.DataFrame, column: str) -> np.ndarray:
    return rows[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()

"""Paper A's bounds beside what was measured: Theorem E.3 for order, Theorem F.4 for shape."""

import math

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from calib_assets.figures.layout import LabelPlacer, empty_figure, footnote, log_axis, require, share_axis
from calib_assets.figures.plotted import drawn_from
from calib_assets.figures.style import HALF, INK, MUTED, PAPER, themed
from calib_assets.figures.text import power_of_ten

E3_COLUMNS = ("eta", "rho", "hard_steps", "delta", "bound", "measured_best_recall")
F4_COLUMNS = (
    "temperature",
    "validity",
    "diversity",
    "epsilon",
    "bound_f4",
    "bound_f5",
    "bound_finite_vocabulary",
)
_BOUNDS = {
    "bound_f4": ("Theorem F.4", "#d55e00", (0, (5, 2))),
    "bound_finite_vocabulary": ("Theorem F.4, finite vocabulary", "#e69f00", "-"),
    "bound_f5": ("Corollary F.5", "#009e73", (0, (1, 1.5))),
}


@themed
def shape_bound(theory_f4: pl.DataFrame) -> Figure:
    """Diversity measured at each temperature, and the most that Theorem F.4 allows at that validity.

    The theorem assumes geometric, order-calibrated conditionals; a real model may break the assumption and so
    the bound. The paper's form assumes an infinite vocabulary; the finite-vocabulary form is the one that a
    model which meets the assumption obeys, and points above it are counted in the footnote.

    Args:
        theory_f4: Columns ``temperature, validity, diversity, epsilon, bound_f4, bound_f5,
        bound_finite_vocabulary``,
            one row a temperature; null bounds and diversities are left out.

    Returns:
        A figure with one axes, validity against diversity (logarithmic).
    """
    require(theory_f4, F4_COLUMNS, "theory_f4")
    if theory_f4.is_empty():
        return empty_figure("No temperatures in this table.")
    rows = theory_f4.sort("validity")
    figure = Figure(figsize=(HALF, 4.1), layout="constrained")
    axes = figure.subplots()
    axes.set(yscale="log", xlabel="Validity", ylabel="Diversity")
    for column, (label, colour, dashes) in _BOUNDS.items():
        axes.plot(
            rows["validity"].to_numpy(),
            _positive(rows, column),
            color=colour,
            linestyle=dashes,
            linewidth=1.8,
            marker="o" if rows.height == 1 else None,
            label=label,
            gid=column,
        )
    measured = rows.sort("temperature").drop_nulls("diversity")
    axes.plot(
        measured["validity"].to_numpy(),
        _positive(measured, "diversity"),
        color=INK,
        marker="o",
        markersize=5,
        markeredgecolor=PAPER,
        linewidth=1.2,
        label="measured",
        gid="measured",
        zorder=4,
    )
    low = np.nanmin(np.concatenate([[0.5], *(_positive(rows, c) for c in ("diversity", *_BOUNDS))]))
    axes.set(ylim=(max(low / 2, 1e-12), 1.6))
    share_axis(axes, "x", rows["validity"].to_numpy())
    log_axis(axes.yaxis)
    axes.set_title("Shape: diversity measured and Theorem F.4")
    placer = LabelPlacer(axes)
    for row in measured.iter_rows(named=True):
        if row["diversity"] > 0:
            placer.place(row["validity"], row["diversity"], f"T={row['temperature']:g}", MUTED, (5.0, 5.0))
    figure.legend(loc="outside upper left", ncols=2)
    above = rows.filter(pl.col("diversity") > pl.col("bound_finite_vocabulary") * (1 + 1e-9)).height
    footnote(
        figure,
        [
            f"{above} of {rows.height} points exceed the finite-vocabulary bound, "
            "so the conditionals are not geometric and order-calibrated there."
            if above
            else ""
        ],
    )
    return figure


@themed
def order_bound(theory_e3: pl.DataFrame) -> Figure:
    """Best sequence recall measured at each precision floor, and the most that Theorem E.3 allows.

    Args:
        theory_e3: Columns ``eta, rho, hard_steps, delta, bound, measured_best_recall``, a row a (η, δ): a
            thin line an η, the smallest bound at each δ thick. Rows without a bound, and null recalls (where
            no cutoff reaches the precision), are left out. A column ``recall_ceiling`` (the certified
            bound on every cutoff strategy), when present, is drawn too.

    Returns:
        A figure with one axes, precision floor 1 − δ against recall (logarithmic above its lowest tick, 0).
    """
    require(theory_e3, E3_COLUMNS, "theory_e3")
    theory_e3 = theory_e3.drop_nulls("bound")
    if theory_e3.is_empty():
        return empty_figure("No bound in this table.")
    figure = Figure(figsize=(HALF, 4.1), layout="constrained")
    axes = figure.subplots()
    axes.set(yscale="log", xlabel="Floor on sequence precision, 1 − δ", ylabel="Sequence recall")
    bottom = _below(theory_e3, "bound", "measured_best_recall", "recall_ceiling")
    thin = theory_e3.partition_by("eta", maintain_order=True)
    for index, part in enumerate(thin):
        part = part.sort("delta")
        axes.plot(
            1 - part["delta"].to_numpy(),
            _floored(part, "bound", bottom),
            color="#e69f00",
            linewidth=0.9,
            alpha=0.7,
            label="bound at one η" if index == 0 and len(thin) > 1 else None,
            gid="bound-thin",
        )
    ceiling = [pl.col("recall_ceiling").min()] if "recall_ceiling" in theory_e3.columns else []
    tight = (
        theory_e3.group_by("delta")
        .agg(pl.col("bound").min(), pl.col("measured_best_recall").max(), *ceiling)
        .sort("delta")
    )
    marker = "o" if tight.height == 1 else None
    axes.plot(
        1 - tight["delta"].to_numpy(),
        _floored(tight, "bound", bottom),
        color="#d55e00",
        linewidth=2.0,
        marker=marker,
        label="smallest bound (Theorem E.3)",
        gid="bound",
    )
    axes.plot(
        1 - tight["delta"].to_numpy(),
        _floored(tight, "measured_best_recall", bottom),
        color=INK,
        marker="o",
        markersize=4.5,
        markeredgecolor=PAPER,
        linewidth=1.2,
        label="measured, best cutoff rule",
        gid="measured",
        zorder=4,
    )
    if ceiling:
        axes.plot(
            1 - tight["delta"].to_numpy(),
            _floored(tight, "recall_ceiling", bottom),
            color="#009e73",
            marker=marker,
            linestyle=(0, (5, 2)),
            linewidth=1.6,
            label="ceiling of every cutoff strategy",
            gid="recall_ceiling",
        )
    axes.set_ylim(bottom / 1.6, 1.6)
    exponents = range(0, round(math.log10(bottom)), -max(1, round(-math.log10(bottom) / 7)))
    axes.set_yticks([10.0**e for e in exponents] + [bottom], [power_of_ten(e) for e in exponents] + ["0"])
    drawn_from(axes.yaxis, lambda height: 0.0 if height <= bottom else height)
    axes.set_title("Order: recall measured and Theorem E.3")
    figure.legend(loc="outside upper left", ncols=2)
    lost = tight.filter(pl.col("measured_best_recall").is_null()).height
    footnote(figure, [f"Precision floors that no cutoff rule reaches: {lost}." if lost else ""])
    return figure


def _below(table: pl.DataFrame, *columns: str) -> float:
    """A power of ten under every positive value of the columns present: the place of 0 on a log axis."""
    values = np.concatenate([_positive(table, column) for column in columns if column in table.columns])
    low = np.nanmin([0.5, max(np.nanmin([*values, 0.5]), 1e-12)])
    return 10.0 ** (math.floor(math.log10(low)) - 1)


def _floored(rows: pl.DataFrame, column: str, bottom: float) -> np.ndarray:
    """A column for a log axis whose lowest tick means 0: null becomes NaN, small values ``bottom``."""
    return np.maximum(rows[column].cast(pl.Float64).fill_null(float("nan")).to_numpy(), bottom)


def _positive(rows: pl.DataFrame, column: str) -> np.ndarray:
    """A column as floats; null, 0 and below become not-a-number, which a line skips."""
    values = rows[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(values > 0, values, np.nan)

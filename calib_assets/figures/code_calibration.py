"""Paper A, Figure 12: sampled programs by falling log-probability, right and wrong; and pass@k against k."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from calib_assets.figures.canopy_parts import wrapped_footnote
from calib_assets.figures.layout import empty_figure, footnote, grid_of_axes, require, share_axis
from calib_assets.figures.style import FULL, GROUP_COLOURS, HALF, MUTED, PAPER, series_style, themed
from calib_assets.figures.text import visible

RIGHT, WRONG = GROUP_COLOURS["valid, frequent"], GROUP_COLOURS["invalid"]
MOST_PANELS, COLUMNS = 12, 4
RANKED = ("problem_id", "rank", "log_probability", "passed", "n_drawn")
CURVES = ("k", "est", "ci_low", "ci_high")


@themed
def ranked_programs(ranked: pl.DataFrame) -> Figure:
    """A panel for each problem: the distinct sampled programs from most to least probable, marked by their verdict.

    Under order calibration every circle (passes) would stand left of every cross (fails).

    Args:
        ranked: Columns ``problem_id, rank, log_probability, passed, n_drawn``; a row for each distinct sequence.
            Problems with both verdicts come first; at most twelve are drawn.
    """
    require(ranked, RANKED, "ranked_programs")
    if ranked.is_empty():
        return empty_figure("No sampled program has a verdict and a log-probability.")
    mixed = ranked.group_by("problem_id", maintain_order=True).agg(both=pl.col("passed").n_unique() > 1)
    names = mixed.sort(~pl.col("both"), maintain_order=True)["problem_id"].to_list()
    figure, axes = grid_of_axes(min(len(names), MOST_PANELS), COLUMNS, (FULL / COLUMNS, 2.2))
    for number, (name, place) in enumerate(zip(names, axes, strict=False)):
        _panel(place, ranked.filter(pl.col("problem_id") == name), name)
        place.set_ylabel("" if number % COLUMNS else "Log-probability (nats)")
    figure.legend(
        handles=[
            Line2D([], [], color=RIGHT, marker="o", linestyle="none", markersize=5, label="passes its tests"),
            Line2D([], [], color=WRONG, marker="X", linestyle="none", markersize=5, label="fails"),
        ],
        loc="outside upper left",
        ncols=2,
    )
    more = len(names) - MOST_PANELS
    wrapped_footnote(
        figure,
        [
            "Distinct complete sequences in the order of their probability; the area of a mark grows with how often it "
            "was sampled.",
            f"Problems of the table that are not drawn: {more}." if more > 0 else "",
        ],
    )
    return figure


def _panel(axes: Axes, rows: pl.DataFrame, name: str) -> None:
    axes.set_title(visible(name, 28))
    rank, value = rows["rank"].to_numpy(), rows["log_probability"].to_numpy()
    passed, area = rows["passed"].to_numpy(), 16.0 * np.sqrt(rows["n_drawn"].to_numpy())
    axes.plot(rank, value, color=MUTED, linewidth=0.7, zorder=2)
    for mask, colour, marker, kind in ((passed, RIGHT, "o", "right"), (~passed, WRONG, "X", "wrong")):
        axes.scatter(
            rank[mask],
            value[mask],
            s=area[mask],
            color=colour,
            marker=marker,
            edgecolor=PAPER,
            linewidth=0.4,
            zorder=4,
            gid=f"{kind}-programs",
        )
    axes.set_xlabel("Rank")
    axes.set_xlim(0.4, max(rows.height, 2) + 0.6)
    axes.grid(visible=False, axis="x")
    axes.xaxis.get_major_locator().set_params(integer=True)
    low, high = float(value.min()), float(value.max())
    margin = max(0.12 * (high - low), 0.5)
    axes.set_ylim(low - margin, high + margin)


@themed
def pass_curves(rates: pl.DataFrame) -> Figure:
    """Mean pass@k over problems against k, with its interval; a line for each speaker.

    Args:
        rates: Columns ``k, est, ci_low, ci_high`` and, for several, ``speaker``. A null ``est`` is not drawn.
    """
    require(rates, CURVES, "pass_summary")
    rows = rates.drop_nulls("est")
    if rows.is_empty():
        return empty_figure("No problem has k sampled programs with a verdict.")
    if "speaker" not in rows.columns:
        rows = rows.with_columns(speaker=pl.lit(""))
    speakers = rows["speaker"].n_unique()
    columns = 1 if speakers > 4 else 2  # many names stand under each other, and take room of their own
    figure = Figure(figsize=(HALF, 3.4 + 0.21 * speakers * (columns == 1)), layout="constrained")
    axes = figure.subplots()
    for index, (name, own) in enumerate(rows.sort("k").group_by("speaker", maintain_order=True)):
        style, k, est = series_style(index), own["k"].to_numpy(), own["est"].to_numpy()
        low, high = (own[end].fill_null(own["est"]).to_numpy() for end in ("ci_low", "ci_high"))
        axes.fill_between(k, low, high, color=style["color"], alpha=0.14, linewidth=0)
        label = visible(name[0], 30 if columns == 2 else 60, keep="both") or None
        axes.plot(k, est, label=label, gid=f"pass-{index}", **style)
    ks = sorted(rows["k"].unique())
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axes.set(xlabel="Programs tried, k", ylabel="pass@k")
    share_axis(axes, "y")
    if speakers > 1 or rows["speaker"][0]:
        figure.legend(loc="outside upper left", ncols=columns)
    footnote(figure, ["Mean over problems; bands resample problems."])
    return figure

"""Paper A, Figure 11: which answers a question gets, and how many there are in effect, by speaker."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from calib_assets.figures.layout import empty_figure, footnote, log_axis, require
from calib_assets.figures.style import FULL, GROUP_COLOURS, INK, MUTED, PAPER, SERIES, themed
from calib_assets.figures.text import share, visible

SETTING_LABELS = {"independent": "asked anew each time", "history": "asked again in a conversation"}
TOP = 12  # answers of a panel
COUNT_COLUMNS = ("setting", "matching", "answer", "count", "share", "listed")
MEASURE_COLUMNS = ("speaker", "setting", "matching", "measure", "est")
LISTED, UNLISTED, ANY = GROUP_COLOURS["valid, frequent"], GROUP_COLOURS["invalid"], SERIES[0]


@themed
def top_answers(answer_counts: pl.DataFrame, matching: str = "strict") -> Figure:
    """The most frequent answers by share, a panel a setting; the rest is one bar.

    Args:
        answer_counts: Columns ``setting, matching, answer, count, share, listed``; of one speaker.
        matching: Which answers count as one.

    Returns:
        A figure with one axes for each setting that has answers.
    """
    require(answer_counts, COUNT_COLUMNS, "answer_counts")
    rows = answer_counts.filter(pl.col("matching") == matching)
    settings = [name for name in SETTING_LABELS if rows.filter(pl.col("setting") == name).height]
    if not settings:
        return empty_figure("There is no answer to count.")
    bars = [_bars(rows.filter(pl.col("setting") == name)) for name in settings]
    height = 1.1 + 0.24 * max(len(names) for names, _, _ in bars)
    figure = Figure(figsize=(FULL * (len(settings) + 1) / 3, height), layout="constrained")
    for axes, setting, panel in zip(_axes(figure, len(settings)), settings, bars, strict=True):
        _panel(axes, setting, *panel)
        axes.set_xlim(0, min(1.08, 1.15 * max(float(shares.max()) for _, shares, _ in bars)))
    if rows["listed"].is_not_null().any():
        figure.legend(
            handles=[Patch(color=LISTED, label="valid answer"), Patch(color=UNLISTED, label="not on the list")],
            loc="outside upper left",
            ncols=2,
        )
    return figure


def _axes(figure: Figure, count: int) -> Sequence[Axes]:
    return figure.subplots(1, count, squeeze=False)[0]


def _bars(rows: pl.DataFrame) -> tuple[list[str], np.ndarray, list[str]]:
    """Names, shares and colours of a panel, the most frequent first, all others last."""
    ordered = rows.sort("count", descending=True, maintain_order=True)
    top, rest = ordered.head(TOP), ordered.tail(max(0, ordered.height - TOP))
    names = [visible(answer, 30) for answer in top["answer"]]
    shares, colours = top["share"].to_list(), [_colour(listed) for listed in top["listed"]]
    if rest.height:
        names.append("1 other answer" if rest.height == 1 else f"{rest.height:,} other answers")
        shares.append(float(rest["share"].sum()))
        colours.append(MUTED)
    return names, np.array(shares), colours


def _colour(listed: bool | None) -> str:
    return ANY if listed is None else LISTED if listed else UNLISTED


def _panel(axes: Axes, setting: str, names: Sequence[str], shares: np.ndarray, colours: Sequence[str]) -> None:
    place = np.arange(len(names))
    axes.barh(place, shares, color=list(colours), height=0.72, gid=f"answers-{setting}")
    axes.set(yticks=place, yticklabels=names, xlabel="Share of answers", title=SETTING_LABELS[setting].capitalize())
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    for y, value in zip(place, shares, strict=True):
        style = dict(textcoords="offset points", va="center", fontsize=8.0, color=INK)
        axes.annotate(share(value), (value, y), (3, 0), **style)


@themed
def effective_answers(collapse_comparison: pl.DataFrame, matching: str = "strict") -> Figure:
    """The effective number of answers by speaker: the estimate that corrects the bias, and the plug-in beside it.

    Args:
        collapse_comparison: Columns ``speaker, setting, matching, measure, est``.
        matching: Which answers count as one.

    Returns:
        A figure with one axes; a row a speaker, the number of distinct answers as a tick.
    """
    require(collapse_comparison, MEASURE_COLUMNS, "collapse_comparison")
    rows = collapse_comparison.filter((pl.col("matching") == matching) & pl.col("est").is_not_null())
    shown = rows.filter(pl.col("measure") == "effective_number_chao_shen")
    if shown.is_empty():
        return empty_figure("There is no answer to count.")
    speakers = shown["speaker"].unique(maintain_order=True).to_list()
    figure = Figure(figsize=(FULL * 0.75, 1.5 + 0.42 * len(speakers)), layout="constrained")
    axes = figure.subplots()
    for number, setting in enumerate(SETTING_LABELS):
        own = rows.filter(pl.col("setting") == setting)
        _points(axes, own, speakers, setting, SERIES[number], (number - 0.5) * 0.26)
    axes.set(yticks=range(len(speakers)), yticklabels=[visible(name, 40, keep="both") for name in speakers])
    axes.set(xlabel="Effective number of answers, exp(H)", xscale="log")
    axes.set_ylim(len(speakers) - 0.5, -0.5)
    axes.set_xlim(0.8, 1.5 * max(shown["est"].max(), rows.filter(pl.col("measure") == "n_distinct")["est"].max()))
    log_axis(axes.xaxis)
    axes.grid(visible=False, axis="y")
    figure.legend(handles=_legend(), loc="outside upper left", ncols=3)
    footnote(figure, ["No intervals: answers that never came may be many or few."])
    return figure


def _points(axes: Axes, own: pl.DataFrame, speakers: Sequence[str], setting: str, colour: str, offset: float) -> None:
    for place, speaker in enumerate(speakers):
        found = {row["measure"]: row for row in own.filter(pl.col("speaker") == speaker).iter_rows(named=True)}
        best = found.get("effective_number_chao_shen")
        if best is None:
            continue
        y = place + offset
        axes.plot(best["est"], y, "o", color=colour, markersize=5.5, zorder=5, gid=f"est-{setting}")
        plug_in, distinct = found["effective_number"]["est"], found["n_distinct"]["est"]
        axes.plot(plug_in, y, "D", color=PAPER, markeredgecolor=colour, markersize=8.5, zorder=4)
        axes.plot(distinct, y, "|", color=colour, markersize=10, markeredgewidth=1.6)


def _legend() -> list[Line2D]:
    settings = [
        Line2D([], [], color=colour, marker="o", markeredgecolor=PAPER, label=label)
        for colour, label in zip(SERIES, SETTING_LABELS.values(), strict=False)
    ]
    return [
        *settings,
        Line2D([], [], color=PAPER, marker="D", markersize=8, markeredgecolor=INK, linestyle="none", label="plug-in"),
        Line2D([], [], color=INK, marker="|", markersize=10, linestyle="none", label="distinct answers"),
    ]

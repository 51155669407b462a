"""Pieces that the order study's figures share: choosing rows, intervals, and how validity and strategies look."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from calib_assets.figures.style import INK, MUTED, RuleStyle, order_rules, rule_label, rule_style

VALID, INVALID, UNKNOWN = "#0072b2", "#d55e00", "#7f8790"
"""Tokens and texts found valid, found invalid, and not judged; a marker says the same as the colour."""

VALIDITY = {True: ("valid", VALID, "o"), False: ("invalid", INVALID, "X"), None: ("not judged", UNKNOWN, "s")}

STATUSES = {
    "valid": VALID,
    "invalid": INVALID,
    "unparsable": "#e69f00",
    "refused": "#cc79a7",
    "truncated": "#9a6324",
    "failed": "#7f8790",
}
"""What became of judged items: two kinds of verdict, then the kinds of missing ones."""

STAGES = {"pre-trained": "D", "post-trained": "o"}
ORACLE_FILTER = "oracle_filter"


def pick(frame: pl.DataFrame, table: str, **wanted: Any) -> pl.DataFrame:
    """Rows with the wanted values; None takes the first value that the column has.

    Raises:
        ValueError: If a value does not occur, naming the table, the column and the values that do.

    >>> pick(pl.DataFrame({"judge": ["a", "b"]}), "judge_labels", judge=None)["judge"].to_list()
    ['a']
    """
    for column, value in wanted.items():
        if frame.is_empty():
            return frame
        found = frame[column].unique(maintain_order=True).to_list()
        value = found[0] if value is None else value
        if value not in found:
            raise ValueError(f"table {table} has no {column} {value!r}; it has {found[:20]}")
        frame = frame.filter(pl.col(column) == value)
    return frame


def numbers(rows: pl.DataFrame, column: str) -> np.ndarray:
    """A column as floats; null becomes not-a-number, which a line skips."""
    return rows[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def strategy_label(name: str) -> str:
    """Name of a decoding strategy for people: a rule's label, or the oracle filter of Table 1."""
    return "oracle filter" if name == ORACLE_FILTER else rule_label(name)


def strategy_style(name: str) -> RuleStyle:
    """Style of a strategy: that of its rule; the oracle filter in ink, like every oracle."""
    if name == ORACLE_FILTER:
        return RuleStyle("oracle filter", INK, "*", dashes=(0, (5, 2)), width=2.0, size=8.5, zorder=5.0)
    return rule_style(name)


def order_strategies(names: Iterable[str]) -> list[str]:
    """Distinct strategies in legend order, the oracle filter last."""
    names = set(names)
    return order_rules(names - {ORACLE_FILTER}) + [ORACLE_FILTER] * (ORACLE_FILTER in names)


def line_with_band(
    axes: Axes, rows: pl.DataFrame, colour: str, *, label: str, gid: str, dashes: Any = "-", width: float = 2.0
) -> None:
    """Mean precision over recall with its interval as a band; no band where the interval is null."""
    recall = rows["recall"].to_numpy()
    axes.fill_between(
        recall, numbers(rows, "ci_low"), numbers(rows, "ci_high"), color=colour, alpha=0.18, linewidth=0, zorder=2
    )
    axes.plot(
        recall, numbers(rows, "mean"), color=colour, linestyle=dashes, linewidth=width, label=label, gid=gid, zorder=4
    )


def error_bars(
    axes: Axes, x: Any, value: np.ndarray, low: np.ndarray, high: np.ndarray, *, gid: str, **style: Any
) -> None:
    """Points with their intervals as vertical bars; a point without an interval has none."""
    lengths = np.nan_to_num(np.vstack([value - low, high - value]), nan=0.0).clip(min=0)
    bars: ErrorbarContainer = axes.errorbar(x, value, yerr=lengths, capsize=2.5, elinewidth=1.1, **style)
    bars[0].set_gid(gid)
    for part in (*bars[1], *bars[2]):
        part.set_alpha(0.75)


def no_interval(rows: pl.DataFrame, low: str = "ci_low") -> str:
    """The footnote sentence where no row has an interval, which needs seeds that differ."""
    known = rows.is_empty() or rows[low].null_count() < rows.height
    return "" if known else "No intervals: they need two seeds that differ."


def nothing(axes: Axes, reason: str) -> None:
    """Say inside empty axes why they are empty."""
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=MUTED, wrap=True)

"""Table cells as text: sensible digits, the dash of a null, and the key that sorting uses."""

import math
from dataclasses import dataclass
from typing import Any

from calib_assets.figures.text import share, short
from calib_assets.report.contract import Absent, Column

DASH = "—"


@dataclass(frozen=True)
class Cell:
    """A rendered cell: ``text`` shown, ``sort`` key, ``title`` tooltip, ``css`` class, ids as ``links``."""

    text: str
    sort: str = ""
    title: str = ""
    css: str = ""
    links: tuple[str, ...] = ()


def render_cell(value: Any, column: Column) -> Cell:
    """One value in the digits of its column.

    >>> render_cell(0.98765, Column("Validity", "share")).text, render_cell(12345, Column("n", "count")).text
    ('0.988', '12,345')
    >>> render_cell(None, Column("Diversity", "share", null_means="validity is 0")).title
    'validity is 0'
    """
    if value is None:
        return Cell(DASH, title=column.null_means, css="null")
    if isinstance(value, Absent):
        return Cell(value.label, title=value.reason, css="missing" if value.label != DASH else "null")
    if column.kind == "sources":
        return Cell("", links=tuple(value), css="sources")
    if column.kind == "text":
        text = str(value)
        return Cell(text, sort=text.lower(), css="wrap" if len(text) > 40 else "")
    if column.kind == "flag":
        return Cell("yes" if value else "no", sort=str(int(value)))
    return Cell(_number(value, column.kind), sort=repr(float(value)), title=_exact(value), css="number")


def _number(value: float, kind: str) -> str:
    if kind == "count":
        return f"{round(value):,}"
    if kind == "share" and 0.001 <= value < 0.9995:
        return f"{value:.3f}" if value >= 0.1 else f"{value:#.3g}"
    return share(value, 3) if kind == "share" else short(value, 4)


def _exact(value: float) -> str:
    """The value in full, for the tooltip; nothing where the text already shows it."""
    return "" if isinstance(value, int) or not math.isfinite(value) else repr(value)

"""docs/benchmarks.md from results: one table, and the runs that its rows come from."""

import math

from benchmarks.results import Measured, Results
from benchmarks.rows import Check

HEAD = """# Benchmarks

<!-- Written by `make bench` from benchmarks/results.json; edits here are lost. -->

Each row is a comparison with a named baseline, measured on the same threads, and a check that both found the same: a
number that must not exceed the limit behind it. `make bench` fails if one does, or if a benchmark ends with an error.
The ratio is how many times longer the baseline takes; a ratio below the one that was asked for is marked, and fails
nothing, since times depend on what else the machine does. Quote ratios, not times.

`make bench ONLY=kendall_tau` measures one benchmark and keeps the other rows; `make bench LEVEL=full` runs all of the
slow baselines that are scaled from a sample otherwise, and larger sizes (hours). What a benchmark does exactly stands
at the head of its file in [benchmarks/](../benchmarks). One whose baseline is not installed says so and keeps its rows.
"""
COLUMNS = """| what | size | baseline | ours | baseline's | ratio | same? | scaled | run |
|---|---|---|--:|--:|--:|---|---|---|
"""


def page(results: Results) -> str:
    """The page as Markdown. Of a row that was measured at both levels the newer counts."""
    newest = sorted({one.key: one for one in sorted(results.rows, key=_date)}.values(), key=lambda one: one.benchmark)
    invocations = list(dict.fromkeys(one.invocation for one in sorted(newest, key=_date)))
    names = {invocation: chr(ord("a") + i) if i < 26 else str(i) for i, invocation in enumerate(invocations)}
    text = HEAD + "\n" + COLUMNS
    text += "".join(_line(one, names[one.invocation]) for one in newest)
    if results.failures:
        text += "\n## Failed when last run\n\n"
        text += "".join(f"- `{name}`: {_cell(why)}\n" for name, why in sorted(results.failures.items()))
    text += "\n## Runs\n\n"
    for invocation, name in names.items():
        busy = {one.benchmark: one.others for one in newest if one.invocation == invocation}
        spread = f"{min(busy.values()):.1f} to {max(busy.values()):.1f}"
        text += (
            f"- **{name}**: {invocation.date} UTC, commit {invocation.commit}, {invocation.level} sizes; "
            f"{_cell(invocation.machine)}. Load average at the start {invocation.load:.1f}; while a benchmark ran, "
            f"other work used {spread} cores.\n"
        )
    return text


def _date(one: Measured) -> str:
    return one.invocation.date


def _line(one: Measured, run: str) -> str:
    row = one.row
    ratio = "" if row.ratio is None else number(row.ratio)
    if row.target is not None and row.ratio is not None:
        ratio += f" (asked for: {number(row.target)}{'; BELOW' if row.missed else ''})"
    same = "; ".join(map(said, row.checks)) or f"not checked: {row.unchecked}"
    clock = " CPU" if row.clock == "CPU" else ""
    times = ["" if took is None else f"{number(took)} s{clock}" for took in (row.ours_s, row.baseline_s)]
    scaled = row.scaled or ("" if row.baseline_s is None else "all run")
    cells = [f"{row.what} (`{one.benchmark}`)", row.size, row.baseline, *times, ratio, same, scaled]
    return "| " + " | ".join(map(_cell, cells)) + f" | {run} |\n"


def said(check: Check, mark: str = "**BROKEN** ") -> str:
    """A check in words: what, the number, and its limit; a mark before it if it does not hold."""
    return f"{'' if check.holds else mark}{check.what} {number(check.error)} (limit {number(check.limit)})"


def number(value: float) -> str:
    """Two or three digits, enough to compare by eye."""
    if not math.isfinite(value) or (value == int(value) and abs(value) < 1e6):
        return f"{value:,.0f}"
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(text: str) -> str:
    """Text that stays in one cell of a table."""
    return " ".join(text.replace("|", "\\|").split())

"""What the beta regression found, in sentences: the slope of entropy rate, and which tests of residuals reject."""

import polars as pl

from calib_assets.figures.text import short
from calib_assets.report.canopy_chapter import has_rows
from calib_assets.report.canopy_numbers import direction, value
from calib_assets.report.canopy_regression import wald
from calib_assets.report.order_examples import plain
from calib_assets.report.study import count


def slope(table: pl.DataFrame, panel: pl.DataFrame | None) -> str:
    """The slope of entropy rate on the logit of diversity, and how fine-tuning changes it; Wald intervals."""
    mean = wald(table.filter(pl.col("part") == "mean")).drop_nulls(["estimate", "se"])
    rows = {row["term"]: row for row in mean.iter_rows(named=True)}
    if "R_sc" not in rows:
        return ""
    others = {}
    for term, row in rows.items():
        parts = term.split(":")
        level = next((part.removeprefix("variant") for part in parts if part.startswith("variant")), "")
        if len(parts) == 2 and "R_sc" in parts and level:
            others[level] = row
    base = rows["R_sc"]
    reference = _reference(panel, set(others)) if others else ""
    text = (
        f"With the other terms held fixed, semantic diversity {_slopes(base)}{reference}: {_number(base)} on the logit "
        "scale for each standard deviation"
    )
    for level, row in others.items():
        way = direction(row["ci_low"], row["ci_high"])
        if way:
            size = _number(row) if way > 0 else value(-row["estimate"], -row["ci_high"], -row["ci_low"])
            text += f"; in {plain(level, 40)} models it is {'larger' if way > 0 else 'smaller'} by {size}"
        else:
            text += f"; in {plain(level, 40)} models it differs by {_number(row)}, so it may be larger or smaller"
    return text + " (95 % Wald intervals)."


def _slopes(row: dict) -> str:
    way = direction(row["ci_low"], row["ci_high"])
    return {1: "rises with entropy rate", -1: "falls with entropy rate", 0: "has an open relation to entropy rate"}[way]


def _number(row: dict) -> str:
    return value(row["estimate"], row["ci_low"], row["ci_high"])


def _reference(panel: pl.DataFrame | None, others: set[str]) -> str:
    """Whose slope the main effect is: the variant of the panel that no interaction names."""
    names = panel["variant"].unique(maintain_order=True).to_list() if has_rows(panel) else []
    left = [name for name in names if name not in others]
    return f" in {plain(left[0], 40)} models" if len(left) == 1 else " in models of the reference variant"


def residuals(table: pl.DataFrame) -> str:
    """Which tests of the residuals reject at 5 %."""
    known = table.drop_nulls("p")
    if known.is_empty():
        return "No test of the regression's residuals could be computed."
    low = known.filter(pl.col("p") < 0.05)
    total = count(known.height, "test")
    if low.is_empty():
        least = short(known["p"].min(), 2)
        return f"None of {total} of the regression's residuals rejects at 5 %; the smallest p is {least}."
    named = ", ".join(
        f"{plain(row['test'], 30)} ({plain(row['kind'].replace('_', ' '), 30)}, p = {short(row['p'], 2)})"
        for row in low.iter_rows(named=True)
    )
    return f"Of {total} of the regression's residuals, {low.height} reject at 5 %: {named}."

"""Validity–diversity trade-off of decoding rules, read off a table of sweep points.

Here belong the frontier of each rule, its best diversity above a validity floor, and the split of the
gap into an order and a shape part (Paper A §5.3, METHODS §2). The points themselves come from
`calib_assets.decoding.sweep`.
"""

from collections.abc import Sequence

import polars as pl

from calib_assets.decoding import RULES

CUTOFF_ORACLE = "oracle_cutoff"
# A rule that keeps only valid tokens has validity 1 up to rounding; a floor of 1.0 must accept it.
FLOOR_TOLERANCE = 1e-12
_POINT = ("rule", "parameter", "temperature", "validity", "diversity")


def validity_diversity_frontier(points: pl.DataFrame) -> pl.DataFrame:
    """Pareto-optimal points of each rule: no other point of the rule has as much of both and more of one.

    Points without diversity (validity 0) are never on a frontier. Of equal points the one with the
    lowest temperature, then the lowest parameter, is kept.

    Args:
        points: Columns rule, parameter, temperature, validity, diversity; one row per configuration.

    Returns:
        The same columns; by rule, then rising validity (hence falling diversity).

    Raises:
        ValueError: If a column is missing.

    >>> points = pl.DataFrame({"rule": ["top_p", "top_p", "top_p", "oracle_cutoff"], "parameter": [0.9, 0.5, 0.8, None],
    ...     "temperature": [1.0] * 4, "validity": [0.8, 1.0, 0.7, 0.9], "diversity": [0.6, 0.4, 0.5, 0.9]})
    >>> validity_diversity_frontier(points).select("rule", "validity", "diversity").rows()  # (0.7, 0.5) is dominated
    [('oracle_cutoff', 0.9, 0.9), ('top_p', 0.8, 0.6), ('top_p', 1.0, 0.4)]
    """
    _check_columns(points)
    best_above = pl.col("diversity").cum_max().shift(1).over("rule", order_by="place")
    return (
        points.select(_POINT)
        .drop_nulls("diversity")
        .sort(
            "rule",
            "validity",
            "diversity",
            "temperature",
            "parameter",
            descending=[False, True, True, False, False],
        )
        .with_row_index("place")
        .filter(best_above.is_null() | (pl.col("diversity") > best_above))
        .sort("rule", "validity")
        .select(_POINT)
    )


def best_diversity(points: pl.DataFrame, floors: Sequence[float]) -> pl.DataFrame:
    """Best diversity of each rule among its points with validity at or above each floor.

    Args:
        points: Columns rule, parameter, temperature, validity, diversity; one row per configuration.
        floors: Validity floors in [0, 1]; the paper uses 0.8. A validity within 1e-12 below a floor
            counts as reaching it.

    Returns:
        One row per rule and floor: rule, floor, diversity, validity, parameter, temperature. The last
        four are null where no point reaches the floor. Of equally diverse points the more valid one is
        named, then the one of lower temperature and parameter.

    Raises:
        ValueError: If a column is missing or a floor lies outside [0, 1].

    >>> points = pl.DataFrame({"rule": ["top_p", "top_p", "top_p", "oracle_cutoff"], "parameter": [0.9, 0.5, 0.8, None],
    ...     "temperature": [1.0] * 4, "validity": [0.8, 1.0, 0.7, 0.9], "diversity": [0.6, 0.4, 0.5, 0.9]})
    >>> best = best_diversity(points, [0.8, 0.95]).select("rule", "floor", "diversity", "parameter")
    >>> best.filter(rule="top_p").rows()
    [('top_p', 0.8, 0.6, 0.9), ('top_p', 0.95, 0.4, 0.5)]
    >>> best.filter(rule="oracle_cutoff").rows()
    [('oracle_cutoff', 0.8, 0.9, None), ('oracle_cutoff', 0.95, None, None)]
    """
    _check_columns(points)
    wanted = pl.DataFrame({"floor": _checked_floors(floors)}, schema={"floor": pl.Float64})
    best = (
        points.select(_POINT)
        .drop_nulls("diversity")
        .join(wanted, how="cross")
        .filter(pl.col("validity") >= pl.col("floor") - FLOOR_TOLERANCE)
        .sort("diversity", "validity", "temperature", "parameter", descending=[True, True, False, False])
        .unique(["rule", "floor"], keep="first", maintain_order=True)
    )
    every = points.select("rule").unique().join(wanted, how="cross")
    return (
        every.join(best, on=["rule", "floor"], how="left")
        .sort("rule", "floor")
        .select("rule", "floor", "diversity", "validity", "parameter", "temperature")
    )


def calibration_gap(points: pl.DataFrame, floors: Sequence[float]) -> pl.DataFrame:
    """Split of the lost diversity at each validity floor into an order gap and a shape gap.

    Order gap = 1 − Div(cutoff oracle): what even the right support size does not recover. Shape gap =
    Div(cutoff oracle) − Div(best practical rule), "practical" being every rule that does not know the valid
    set (`TruncationRule.uses_valid_set`), each with its best temperature and parameter. The shape gap can be
    negative: the cutoff oracle's support size is fixed, so where order is miscalibrated another cutoff may do
    better at a low floor.

    Args:
        points: Columns rule, parameter, temperature, validity, diversity, the rule `oracle_cutoff`
            among them.
        floors: Validity floors in [0, 1].

    Returns:
        One row per floor: floor, oracle_diversity, oracle_temperature, best_rule, best_rule_diversity,
        best_rule_parameter, best_rule_temperature, order_gap, shape_gap. Null where the rule in question
        cannot reach the floor.

    Raises:
        ValueError: If a column is missing, a floor lies outside [0, 1], or the cutoff oracle is absent.

    >>> points = pl.DataFrame({"rule": ["top_p", "top_p", "top_p", "oracle_cutoff"], "parameter": [0.9, 0.5, 0.8, None],
    ...     "temperature": [1.0] * 4, "validity": [0.8, 1.0, 0.7, 0.9], "diversity": [0.6, 0.4, 0.5, 0.9]})
    >>> gap = calibration_gap(points, [0.8]).row(0, named=True)
    >>> gap["best_rule"], round(gap["order_gap"], 9), round(gap["shape_gap"], 9)  # 1 - 0.9, 0.9 - 0.6
    ('top_p', 0.1, 0.3)
    """
    best = best_diversity(points, floors)
    if CUTOFF_ORACLE not in best["rule"]:
        raise ValueError(
            f"points has no rule {CUTOFF_ORACLE!r}: the gap is measured against it; add it to the grid"
        )
    oracle = best.filter(pl.col("rule") == CUTOFF_ORACLE).select(
        "floor", oracle_diversity="diversity", oracle_temperature="temperature"
    )
    practical = (
        best.filter(~pl.col("rule").is_in([name for name, rule in RULES.items() if rule.uses_valid_set]))
        .drop_nulls("diversity")
        .sort("diversity", "validity", "rule", descending=[True, True, False])
        .unique("floor", keep="first", maintain_order=True)
        .select(
            "floor",
            best_rule="rule",
            best_rule_diversity="diversity",
            best_rule_parameter="parameter",
            best_rule_temperature="temperature",
        )
    )
    return (
        oracle.join(practical, on="floor", how="left")
        .with_columns(
            order_gap=1 - pl.col("oracle_diversity"),
            shape_gap=pl.col("oracle_diversity") - pl.col("best_rule_diversity"),
        )
        .sort("floor")
    )


def _check_columns(points):
    missing = [name for name in _POINT if name not in points.columns]
    if missing:
        raise ValueError(f"points lacks the columns {missing}; pass the points table of a decoding sweep")


def _checked_floors(floors):
    for floor in floors:
        if not 0 <= floor <= 1:
            raise ValueError(f"floors holds {floor}; a validity floor lies in [0, 1]")
    return sorted(set(map(float, floors)))

"""Sentences of the shape study against hand-made tables: each case that data can be in, and what must not be said."""

import polars as pl
import pytest

from calib_assets.report import Provenance
from calib_assets.report.shape_findings import shape_findings

PROVENANCE = {
    task: {name: Provenance(name, f"m|{task}", "f", "d", "c") for name in ("calibration_gap", "best_diversity")}
    for task in ("a", "b", "c")
}


def gap(order, shape, best, floor=0.8) -> pl.DataFrame:
    other = {"floor": 0.5, "order_gap": 0.999, "shape_gap": 0.001, "best_rule_diversity": 0.999}
    row = {"floor": floor, "order_gap": order, "shape_gap": shape, "best_rule_diversity": best}
    return pl.DataFrame([other, row], schema=dict.fromkeys(row, pl.Float64))


def best(**rules) -> pl.DataFrame:
    rows = [{"rule": rule, "floor": 0.8, "diversity": value} for rule, value in rules.items()]
    rows += [{"rule": rule, "floor": 0.5, "diversity": 1.0} for rule in ("eta",)]
    return pl.DataFrame(rows, schema={"rule": pl.String, "floor": pl.Float64, "diversity": pl.Float64})


def contexts(*rows) -> pl.DataFrame:
    """Rows of n_valid, order_auroc, is_order_calibrated, effective_support and, unless calibrated, last_valid_rank."""
    names = ("n_valid", "order_auroc", "is_order_calibrated", "effective_support", "last_valid_rank")
    kinds = (pl.Int64, pl.Float64, pl.Boolean, pl.Float64, pl.Int64)
    rows = [row if len(row) == len(names) else (*row, row[0]) for row in rows]
    return pl.DataFrame(rows, schema=dict(zip(names, kinds)), orient="row")


def said(tables, floor=0.8) -> list[str]:
    return [finding.text.replace("\u202f", " ") for finding in shape_findings("m", tables, PROVENANCE, floor=floor)]


def test_where_each_task_loses_and_what_is_reached():
    tables = {"a": {"calibration_gap": gap(0.125, 0.5, 0.375)}, "b": {"calibration_gap": gap(0.625, 0.25, 0.125)}}
    assert said(tables) == [
        "m, validity ≥ 0.8 on 2 tasks (exact, over the study's grid): the best practical decoding rule reaches 0.125 "
        "to 0.375 of full diversity; more is lost to shape than to order on a (order gap 0.125, shape gap 0.5); more "
        "is lost to order than to shape on b (order gap 0.625, shape gap 0.25)."
    ]
    (finding,) = shape_findings("m", tables, PROVENANCE, floor=0.8)
    assert finding.provenance == tuple(PROVENANCE[task]["calibration_gap"].id for task in "ab")


def test_equal_gaps_are_lost_to_neither_and_a_missing_oracle_is_named():
    tables = {"a": {"calibration_gap": gap(0.25, 0.25, 0.5)}, "b": {"calibration_gap": gap(None, None, 0.25)}}
    (text,) = said(tables)
    assert "more is lost" not in text
    assert text.endswith(
        "; on b even the cutoff oracle, which knows how many tokens are valid, never reaches that validity: valid "
        "tokens do not hold the top ranks."
    )


def test_no_rule_at_the_floor():
    tables = {"a": {"calibration_gap": gap(0.5, None, None)}, "b": {"calibration_gap": gap(0.5, 0.25, 0.25)}}
    assert "reaches 0.25 of full diversity where one reaches that validity; on a none does" in said(tables)[0]
    only = said({"a": {"calibration_gap": gap(0.5, None, None)}})[0]
    assert only == (
        "m, validity ≥ 0.8 on 1 task (exact, over the study's grid): no practical decoding rule reaches that validity."
    )


def test_the_least_costly_rule_by_hand():
    # a: the best of a practical rule is 0.4, b: 0.2. top_p keeps 1 and 1/2 of it, min_p 1/2 and 1, eta 3/4 and none.
    # Oracles do not count, and rows of other floors do not.
    tables = {
        "a": {"best_diversity": best(top_p=0.4, min_p=0.2, eta=0.3, oracle_cutoff=0.9, validity_oracle=1.0)},
        "b": {"best_diversity": best(top_p=0.1, min_p=0.2, eta=None, oracle_cutoff=0.9)},
        "c": {"best_diversity": best(top_p=None, min_p=None, eta=None)},  # no rule reaches it: no part of the mean
    }
    assert said(tables) == [
        "m: the decoding rules that cost least at validity ≥ 0.8 are min-p and top-p, which tie: they keep on average "
        "75.0 % of the diversity that the best rule of each task reaches (at worst 50.0 %; 2 tasks, exact); next eta "
        "37.5 %."
    ]
    tables["b"] = {"best_diversity": best(top_p=0.05, min_p=0.2, eta=None, oracle_cutoff=0.9)}
    assert said(tables) == [
        "m: the decoding rule that costs least at validity ≥ 0.8 is min-p: it keeps on average 75.0 % of the diversity "
        "that the best rule of each task reaches (at worst 50.0 %; 2 tasks, exact); next top-p 62.5 %, eta 37.5 %."
    ]
    assert said({"a": {"best_diversity": best(top_p=None)}}) == []


def test_order_counts_contexts_with_a_choice_only():
    rows = contexts((1, 1.0, True, 1.0), (2, 0.75, False, 0.25), (3, 1.0, True, 0.75), (2, None, False, None))
    assert said({"a": {"conditional_calibration": rows}}) == [
        "m: of 3 contexts with two or more valid tokens 1 is order-calibrated (median order AUROC 0.875); the mass on "
        "valid tokens spreads over an effective 50.0 % of them at the median context (100 % would be even); exact."
    ]
    assert said({"a": {"conditional_calibration": contexts((1, 1.0, True, 1.0))}}) == []


def test_one_task_has_a_diversity_and_no_mean():
    assert said({"a": {"best_diversity": best(top_p=0.4, min_p=0.1, eta=0.4)}}) == [
        "m: the decoding rules that cost least at validity ≥ 0.8 are eta and top-p, which tie: they keep a diversity "
        "of 0.4 on a (exact); next min-p 25.0 % of it."
    ]
    assert said({"a": {"best_diversity": best(top_p=0.00004)}}) == [
        "m: the decoding rule that costs least at validity ≥ 0.8 is top-p: it keeps a diversity of 4.0×10⁻⁵ on a "
        "(exact)."
    ]


def test_the_context_whose_last_valid_token_stands_lowest_is_named():
    mild, bad = (2, 0.9, False, 0.5, 3), (45, 0.999, False, 0.4, 1421)
    tables = {"a": {"conditional_calibration": contexts(mild)}, "b": {"conditional_calibration": contexts(bad, mild)}}
    assert "; at worst, on b, 1,376 invalid tokens stand above the last of 45 valid ones; the mass" in said(tables)[0]
    assert "; at worst, on a, 1 invalid token stands above the last of 2 valid ones;" in said({"a": tables["a"]})[0]
    assert "of 1 context with two or more valid tokens 0 are order-calibrated" in said({"a": tables["a"]})[0]


def test_small_and_negative_gaps_are_neither_zero_nor_dashes():
    one, other = gap(0.9432, -0.01342, 0.0701), gap(0.0131, 0.0, 0.9996)
    (text,) = said({"a": {"calibration_gap": one}, "b": {"calibration_gap": other}})
    assert "reaches 0.0701 to 1−4×10⁻⁴ of full diversity" in text
    assert "(order gap 0.0131 to 0.943, shape gap −0.0134 to 0)" in text


@pytest.mark.parametrize(
    "tables", [{}, {"a": {}}, {"a": {"calibration_gap": None}}, {"a": {"calibration_gap": gap(0, 0, 1)}}]
)
def test_nothing_is_said_without_data_or_at_a_floor_that_the_study_lacks(tables):
    assert said(tables, floor=0.95) == []

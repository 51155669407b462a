"""Frontiers, best diversities and the gap split against plain loops over the points."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from calib_assets.metrics import best_diversity, calibration_gap, validity_diversity_frontier

SCHEMA = {
    "rule": pl.String,
    "parameter": pl.Float64,
    "temperature": pl.Float64,
    "validity": pl.Float64,
    "diversity": pl.Float64,
}


@st.composite
def sweeps(draw):
    """Coarse values, so equal points occur; null diversity exactly at validity 0; distinct configurations."""
    configurations = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["top_p", "min_p", "unrestricted", "oracle_cutoff", "validity_oracle"]),
                st.sampled_from([0.1, 0.5, 0.9]),
                st.sampled_from([0.5, 1.0, 2.0]),
            ),
            min_size=1,
            max_size=20,
            unique=True,
        )
    )
    rows = []
    for rule, parameter, temperature in configurations:
        validity = draw(st.integers(0, 5)) / 5
        diversity = draw(st.integers(1, 5)) / 5 if validity else None
        free = rule in ("unrestricted", "oracle_cutoff", "validity_oracle")
        rows.append((rule, None if free else parameter, temperature, validity, diversity))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


floors = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]), min_size=1, max_size=4)


def dominates(a, b):
    return (
        a["validity"] >= b["validity"]
        and a["diversity"] >= b["diversity"]
        and (a["validity"] > b["validity"] or a["diversity"] > b["diversity"])
    )


@given(sweeps())
def test_frontier_is_what_no_point_of_the_rule_dominates(points):
    found = validity_diversity_frontier(points)
    assert found.columns == list(SCHEMA)
    for rule in points["rule"].unique():
        rows = [r for r in points.iter_rows(named=True) if r["rule"] == rule and r["diversity"] is not None]
        expected = {(r["validity"], r["diversity"]) for r in rows if not any(dominates(q, r) for q in rows)}
        frontier = found.filter(pl.col("rule") == rule)
        assert frontier.select("validity", "diversity").rows() == sorted(expected)
    assert_frame_equal(found.join(points, on=list(SCHEMA), how="semi", nulls_equal=True), found)
    assert_frame_equal(validity_diversity_frontier(found), found)
    assert_frame_equal(
        validity_diversity_frontier(points.reverse()).drop("parameter", "temperature"),
        found.drop("parameter", "temperature"),
    )


@given(sweeps(), floors)
def test_best_diversity_by_search(points, wanted):
    found = best_diversity(points, wanted)
    assert found.height == points["rule"].n_unique() * len(set(wanted))
    for row in found.iter_rows(named=True):
        reached = [
            r
            for r in points.iter_rows(named=True)
            if r["rule"] == row["rule"] and r["diversity"] is not None and r["validity"] >= row["floor"]
        ]
        if not reached:
            assert row["diversity"] is row["validity"] is row["temperature"] is row["parameter"] is None
            continue
        assert row["diversity"] == max(r["diversity"] for r in reached)
        # The configuration named is one of the best, and the most valid of them.
        best = [r for r in reached if r["diversity"] == row["diversity"]]
        assert {name: row[name] for name in SCHEMA} in best
        assert row["validity"] == max(r["validity"] for r in best)


@given(sweeps(), floors)
def test_gap_adds_up(points, wanted):
    if "oracle_cutoff" not in points["rule"]:
        with pytest.raises(ValueError, match="no rule 'oracle_cutoff'"):
            calibration_gap(points, wanted)
        return
    best = {
        (r["rule"], r["floor"]): r["diversity"] for r in best_diversity(points, wanted).iter_rows(named=True)
    }
    for row in calibration_gap(points, wanted).iter_rows(named=True):
        floor, oracle = row["floor"], best["oracle_cutoff", row["floor"]]
        practical = {
            rule: value
            for (rule, at), value in best.items()
            if at == floor and value is not None and not rule.endswith("oracle") and rule != "oracle_cutoff"
        }
        assert row["oracle_diversity"] == oracle
        assert row["best_rule_diversity"] == max(practical.values(), default=None)
        assert (row["best_rule"] is None) == (not practical)
        if practical:
            assert practical[row["best_rule"]] == row["best_rule_diversity"]
        assert row["order_gap"] == (None if oracle is None else pytest.approx(1 - oracle))
        if oracle is None or not practical:
            assert row["shape_gap"] is None
        else:
            assert 1 - row["order_gap"] - row["shape_gap"] == pytest.approx(row["best_rule_diversity"])


def test_hand_worked_gap():
    points = pl.DataFrame(
        [
            ("oracle_cutoff", None, 1.0, 0.95, 0.4),
            ("oracle_cutoff", None, 3.0, 0.90, 0.7),
            ("validity_oracle", None, 9.0, 1.0, 1.0),
            ("top_p", 0.9, 1.0, 0.85, 0.30),
            ("min_p", 0.1, 2.0, 0.80, 0.55),
            ("min_p", 0.1, 4.0, 0.50, 0.95),
        ],
        schema=SCHEMA,
        orient="row",
    )
    gap = calibration_gap(points, [0.8, 0.92, 0.99])
    assert gap.row(0, named=True) == {
        "floor": 0.8,
        "oracle_diversity": 0.7,
        "oracle_temperature": 3.0,
        "best_rule": "min_p",
        "best_rule_diversity": 0.55,
        "best_rule_parameter": 0.1,
        "best_rule_temperature": 2.0,
        "order_gap": pytest.approx(0.3),
        "shape_gap": pytest.approx(0.15),
    }
    # Above 0.92 only the oracle is left; above 0.99 nobody but the validity oracle, which counts for neither.
    assert gap.select("oracle_diversity", "best_rule", "order_gap", "shape_gap").rows()[1:] == [
        (0.4, None, 0.6, None),
        (None, None, None, None),
    ]


def test_rounding_does_not_keep_an_oracle_below_a_floor_of_one():
    points = pl.DataFrame([("validity_oracle", None, 1.0, 1 - 3e-16, 0.5)], schema=SCHEMA, orient="row")
    assert best_diversity(points, [1.0])["diversity"].to_list() == [0.5]
    low = points.with_columns(validity=pl.lit(0.9999))
    assert best_diversity(low, [1.0])["diversity"].to_list() == [None]


def test_bad_input():
    points = pl.DataFrame([("top_p", 0.9, 1.0, 0.5, 0.5)], schema=SCHEMA, orient="row")
    with pytest.raises(ValueError, match="floors holds 80"):
        best_diversity(points, [80])
    with pytest.raises(ValueError, match=r"lacks the columns \['diversity'\]"):
        validity_diversity_frontier(points.drop("diversity"))

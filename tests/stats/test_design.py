"""Formulas and design matrices: R's names and numbers, frames of any kind, columns that carry nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_assets.stats import parse_formula
from calib_assets.stats.design import build_design, independent_columns
from calib_assets.stats.frames import series

FROM_R = json.loads((Path(__file__).parent / "fixtures" / "r_design.json").read_text())
DATA = pl.DataFrame(FROM_R["data"])
COLUMNS = {name: DATA[name] for name in DATA.columns}


@pytest.mark.parametrize("case", FROM_R["designs"], ids=lambda case: case["formula"])
def test_columns_are_those_of_r(case):
    design, constant = build_design(parse_formula(case["formula"]), COLUMNS, {})
    matrix = design.matrix(COLUMNS)
    assert design.names == case["names"] and constant == []
    np.testing.assert_allclose(matrix.sum(axis=0), case["sums"], atol=1e-12)
    np.testing.assert_allclose(matrix.T @ DATA["z"].to_numpy(), case["weighted"], atol=1e-12)


def labels(text):
    return [":".join(variable.label for variable in term) for term in parse_formula(text).terms]


def test_terms_hand_worked():
    assert labels("y ~ a * b * c") == ["", "a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"]
    assert labels("b:a + a + 1 + a") == ["", "a", "b:a"]  # variables in the order of their first appearance
    assert labels("a:b * c") == ["", "c", "a:b", "a:b:c"]
    assert labels(" ~ ns( x ,df=3) + ns(x,3)") == ["", "ns(x, df = 3)", "ns(x, 3)"]
    assert labels("y ~ 1") == labels("1") == [""]
    formula = parse_formula("y ~ (1|g) + a + (1 | h) + (1 | g)")
    assert formula.response == "y" and formula.groups == ("g", "h") and labels("y ~ (1|g) + a") == ["", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ a - b", "at character 7: '-' is not expected here"),
        ("y ~ a % b", "'%' has no meaning"),
        ("y ~ log(a)", "at character 5: there is no function 'log'"),
        ("y ~ (a + b)", "parentheses hold only a random intercept"),
        ("y ~ (1 | )", "the grouping column"),
        ("y ~ a ~ b", "more than one '~'"),
        ("y ~ a +", "at character 8: here a column's name"),
        ("", "here a column's name"),
        ("y ~ 0 + a", "without an intercept is not offered"),
        ("y ~ ns(a)", "here ',' is expected"),
        ("y ~ ns(a, 2.5)", "df is 2.5"),
        ("y ~ ns(a, 0)", "df is 0"),
        ("y ~ 1 * a", "only variables can be multiplied"),
        ("y ~ 1:a", "only variables can be joined"),
        ("y ~ a b", "'b' is not expected"),
        ("y ~ ns(2, 2)", "at character 8: here a column's name is expected"),
    ],
)
def test_what_is_not_in_the_grammar(text, message):
    with pytest.raises(ValueError, match="the grammar is") as error:
        parse_formula(text)
    assert message in str(error.value)


def test_reference_level_and_new_data():
    design, _ = build_design(parse_formula("f * x"), COLUMNS, {"f": "b"})
    assert design.names == ["(Intercept)", "fa", "fc", "x", "fa:x", "fc:x"]
    new = {"f": pl.Series(["c", None, "b"]), "x": pl.Series([2.0, 1.0, None])}
    found = design.matrix(new)
    np.testing.assert_array_equal(found[0], [1, 0, 1, 2, 0, 2])
    assert np.isnan(found[1, 1:3]).all() and np.isnan(found[2, 3:]).all()
    with pytest.raises(ValueError, match="column 'f' holds 'd', which the fit has not seen; its levels are"):
        design.matrix({"f": pl.Series(["d"]), "x": pl.Series([1.0])})


def test_scale_keeps_the_moments_of_the_fit():
    design, _ = build_design(parse_formula("scale(x)"), COLUMNS, {})
    x = DATA["x"].to_numpy()
    new = design.matrix({"x": pl.Series([5.0])})
    assert new[0, 1] == pytest.approx((5 - x.mean()) / x.std(ddof=1))


def test_constant_columns_take_their_terms_with_them():
    columns = COLUMNS | {"one": pl.Series(["k"] * len(DATA)), "two": pl.Series([2.0] * len(DATA))}
    design, constant = build_design(parse_formula("x * one + ns(two, 3) + f:two + f"), columns, {})
    assert constant == ["one", "two"] and design.names == ["(Intercept)", "x", "fb", "fc"]


def test_truth_values_are_categorical():
    design, _ = build_design(parse_formula("t"), {"t": pl.Series([True, False, True])}, {})
    assert design.names == ["(Intercept)", "ttrue"]
    np.testing.assert_array_equal(design.matrix({"t": pl.Series([True, False])})[:, 1], [1, 0])


@pytest.mark.parametrize(
    ("formula", "columns", "message"),
    [
        ("ns(f, 2)", COLUMNS, "needs numbers, but 'f' holds String"),
        ("scale(f)", COLUMNS, "needs numbers"),
        ("x", {"x": pl.Series([1.0, np.inf])}, "column 'x' is infinite in 1 rows"),
    ],
)
def test_columns_that_cannot_be_used(formula, columns, message):
    with pytest.raises(ValueError, match=message):
        build_design(parse_formula(formula), columns, {})


@st.composite
def dependent(draw):
    """A matrix with small whole entries, some columns combinations of others."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    matrix = rng.integers(-2, 3, size=(12, draw(st.integers(1, 7)))).astype(float)
    for column in range(1, matrix.shape[1]):
        if draw(st.booleans()):
            matrix[:, column] = matrix[:, :column] @ rng.integers(-1, 2, size=column)
    return matrix * 10.0 ** rng.integers(-4, 5, size=matrix.shape[1])


@settings(deadline=None)
@given(dependent())
def test_kept_columns_are_those_that_raise_the_rank(matrix):
    unit = matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
    ranks = [0] + [np.linalg.matrix_rank(unit[:, : j + 1], tol=1e-9) for j in range(matrix.shape[1])]
    keep, made_of = independent_columns(matrix)
    assert keep.tolist() == [ranks[j + 1] > ranks[j] for j in range(matrix.shape[1])]
    for column, others in made_of.items():
        assert set(others) <= set(np.flatnonzero(keep[:column]))
        rest = unit[:, column] - unit[:, others] @ np.linalg.lstsq(unit[:, others], unit[:, column], rcond=None)[0]
        assert np.abs(rest).max() < 1e-8
        if not others:
            assert not matrix[:, column].any()


FRAMES = {
    "polars": pl.DataFrame({"x": [1.0, None, float("nan")], "f": ["a", None, "b"]}),
    "pandas": pd.DataFrame({"x": [1.0, None, float("nan")], "f": ["a", None, "b"]}),
    "pandas objects": pd.DataFrame(
        {"x": pd.array([1, None, None], dtype="Int64"), "f": pd.Categorical(["a", None, "b"])}
    ),
    "mapping": {"x": np.array([1.0, np.nan, np.nan]), "f": np.array(["a", None, "b"], dtype=object)},
    "polars categories": pl.DataFrame({"x": [1.0, None, None], "f": pl.Series(["a", None, "b"], dtype=pl.Categorical)}),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_series_of_any_frame(frame):
    assert series(frame, "x").cast(pl.Float64).to_list() == [1.0, None, None]
    assert series(frame, "f").to_list() == ["a", None, "b"] and series(frame, "f").dtype == pl.String
    with pytest.raises(ValueError, match="no column 'y'; it has"):
        series(frame, "y")


def test_lazy_frames_are_refused():
    with pytest.raises(ValueError, match="LazyFrame; collect"):
        series(FRAMES["polars"].lazy(), "x")

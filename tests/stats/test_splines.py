"""Natural splines: R's numbers, and what a natural cubic spline is."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.stats import natural_spline
from calib_assets.stats.splines import fit_natural_spline

FROM_R = json.loads((Path(__file__).parent / "fixtures" / "r_splines.json").read_text())


@pytest.mark.parametrize("case", FROM_R["splines"], ids=lambda case: f"{case['x']}-{case['df']}")
def test_agrees_with_r(case):
    x = np.array(FROM_R["x"][case["x"]], dtype=float)
    basis = fit_natural_spline(x, case["df"])
    assert basis.df == case["df"]
    np.testing.assert_allclose(basis.evaluate(x), np.reshape(case["basis"], (len(x), -1)), rtol=0, atol=5e-14)
    new = basis.evaluate(np.array(case["at"]))  # within and beyond the boundary knots
    np.testing.assert_allclose(new, np.reshape(case["new"], (3, -1)), rtol=0, atol=5e-14)


@st.composite
def samples(draw):
    x = draw(st.lists(st.integers(-50_000, 50_000), min_size=8, max_size=20, unique=True))
    return np.array(x) / 1000, draw(st.integers(1, 5))


@given(samples())
def test_is_linear_beyond_the_boundary_and_smooth_within(sample):
    x, df = sample
    basis = fit_natural_spline(x, df)
    low, high = basis.boundary
    width = high - low
    for edge, side in ((low, -1), (high, 1)):
        outside = basis.evaluate(edge + side * width * np.array([0.0, 0.5, 1.0]))
        np.testing.assert_allclose(outside[2] - outside[1], outside[1] - outside[0], atol=1e-9)
        # Second derivative 0 at the boundary: the slope just inside is that of the line outside, to second order.
        h = 1e-4 * width
        inside = basis.evaluate(np.array([edge, edge - side * h]))
        slope_in, slope_out = (inside[0] - inside[1]) / h, (outside[1] - outside[0]) / (width / 2)
        size = max(1, np.abs(slope_in * width).max())
        np.testing.assert_allclose(slope_in * width, slope_out * width, atol=2e-3 * size)


@given(samples())
def test_straight_lines_lie_in_the_space(sample):
    x, df = sample
    columns = np.column_stack([np.ones(len(x)), natural_spline(x, df)])
    fitted = columns @ np.linalg.lstsq(columns, x, rcond=None)[0]
    np.testing.assert_allclose(fitted, x, atol=1e-8 * max(1.0, np.abs(x).max()))


@given(samples(), st.randoms(use_true_random=False), st.floats(0.5, 3), st.floats(-5, 5))
def test_order_shift_and_scale_of_x_change_nothing(sample, random, scale, shift):
    x, df = sample
    order = list(range(len(x)))
    random.shuffle(order)
    np.testing.assert_allclose(natural_spline(x[order], df), natural_spline(x, df)[order], atol=1e-12)
    np.testing.assert_allclose(natural_spline(x * scale + shift, df), natural_spline(x, df), atol=1e-7)


def test_knots_are_quantiles_of_all_values_ties_included():
    x = np.array([0.0, 0, 0, 1, 2, 3, 4, 10])
    np.testing.assert_allclose(fit_natural_spline(x, 4).interior, np.quantile(x, [0.25, 0.5, 0.75]))


def test_a_knot_on_the_boundary_stays_or_moves_by_an_eighth():
    x = np.array([-8.0, -8, -8, -8, -4, -3, -2, -1])  # half is tied: quantiles -8, -6, -2.75
    kept = fit_natural_spline(x, 4)
    np.testing.assert_allclose(kept.interior, [-8, -6, -2.75])
    moved = fit_natural_spline(x, 4, boundary_rule="move")
    np.testing.assert_allclose(moved.interior, [-8 + (8 - 6) / 8, -6, -2.75])
    for rule in ("keep", "move"):  # R 4.2 fails on the upper boundary, so there is nothing to keep to
        high = fit_natural_spline(-x, 4, boundary_rule=rule)
        np.testing.assert_allclose(high.interior, [2.75, 6, 8 - (8 - 6) / 8])
        assert np.linalg.matrix_rank(high.evaluate(-x), tol=1e-9) == 4


def test_all_knots_on_the_boundary_move_towards_the_other_end():
    x = np.array([0.0] + [8.0] * 9)
    np.testing.assert_allclose(fit_natural_spline(x, 2, boundary_rule="move").interior, [7.0])


def test_nan_gives_nan_rows():
    basis = fit_natural_spline(np.arange(9.0), 3)
    found = basis.evaluate(np.array([1.0, np.nan, 20.0]))
    assert np.isnan(found[1]).all() and np.isfinite(found[[0, 2]]).all()


@pytest.mark.parametrize(
    ("x", "df", "rule", "message"),
    [
        ([1.0, np.nan, 2.0], 2, "keep", "x holds 1 NaN or infinite of 3"),
        ([1.0, 1.0], 1, "keep", "x is 1.0 in all 2 rows"),
        ([1.0, 2.0], 0, "keep", "df is 0"),
        ([1.0, 2.0], 1.5, "keep", "df is 1.5"),
        ([1.0, 2.0], 1, "drop", "boundary_rule is 'drop'"),
        ([], 1, "keep", "x has shape"),
    ],
)
def test_bad_input(x, df, rule, message):
    with pytest.raises(ValueError, match=message):
        natural_spline(np.array(x), df, boundary_rule=rule)

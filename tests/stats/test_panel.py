"""The panel's columns, from their definitions."""

import numpy as np
import polars as pl
import pytest

from calib_assets.stats import beta_panel_columns, standardise

PANEL = pl.DataFrame(
    {"D": [0.0, 0.5, 1.0, None, -1e-12], "R_bar": [1.0, 2.0, float("nan"), 4.0, 5.0], "N_bar": [10.0, 20, 40, 50, 80]}
)


def test_columns_by_hand():
    found = beta_panel_columns(PANEL, clip=0.01)
    assert found["D_beta"].to_list() == [0.01, 0.5, 0.99, None, 0.01]
    assert found["is_clipped"].to_list() == [True, False, True, None, True]
    rate = np.array([1.0, 2, 4, 5])
    expected = (rate - 3) / np.sqrt(((rate - 3) ** 2).sum() / 3)
    np.testing.assert_allclose(found["R_sc"].drop_nulls(), expected)
    assert found["R_sc"].to_list()[2] is None
    inverse = 1 / PANEL["N_bar"].to_numpy()
    np.testing.assert_allclose(found["invN_sc"], (inverse - inverse.mean()) / np.std(inverse, ddof=1))
    assert found.columns == [*PANEL.columns, "R_sc", "invN_sc", "D_beta", "is_clipped"]


def test_twice_is_once():
    once = beta_panel_columns(PANEL)
    assert beta_panel_columns(once).equals(once)


def test_constant_and_empty_columns():
    assert standardise(np.array([2.0, 2.0, np.nan])).tolist()[:2] == [0.0, 0.0]
    assert standardise(np.array([3.0])).tolist() == [0.0]
    assert np.isnan(standardise(np.array([np.nan]))).all() and standardise(np.empty(0)).size == 0
    empty = beta_panel_columns(PANEL.clear())
    assert len(empty) == 0 and empty["is_clipped"].dtype == pl.Boolean


@pytest.mark.parametrize(
    ("frame", "clip", "message"),
    [
        (PANEL.drop("R_bar"), 1e-6, r"lacks the columns \['R_bar'\]"),
        (PANEL.with_columns(D=pl.Series([0.1, 1.2, 0, 0, 0])), 1e-6, "D is 1.2 in row 1"),
        (PANEL.with_columns(D=pl.Series([0.1, 0.2, -0.1, 0, 0])), 1e-6, "D is -0.1 in row 2"),
        (PANEL.with_columns(N_bar=pl.Series([1.0, 0.0, 1, 1, 1])), 1e-6, "N_bar is 0.0 in row 1"),
        (PANEL, 0.5, "clip is 0.5"),
        (PANEL, -0.1, "clip is -0.1"),
    ],
)
def test_bad_panels(frame, clip, message):
    with pytest.raises(ValueError, match=message):
        beta_panel_columns(frame, clip=clip)

"""Rows of the regression's panel from the tables that they are joined from."""

import polars as pl
import pytest

from calib_assets.assets.canopy.beta_regression import measured_rows
from calib_assets.stats import beta_panel_columns

PLACE = {"model": "m", "task": "t", "model_name": "m", "variant": "base"}


def rows_of(diversities: list[float | None]) -> pl.DataFrame:
    ids = [f"p{i}" for i in range(len(diversities))]
    place = {name: [value] * len(ids) for name, value in PLACE.items()}
    numbers = {"mean_entropy_rate": [0.5, 1.0, 2.0], "mean_length": [4.0, 8.0, 5.0], "n_rollouts": [2, 2, 3]}
    measures = pl.DataFrame({**place, "prompt_id": ids, **numbers})
    found = {"model": place["model"], "task": place["task"], "prompt_id": ids, "embedding_diversity": diversities}
    reasons = [None if value is not None else "one embedded text" for value in diversities]
    return measured_rows(measures, pl.DataFrame({**found, "reason": reasons})[::-1])


def test_a_distance_above_one_is_clipped_and_no_error():
    rows = rows_of([0.25, 1.5, 1.0])
    assert rows["D"].to_list() == [0.25, 1.0, 1.0]
    panel = beta_panel_columns(rows, clip=0.01)
    assert panel["D_beta"].to_list() == [0.25, 0.99, 0.99] and panel["is_clipped"].to_list() == [False, True, True]


def test_rows_keep_their_prompts_numbers_and_say_what_they_lack():
    rows = rows_of([0.25, None, 0.75])
    assert rows.select("prompt_id", "D", "R_bar", "N_bar", "M").rows() == [
        ("p0", 0.25, 0.5, 4.0, 2),
        ("p1", None, 1.0, 8.0, 2),
        ("p2", 0.75, 2.0, 5.0, 3),
    ]
    assert rows["why"].to_list()[1] == "one embedded text"


def test_a_panel_of_ones_own_is_still_refused_outside_its_range():
    with pytest.raises(ValueError, match="D is 1.5 in row 0"):
        beta_panel_columns(rows_of([0.2, 0.3, 0.4]).with_columns(D=pl.lit(1.5)))

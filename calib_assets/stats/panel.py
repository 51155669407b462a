"""The regression panel's columns: one row per prompt and model, made ready for `fit_beta_mixed` (METHODS §4)."""

import numpy as np
import polars as pl
from jaxtyping import Float

CLIP = 1e-6
# Diversities are means of rounded cosines: identical texts may give -1e-17. More than this is an error.
ROUNDING = 1e-9


def standardise(x: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"]:
    """(x - mean) / standard deviation (ddof 1), as R's ``scale``; NaN stays NaN and is left out of both.

    Args:
        x: Numbers.

    Returns:
        The z-scores; zeros where all values are equal (a regression then drops the term, and says so).

    >>> standardise(np.array([1.0, 2.0, 3.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    x = np.asarray(x, dtype=np.float64)
    present = x[~np.isnan(x)]
    if present.size == 0:
        return x.copy()
    centred = x - present.mean()
    spread = present.std(ddof=1) if present.min() < present.max() else 0.0
    return centred / spread if spread > 0 else np.where(np.isnan(x), np.nan, 0.0)


def beta_panel_columns(frame: pl.DataFrame, *, clip: float = CLIP) -> pl.DataFrame:
    """The panel with R_sc, invN_sc, D_beta and is_clipped added.

    R_sc and invN_sc are the z-scores (ddof 1, over all rows that have a value) of the mean entropy rate R_bar
    and of 1 / N_bar. D_beta is D moved into [clip, 1 - clip], where the beta density is finite.

    Args:
        frame: One row per prompt and model with D in [0, 1], R_bar (nats per token) and N_bar > 0; null where
            undefined.
        clip: Distance that D_beta keeps from 0 and 1.

    Returns:
        The same rows and columns, and the four new ones (replaced where they exist); null where their source
        is null or NaN.

    Raises:
        ValueError: If a column is missing, a D lies outside [0, 1], an N_bar is not positive, or ``clip`` is
            not in [0, 0.5).

    >>> panel = pl.DataFrame({"D": [0.0, 0.5], "R_bar": [1.0, 3.0], "N_bar": [10.0, 5.0]})
    >>> beta_panel_columns(panel)["D_beta"].to_list()
    [1e-06, 0.5]
    """
    missing = [name for name in ("D", "R_bar", "N_bar") if name not in frame.columns]
    if missing:
        raise ValueError(f"the panel lacks the columns {missing}; give D, R_bar and N_bar for each prompt and model")
    diversity, rate, length = (frame[name].cast(pl.Float64).to_numpy() for name in ("D", "R_bar", "N_bar"))
    if (length <= 0).any():
        raise ValueError(
            f"N_bar is {length[length <= 0][0]} in row {int(np.flatnonzero(length <= 0)[0])}; "
            "a mean length is positive, leave the row's N_bar empty if it is unknown"
        )
    bounded, is_clipped = clipped(diversity, clip, "D")
    columns = {"R_sc": standardise(rate), "invN_sc": standardise(1 / length), "D_beta": bounded}
    return frame.with_columns(
        *(pl.Series(name, values).fill_nan(None) for name, values in columns.items()),
        pl.Series("is_clipped", is_clipped).set(pl.Series(np.isnan(diversity)), None),
    )


def clipped(values: Float[np.ndarray, "rows"], clip: float, name: str):
    """Values moved into [clip, 1 - clip] and the mask of those that were moved; NaN stays.

    Raises:
        ValueError: If a value lies outside [0, 1] (beyond rounding), or ``clip`` is not in [0, 0.5).
    """
    if not 0 <= clip < 0.5:
        raise ValueError(f"clip is {clip}; give a distance from 0 and 1 in [0, 0.5), 1e-6 is usual")
    outside = np.flatnonzero((values < -ROUNDING) | (values > 1 + ROUNDING))
    if outside.size:
        raise ValueError(
            f"{name} is {values[outside[0]]} in row {outside[0]} ({outside.size} of {values.size} rows lie outside "
            "[0, 1]); the beta density lives on (0, 1), rescale the response or drop these rows"
        )
    bounded = np.clip(values, clip, 1 - clip)
    return bounded, ~np.isnan(values) & (bounded != values)

"""What the order study's tables share: checks of their columns and the intervals of means over seeds."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float, Shaped

from calib_assets.stats import Bootstrap, cluster_bootstrap

ROUNDING = 1e-12  # draws that differ by less are alike


def check_columns(table: pl.DataFrame, name: str, columns: Sequence[str], remedy: str) -> None:
    """Raise a ValueError that names the columns that ``table`` lacks, and the remedy."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks the columns {missing}; {remedy}")


def check_unique(table: pl.DataFrame, name: str, columns: Sequence[str], remedy: str) -> None:
    """Raise a ValueError that names the first key that ``table`` holds more than once."""
    repeated = table.select(columns).is_duplicated()
    if repeated.any():
        first = table.select(columns).filter(repeated).row(0, named=True)
        raise ValueError(f"{name} holds {first} more than once; {remedy}")


def mean_with_interval(
    values: Float[np.ndarray, "rows"], seeds: Shaped[np.ndarray, "rows"], bootstrap: Bootstrap
) -> tuple[float | None, float | None, float | None]:
    """Mean, low and high end over resampled seeds; all None without rows, the ends None where seeds leave none open.

    One seed cannot be resampled. Seeds that are all alike, as where no sample of any was valid, make every draw the
    same: an interval of width 0 would claim certainty.
    """
    if len(values) == 0:
        return None, None, None
    estimate = cluster_bootstrap(
        values, seeds, n_boot=bootstrap.n_boot, rng=bootstrap.rng(), level=bootstrap.level
    )
    low, high = open_interval(estimate.ci_low, estimate.ci_high)
    return estimate.est, low, high


def open_interval(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """The ends of a bootstrap interval, None where they are one number up to rounding or not known.

    >>> open_interval(0.2, 0.4), open_interval(1.0, 1.0), open_interval(None, None)
    ((0.2, 0.4), (None, None), (None, None))
    """
    return (low, high) if low is not None and high - low > ROUNDING else (None, None)


def mean_over_problems(table: pl.DataFrame, column: str, bootstrap: Bootstrap) -> tuple[float | None, ...]:
    """Mean, low and high end over resampled problems of a table with one row a problem, as `mean_with_interval`."""
    return mean_with_interval(table[column].to_numpy(), table["problem_id"].to_numpy(), bootstrap)

"""What the order study's tables share: checks of their columns and the intervals of means over seeds."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float, Shaped

from calib_assets.stats import Bootstrap, cluster_bootstrap


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
    """Mean, low and high end over resampled seeds; all None without rows, the ends None with one seed."""
    if len(values) == 0:
        return None, None, None
    estimate = cluster_bootstrap(
        values, seeds, n_boot=bootstrap.n_boot, rng=bootstrap.rng(), level=bootstrap.level
    )
    return estimate.est, estimate.ci_low, estimate.ci_high


def mean_over_problems(table: pl.DataFrame, column: str, bootstrap: Bootstrap) -> tuple[float | None, ...]:
    """Mean, low and high end over resampled problems of a table with one row a problem; all None without rows.

    Values that are all alike have no ends: every draw would be the same and claim certainty, as of programs of which
    none has passed yet.
    """
    values = table[column].to_numpy()
    est, low, high = mean_with_interval(values, table["problem_id"].to_numpy(), bootstrap)
    return (est, None, None) if len(values) and np.ptp(values) == 0 else (est, low, high)

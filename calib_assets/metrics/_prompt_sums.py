"""Measures that are functions of sums over prompts, and their bootstrap (METHODS §4 and §5).

A mean over prompts, a ratio of two means, a weighted mean of Fisher's z: each needs only sums of a few columns
over the drawn prompts. So all draws of all measures are one product of matrices: how often each draw took each
prompt, times the columns.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from calib_assets.stats import Bootstrap, Estimate, from_draws, resampled_sums

SUMMARY_SCHEMA = {
    "measure": pl.String,
    "est": pl.Float64,
    "se": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n_prompts": pl.Int64,
    "n_left_out": pl.Int64,
}
PARTS = ("est", "se", "ci_low", "ci_high")


class PromptSums(NamedTuple):
    """Columns to be summed over prompts, and the measures as a function of the sums.

    Attributes:
        measures: Names of the measures.
        columns: One row per prompt; 0 where a prompt says nothing to a measure.
        of_sums: From sums ``[draws, columns]`` to values ``[draws, measures]``; NaN where undefined, infinite
            where there is no bound.
        is_defined: True where a prompt enters a measure.
    """

    measures: tuple[str, ...]
    columns: Float[np.ndarray, "prompts columns"]
    of_sums: Callable[[Float[np.ndarray, "draws columns"]], Float[np.ndarray, "draws measures"]]
    is_defined: Bool[np.ndarray, "prompts measures"]

    def of_all(self) -> Float[np.ndarray, "measures"]:
        """The measures of all prompts together."""
        return self.of_sums(self.columns.sum(axis=0, keepdims=True))[0]


def prompt_means(table: pl.DataFrame, measures: Sequence[str]) -> PromptSums:
    """Plain means over the prompts of a table; a null leaves its prompt out of that mean."""
    values = table.select(pl.col(name).cast(pl.Float64) for name in measures).to_numpy()
    is_defined = ~np.isnan(values)

    def of_sums(sums):
        totals, counts = np.split(sums, 2, axis=1)
        return ratio(totals, counts)

    return PromptSums(tuple(measures), np.hstack([np.where(is_defined, values, 0.0), is_defined]), of_sums, is_defined)


def summary_table(sums: PromptSums, bootstrap: Bootstrap) -> pl.DataFrame:
    """Estimate, standard error and interval of each measure over resampled prompts.

    Args:
        sums: The measures.
        bootstrap: How the intervals are made; all measures share the resampled prompts.

    Returns:
        Columns of `SUMMARY_SCHEMA`, one row per measure. Null where undefined or without bound; the standard
        error and the interval also where fewer than two prompts enter.
    """
    n_prompts = len(sums.columns)
    draws = None
    if n_prompts > 1:
        draws = sums.of_sums(resampled_sums(sums.columns, np.arange(n_prompts), bootstrap.n_boot, bootstrap.rng()))
    used = sums.is_defined.sum(axis=0)
    rows = [
        {"measure": name, **numbers, "n_prompts": int(count), "n_left_out": n_prompts - int(count)}
        for name, numbers, count in zip(
            sums.measures, estimates(sums.of_all(), draws, used, bootstrap.level), used, strict=True
        )
    ]
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")


def estimates(
    est: Float[np.ndarray, "measures"],
    draws: Float[np.ndarray, "draws measures"] | None,
    used: np.ndarray,
    level: float,
) -> list[dict[str, float | None]]:
    """``est``, ``se``, ``ci_low``, ``ci_high`` of each measure; None where not finite.

    One prompt alone is drawn equally in every draw: the spread is then None, not 0, and so it is of a measure
    that is itself undefined. ``used`` prompts enter each measure.
    """
    # Infinite draws (no bound) make infinite or undefined ends: those are what is asked for.
    with np.errstate(invalid="ignore"):
        found = from_draws(est, draws, int(used.max(initial=0)), level)
    rows = []
    for place, value in enumerate(est):
        row = {part: _number(found, part, place) for part in PARTS}
        if not np.isfinite(value) or used[place] < 2:
            row = dict.fromkeys(PARTS) | {"est": row["est"]}
        rows.append(row)
    return rows


def ratio(above, below):
    """above / below; NaN where both are 0, infinite where only ``below`` is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(above, below)


def _number(found: Estimate, part: str, place: int) -> float | None:
    values = getattr(found, part)
    return float(values[place]) if values is not None and np.isfinite(values[place]) else None

"""How entropy runs along rollouts, and how long they get (Paper B, Figures 2 and 3; METHODS §4)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from calib_assets.metrics._prompt_rows import check_rollout_columns, whole_prompts
from calib_assets.metrics._prompt_sums import ratio
from calib_assets.stats import Bootstrap, from_draws, resampled_sums

TRAJECTORY_SCHEMA = {
    "position": pl.Int64,
    "mean": pl.Float64,
    "se": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "active": pl.Int64,
    "active_share": pl.Float64,
}
LENGTH_SCHEMA = {"length": pl.Int64, "n": pl.Int64, "n_truncated": pl.Int64}
# Positions whose draws are held at once.
BLOCK = 512
# Lists of step entropies are long: fewer rows are read at once.
BATCH_ROWS = 500


class _PromptRun(NamedTuple):
    """Sum of step entropies and number of active rollouts at each position of one prompt's longest rollout."""

    sums: Float[np.ndarray, "positions"]
    active: Float[np.ndarray, "positions"]


def entropy_trajectory(rollouts: pl.DataFrame | pl.LazyFrame, bootstrap: Bootstrap = Bootstrap()) -> pl.DataFrame:
    r"""Mean step entropy at each position over the rollouts that reach it, with intervals over prompts.

    At position t the mean is over all rollouts with :math:`\tau \ge t`, whatever their prompt: late positions
    speak of the prompts with long rollouts alone. A draw of the bootstrap takes whole prompts, and divides
    the entropies that it drew at t by the rollouts that it drew there.

    Args:
        rollouts: prompt_id, length, step_entropy (nats, one a token; null where it was not recorded). A lazy
            table is read part by part; what is kept is two numbers for each prompt and position.
        bootstrap: How the intervals are made; all positions share the resampled prompts.

    Returns:
        Columns of `TRAJECTORY_SCHEMA`, positions from 1 to the longest length. ``active`` rollouts reach a
        position, ``active_share`` of those with step entropies. ``se``, ``ci_low`` and ``ci_high`` are null
        where fewer than two prompts are active. Rollouts without step entropies are left out; without any
        there are no rows.

    Raises:
        ValueError: If a column is missing, a prompt's rows stand in separate places, a rollout has not one
            entropy for each token, or an entropy is null or not finite.

    References:
        Paper B, Figure 2 and Appendix C.3.

    >>> rollouts = pl.DataFrame({"prompt_id": ["a", "b"], "length": [1, 2], "step_entropy": [[2.0], [1.0, 0.5]]})
    >>> entropy_trajectory(rollouts).select("position", "mean", "se", "active", "active_share").rows()[1]
    (2, 0.5, None, 1, 0.5)
    """
    runs, n_rollouts = [], 0
    for part in whole_prompts(rollouts, "rollouts", ("length", "step_entropy"), BATCH_ROWS):
        # A column without any list has no type of its own.
        recorded = part.drop_nulls("step_entropy").cast({"step_entropy": pl.List(pl.Float64)})
        n_rollouts += recorded.height
        runs += list(_runs(recorded))
    longest = max((run.sums.size for run in runs), default=0)
    tables = [pl.DataFrame(schema=TRAJECTORY_SCHEMA)]
    for start in range(0, longest, BLOCK):
        stop = min(start + BLOCK, longest)
        tables.append(_block(runs, start, stop, n_rollouts, bootstrap))
    return pl.concat(tables)


def length_distribution(rollouts: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """How many rollouts have each length.

    Args:
        rollouts: length, truncated; may be lazy.

    Returns:
        Columns of `LENGTH_SCHEMA`, by rising length; ``n_truncated`` of the ``n`` rollouts met the cap, null where
        ``truncated`` is null in all rows: not known.

    Raises:
        ValueError: If a column is missing, a length is null or below 1, or ``truncated`` is null in some rows only.

    >>> rollouts = pl.DataFrame({"length": [3, 1, 3], "truncated": [False, False, True]})
    >>> length_distribution(rollouts).rows()
    [(1, 1, 0), (3, 2, 1)]
    """
    check_rollout_columns(rollouts, "rollouts", ("length", "truncated"))
    truncated = pl.col("truncated")
    counts = rollouts.lazy().group_by("length").agg(
        n=pl.len(), n_truncated=truncated.sum(), n_unknown=truncated.null_count()
    )
    found = counts.collect(engine="streaming").sort("length", nulls_last=False)
    if found.height and (found["length"][0] is None or found["length"][0] < 1):
        raise ValueError(f"rollouts holds the length {found['length'][0]}; a rollout has at least one step")
    unknown = found["n_unknown"].sum()
    if unknown and unknown == found["n"].sum():
        found = found.with_columns(n_truncated=None)
    elif unknown:
        raise ValueError(f"rollouts holds {unknown} rows where truncated is null; say of each whether it met the cap")
    return found.select(pl.col(name).cast(dtype) for name, dtype in LENGTH_SCHEMA.items())


def _runs(part: pl.DataFrame) -> Iterator[_PromptRun]:
    """One for each prompt of a part, in order."""
    counts = part["step_entropy"].list.len().cast(pl.Int64)
    wrong = part.filter(~(counts == part["length"]).fill_null(False) | (counts == 0))
    if wrong.height:
        prompt, length, entropies = wrong.select("prompt_id", "length", "step_entropy").row(0)
        raise ValueError(
            f"rollouts holds {len(entropies)} step entropies for length {length} of prompt {prompt!r}; "
            "give one for each token, the EOS step included"
        )
    for (prompt,), group in part.group_by("prompt_id", maintain_order=True):
        entropies = group["step_entropy"].list.explode(keep_nulls=True, empty_as_null=True).to_numpy()
        if not np.isfinite(entropies).all():
            raise ValueError(f"rollouts holds a step entropy of prompt {prompt!r} that is null, NaN or infinite")
        lengths = group["length"].to_numpy()
        before = np.cumsum(lengths) - lengths
        position = np.arange(entropies.size) - np.repeat(before, lengths)
        yield _PromptRun(np.bincount(position, entropies), np.bincount(position).astype(np.float64))


def _block(runs: list[_PromptRun], start: int, stop: int, n_rollouts: int, bootstrap: Bootstrap) -> pl.DataFrame:
    """Rows of the positions from ``start`` (0-based) to before ``stop``."""
    width = stop - start
    columns = np.zeros((len(runs), 2 * width))
    for row, run in zip(columns, runs, strict=True):
        sums, active = run.sums[start:stop], run.active[start:stop]
        row[: sums.size], row[width : width + active.size] = sums, active
    totals = columns.sum(axis=0)
    mean, active = totals[:width] / totals[width:], totals[width:]
    draws = None
    if len(runs) > 1:
        # A fresh generator draws the same prompts for every block.
        sums = resampled_sums(columns, np.arange(len(runs)), bootstrap.n_boot, bootstrap.rng())
        draws = ratio(sums[:, :width], sums[:, width:])
    found = from_draws(mean, draws, len(runs), bootstrap.level)
    # One active prompt is drawn equally in every draw: its spread is unknown, not 0.
    known = (columns[:, width:] > 0).sum(axis=0) >= 2
    spread = {
        name: pl.repeat(None, width, dtype=pl.Float64, eager=True)
        if values is None
        else pl.Series(np.where(known, values, np.nan)).fill_nan(None)
        for name, values in (("se", found.se), ("ci_low", found.ci_low), ("ci_high", found.ci_high))
    }
    table = {
        "position": np.arange(start + 1, stop + 1),
        "mean": mean,
        **spread,
        "active": active.astype(np.int64),
        "active_share": active / n_rollouts,
    }
    return pl.DataFrame(table, schema=TRAJECTORY_SCHEMA)

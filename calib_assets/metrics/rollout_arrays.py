"""The canopy study's measures of plain arrays of rollouts, for notebooks (Paper B, §3; METHODS §4).

The tables of a study go through `canopy.py` and `length_entropy.py`; these functions make such tables and do the
same.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Float, Int, Shaped

from calib_assets.metrics.canopy import ROUNDING, canopy_summary, prompt_measures
from calib_assets.metrics.length_entropy import correlation_summary, prompt_correlations
from calib_assets.stats import Bootstrap


@dataclass(frozen=True, eq=False)
class CanopyMeasures:
    """Canopy entropy and its forms, of arrays of rollouts.

    Attributes:
        canopy_entropy: E[S], nats.
        gen_ppl: exp(E[S] / E[τ]).
        branching_factor: exp(E[S/τ]).
        mean_length: E[τ].
        mean_entropy_rate: E[S/τ], nats.
        length_driven: E[τ]·E[S/τ], nats.
        covariance_part: E[S] − E[τ]·E[S/τ], nats.
        n_prompts: Number of prompts.
        n_rollouts: Number of rollouts.
        summary: The same with standard errors and intervals, one row per measure.

    >>> found = canopy_measures([2.0, 6.0], [4, 4])
    >>> found.canopy_entropy, found.mean_entropy_rate, bool(found.gen_ppl == np.exp(4 / 4))
    (4.0, 1.0, True)
    >>> found.summary.filter(measure="mean_length").select("est", "ci_low").row(0)  # one prompt: no interval
    (4.0, None)
    """

    canopy_entropy: float
    gen_ppl: float
    branching_factor: float
    mean_length: float
    mean_entropy_rate: float
    length_driven: float
    covariance_part: float
    n_prompts: int
    n_rollouts: int
    summary: pl.DataFrame = field(repr=False)


def canopy_measures(
    sequence_entropy: Float[np.ndarray, "rollouts"],
    length: Int[np.ndarray, "rollouts"],
    prompts: Shaped[np.ndarray, "rollouts"] | None = None,
    bootstrap: Bootstrap = Bootstrap(),
) -> CanopyMeasures:
    """Canopy entropy, generation perplexity and branching factor of arrays, for notebooks.

    Args:
        sequence_entropy: S of each rollout, the sum of its step entropies in nats.
        length: τ of each rollout, the EOS step counted.
        prompts: Prompt of each rollout, numbers or strings in any order; all of one prompt by default.
        bootstrap: How the intervals are made; prompts are resampled, in the order of their first rollouts.

    Returns:
        The estimates; ``summary`` has their intervals, null for a single prompt.

    Raises:
        ValueError: If there are no rollouts, lengths of the arrays differ, an entropy is not finite or
            negative, or a length is below 1.

    References:
        Paper B, Definitions 1 to 3.

    >>> found = canopy_measures(np.array([1.0, 3.0, 2.0]), np.array([2, 4, 8]), np.array(["a", "a", "b"]))
    >>> found.canopy_entropy, found.mean_length, found.n_prompts  # (2 + 2) / 2, (3 + 8) / 2
    (2.0, 5.5, 2)
    """
    table = _table(prompts, sequence_entropy=sequence_entropy, length=length)
    _check_numbers("sequence_entropy", sequence_entropy, -ROUNDING, " and not negative")
    _check_numbers("length", length, 1, " and at least 1, the EOS step")
    rate = pl.col("sequence_entropy") / pl.col("length")
    by_prompt = prompt_measures(table.with_columns(entropy_rate=rate, truncated=False), None)
    summary = canopy_summary(by_prompt, entropy_ranks=None, bootstrap=bootstrap)
    summary = summary.filter(~pl.col("measure").is_in(["truncation_rate", "bias_bound"]))
    values = dict(summary.select("measure", "est").iter_rows())
    return CanopyMeasures(**values, n_prompts=by_prompt.height, n_rollouts=table.height, summary=summary)


@dataclass(frozen=True, eq=False)
class LengthEntropyCorrelation:
    """Aggregated correlation of length and entropy rate, of arrays of rollouts.

    Attributes:
        pearson: By Fisher's z, weights n − 3; None where no prompt has a correlation and a weight.
        spearman: As ``pearson``.
        kendall: Weighted by numbers of pairs; None where no prompt has one.
        covariance: Weighted by n − 1, nats.
        summary: The same with standard errors and intervals, and how many prompts enter and are left out.
        prompts: The numbers of each prompt, with the reason where there are none.

    >>> found = length_entropy_correlation([1, 2, 1, 2], [0.1, 0.2, 0.5, 0.5], ["a", "a", "b", "b"])
    >>> found.prompts.select("n_rollouts", "kendall", "reason").rows()
    [(2, 1.0, None), (2, None, 'no variation in entropy rate')]
    """

    pearson: float | None
    spearman: float | None
    kendall: float | None
    covariance: float | None
    summary: pl.DataFrame = field(repr=False)
    prompts: pl.DataFrame = field(repr=False)


def length_entropy_correlation(
    length: Int[np.ndarray, "rollouts"],
    entropy_rate: Float[np.ndarray, "rollouts"],
    prompts: Shaped[np.ndarray, "rollouts"] | None = None,
    bootstrap: Bootstrap = Bootstrap(),
) -> LengthEntropyCorrelation:
    """Length–entropy correlation of arrays, for notebooks.

    Args:
        length: τ of each rollout, the EOS step counted.
        entropy_rate: S/τ of each rollout, nats.
        prompts: Prompt of each rollout, numbers or strings in any order; all of one prompt by default.
        bootstrap: How the intervals are made; prompts are resampled, in the order of their first rollouts.

    Returns:
        The aggregates of `correlation_summary`, and the tables behind them (prompts by number of their first
        rollout).

    Raises:
        ValueError: If there are no rollouts, lengths of the arrays differ, or a number is not finite.

    References:
        Paper B, Definitions 4 and 5.

    >>> found = length_entropy_correlation([2, 3, 4, 7], [0.1, 0.3, 0.2, 0.5])
    >>> round(found.kendall, 12)  # 5 pairs agree, 1 does not
    0.666666666667
    """
    table = _table(prompts, length=length, entropy_rate=entropy_rate)
    by_prompt = prompt_correlations(table)
    summary = correlation_summary(by_prompt, bootstrap)
    values = dict(summary.select("measure", "est").iter_rows())
    return LengthEntropyCorrelation(**values, summary=summary, prompts=by_prompt)


def _table(prompts: Shaped[np.ndarray, "rollouts"] | None, **columns) -> pl.DataFrame:
    """A table of the arrays with prompt_id, the rollouts of a prompt together, prompts by first appearance."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    count = next(iter(arrays.values())).size
    arrays["prompts"] = np.zeros(count, dtype=int) if prompts is None else np.asarray(prompts)
    for name, values in arrays.items():
        if values.shape != (count,) or not count:
            raise ValueError(f"{name} has shape {values.shape}; give one entry for each of {count or 'some'} rollouts")
        if name != "prompts":
            _check_numbers(name, values)
    _, first, member = np.unique(arrays.pop("prompts"), return_index=True, return_inverse=True)
    place = first[member]
    return pl.DataFrame({"prompt_id": place.astype(str), **arrays})[np.argsort(place, kind="stable")]


def _check_numbers(name: str, values, lowest: float = -np.inf, remedy: str = "") -> None:
    """Refuse what is no number of a rollout, by the argument's name and the entry's place."""
    values = np.asarray(values)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {values.dtype}; give a number for each rollout, without missing ones")
    wrong = ~np.isfinite(values) | (values < lowest)
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(f"{name}[{place}] is {values[place]}; it must be finite{remedy}")

r"""How a rollout's entropy rate goes with its length, within prompts (Paper B, §3.3; METHODS §4).

Here belong the correlations of each prompt and their aggregates. The part of canopy entropy that is owed to
length and rate moving together across *all* rollouts is ``covariance_part`` in `canopy.py`, another number.
"""

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.stats import rankdata

from calib_assets.metrics._prompt_rows import whole_prompts
from calib_assets.metrics._prompt_sums import PromptSums, ratio, summary_table
from calib_assets.metrics._tables import check_columns
from calib_assets.metrics.kendall import kendall_tau, over_groups
from calib_assets.stats import Bootstrap

MEASURES = ("pearson", "spearman", "kendall", "covariance")
CORRELATION_SCHEMA = {
    "prompt_id": pl.String,
    "n_rollouts": pl.Int64,
    "pearson": pl.Float64,
    "spearman": pl.Float64,
    "kendall": pl.Float64,
    "covariance": pl.Float64,
    "reason": pl.String,
}
ONE, SAME_LENGTH, SAME_RATE = "one rollout", "no variation in length", "no variation in entropy rate"
# Fisher's z of a perfect correlation is infinite; METHODS §4 clips here.
CLIP = 0.999999
# Rates of equal steps differ in their last digits: a spread of this share of the size is rounding.
ROUNDING = 1e-12


def prompt_correlations(rollouts: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    r"""Correlations and covariance of length and entropy rate over the rollouts of each prompt.

    Pearson's r, Spearman's :math:`\rho` (of mid-ranks), Kendall's :math:`\tau_b`, and the covariance (nats per
    token times tokens, ddof 1).

    Args:
        rollouts: prompt_id, length, entropy_rate (nats); the rows of a prompt stand together. A lazy table is
            read part by part.

    Returns:
        Columns of `CORRELATION_SCHEMA`, one row per prompt, in the table's order. All four are null where
        ``reason`` says why: one rollout, lengths that are all the same, or rates that are (to 12 digits). Such
        a prompt's covariance would be 0, but it has no part in the aggregates either (METHODS §4).

    Raises:
        ValueError: If a column is missing, a prompt's rows stand in separate places, or a number is missing or
            not finite.

    References:
        Paper B, Definition 4 and Algorithm 2.

    >>> rollouts = pl.DataFrame({"prompt_id": ["a"] * 3 + ["b"], "length": [1, 2, 3, 5],
    ...                          "entropy_rate": [1.0, 3.0, 2.0, 1.0]})
    >>> prompt_correlations(rollouts).select("pearson", "spearman", "covariance", "reason").rows()
    [(0.5, 0.5, 0.5, None), (None, None, None, 'one rollout')]
    """
    parts = [pl.DataFrame(schema=CORRELATION_SCHEMA)]
    for part in whole_prompts(rollouts, "rollouts", ("length", "entropy_rate")):
        numbers = part.select(pl.col("length", "entropy_rate").cast(pl.Float64)).to_numpy()
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            name, prompt = ("length", "entropy_rate")[column], part["prompt_id"][row]
            raise ValueError(f"rollouts holds {name} {part[name][row]} for prompt {prompt!r}; it must be finite")
        runs = part["prompt_id"].rle()
        sizes = runs.struct.field("len").to_numpy()
        found = over_groups(_correlations, *numbers.T, np.repeat(np.arange(sizes.size), sizes))
        reasons = np.array([None, ONE, SAME_LENGTH, SAME_RATE], dtype=object)[found[:, 4].astype(int)]
        values = {name: pl.Series(found[:, place]).fill_nan(None) for place, name in enumerate(MEASURES)}
        table = {"prompt_id": runs.struct.field("value"), "n_rollouts": sizes, **values, "reason": reasons.tolist()}
        parts.append(pl.DataFrame(table, schema_overrides=CORRELATION_SCHEMA).select(list(CORRELATION_SCHEMA)))
    return pl.concat(parts).cast(CORRELATION_SCHEMA)


def correlation_summary(prompt_correlations: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()) -> pl.DataFrame:
    r"""Correlations of a cell: weighted means over prompts, with intervals.

    Of a prompt with n rollouts, Pearson's and Spearman's coefficients enter as Fisher's
    :math:`z = \operatorname{artanh}(\rho)`, clipped at :math:`|\rho| = 0.999999`, with weight n − 3, and the
    mean z is turned back by tanh; Kendall's enters as it is with weight n(n − 1)/2, the covariance with n − 1.

    Args:
        prompt_correlations: The table of `prompt_correlations`.
        bootstrap: How the intervals are made; all measures share the resampled prompts.

    Returns:
        Columns of `SUMMARY_SCHEMA`; one row each for pearson, spearman, kendall and covariance. Prompts with
        a null and, of Pearson and Spearman, those with at most 3 rollouts (no weight) are in ``n_left_out``.

    Raises:
        ValueError: If a column is missing.

    References:
        Paper B, Definition 5 and Algorithm 2.

    >>> prompts = pl.DataFrame({"prompt_id": ["a", "b"], "n_rollouts": [4, 5], "pearson": [0.0, 0.6],
    ...     "spearman": [0.1, 0.1], "kendall": [0.2, 0.5], "covariance": [1.0, 8.0]})
    >>> correlation_summary(prompts).select("measure", "est").rows()[2:]  # (6 * 0.2 + 10 * 0.5) / 16
    [('kendall', 0.3875), ('covariance', 5.0)]
    """
    return summary_table(correlation_sums(prompt_correlations), bootstrap)


def correlation_sums(prompt_correlations: pl.DataFrame) -> PromptSums:
    """`MEASURES` as functions of sums over prompts."""
    needed = ("prompt_id", "n_rollouts", *MEASURES)
    check_columns(prompt_correlations, "prompt_correlations", needed, "pass the table of prompt_correlations")
    values = prompt_correlations.select(pl.col(name).cast(pl.Float64) for name in MEASURES).to_numpy().copy()
    # A prompt that only another table has counts no rollouts here.
    n = prompt_correlations["n_rollouts"].cast(pl.Float64).fill_null(0).to_numpy()
    values[:, :2] = np.arctanh(np.clip(values[:, :2], -CLIP, CLIP))
    weights = np.stack([n - 3, n - 3, n * (n - 1) / 2, n - 1], axis=1)
    is_defined = ~np.isnan(values) & (weights > 0)
    weights = np.where(is_defined, weights, 0.0)

    def of_sums(sums):
        found = ratio(sums[:, :4], sums[:, 4:])
        found[:, :2] = np.tanh(found[:, :2])
        return found

    return PromptSums(MEASURES, np.hstack([weights * np.where(is_defined, values, 0.0), weights]), of_sums, is_defined)


def _correlations(length, rate) -> Float[np.ndarray, "prompts 5"]:
    """The four measures (NaN: undefined) and the number of the reason, of prompts with equally many rollouts."""
    n = length.shape[1]
    is_alike = [_is_constant(length), _is_constant(rate)]
    reason = np.full(len(length), 1.0) if n < 2 else np.select(is_alike, [2.0, 3.0], 0.0)
    found = np.full((len(length), 4), np.nan)
    varied = reason == 0
    if varied.any():
        length, rate = length[varied], rate[varied]
        ranks = [rankdata(values, axis=1) for values in (length, rate)]
        covariance = (_centred(length) * _centred(rate)).sum(axis=1) / (n - 1)
        found[varied] = np.stack([_pearson(length, rate), _pearson(*ranks), kendall_tau(length, rate), covariance], 1)
    return np.column_stack([found, reason])


def _pearson(x, y) -> Float[np.ndarray, "prompts"]:
    """Of each row; neither is constant."""
    x, y = _centred(x), _centred(y)
    # Scaled by the largest first: squares of tiny differences would leave the range of floats.
    x /= np.abs(x).max(axis=1, keepdims=True)
    y /= np.abs(y).max(axis=1, keepdims=True)
    found = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.clip(found, -1, 1)


def _centred(values):
    return values - values.mean(axis=1, keepdims=True)


def _is_constant(values) -> np.ndarray:
    return np.ptp(values, axis=1) <= ROUNDING * np.abs(values).max(axis=1)

r"""Canopy entropy and its two normalised forms: the size of the space of whole rollouts (Paper B, §3; METHODS §4).

Here belong measures of a rollout's total entropy and length, of each prompt and of a cell. How entropy runs
along a rollout is in `trajectories.py`, how it goes with length in `length_entropy.py`. Entropies in nats.
"""

from math import log

import numpy as np
import polars as pl

from calib_assets.metrics._prompt_rows import whole_prompts
from calib_assets.metrics._prompt_sums import PromptSums, ratio, summary_table
from calib_assets.metrics._tables import check_columns
from calib_assets.stats import Bootstrap

PROMPT_SCHEMA = {
    "prompt_id": pl.String,
    "n_rollouts": pl.Int64,
    "canopy_entropy": pl.Float64,
    "mean_length": pl.Float64,
    "mean_entropy_rate": pl.Float64,
    "var_sequence_entropy": pl.Float64,
    "var_length": pl.Float64,
    "var_entropy_rate": pl.Float64,
    "truncation_rate": pl.Float64,
    "tail_ended": pl.Int64,
    "tail_exposure": pl.Int64,
}
MEASURES = (
    "canopy_entropy",
    "gen_ppl",
    "branching_factor",
    "mean_length",
    "mean_entropy_rate",
    "truncation_rate",
    "length_driven",
    "covariance_part",
    "bias_bound",
)
# An entropy that rounding made negative is taken; one below this is no entropy.
ROUNDING = 1e-6
_ROLLOUT = ("sequence_entropy", "length", "entropy_rate", "truncated")
_SUMMED = ("canopy_entropy", "mean_length", "mean_entropy_rate", "truncation_rate", "tail_ended", "tail_exposure")


def prompt_measures(rollouts: pl.DataFrame | pl.LazyFrame, max_new_tokens: int | None) -> pl.DataFrame:
    r"""Means and variances over the rollouts of each prompt.

    With :math:`S = \sum_{t \le \tau} H_t` the entropy of a rollout and :math:`\tau` its length, the canopy
    entropy of a prompt is the mean of S; ``var_…`` are sample variances (ddof 1) over its rollouts.

    The last quarter of the positions before the cap T, those after :math:`T - \max(1, \lfloor T/4 \rfloor)`,
    shows how fast long rollouts end: ``tail_exposure`` counts the steps that rollouts made there, and
    ``tail_ended`` the rollouts that ended there by themselves.

    Args:
        rollouts: prompt_id, sequence_entropy (nats), length (counts the EOS step), entropy_rate (their
            quotient), truncated (null in all rows: not known); the rows of a prompt stand together. A lazy table is
            read part by part.
        max_new_tokens: T, the cap of the rollouts; None where it is not known: the tail is then null.

    Returns:
        Columns of `PROMPT_SCHEMA`, one row per prompt, in the table's order. Variances are null for a prompt
        with one rollout, the truncation rate and what ended in the tail where truncation is not known.

    Raises:
        ValueError: If a column is missing, a prompt's rows stand in separate places, a number is missing, not
            finite or negative, a length is below 1 or above the cap, or truncation is known of some rollouts only.

    References:
        Paper B ("Canopy Entropy"), Definition 1 and Algorithm 1.

    >>> rollouts = pl.DataFrame({"prompt_id": ["a", "a"], "sequence_entropy": [2.0, 4.0], "length": [2, 8],
    ...                          "entropy_rate": [1.0, 0.5], "truncated": [False, True]})
    >>> prompt_measures(rollouts, 8).select("canopy_entropy", "var_length", "tail_ended", "tail_exposure").row(0)
    (3.0, 18.0, 0, 2)
    """
    if max_new_tokens is not None and max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; a rollout has at least one step")
    # Without a cap nothing is at risk in its last quarter: nulls, which are not zeros.
    start = None if max_new_tokens is None else max_new_tokens - max(1, max_new_tokens // 4)
    beyond = pl.col("length") - pl.lit(start, pl.Int64)
    ended = (beyond > 0) & ~pl.col("truncated")
    parts = [pl.DataFrame(schema=PROMPT_SCHEMA)]
    for part in whole_prompts(rollouts, "rollouts", _ROLLOUT):
        _check_rollouts(part, max_new_tokens)
        measured = part.group_by("prompt_id", maintain_order=True).agg(
            n_rollouts=pl.len(),
            canopy_entropy=pl.col("sequence_entropy").mean(),
            mean_length=pl.col("length").mean(),
            mean_entropy_rate=pl.col("entropy_rate").mean(),
            var_sequence_entropy=pl.col("sequence_entropy").var(),
            var_length=pl.col("length").cast(pl.Float64).var(),
            var_entropy_rate=pl.col("entropy_rate").var(),
            truncation_rate=pl.col("truncated").mean(),
            tail_ended=pl.when(pl.col("truncated").null_count() == 0).then(ended.sum()) if start is not None else None,
            tail_exposure=beyond.clip(lower_bound=0).sum() if start is not None else None,
        )
        parts.append(measured.select(pl.col(name).cast(dtype) for name, dtype in PROMPT_SCHEMA.items()))
    return pl.concat(parts)


def canopy_summary(
    prompt_measures: pl.DataFrame,
    *,
    entropy_ranks: int | None,
    max_new_tokens: int | None = None,
    bootstrap: Bootstrap = Bootstrap(),
) -> pl.DataFrame:
    r"""Canopy entropy of a cell, its normalised forms and its parts, with intervals over prompts.

    With E the mean over rollouts within a prompt and then over prompts (each prompt one vote):

    - ``canopy_entropy`` :math:`CE = E[S]`, ``mean_length`` :math:`E[\tau]`, ``mean_entropy_rate``
      :math:`E[r]` with :math:`r = S/\tau`, ``truncation_rate`` the share of rollouts that met the cap;
    - ``gen_ppl`` :math:`\exp(CE / E[\tau])`: choices at a typical token;
    - ``branching_factor`` :math:`\exp(E[r])`: choices at a token of a typical rollout;
    - ``length_driven`` :math:`E[\tau] E[r]` and ``covariance_part`` :math:`CE - E[\tau] E[r]`;
    - ``bias_bound`` :math:`\ln K \cdot E[(\tau - T)_+]`, what the cap T can have cut off of CE. The excess is
      the truncation rate over the hazard of the last quarter before T (rollouts that ended there by step made
      there, all prompts together), as if every later step ended a rollout with that probability. It is 0
      where nothing was truncated, and null where something was but nothing ended in the last quarter.

    Args:
        prompt_measures: The table of `prompt_measures`.
        entropy_ranks: K, the number of candidates that step entropies are taken over; None where unknown.
        max_new_tokens: T, to check that the table was made under it; None skips the check.
        bootstrap: How the intervals are made; all measures share the resampled prompts.

    Returns:
        Columns of `SUMMARY_SCHEMA`, one row for each of `MEASURES`. With one prompt the standard errors and
        intervals are null, with none everything. A draw without a bound counts as infinite: where such draws
        reach into the interval of the bound, its end is null.

    Raises:
        ValueError: If a column is missing, a mean length exceeds the cap, or ``entropy_ranks`` is below 1.

    References:
        Paper B, Definitions 1 to 3, Remark 4.1 and Appendix C.3.

    >>> measures = pl.DataFrame({"prompt_id": ["a", "b"], "canopy_entropy": [1.0, 3.0], "mean_length": [2.0, 6.0],
    ...     "mean_entropy_rate": [0.5, 0.7], "truncation_rate": [0.0, 0.0], "tail_ended": [0, 0],
    ...     "tail_exposure": [0, 0]})
    >>> summary = canopy_summary(measures, entropy_ranks=100)
    >>> {row["measure"]: round(row["est"], 3) for row in summary.iter_rows(named=True)}["gen_ppl"]  # exp(2 / 4)
    1.649
    """
    if max_new_tokens is not None and prompt_measures["mean_length"].max() is not None:
        longest = prompt_measures["mean_length"].max()
        if longest > max_new_tokens:
            raise ValueError(
                f"max_new_tokens is {max_new_tokens} but prompt_measures holds the mean length {longest}; "
                "pass the cap that the rollouts were made with"
            )
    return summary_table(canopy_sums(prompt_measures, entropy_ranks), bootstrap)


def canopy_sums(prompt_measures: pl.DataFrame, entropy_ranks: int | None) -> PromptSums:
    """`MEASURES` as functions of sums over prompts; a prompt with a null canopy entropy enters none of them."""
    remedy = "pass the table of prompt_measures"
    check_columns(prompt_measures, "prompt_measures", ("prompt_id", *_SUMMED), remedy)
    if entropy_ranks is not None and entropy_ranks < 1:
        raise ValueError(f"entropy_ranks is {entropy_ranks}; an entropy is over at least one candidate")
    most = np.nan if entropy_ranks is None else log(entropy_ranks)
    values = prompt_measures.select(pl.col(name).cast(pl.Float64) for name in _SUMMED).to_numpy()
    is_defined = ~np.isnan(values[:, :1])
    columns = np.where(is_defined, np.hstack([values, np.ones((len(values), 1))]), 0.0)

    def of_sums(sums):
        ended, exposure, n = sums[:, 4:].T
        entropy, length, rate, truncated = ratio(sums[:, :4], n[:, None]).T
        with np.errstate(over="ignore", invalid="ignore"):  # infinite or NaN, and null in the table
            perplexity, branching = np.exp(entropy / length), np.exp(rate)
            excess = truncated * ratio(exposure, ended)
            # Without truncation nothing was cut off, even where K or the hazard is unknown.
            bound = np.where(truncated == 0, 0.0, most * excess)
        driven = length * rate
        found = (entropy, perplexity, branching, length, rate, truncated, driven, entropy - driven, bound)
        return np.stack(found, axis=1)

    return PromptSums(MEASURES, columns, of_sums, np.repeat(is_defined, len(MEASURES), axis=1))


def _check_rollouts(part: pl.DataFrame, max_new_tokens: int | None) -> None:
    """Raise ValueError at the first rollout whose numbers cannot be."""
    below_cap = pl.lit(True) if max_new_tokens is None else pl.col("length") <= max_new_tokens
    partly = pl.col("truncated").is_not_null().any()
    lengths = f"a length is 1 or more{'' if max_new_tokens is None else f', and at most the cap {max_new_tokens}'}"
    wanted = {
        "sequence_entropy": (pl.col("sequence_entropy") >= -ROUNDING, "an entropy is finite and not negative"),
        "entropy_rate": (pl.col("entropy_rate") >= -ROUNDING, "an entropy rate is finite and not negative"),
        "length": ((pl.col("length") >= 1) & below_cap, lengths),
        "truncated": (~partly | pl.col("truncated").is_not_null(), "say of every rollout whether it met the cap"),
    }
    for name, (is_right, remedy) in wanted.items():
        value = pl.col(name)
        is_right = is_right & (value.is_finite() if part.schema[name].is_float() else pl.lit(True))
        wrong = part.filter(~is_right.fill_null(False))
        if wrong.height:
            prompt, bad = wrong.select("prompt_id", name).row(0)
            raise ValueError(f"rollouts holds {name} {bad} for prompt {prompt!r}; {remedy}")

r"""Where the variance of an estimate comes from, and the cheapest study that would reach a wanted precision.

Paper B, Theorem 4: with P prompts and m rollouts of each, :math:`Var = (Var_X \mu + E\,Var/m) / P`. More
rollouts lower only the second part, so there is a best number of them (METHODS §4).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from calib_assets.metrics._tables import check_columns

# A measure, and the column of prompt_measures with the variance of its rollouts.
MEASURES = {
    "canopy_entropy": "var_sequence_entropy",
    "mean_length": "var_length",
    "mean_entropy_rate": "var_entropy_rate",
}
SPLIT_SCHEMA = {
    "measure": pl.String,
    "n_prompts": pl.Int64,
    "n_rollouts": pl.Float64,
    "between": pl.Float64,
    "within": pl.Float64,
    "floored": pl.Boolean,
    "se": pl.Float64,
}
DESIGN_SCHEMA = {
    "measure": pl.String,
    "relative_se": pl.Float64,
    "wanted_se": pl.Float64,
    "prompts": pl.Int64,
    "rollouts": pl.Int64,
    "forward_tokens": pl.Float64,
    "reason": pl.String,
}
FLOORED = "no variance between prompts was found: with other prompts there may be some, so take more of them"
# 100.00000000000001 prompts are 100: the share that rounding may add to a quotient.
ROUNDING = 1e-12


def variance_split(prompt_measures: pl.DataFrame) -> pl.DataFrame:
    r"""Variance between prompts and within them, of canopy entropy, length and entropy rate.

    With :math:`\bar x_p` and :math:`s_p^2` the mean and sample variance of the :math:`m_p` rollouts of prompt
    p, the part within is the mean :math:`s_p^2`, and the part between is the sample variance of the
    :math:`\bar x_p` less the mean of :math:`s_p^2 / m_p`, which sampling adds to it; unbiased, floored at 0.

    Args:
        prompt_measures: The table of `prompt_measures`.

    Returns:
        Columns of `SPLIT_SCHEMA`, one row per measure. ``n_rollouts`` is the harmonic mean of :math:`m_p`;
        ``floored`` says that ``between`` would be negative; ``se`` is the root of (between + mean
        :math:`s_p^2 / m_p`) / P. Null: ``between`` and ``se`` with one prompt; ``within``, ``between`` and
        ``floored`` where every prompt has one rollout (``se`` then comes from the means alone). A prompt with
        one rollout among others takes the mean variance of those.

    Raises:
        ValueError: If a column is missing.

    References:
        Paper B, Theorem 4.

    >>> measures = pl.DataFrame({"prompt_id": ["a", "b"], "n_rollouts": [4, 4], "canopy_entropy": [1.0, 5.0],
    ...     "mean_length": [2.0, 2.0], "mean_entropy_rate": [0.5, 0.5], "var_sequence_entropy": [2.0, 6.0],
    ...     "var_length": [1.0, 1.0], "var_entropy_rate": [0.0, 0.0]})
    >>> variance_split(measures).select("between", "within", "floored", "se").rows()[:2]  # 8 - 4 / 4; 0 - 1 / 4
    [(7.0, 4.0, False, 2.0), (0.0, 1.0, True, 0.3535533905932738)]
    """
    needed = ("n_rollouts", *MEASURES, *MEASURES.values())
    check_columns(prompt_measures, "prompt_measures", needed, "pass the table of prompt_measures")
    rows = []
    for measure, variance in MEASURES.items():
        known = prompt_measures.drop_nulls(measure)
        means, m = known[measure].to_numpy(), known["n_rollouts"].to_numpy()
        row = dict.fromkeys(SPLIT_SCHEMA) | {"measure": measure, "n_prompts": means.size}
        if means.size:
            row["n_rollouts"] = means.size / float((1 / m).sum())
            row |= _split(means, m, known[variance].to_numpy())
        rows.append(row)
    return pl.DataFrame(rows, schema=SPLIT_SCHEMA, orient="row")


def cheapest_design(
    split: pl.DataFrame,
    summary: pl.DataFrame,
    *,
    context_tokens: float,
    mean_length: float,
    relative_se: Sequence[float] = (0.1, 0.05, 0.02),
    max_rollouts: int = 1000,
) -> pl.DataFrame:
    """The numbers of prompts and rollouts that reach a wanted standard error with the fewest forward tokens.

    A design of P prompts with m rollouts each has the standard error of `variance_split` and costs
    P · (context_tokens + m · mean_length) tokens: a context is read once, whatever is sampled from it. All m
    up to ``max_rollouts`` are tried, each with the fewest prompts that reach the error.

    Args:
        split: The table of `variance_split`.
        summary: The table of `canopy_summary`; the wanted error is a share of its estimate's size.
        context_tokens: Mean number of tokens of a prompt's context, not negative.
        mean_length: Mean number of tokens of a rollout, positive.
        relative_se: Wanted standard errors as shares of the estimate, positive.
        max_rollouts: Most rollouts of a prompt.

    Returns:
        Columns of `DESIGN_SCHEMA`, one row per measure and share. Of designs that cost the same that with
        fewer rollouts of more prompts. Numbers are null where no design can be named; ``reason`` then says
        why, and also where the variance between prompts was floored: the design is then too hopeful.

    Raises:
        ValueError: If a column is missing or a number out of range.

    >>> split = pl.DataFrame({"measure": ["canopy_entropy"], "between": [1.0], "within": [4.0], "floored": [False]})
    >>> summary = pl.DataFrame({"measure": ["canopy_entropy"], "est": [10.0]})
    >>> found = cheapest_design(split, summary, context_tokens=90, mean_length=10, relative_se=[0.1])
    >>> found.select("wanted_se", "prompts", "rollouts", "forward_tokens").row(0)  # (1 + 4 / 6) / 2 < 1
    (1.0, 2, 4, 260.0)
    """
    check_columns(split, "split", ("measure", "between", "within", "floored"), "pass the table of variance_split")
    check_columns(summary, "summary", ("measure", "est"), "pass the table of canopy_summary")
    if not 0 <= context_tokens < np.inf or not 0 < mean_length < np.inf:
        raise ValueError(
            f"context_tokens is {context_tokens} and mean_length {mean_length}; "
            "give the mean number of tokens of a context, and of a rollout (more than 0)"
        )
    if not all(0 < share < np.inf for share in relative_se):
        raise ValueError(f"relative_se is {tuple(relative_se)}; a share of the estimate is positive, as 0.05")
    if max_rollouts < 1:
        raise ValueError(f"max_rollouts is {max_rollouts}; a prompt has at least one rollout")
    found = dict(summary.select("measure", "est").iter_rows())
    costs = context_tokens + np.arange(1, max_rollouts + 1) * mean_length
    rows = []
    for part in split.iter_rows(named=True):
        est, reason = found.get(part["measure"]), None
        if part["between"] is None or part["within"] is None or est is None:
            reason = "the variances are unknown: at least two prompts, and two rollouts of one, are needed"
        elif est == 0 and (part["between"] or part["within"]):
            reason = "the estimate is 0, and no error is a share of that"
        for share in relative_se:
            wanted = None if est is None else float(share) * abs(est)
            row = dict.fromkeys(DESIGN_SCHEMA) | {"measure": part["measure"], "relative_se": float(share)}
            row |= {"wanted_se": wanted, "reason": reason}
            if reason is None:
                row |= _cheapest(part["between"], part["within"], wanted, costs)
                row["reason"] = FLOORED if part["floored"] else None
            rows.append(row)
    return pl.DataFrame(rows, schema=DESIGN_SCHEMA, orient="row")


def _split(means, m, variances) -> dict[str, float | bool | None]:
    """The parts from each prompt's mean, number of rollouts and variance (NaN for one rollout)."""
    alone = means.size < 2
    total = None if alone else float(means.var(ddof=1))
    known = ~np.isnan(variances)
    if not known.any():
        return {"se": None if alone else float(np.sqrt(total / means.size))}
    within = float(variances[known].mean())
    sampling = float((np.where(known, variances, within) / m).mean())
    if alone:
        return {"within": within}
    between = max(0.0, total - sampling)
    se = float(np.sqrt((between + sampling) / means.size))
    return {"between": between, "within": within, "floored": total < sampling, "se": se}


def _cheapest(between, within, wanted, costs) -> dict[str, float]:
    """Prompts, rollouts and cost; ``costs[m - 1]`` is the cost of a prompt with m rollouts."""
    variances = between + within / np.arange(1, costs.size + 1)
    if not variances.any():  # nothing varies: one rollout says all
        prompts = np.ones(costs.size)
    else:
        prompts = np.maximum(1, np.ceil(variances / wanted**2 * (1 - ROUNDING)))
    best = int(np.argmin(prompts * costs))
    cost = float(prompts[best] * costs[best])
    return {"prompts": int(prompts[best]), "rollouts": best + 1, "forward_tokens": cost}

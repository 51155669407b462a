"""Probability of every valid answer at several temperatures, and what is left (Paper A, Figures 5, 10)."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import logsumexp

INVALID_ANSWER = -1
INVALID_TEXT = "(invalid)"
# Rounding of sums over vocabularies and answers; more than this above 1 is an error in the input.
_EXCESS = 1e-9
SCHEMA = {
    "temperature": pl.Float64,
    "rank": pl.Int64,
    "answer": pl.Int64,
    "text": pl.String,
    "probability": pl.Float64,
    "log_probability": pl.Float64,
}


def sequence_probabilities(
    log_probabilities: Float[np.ndarray, "temperatures answers"],
    temperatures: Sequence[float],
    texts: Sequence[str],
) -> pl.DataFrame:
    """Answers ranked by probability at each temperature, and one row for all invalid outputs together.

    Args:
        log_probabilities: ``[t, i]`` = ln p(answer i) at ``temperatures[t]``, nats; -inf where impossible.
        temperatures: One per row.
        texts: Surface form of each answer.

    Returns:
        Columns of `SCHEMA`. At each temperature the answers by falling probability (rank 1 first, ties by
        answer index), then a row with answer -1, text "(invalid)" and no rank that holds the remaining
        mass. That mass is 1 − Val taken in log space: it is exact for small Val, and as good as the
        rounding of the inputs (about 1e-16) for Val near 1. Its log is null where the mass is 0.

    Raises:
        ValueError: If shapes do not match, a value is NaN, or the answers' mass exceeds 1.

    >>> table = sequence_probabilities(np.log([[0.2, 0.5]]), [1.0], ["Ohio", "Iowa"])
    >>> table.select("rank", "text", "probability").rows()[:2]
    [(1, 'Iowa', 0.5), (2, 'Ohio', 0.2)]
    >>> round(table["probability"][2], 12)
    0.3
    """
    log_p = np.asarray(log_probabilities, dtype=np.float64)
    if log_p.shape != (len(temperatures), len(texts)) or log_p.size == 0:
        raise ValueError(
            f"log_probabilities has shape {log_p.shape} for {len(temperatures)} temperatures, {len(texts)} "
            "texts; it needs one row per temperature and one column per answer"
        )
    if np.isnan(log_p).any():
        raise ValueError(f"log_probabilities has {np.isnan(log_p).sum()} NaN of {log_p.size} entries")
    frames = [_at_temperature(*row, texts) for row in zip(temperatures, log_p, strict=True)]
    return pl.concat(frames)


def _at_temperature(temperature, log_p, texts):
    log_valid = float(logsumexp(log_p))
    if log_valid > _EXCESS:
        raise ValueError(
            f"the answers hold mass {np.exp(log_valid):.12g} at temperature {temperature}; "
            "they must be distinct outcomes of one distribution"
        )
    invalid = float(-np.expm1(min(log_valid, 0.0)))
    by_rank = np.argsort(-log_p, kind="stable")
    n = by_rank.size
    return pl.DataFrame(
        {
            "temperature": [float(temperature)] * (n + 1),
            "rank": [*range(1, n + 1), None],
            "answer": [*by_rank.tolist(), INVALID_ANSWER],
            "text": [*(texts[i] for i in by_rank), INVALID_TEXT],
            "probability": [*np.exp(log_p[by_rank]).tolist(), invalid],
            "log_probability": [*log_p[by_rank].tolist(), _log_complement(log_valid)],
        },
        schema=SCHEMA,
    )


def _log_complement(log_valid):
    """ln(1 − e^x) for x <= 0, from whichever of log1p and expm1 loses nothing; None where nothing is left."""
    if log_valid >= 0:
        return None
    return float(np.log1p(-np.exp(log_valid)) if log_valid < -np.log(2) else np.log(-np.expm1(log_valid)))

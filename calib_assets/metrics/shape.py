"""Shape calibration of one conditional: how the mass lies over the valid tokens.

Here belong numbers that depend on the masses; what depends on the ranking alone is in `ranks.py`.
All take logits (or log-probabilities: a common shift changes nothing) and work in log space, so that
a valid token whose probability underflows still counts. Paper A, Definition D.1 (2); entropies in nats.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp


def shape_divergence(logits: Float[np.ndarray, "vocab"], n_continuations: Int[np.ndarray, "vocab"]) -> float:
    r"""KL divergence in nats from p over the valid tokens to the calibrated shape, KL(N/ΣN ‖ p|G).

    :math:`\sum_{v \in G} \frac{N(v)}{N} \ln \frac{N(v)/N}{p(v)/p(G)}` with N(v) the number of valid
    continuations through v. 0 if and only if the conditional is shape-calibrated within G; mass on
    invalid tokens is not counted here (see `valid_mass`).

    Args:
        logits: Unnormalised log-probabilities; -inf is allowed.
        n_continuations: N(y_<t∘v), 0 on invalid tokens. Entries of invalid tokens may be left out of
            both arrays: the result reads the valid ones alone.

    Returns:
        A number >= 0; infinite if a valid token has probability exactly 0 (logit -inf).

    Raises:
        ValueError: If shapes differ, a logit is NaN or +inf, a count is negative or none is positive.

    >>> round(shape_divergence(np.log([0.3, 0.3, 0.4]), np.array([3, 1, 0])), 6)  # ln 2 - H(3/4, 1/4)
    0.130812
    """
    counts = np.asarray(n_continuations)
    if (counts < 0).any():
        raise ValueError(f"n_continuations has a negative entry: {counts.min()}")
    log_p = _within_valid(logits, counts > 0)
    share = counts[counts > 0] / counts.sum()
    # A divergence is never negative; rounding of two equal shapes may leave -1e-17.
    return max(0.0, float(share @ (np.log(share) - log_p)))


def effective_support(logits: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> float:
    """exp(H)/|G|, with H the entropy of p restricted to the valid tokens G and renormalised.

    The local counterpart of Paper A's Div: 1 if the valid tokens are equally likely, 1/|G| if one
    holds all the mass. Unlike `shape_divergence` it does not weigh tokens by their continuations.

    Args:
        logits: Unnormalised log-probabilities, ``[vocab]``; -inf is allowed.
        is_valid: True where the token is in G(y_<t).

    Returns:
        A number in [1/|G|, 1].

    Raises:
        ValueError: If shapes differ, a logit is NaN or +inf, no token is valid, or all valid ones are -inf.

    >>> round(effective_support(np.log([0.25, 0.25, 0.5]), np.array([True, True, False])), 12)
    1.0
    """
    log_p = _within_valid(logits, is_valid)
    return min(1.0, float(np.exp(_entropy_of(log_p)) / log_p.size))


def valid_mass(logits: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> float:
    """Probability of the valid tokens together, Σ_{v∈G} p(v).

    Args:
        logits: Unnormalised log-probabilities of the whole vocabulary, ``[vocab]``.
        is_valid: True where the token is in G(y_<t).

    Returns:
        A number in [0, 1]; below about 1e-308 it underflows to 0.

    Raises:
        ValueError: As `effective_support`.

    >>> round(valid_mass(np.log([0.25, 0.25, 0.5]), np.array([True, True, False])), 12)
    0.5
    """
    logits, is_valid = _checked(logits, is_valid)
    total = logsumexp(logits)
    if np.isneginf(total):
        raise ValueError("every logit is -inf: there is no distribution")
    return min(1.0, float(np.exp(logsumexp(logits[is_valid]) - total)))


def step_entropy(logits: Float[np.ndarray, "vocab"]) -> float:
    """Entropy in nats of the whole conditional softmax(logits), valid and invalid tokens alike.

    Args:
        logits: Unnormalised log-probabilities, ``[vocab]``; -inf is allowed.

    Returns:
        A number in [0, ln vocab].

    Raises:
        ValueError: If a logit is NaN or +inf, or all are -inf.

    >>> round(step_entropy(np.zeros(8)) / float(np.log(2)), 12)  # bits
    3.0
    """
    return _entropy_of(_within_valid(logits, np.ones(np.shape(logits), dtype=bool)))


def _within_valid(logits, is_valid) -> np.ndarray:
    """Log-probabilities of the valid tokens, renormalised over them, in token order."""
    logits, is_valid = _checked(logits, is_valid)
    within = logits[is_valid]
    total = logsumexp(within)
    if np.isneginf(total):
        raise ValueError("every valid token has logit -inf: p restricted to the valid set is undefined")
    return within - total


def _entropy_of(log_p) -> float:
    reached = log_p[~np.isneginf(log_p)]  # 0 ln 0 = 0
    return max(0.0, -float(np.exp(reached) @ reached))


def _checked(logits, is_valid):
    logits, is_valid = np.asarray(logits, dtype=np.float64), np.asarray(is_valid, dtype=bool)
    if logits.ndim != 1 or logits.shape != is_valid.shape:
        raise ValueError(
            f"logits {logits.shape} and the valid set {is_valid.shape} must be vectors over one vocabulary"
        )
    n_bad = np.count_nonzero(np.isnan(logits) | np.isposinf(logits))
    if n_bad:
        raise ValueError(f"logits has {n_bad} NaN or +inf of {logits.size} entries")
    if not is_valid.any():
        raise ValueError("no token is valid after this context; drop it from the trie first")
    return logits, is_valid

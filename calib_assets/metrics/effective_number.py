r"""How many answers there are in effect, from counts: plug-in, and two estimates that know that few samples see few.

With counts :math:`n_i` of :math:`n` answers and :math:`\hat p_i = n_i / n`, the plug-in entropy
:math:`-\sum \hat p_i \ln \hat p_i` is too small on average, by about :math:`(m - 1) / 2n` with :math:`m` answers in
the support. The effective number is the exponential of an entropy. All functions take one row of counts per
distribution, so that a bootstrap is one call.

References:
    Miller (1955), *Note on the bias of information estimates*. Chao and Shen (2003), *Nonparametric estimation of
    Shannon's index of diversity when there are unseen species in sample*, equations 6 and 7.
"""

import numpy as np
from jaxtyping import Float, Int

Counts = Int[np.ndarray, "*rows answers"]
Values = Float[np.ndarray, "*rows"]


def entropy(counts: Counts) -> Values:
    """Plug-in entropy in nats; 0 where one answer is all.

    >>> float(np.exp(entropy(np.array([5, 5, 0]))))
    2.0
    """
    shares = _shares(counts)
    return 0.0 - np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=-1)


def miller_madow(counts: Counts) -> Values:
    """Plug-in entropy plus (distinct answers − 1) / 2n, the first term of its bias.

    >>> round(float(miller_madow(np.array([2, 1, 1])) - entropy(np.array([2, 1, 1]))), 12)
    0.25
    """
    counts = np.asarray(counts)
    return entropy(counts) + (np.count_nonzero(counts, axis=-1) - 1) / (2 * counts.sum(axis=-1))


def chao_shen(counts: Counts) -> Values:
    r"""Entropy with unseen answers in mind.

    The share of the distribution that was seen is estimated as :math:`C = 1 - f_1 / n` with :math:`f_1` answers seen
    once (:math:`f_1 = n - 1` where all were), and :math:`-\sum p \ln p / (1 - (1 - p)^n)` is taken of
    :math:`p = C \hat p`.

    >>> round(float(chao_shen(np.array([3, 1]))), 6)   # C = 3/4, p = 9/16 and 3/16
    0.892267
    """
    counts = np.asarray(counts)
    n = counts.sum(axis=-1, keepdims=True)
    once = np.minimum(np.sum(counts == 1, axis=-1, keepdims=True), n - 1)
    seen = (1 - once / n) * _shares(counts)
    found = np.where(seen > 0, seen, 1.0)
    return 0.0 - np.sum(found * np.log(found) / -np.expm1(n * np.log1p(-np.minimum(found, 1 - 1e-16))), axis=-1)


def collision_probability(counts: Counts) -> Values:
    r"""Probability that two answers agree, without bias: :math:`\sum n_i (n_i - 1) / (n (n - 1))`; NaN for one answer.

    >>> float(collision_probability(np.array([2, 2])))
    0.3333333333333333
    """
    counts = np.asarray(counts, np.float64)
    n = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(counts * (counts - 1), axis=-1) / (n * (n - 1))


def _shares(counts: Counts) -> Float[np.ndarray, "*rows answers"]:
    counts = np.asarray(counts)
    total = counts.sum(axis=-1, keepdims=True)
    if counts.shape[-1] == 0 or (total == 0).any() or (counts < 0).any():
        raise ValueError("counts hold no answer, or a negative number; an entropy needs one answer at least")
    return counts / total

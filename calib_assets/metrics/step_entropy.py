"""Entropy of the next token among the most likely ones: one step of canopy entropy (Paper B, section 5)."""

import numpy as np
from jaxtyping import Float

from calib_assets.decoding.heads import leading


def top_entropy(logits: Float[np.ndarray, "rows vocab"], k: int) -> Float[np.ndarray, "rows"]:
    r"""Entropy of the ``k`` most likely tokens of each row, renormalised, at temperature 1.

    With :math:`p` the softmax over the ``k`` largest logits alone, :math:`H = -\sum p \ln p`: the step entropy
    :math:`H_t` of METHODS §4, with the end token as an ordinary outcome. Exactly ``k`` tokens count; which ones of
    several that are tied with the k-th (by token id) makes no difference to the entropy. lm-polygraph's
    ``EntropyCalculator`` does not renormalise and gives less.

    Args:
        logits: Raw logits; -inf marks tokens outside the support, which add nothing.
        k: 1 or more; from the size of the support on, the entropy of the whole conditional.

    Returns:
        Nats, float64, in [0, ln k]; a row does not depend on the others, to the bit.

    Raises:
        ValueError: If ``k`` is no positive integer, ``logits`` is no matrix, or a row holds NaN or +inf, or nothing
            but -inf.

    References:
        Paper B, section 5 ("top-K candidates, K = 100").

    >>> top_entropy(np.log([[0.5, 0.25, 0.25]]), 1).tolist(), (top_entropy(np.zeros((1, 8)), 4) / np.log(2)).tolist()
    ([0.0], [2.0])
    """
    if isinstance(k, bool | np.bool_) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k is {k!r}; give a positive integer, such as 100")
    logits = np.asarray(logits)
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise ValueError(f"logits have shape {logits.shape}; give [rows, vocab]")
    if not np.isfinite(top := logits.max(axis=1)).all():
        bad = int(np.flatnonzero(~np.isfinite(top))[0])
        what = "nothing but -inf" if top[bad] == -np.inf else "NaN or +inf"
        raise ValueError(f"logits of row {bad} hold {what}; look for an overflow in the model's forward pass")
    return leading_entropy(leading(logits, int(k))[1], int(k))


def leading_entropy(values: Float[np.ndarray, "rows width"], k: int) -> Float[np.ndarray, "rows"]:
    """:func:`top_entropy` of rows of which only leading tokens are left: the ``k`` most likely ones at least.

    Args:
        values: Logits of the leading tokens in any order, filled up with -inf.
        k: 1 or more.
    """
    gaps = np.sort(values.astype(np.float64), axis=1)[:, -k:]
    gaps -= gaps[:, -1:].copy()
    weights = np.exp(gaps)
    total = weights.sum(axis=1)
    gaps[weights == 0] = 0.0  # 0 · -inf; a weight that underflows adds nothing either
    return np.maximum(np.log(total) - (weights * gaps).sum(axis=1) / total, 0.0)

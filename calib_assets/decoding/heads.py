"""The most likely tokens of many conditionals at once, by partial selection: what top-k sampling needs of a row.

A vocabulary has 50,000 to 260,000 tokens and a step of a rollout looks at some hundred of them. They are found without
sorting: the largest logits of blocks of tokens bound the wanted one from below in a single pass, and only what
reaches that bound is looked at closely.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_BLOCK = 64  # tokens of a block: one pass that finds their largest logits costs no more than reading them
_MIN_BLOCKS = 8  # blocks for each wanted rank, so that few tokens beside the wanted ones reach the bound


@dataclass(frozen=True)
class Heads:
    """The leading tokens of each row of logits, and what the rest of the row weighs.

    Attributes:
        ids: Their token ids, ascending, ``[rows, width]``; 0 where a row has fewer (its value there is -inf).
        values: Their logits, as they are in the row.
        top: The largest logit of each row, NaN if the row holds NaN; ids and values mean nothing then.
        log_norm: ln of the sum of exp(logit) over the whole row, float64.
    """

    ids: Int[np.ndarray, "rows width"]
    values: Float[np.ndarray, "rows width"]
    top: Float[np.ndarray, "rows"]
    log_norm: Float[np.ndarray, "rows"]

    @classmethod
    def of(cls, logits: Float[np.ndarray, "rows vocab"], ranks: int) -> "Heads":
        """The heads of full rows; see :func:`leading` for what is in them."""
        ids, values = leading(logits, ranks)
        return cls(ids, values, logits.max(axis=1), log_norms(logits))


def leading(
    logits: Float[np.ndarray, "rows vocab"], ranks: int
) -> tuple[Int[np.ndarray, "rows width"], Float[np.ndarray, "rows width"]]:
    """The ``ranks`` most likely tokens of each row and all that are tied with the last of them, without -inf.

    Args:
        logits: Numbers or -inf; rows with NaN give nothing that could be used.
        ranks: How many, 1 or more; the whole support where that is smaller.

    Returns:
        ``ids`` ascending in each row and their ``values``; a row with fewer tokens than the widest, or than
        ``min(ranks, vocab)``, is filled up with id 0 and -inf.

    >>> leading(np.array([[0.5, 2.0, 1.0, 1.0, 1.0]]), 2)[0].tolist()
    [[1, 2, 3, 4]]
    """
    n_rows, vocab = logits.shape
    floors = _floors(logits, ranks)
    found = []
    for row, floor in zip(logits, floors):
        ids = np.flatnonzero(row >= floor)
        values = row[ids]
        least = np.partition(values, values.size - ranks)[values.size - ranks] if ranks < values.size else -np.inf
        keeps = (values >= least) & (values > -np.inf)
        found.append((ids[keeps], values[keeps]))
    width = max([min(ranks, vocab), *(len(ids) for ids, _ in found)])
    all_ids, all_values = np.zeros((n_rows, width), np.int64), np.full((n_rows, width), -np.inf, logits.dtype)
    for row, (ids, values) in enumerate(found):
        all_ids[row, : ids.size], all_values[row, : ids.size] = ids, values
    return all_ids, all_values


def _floors(logits: Float[np.ndarray, "rows vocab"], ranks: int) -> Float[np.ndarray, "rows"]:
    """A lower bound of the ``ranks``-th largest logit of each row.

    The ``ranks``-th largest of the blocks' maxima is one: so many tokens at least reach it.
    """
    n_rows, vocab = logits.shape
    size = min(_BLOCK, vocab // (_MIN_BLOCKS * ranks))
    if size < 2:
        return np.full(n_rows, -np.inf)
    count = vocab // size
    # Token i is in block i mod count, so that the maxima of all blocks are vector operations on whole rows.
    maxima = logits[:, : size * count].reshape(n_rows, size, count).max(axis=1)
    return np.partition(maxima, count - ranks, axis=1)[:, count - ranks]


def log_norms(logits: Float[np.ndarray, "rows vocab"]) -> Float[np.ndarray, "rows"]:
    """ln of the sum of exp(logit) of each row, in float64; the largest logit itself where that is not finite.

    >>> np.exp(log_norms(np.log([[1.0, 2.0, 4.0]]))).round(12).tolist()
    [7.0]
    """
    found, space = np.empty(len(logits)), np.empty(logits.shape[1])  # one row stays in the cache
    for row, values in enumerate(logits):
        found[row] = top = float(values.max())
        if np.isfinite(top):
            np.subtract(values, top, out=space, dtype=np.float64)
            found[row] += np.log(np.exp(space, out=space).sum())
    return found

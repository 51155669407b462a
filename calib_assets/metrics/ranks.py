"""Order calibration of one conditional: where the valid tokens stand in the ranking.

Here belong numbers that depend on the conditional only through its ranking (any strictly increasing
transform of the scores gives the same result). What depends on the masses is in `shape.py`, every
cutoff's precision and recall in `precision_recall.py`. Paper A, Definition D.1.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class ValidRanks:
    """Places of the valid tokens of one conditional; row i is the valid token with the i-th best rank.

    Attributes:
        token: ``[n_valid]`` token ids.
        rank: ``[n_valid]`` 1-based ranks by falling score, ties broken by token id; ascending.
        above: ``[n_valid]`` number of tokens with a strictly larger score.
        tied: ``[n_valid]`` number of tokens with the same score, the token itself included.
        vocab: Number of tokens in the conditional.
    """

    token: Int[np.ndarray, "n_valid"]
    rank: Int[np.ndarray, "n_valid"]
    above: Int[np.ndarray, "n_valid"]
    tied: Int[np.ndarray, "n_valid"]
    vocab: int

    @property
    def midrank(self) -> Float[np.ndarray, "n_valid"]:
        """Mean rank of the token's tie group, which no tie-breaking can bias."""
        return self.above + (self.tied + 1) / 2


def valid_ranks(scores: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> ValidRanks:
    """Locate the valid tokens in the ranking: one sort of the scores, then look-ups.

    Args:
        scores: Probabilities, log-probabilities or logits; -inf is allowed, NaN is not.
        is_valid: True where the token is in G(y_<t).

    Returns:
        The places of the valid tokens, best rank first.

    Raises:
        ValueError: If shapes differ, ``scores`` holds NaN, or no token is valid.

    >>> valid_ranks(np.array([0.2, 0.4, 0.2, 0.2]), np.array([True, False, False, True])).rank
    array([2, 4])
    """
    scores, is_valid = _checked(scores, is_valid)
    token = np.flatnonzero(is_valid)
    own = scores[token]
    ordered = np.sort(scores)
    upto = np.searchsorted(ordered, own, side="right")
    tied = upto - np.searchsorted(ordered, own, side="left")
    above = scores.size - upto
    rank = above + 1
    if (tied > 1).any():
        rank += _place_in_tie_group(scores, token, own, tied > 1)
    order = np.argsort(rank)
    return ValidRanks(token[order], rank[order], above[order], tied[order], scores.size)


def order_auroc(scores: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> float | None:
    """Probability that a random valid token outranks a random invalid one; a tie counts one half.

    The same number as the Mann–Whitney U of the valid tokens over (valid × invalid) pairs. Tokens
    are counted, not weighted by probability. 1 if and only if every valid token is strictly above
    every invalid one.

    Args:
        scores: Probabilities or any strictly increasing transform of them, ``[vocab]``.
        is_valid: True where the token is in G(y_<t), ``[vocab]``.

    Returns:
        A number in [0, 1], or None where every token is valid: there is no pair to compare.

    Raises:
        ValueError: As `valid_ranks`.

    >>> order_auroc(np.array([0.2, 0.4, 0.3, 0.1]), np.array([True, True, False, False]))
    0.75
    """
    return auroc_of(valid_ranks(scores, is_valid))


def average_precision(scores: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> float:
    """Mean, over the valid tokens, of the precision of the cutoff that ends at that token.

    Ties are broken by token id (scikit-learn's function of the same name takes a whole tie group
    as one cutoff, so the two differ where scores tie).

    Args:
        scores: Probabilities or any strictly increasing transform of them, ``[vocab]``.
        is_valid: True where the token is in G(y_<t), ``[vocab]``.

    Returns:
        A number in (0, 1].

    Raises:
        ValueError: As `valid_ranks`.

    >>> average_precision(np.array([0.2, 0.4, 0.3, 0.1]), np.array([True, True, False, False]))
    0.8333333333333333
    """
    return average_precision_of(valid_ranks(scores, is_valid))


def precision_at_n_valid(scores: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> float:
    """Share of valid tokens among the first |G| ranks: the local precision of the cutoff oracle.

    At this cutoff precision and (unweighted) recall are equal. Ties are broken by token id.

    Args:
        scores: Probabilities or any strictly increasing transform of them, ``[vocab]``.
        is_valid: True where the token is in G(y_<t), ``[vocab]``.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: As `valid_ranks`.

    >>> precision_at_n_valid(np.array([0.2, 0.4, 0.3, 0.1]), np.array([True, True, False, False]))
    0.5
    """
    return precision_at_n_valid_of(valid_ranks(scores, is_valid))


def last_valid_rank(scores: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> int:
    """Rank of the last valid token: the smallest cutoff that loses no valid token.

    Args:
        scores: Probabilities or any strictly increasing transform of them, ``[vocab]``.
        is_valid: True where the token is in G(y_<t), ``[vocab]``.

    Returns:
        A 1-based rank, at least |G|; ties are broken by token id.

    Raises:
        ValueError: As `valid_ranks`.

    >>> last_valid_rank(np.array([0.2, 0.4, 0.3, 0.1]), np.array([True, True, False, False]))
    3
    """
    return int(valid_ranks(scores, is_valid).rank[-1])


def is_order_calibrated(scores: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"]) -> bool:
    """Whether every valid token scores at least as much as every invalid one (Definition D.1).

    A tie across the boundary is calibrated by the definition, although a tie-breaking cutoff may
    then lose a valid token: `last_valid_rank` can exceed |G|.

    Args:
        scores: Probabilities or any strictly increasing transform of them, ``[vocab]``.
        is_valid: True where the token is in G(y_<t), ``[vocab]``.

    Returns:
        True if calibrated; also where every token is valid.

    Raises:
        ValueError: As `valid_ranks`.

    >>> is_order_calibrated(np.array([0.4, 0.3, 0.3]), np.array([True, False, True]))
    True
    """
    scores, is_valid = _checked(scores, is_valid)
    return bool(is_valid.all() or scores[is_valid].min() >= scores[~is_valid].max())


def auroc_of(places: ValidRanks) -> float | None:
    """`order_auroc` from places that are already known."""
    n_valid = places.rank.size
    n_invalid = places.vocab - n_valid
    if n_invalid == 0:
        return None
    # A valid token outranks vocab - midrank tokens (ties one half); pairs of valid tokens do not count.
    outranked = float((places.vocab - places.midrank).sum()) - n_valid * (n_valid - 1) / 2
    return outranked / (n_valid * n_invalid)


def average_precision_of(places: ValidRanks) -> float:
    """`average_precision` from places that are already known."""
    return float(np.mean(np.arange(1, places.rank.size + 1) / places.rank))


def precision_at_n_valid_of(places: ValidRanks) -> float:
    """`precision_at_n_valid` from places that are already known."""
    return float(np.mean(places.rank <= places.rank.size))


def _checked(scores, is_valid):
    scores, is_valid = np.asarray(scores), np.asarray(is_valid)
    if scores.dtype.kind not in "biuf":
        raise ValueError(f"scores holds {scores.dtype}; give numbers: probabilities, log-probabilities or logits")
    if is_valid.dtype != bool and not np.isin(is_valid, (0, 1)).all():
        raise ValueError(
            f"is_valid holds {is_valid.dtype} other than 0 and 1; give True or False for every token, not token ids"
        )
    is_valid = is_valid.astype(bool)
    if scores.ndim != 1 or scores.shape != is_valid.shape:
        raise ValueError(
            f"scores {scores.shape} and is_valid {is_valid.shape} must be vectors over one vocabulary"
        )
    if np.isnan(scores).any():
        raise ValueError(f"scores has {np.isnan(scores).sum()} NaN of {scores.size} entries")
    if not is_valid.any():
        raise ValueError("no token is valid after this context; drop it from the trie first")
    return scores, is_valid


def _place_in_tie_group(scores, token, own, is_tied):
    """Number of tokens with the same score and a smaller id, for each valid token."""
    tied = np.flatnonzero(np.isin(scores, own[is_tied]))  # ids ascending
    grouped = np.argsort(scores[tied], kind="stable")
    values = scores[tied][grouped]
    place = np.empty(tied.size, dtype=np.int64)
    place[grouped] = np.arange(tied.size) - np.searchsorted(values, values, side="left")
    before = np.zeros(token.size, dtype=np.int64)
    before[is_tied] = place[np.searchsorted(tied, token[is_tied])]
    return before

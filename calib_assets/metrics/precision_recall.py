"""Local precision and recall of every cutoff of one conditional, and what is read off that curve.

Paper A, Definition 4.1 and Section 4.1. The curve holds every cutoff; the frontier only the
non-dominated ones. For `k`-free summaries of a ranking see `ranks.py`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from calib_assets.metrics.ranks import _checked


class LocalPrecisionRecall(NamedTuple):
    """Points of a precision–recall curve; element i of both arrays is the same point.

    >>> curve = local_precision_recall(np.array([0.5, 0.3, 0.2]), np.array([True, False, True]))
    >>> precision, recall = curve  # a pair: the functions of this module take it as f(*curve)
    >>> precision.round(2).tolist(), recall.tolist()
    ([1.0, 0.5, 0.67], [0.5, 0.5, 1.0])
    """

    precision: Float[np.ndarray, "points"]
    recall: Float[np.ndarray, "points"]


def local_precision_recall(
    scores: Float[np.ndarray, "vocab"],
    is_valid: Bool[np.ndarray, "vocab"],
    n_continuations: Int[np.ndarray, "vocab"] | None = None,
) -> LocalPrecisionRecall:
    r"""Precision and recall of the top-:math:`k` tokens, for every cutoff :math:`k`.

    With tokens sorted by decreasing score, let :math:`R_k` be the first :math:`k` (the retained set)
    and :math:`G` the valid tokens: :math:`P_k = |R_k \cap G| / k`. Recall counts tokens,
    :math:`Q_k = |R_k \cap G| / |G|`, unless ``n_continuations`` is given: then it is the paper's local
    recall :math:`Q_k = \sum_{v \in R_k \cap G} N(v) / \sum_{v \in G} N(v)`. Ties keep token-id order,
    so a result is reproducible but arbitrary within a tie.

    Args:
        scores: Next-token probabilities after the context; any strictly increasing transform of them
            (logits, log-probabilities) gives the same result.
        is_valid: True where appending the token leaves a prefix of a valid sequence.
        n_continuations: N(y_<t∘v) for every token: positive on the valid tokens, 0 elsewhere. (For
            judged sweep trees: the number of valid leaves below the token.)

    Returns:
        ``precision[k - 1]`` and ``recall[k - 1]``, in [0, 1], for ``k = 1 .. vocab``.

    Raises:
        ValueError: If shapes differ, ``scores`` contains NaN, no token is valid (recall undefined), or
            ``n_continuations`` is not positive on exactly the valid tokens.

    References:
        Banayeeanzade et al. (2026), arXiv:2605.11128, Definition 4.1.

    >>> curve = local_precision_recall(np.array([.2, .4, .3, .1]), np.array([True, True, False, False]))
    >>> curve.recall
    array([0.5, 0.5, 1. , 1. ])
    >>> local_precision_recall(np.array([.6, .4]), np.array([True, True]), np.array([1, 3])).recall
    array([0.25, 1.  ])
    """
    scores, is_valid = _checked(scores, is_valid)
    # From the back twice: falling scores, tied ones in the order of their ids. (-scores wraps where 0 is unsigned.)
    by_rank = scores.size - 1 - np.argsort(scores[::-1], kind="stable")[::-1]
    hits = np.cumsum(is_valid[by_rank])
    precision = hits / np.arange(1, scores.size + 1)
    if n_continuations is None:
        return LocalPrecisionRecall(precision, hits / hits[-1])
    weight = np.asarray(n_continuations)
    if weight.shape != is_valid.shape or not np.array_equal(weight > 0, is_valid) or (weight < 0).any():
        raise ValueError(
            "n_continuations must be positive on the valid tokens and 0 on all others: "
            f"{np.count_nonzero(weight > 0)} positive entries, {np.count_nonzero(is_valid)} valid tokens"
        )
    reached = np.cumsum(weight[by_rank])
    return LocalPrecisionRecall(precision, reached / reached[-1])


def labelled_precision_recall(
    is_valid: Bool[np.ndarray, "labelled"],
    ranks: Int[np.ndarray, "labelled"] | None = None,
    n_continuations: Int[np.ndarray, "labelled"] | None = None,
) -> LocalPrecisionRecall:
    """Precision and recall of every cutoff over labelled tokens of which only the ranks are known.

    The same curve as `local_precision_recall`, for labels of your own: tokens that a person or a judge has looked
    at, all of a vocabulary or some of its ranks. What was not labelled is unknown: recall is over the labelled
    tokens alone, and the k-th cutoff keeps k labelled ones.

    Args:
        is_valid: Label of each token.
        ranks: Its 1-based rank in the model's order, distinct, gaps allowed; by default the tokens are listed best
            first.
        n_continuations: As `local_precision_recall`.

    Returns:
        Points by rising rank.

    Raises:
        ValueError: As `local_precision_recall`, or if a rank is below 1 or occurs twice.

    References:
        Banayeeanzade et al. (2026), arXiv:2605.11128, Definition 4.1 and Section 4.1.

    >>> curve = labelled_precision_recall([True, False, True, False], ranks=[1, 12, 5, 30])
    >>> curve.precision.round(3).tolist(), curve.recall.tolist()  # by rank: valid, valid, not, not
    ([1.0, 1.0, 0.667, 0.5], [0.5, 1.0, 1.0, 1.0])
    """
    labels = np.asarray(is_valid)
    places = np.arange(1, labels.size + 1) if ranks is None else np.asarray(ranks)
    if places.shape != labels.shape or places.dtype.kind not in "iu":
        raise ValueError(
            f"ranks has shape {places.shape} and dtype {places.dtype}; give one whole number for each of "
            f"{labels.size} labels"
        )
    distinct, counts = np.unique(places, return_counts=True)
    if places.size and distinct[0] < 1:
        raise ValueError(f"ranks holds {distinct[0]}; ranks count from 1, the most likely token")
    if (counts > 1).any():
        raise ValueError(f"ranks holds {distinct[counts > 1][0]} twice; pass the tokens of one context at a time")
    return local_precision_recall(-places.astype(np.float64), labels, n_continuations)


def precision_recall_frontier(
    precision: Float[np.ndarray, "points"], recall: Float[np.ndarray, "points"]
) -> LocalPrecisionRecall:
    """The non-dominated points of a precision–recall cloud.

    A point is dominated if another has at least its precision and its recall and more of one. Equal
    points are kept once.

    Args:
        precision: Precision of each point, in [0, 1].
        recall: Recall of each point, in [0, 1].

    Returns:
        The frontier by strictly rising recall, hence strictly falling precision.

    Raises:
        ValueError: If the arrays are empty, differ in shape or hold a value outside [0, 1].

    >>> frontier = precision_recall_frontier(np.array([1, 1 / 2, 2 / 3, 1 / 2]), np.array([.5, .5, 1, 1]))
    >>> frontier.recall
    array([0.5, 1. ])
    """
    precision, recall = _points(precision, recall)
    order = np.lexsort((-precision, -recall))  # recall falling; the best precision of equal recalls first
    best_so_far = np.maximum.accumulate(precision[order])
    keep = order[np.r_[True, best_so_far[1:] > best_so_far[:-1]]][::-1]
    return LocalPrecisionRecall(precision[keep], recall[keep])


def recall_at_precision(
    precision: Float[np.ndarray, "points"], recall: Float[np.ndarray, "points"], p0: float = 0.8
) -> float:
    """Largest recall of the points whose precision is at least ``p0``; 0 if there is none.

    Args:
        precision: Precision of each point (the whole curve or its frontier: the result is the same).
        recall: Recall of each point.
        p0: Precision wanted, in [0, 1]; the paper uses 0.8.

    Returns:
        A recall in [0, 1].

    Raises:
        ValueError: As `precision_recall_frontier`, or if ``p0`` is outside [0, 1].

    >>> recall_at_precision(np.array([1, 1 / 2, 2 / 3, 1 / 2]), np.array([.5, .5, 1, 1]))
    0.5
    """
    precision, recall = _points(precision, recall)
    if not 0 <= p0 <= 1:
        raise ValueError(f"p0 is {p0}; a precision lies in [0, 1]")
    return float(np.max(recall, where=precision >= p0, initial=0.0))


def frontier_auc(precision: Float[np.ndarray, "points"], recall: Float[np.ndarray, "points"]) -> float:
    r"""Area under the frontier, :math:`\int_0^1 \max\{P : Q \ge r\}\,dr`.

    The integrand is a falling step function; it is 0 beyond the largest recall of the points (a curve
    over the whole vocabulary ends at recall 1). No interpolation between points: a trapezoid would
    credit cutoffs that do not exist.

    Args:
        precision: Precision of each point (the whole curve or its frontier: the result is the same).
        recall: Recall of each point.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: As `precision_recall_frontier`.

    >>> round(frontier_auc(np.array([1, 1 / 2, 2 / 3, 1 / 2]), np.array([.5, .5, 1, 1])), 6)
    0.833333
    """
    frontier = precision_recall_frontier(precision, recall)
    return float(np.diff(frontier.recall, prepend=0.0) @ frontier.precision)


def _points(precision, recall):
    precision, recall = np.asarray(precision, dtype=float), np.asarray(recall, dtype=float)
    if precision.ndim != 1 or precision.shape != recall.shape or precision.size == 0:
        raise ValueError(
            f"precision {precision.shape} and recall {recall.shape} must be equal, non-empty vectors"
        )
    for name, values in (("precision", precision), ("recall", recall)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{name} holds a value outside [0, 1]: {values.min()} .. {values.max()}")
    return precision, recall

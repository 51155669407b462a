"""The tail of a conditional in a few numbers from which its mass follows at every temperature.

A tail is the logits below some rank. Its mass at temperature T is a sum of ``exp(logit / T)``; a Gauss quadrature of
the tail's own distribution has the same moments up to order ``2 * points - 1``, so it has that sum, and the mean logit
under it, to many digits at every temperature of interest, with a dozen weighted points in place of ten thousands.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import eigh_tridiagonal

_BIN = 0.003  # nats; logits in one bin become the two points with their mean and variance
_MANY = 4000  # below so many distinct logits nothing is binned


def gauss_points(
    gaps: Float[np.ndarray, "n"], counts: Int[np.ndarray, "n"], points: int
) -> tuple[Float[np.ndarray, "points"], Float[np.ndarray, "points"]]:
    """Gauss quadrature of a discrete distribution, by the Lanczos process (Golub & Welsch, 1969).

    Args:
        gaps: Distance of each logit below the largest of the conditional, nats.
        counts: How often each occurs.
        points: Number of points, at most; a distribution on fewer distinct values is given exactly.

    Returns:
        Gaps and weights of the points. Weights are positive and sum to ``counts.sum()``.

    >>> gap, weight = gauss_points(np.array([1.0, 3.0]), np.array([3, 1]), points=8)
    >>> gap.round(12).tolist(), weight.round(12).tolist()
    ([1.0, 3.0], [3.0, 1.0])
    """
    gaps, weights = _binned(np.asarray(gaps, np.float64), np.asarray(counts, np.float64))
    total = weights.sum()
    vectors = [np.sqrt(weights / total)]
    diagonal, off_diagonal = [], []
    for _ in range(points):
        product = gaps * vectors[-1]
        diagonal.append(float(product @ vectors[-1]))
        basis = np.array(vectors)
        for _ in range(2):  # twice is enough to stay orthogonal
            product -= basis.T @ (basis @ product)
        norm = float(np.linalg.norm(product))
        if norm < 1e-9 * max(1.0, float(np.abs(gaps).max())) or len(diagonal) == points:
            break
        off_diagonal.append(norm)
        vectors.append(product / norm)
    nodes, eigenvectors = eigh_tridiagonal(np.array(diagonal), np.array(off_diagonal))
    return nodes, total * eigenvectors[0] ** 2


def _binned(gaps: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distribution on fewer values: each narrow bin keeps its count, its mean and its variance."""
    if gaps.size <= _MANY:
        return gaps, counts
    places = np.floor((gaps - gaps.min()) / _BIN).astype(np.int64)
    n = np.bincount(places, counts)
    filled = n > 0
    mean = np.bincount(places, counts * gaps)[filled] / n[filled]
    index = np.cumsum(filled) - 1
    spread = np.sqrt(np.bincount(index[places], counts * (gaps - mean[index[places]]) ** 2) / n[filled])
    return np.concatenate([mean - spread, mean + spread]), np.tile(n[filled] / 2, 2)


def knot_ranks(first: int, size: int, knots: int) -> Int[np.ndarray, "knots"]:
    """Ranks in geometric progression at which a tail's logits are kept: ``first < rank <= size``, the last one always.

    Between two of them a page takes the logits as evenly spaced; what it says of a cut there is an estimate.

    >>> knot_ranks(10, 1000, 4).tolist()
    [32, 100, 316, 1000]
    """
    ranks = np.unique(np.geomspace(first, size, knots + 1).round().astype(np.int64))
    return ranks[ranks > first]

r"""Kendall's :math:`\tau_b` of many short samples at once (Paper B, Algorithm 2; METHODS §4).

All prompts are done together, on ranks of one or two bytes: once a sample is sorted by x, each step of the loop
compares all its pairs at one distance with a single operation. The work is that of the definition, n²/2
comparisons a sample, but tens of times faster than a call per sample.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Shaped

# Values that are worked on at once: their ranks stay in the processor's cache.
BLOCK_ENTRIES = 100_000


def kendall_tau(
    x: Float[np.ndarray, "samples n"] | Float[np.ndarray, "values"],
    y: Float[np.ndarray, "samples n"] | Float[np.ndarray, "values"],
    groups: Shaped[np.ndarray, "values"] | None = None,
) -> Float[np.ndarray, "samples"]:
    r"""Kendall's :math:`\tau_b` between two variables, for each of many samples.

    :math:`\tau_b = (C - D) / \sqrt{(n_0 - n_x)(n_0 - n_y)}` with C and D the concordant and discordant of the
    :math:`n_0 = n(n-1)/2` pairs, and :math:`n_x`, :math:`n_y` those that are tied in x, in y. All counts are
    exact. The same as `scipy.stats.kendalltau`, variant "b", of each sample.

    Args:
        x: One row per sample; or all values in one vector, with ``groups``.
        y: As ``x``.
        groups: Sample of each value, numbers or strings in any order, for samples of different sizes.

    Returns:
        One number in [-1, 1] per row, or per distinct group in sorted order; NaN where x or y does not vary,
        as with fewer than two values.

    Raises:
        ValueError: If shapes differ or do not fit, or a value is NaN.

    References:
        Kendall (1945), *The treatment of ties in ranking problems*, Biometrika 33(3).

    >>> kendall_tau([[1, 2, 3, 4], [1, 1, 2, 2]], [[1, 3, 2, 4], [5, 5, 5, 5]])  # 5 pairs agree, 1 does not
    array([0.66666667,        nan])
    >>> kendall_tau([1, 2, 1, 2, 3], [2, 1, 1, 2, 3], groups=["b", "b", "a", "a", "a"])
    array([ 1., -1.])
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape or x.ndim != (2 if groups is None else 1):
        raise ValueError(
            f"x has shape {x.shape} and y {y.shape}; give two matrices of one shape, a row per sample, "
            "or two vectors with groups"
        )
    for name, values in (("x", x), ("y", y)):
        if np.isnan(values).any():
            raise ValueError(f"{name} has {np.isnan(values).sum()} NaN of {values.size} entries; drop those pairs")
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != x.shape:
            raise ValueError(f"groups has shape {groups.shape}; give one for each of {x.size} values")
        return over_groups(kendall_tau, x, y, np.unique(groups, return_inverse=True)[1])
    block = max(1, BLOCK_ENTRIES // max(1, x.shape[1]))
    parts = [_tau(x[start : start + block], y[start : start + block]) for start in range(0, len(x), block)]
    return np.concatenate([np.empty(0), *parts])


def over_groups(
    statistic: Callable[..., np.ndarray],
    x: Float[np.ndarray, "values"],
    y: Float[np.ndarray, "values"],
    member: Int[np.ndarray, "values"],
) -> np.ndarray:
    """A statistic of the rows of matrices, for groups of any sizes: those of one size are the rows of one matrix.

    Args:
        statistic: From two matrices ``[samples, n]`` to ``[samples, ...]``.
        x: Values.
        y: As ``x``.
        member: Number of each value's group, from 0 without a gap.

    Returns:
        ``[groups, ...]``.
    """
    order = np.argsort(member, kind="stable")
    sizes = np.bincount(member)
    starts = np.cumsum(sizes) - sizes
    found = None
    for size in np.unique(sizes):
        chosen = np.flatnonzero(sizes == size)
        places = order[starts[chosen][:, None] + np.arange(size)]
        part = statistic(x[places], y[places])
        found = np.empty((sizes.size, *part.shape[1:])) if found is None else found
        found[chosen] = part
    return np.empty(0) if found is None else found


def dense_ranks(values: Shaped[np.ndarray, "samples n"]) -> tuple[np.ndarray, Int[np.ndarray, "samples"]]:
    """Ranks from 0 within each row, equal values sharing one and none skipped; and each row's tied pairs."""
    samples, n = values.shape
    order = np.argsort(values, axis=1)
    order += n * np.arange(samples)[:, None]  # places in the whole matrix: faster to gather and scatter by
    is_new, tied = _runs(values.ravel()[order])
    is_new[:, 0] = False
    ranks = np.empty(values.size, dtype=_rank_type(n))
    ranks[order.ravel()] = np.cumsum(is_new, axis=1, dtype=ranks.dtype).ravel()
    return ranks.reshape(values.shape), tied


def _tau(x, y) -> Float[np.ndarray, "samples"]:
    """Of matrices without NaN."""
    n = x.shape[1]
    if n < 2:
        return np.full(len(x), np.nan)
    (x_rank, tied_x), (y_rank, tied_y) = dense_ranks(x), dense_ranks(y)
    # Sorted by x, and by y where x is tied: a pair is then discordant if its later y is smaller.
    key = np.multiply(x_rank, n, dtype=np.uint16 if n <= 256 else np.uint64)
    key += y_rank
    key.sort(axis=1)
    tied_both = _runs(key)[1]
    discordant = _inversions((key % key.dtype.type(n)).astype(y_rank.dtype))
    pairs = n * (n - 1) // 2
    difference = pairs - tied_x - tied_y + tied_both - 2 * discordant
    # As floats: the product of two counts can leave the range of integers. The root of a square is exact.
    untied_x, untied_y = (pairs - tied_x).astype(np.float64), (pairs - tied_y).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return difference / np.sqrt(untied_x * untied_y)


def _inversions(rows: Int[np.ndarray, "samples n"]) -> Int[np.ndarray, "samples"]:
    """Pairs of each row whose later entry is smaller."""
    columns = np.ascontiguousarray(rows.T)
    smaller = np.zeros_like(columns)  # an entry has fewer than n smaller ones after it: no overflow
    for distance in range(1, len(columns)):
        smaller[:-distance] += columns[:-distance] > columns[distance:]
    return smaller.sum(axis=0, dtype=np.int64)


def _runs(ordered: Shaped[np.ndarray, "samples n"]) -> tuple[np.ndarray, Int[np.ndarray, "samples"]]:
    """Where a run of equal values begins in each row of sorted ones, and each row's pairs of equal values."""
    samples, n = ordered.shape
    is_new = np.ones(ordered.shape, dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=is_new[:, 1:])
    begins = np.flatnonzero(is_new)
    sizes = np.diff(begins, append=ordered.size)
    # Sums of integers below 2^53 are exact in floats.
    return is_new, np.bincount(begins // n, sizes * (sizes - 1) // 2, samples).astype(np.int64)


def _rank_type(n: int) -> type[np.unsignedinteger]:
    """Smallest integers that hold the ranks of n values."""
    return next(kind for kind in (np.uint8, np.uint16, np.uint32) if n - 1 <= np.iinfo(kind).max)

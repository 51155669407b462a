"""One conditional as the page holds it: its highest logits exactly, the rest as a summary."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from calib_assets.decoding.conditional import Conditional
from calib_assets.explorer.tail import gauss_points, knot_ranks

POINTS = (16, 24, 32, 48, 64)
"""Points of a tail's quadrature: as few of these as do, since most tails need the fewest and a flat one needs more."""
CHECKED = (0.2, 0.3, 0.5, 1.0, 2.0)
"""Temperatures at which the tail's mass is compared; the page offers none below the first."""
WITHIN = 1e-9
"""Largest error of the tail's mass and of its mean gap over T, as a share of the whole mass."""
KNOTS = 64
"""Logits kept of the tail, for estimates of cuts inside it."""


@dataclass(frozen=True)
class Head:
    """What a page knows of one conditional.

    Attributes:
        values: Distinct logits from the largest down, exact; equal ones are one entry.
        counts: How many tokens have each.
        size: Tokens in the support (logit above -inf).
        std: Unbiased standard deviation of all logits of the support.
        gap, weight: Quadrature of the tail (:func:`gauss_points`), empty where ``values`` hold everything.
        knot_rank: Ranks in the tail whose logits are kept, the last one the lowest of all.
        knot: Their logits.
    """

    values: Float[np.ndarray, "head"]
    counts: Int[np.ndarray, "head"]
    size: int
    std: float
    gap: Float[np.ndarray, "points"]
    weight: Float[np.ndarray, "points"]
    knot_rank: Int[np.ndarray, "knots"]
    knot: Float[np.ndarray, "knots"]


def head_of(conditional: Conditional, most: int) -> Head:
    """The highest ``most`` distinct logits of a conditional, and a summary of the others.

    Up to twice as many are kept whole: 16-bit logits have few distinct values, and then every cut is exact.
    """
    descending = conditional.ascending[::-1]
    starts = np.flatnonzero(np.diff(descending, prepend=np.inf))
    values, counts = descending[starts], np.diff(starts, append=descending.size)
    most = values.size if values.size <= 2 * most else most
    rest = values[most:]
    if rest.size:
        gap, weight = tail_points(conditional.top - values, counts, most)
        ranks = knot_ranks(int(starts[most]), conditional.size, KNOTS)
    else:
        gap = weight = np.empty(0)
        ranks = np.empty(0, np.int64)
    return Head(
        values[:most],
        counts[:most],
        conditional.size,
        conditional.std,
        gap,
        weight,
        ranks,
        descending[ranks - 1],
    )


def tail_points(
    gaps: Float[np.ndarray, "n"], counts: Int[np.ndarray, "n"], first: int
) -> tuple[Float[np.ndarray, "points"], Float[np.ndarray, "points"]]:
    """The quadrature of all but the ``first`` logits, with as many points as :data:`WITHIN` needs.

    Args:
        gaps: Distance of each distinct logit below the largest, rising from 0.
        counts: How many tokens have it.
        first: Where the tail begins.
    """
    temperatures = np.array(CHECKED)[:, None]
    weights = counts * np.exp(-gaps / temperatures)
    norm, tail = weights.sum(axis=1), weights[:, first:]
    mass, mean = tail.sum(axis=1), (tail * gaps[first:]).sum(axis=1)
    for points in POINTS:
        gap, weight = gauss_points(gaps[first:], counts[first:], points)
        found = weight * np.exp(-gap / temperatures)
        error = np.abs(found.sum(axis=1) - mass), np.abs((found * gap).sum(axis=1) - mean) / temperatures[:, 0]
        if (np.maximum(*error) < WITHIN * norm).all():
            break
    return gap, weight

"""How far judges and annotators agree (Paper A, Appendix A.2; METHODS §3.9): the coefficients.

The tables built from them are in `agreement_tables.py`.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

LEVELS = ("nominal", "ordinal", "interval", "ratio")


class BinaryAgreement(NamedTuple):
    """Agreement of yes/no labels ``a`` with ``b``, the latter taken as the truth; None where undefined.

    >>> found = binary_agreement(np.array([True, True, False]), np.array([True, False, False]))
    >>> found.n_valid_a, found.n_valid_b, found.precision, found.recall
    (2, 1, 0.5, 1.0)
    """

    n: int
    n_valid_a: int
    n_valid_b: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    kappa: float | None


def binary_agreement(a: Bool[np.ndarray, "items"], b: Bool[np.ndarray, "items"]) -> BinaryAgreement:
    r"""Accuracy, precision, recall, F1 and Cohen's kappa of ``a`` against ``b``.

    Cohen's :math:`\kappa = (p_o - p_e) / (1 - p_e)`, :math:`p_o` the accuracy and :math:`p_e` the agreement
    expected of independent labels with the same shares. "Valid" is the positive class.

    Args:
        a: Label of each item; leave out items with a missing label on either side.
        b: The label taken as the truth, of the same items.

    Returns:
        Counts and coefficients. None where a denominator is 0: precision without positives in ``a``, recall
        without positives in ``b``, F1 without either, kappa if both give every item the same label, all
        without items. (scikit-learn returns 0 or NaN with a warning there.)

    Raises:
        ValueError: If the shapes differ or a label is not boolean.

    >>> binary_agreement(np.array([True, True, False, False]), np.array([True, False, False, False]))[3:]
    (0.75, 0.5, 1.0, 0.6666666666666666, 0.5)
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"a {a.shape} and b {b.shape} must be vectors over the same items")
    if a.size and (a.dtype != bool or b.dtype != bool):
        raise ValueError(f"a is {a.dtype} and b {b.dtype}; give booleans, without missing labels")
    cells = confusion_cells(a.astype(bool), b.astype(bool)).sum(axis=0)
    numbers = [None if np.isnan(value) else float(value) for value in coefficients(cells)]
    both, only_a, only_b, _ = (int(cell) for cell in cells)
    return BinaryAgreement(a.size, both + only_a, both + only_b, *numbers)


def confusion_cells(a: Bool[np.ndarray, "items"], b: Bool[np.ndarray, "items"]) -> Float[np.ndarray, "items 4"]:
    """One-hot cell of each item: both valid, only ``a``, only ``b``, neither.

    Args:
        a: Labels.
        b: Labels of the same items.

    Returns:
        Ones and zeros; sums of rows are 2 × 2 tables.

    >>> confusion_cells(np.array([True, False]), np.array([False, False]))
    array([[0., 1., 0., 0.],
           [0., 0., 0., 1.]])
    """
    return np.stack([a & b, a & ~b, ~a & b, ~a & ~b], axis=-1).astype(np.float64)


def coefficients(cells: Float[np.ndarray, "*tables 4"]) -> Float[np.ndarray, "5 *tables"]:
    """Accuracy, precision, recall, F1 and kappa of 2 × 2 tables of counts; NaN where undefined.

    Args:
        cells: Counts of both valid, only a, only b, neither along the last axis.

    Returns:
        One row per coefficient.

    >>> coefficients(np.array([1.0, 1.0, 0.0, 2.0])).round(3)
    array([0.75 , 0.5  , 1.   , 0.667, 0.5  ])
    """
    both, only_a, only_b, neither = np.moveaxis(np.asarray(cells, dtype=np.float64), -1, 0)
    n, valid_a, valid_b = both + only_a + only_b + neither, both + only_a, both + only_b
    # Kappa's numerator and denominator times n^2: integers, so "both constant" is recognised exactly.
    expected = valid_a * valid_b + (n - valid_a) * (n - valid_b)
    agreed = both + neither
    fractions = [
        (agreed, n),
        (both, valid_a),
        (both, valid_b),
        (2 * both, valid_a + valid_b),
        (n * agreed - expected, n * n - expected),
    ]
    return np.stack([_ratio(above, below) for above, below in fractions])


def krippendorff_alpha(
    values: Float[np.ndarray, "annotators items"],
    level: Literal["nominal", "ordinal", "interval", "ratio"] = "interval",
) -> float | None:
    r"""Krippendorff's alpha, 1 − observed / expected disagreement, of values with gaps.

    Items with fewer than two values are left out. With :math:`o_{ck}` the coincidences of the values c and k
    within items, each item's pairs weighted by 1 / (its values − 1), :math:`n_c = \sum_k o_{ck}` and
    :math:`n = \sum n_c`: :math:`\alpha = 1 - (n - 1) \sum o_{ck} \delta^2_{ck} / \sum n_c n_k \delta^2_{ck}`.

    Args:
        values: Value that annotator i gave to item j at [i, j]; NaN where missing.
        level: Distance of two values. "nominal": 0 or 1; "interval": c − k; "ratio": (c − k)/(c + k);
            "ordinal": the number of values between, ends half.

    Returns:
        1 for perfect agreement, about 0 for chance, negative below it; None where undefined: no item with
        two values, or all such values equal (the package *krippendorff* raises then, or gives NaN).

    Raises:
        ValueError: If the array is no matrix, ``level`` is unknown, or a value is infinite, or negative at
            level "ratio".

    References:
        Krippendorff (2019), *Content Analysis*, 4th ed., chapter 12.

    >>> round(krippendorff_alpha(np.array([[1, 2, 3, 3], [1, 2, 3, np.nan], [1, 2, 2, np.nan]]), "nominal"), 4)
    0.6923
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"values has shape {values.shape}; give a matrix, annotators by items")
    if level not in LEVELS:
        raise ValueError(f"level is {level!r}; the levels of measurement are {', '.join(LEVELS)}")
    if np.isinf(values).any() or (level == "ratio" and (values < 0).any()):
        raise ValueError(f"values holds infinite or, at level 'ratio', negative entries; level is {level!r}")
    domain, counts = value_counts(values)
    observed, members = disagreement_terms(domain, counts, level)
    distances = squared_distances(domain, members.sum(axis=0), level)
    alpha = alpha_of_sums(observed.sum(), members.sum(axis=0), distances)
    return None if np.isnan(alpha) else float(alpha)


def value_counts(values) -> tuple[Float[np.ndarray, "domain"], Float[np.ndarray, "items domain"]]:
    """Distinct values by size, and how many annotators gave each item each of them.

    Args:
        values: ``[annotators, items]``, NaN where missing.

    Returns:
        The values and the counts.

    >>> value_counts(np.array([[3.0, np.nan], [3.0, 1.0]]))[1]
    array([[0., 2.],
           [1., 0.]])
    """
    annotator, item = np.nonzero(~np.isnan(values))
    domain, place = np.unique(values[annotator, item], return_inverse=True)
    counts = np.zeros((values.shape[1], domain.size))
    np.add.at(counts, (item, place), 1)
    return domain, counts


def disagreement_terms(domain, counts, level):
    """What each item adds to the observed disagreement, and to the number of values that can be paired.

    Args:
        domain: Distinct values, rising.
        counts: ``[items, domain]``: annotators that gave each item each value.
        level: As `krippendorff_alpha`.

    Returns:
        Weighted squared distances within each item, ``[items]``, and the item's counts, ``[items, domain]``;
        both 0 for items with fewer than two values.
    """
    size = counts.sum(axis=1)
    members = np.where(size[:, None] >= 2, counts, 0.0)
    distances = squared_distances(domain, members.sum(axis=0), level)
    within = np.einsum("ic,ic->i", members @ distances, members)
    return within / np.maximum(size - 1, 1), members


def squared_distances(domain, totals, level) -> Float[np.ndarray, "domain domain"]:
    """Squared distance of each two values at a level of measurement; ``totals`` matter to "ordinal" alone.

    Args:
        domain: Distinct values, rising.
        totals: Number of pairable times each value was given.
        level: As `krippendorff_alpha`.

    Returns:
        A symmetric matrix with a zero diagonal.

    >>> squared_distances(np.array([1.0, 5.0]), np.array([4.0, 2.0]), "ordinal")
    array([[0., 9.],
           [9., 0.]])
    """
    c, k = domain[:, None], domain[None, :]
    if level == "nominal":
        return (c != k).astype(np.float64)
    if level == "interval":
        return (c - k) ** 2
    if level == "ratio":
        return _ratio(c - k, c + k, 0.0) ** 2
    middle = np.cumsum(totals) - totals / 2  # mid-rank: the ordinal distance is the difference of mid-ranks
    return (middle[:, None] - middle[None, :]) ** 2


def alpha_of_sums(observed, totals, distances):
    """Alpha from summed `disagreement_terms`; NaN where undefined. Leading axes are separate data sets.

    Args:
        observed: Observed disagreement, ``[*sets]``.
        totals: Pairable values by value, ``[*sets, domain]``.
        distances: `squared_distances`.

    Returns:
        Alpha, ``[*sets]``.
    """
    expected = np.einsum("...c,...c->...", totals @ distances, totals)
    return 1 - _ratio((totals.sum(axis=-1) - 1) * observed, expected)


def _ratio(above, below, undefined: float = np.nan):
    above, below = np.broadcast_arrays(np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64))
    return np.divide(above, below, where=below != 0, out=np.full(below.shape, undefined))

"""Natural cubic splines, number for number as R's ``splines::ns`` gives them.

R's basis is not any basis of the space: it decides what the coefficients mean. It takes the cubic B-splines on
the knots, drops the first, and rotates the others by the Q of a QR decomposition of the two constraints
"second derivative 0 at both boundary knots"; the first two rotated columns violate them and are dropped. The
Householder reflections are written out here, as LINPACK's ``dqrdc`` makes them, so signs agree too.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.interpolate import BSpline

BoundaryRule = Literal["keep", "move"]
BOUNDARY_RULES = ("keep", "move")


@dataclass(frozen=True, eq=False)
class NaturalSpline:
    """A basis fixed by its knots: `evaluate` gives the same functions of new data.

    Attributes:
        interior: Interior knots, ascending.
        boundary: Boundary knots; beyond them every function is a straight line.
        reflections: The two Householder vectors of the rotation.

    >>> x = np.arange(9.0)
    >>> spline = fit_natural_spline(x, 3)
    >>> spline.df, spline.boundary, bool(np.allclose(spline.evaluate(x), natural_spline(x, 3)))
    (3, (0.0, 8.0), True)
    >>> beyond = spline.evaluate([8.0, 9.0, 10.0])  # straight lines
    >>> bool(np.allclose(np.diff(beyond, n=2, axis=0), 0))
    True
    """

    interior: Float[np.ndarray, "knots"]
    boundary: tuple[float, float]
    reflections: tuple[Float[np.ndarray, "columns"], ...]

    @property
    def df(self) -> int:
        """Number of columns."""
        return len(self.interior) + 1

    def evaluate(self, x: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "rows df"]:
        """The basis functions at ``x``; NaN gives a row of NaN."""
        low, high = self.boundary
        x = np.asarray(x, dtype=np.float64)
        inner = np.clip(x, low, high)
        basis = _b_splines(inner, self.interior, self.boundary, 0)
        outside = np.flatnonzero(inner != x)  # NaN differs from itself: it comes out as NaN
        if outside.size:
            slopes = _b_splines(inner[outside], self.interior, self.boundary, 1)
            basis[outside] += (x[outside] - inner[outside])[:, None] * slopes
        return _rotated(basis, self.reflections)[:, 2:]


def natural_spline(
    x: Float[np.ndarray, "rows"], df: int, *, boundary_rule: BoundaryRule = "keep"
) -> Float[np.ndarray, "rows df"]:
    """R's ``ns(x, df)`` without intercept: the basis of a natural cubic spline at ``x``.

    Interior knots are the quantiles (linear, R's type 7) of all of ``x`` at 1/df .. (df-1)/df, boundary knots its
    range. Where 1/df of the rows share the smallest value (answers at a length cap, in 1/length), a quantile falls
    on the boundary knot. R 4.2 leaves it there ("keep") and the basis can lose rank; R from 2023 on moves it inside
    by 1/8 of the gap to its neighbour ("move"). On the largest value R 4.2 fails: there both rules move it.

    Args:
        x: Finite numbers with at least two distinct values.
        df: Number of columns, at least 1.
        boundary_rule: "keep" (default) or "move".

    Returns:
        ``[rows, df]``; column j is basis function j + 1.

    Raises:
        ValueError: If a value is NaN or infinite, all are equal, or ``df`` or the rule is out of range.

    References:
        R Core Team, ``splines::ns``; Hastie (1992), in Chambers and Hastie, *Statistical Models in S*, chapter 7.

    >>> natural_spline(np.array([0.0, 1.0, 2.0]), df=1).round(6).ravel().tolist()  # a straight line
    [0.0, 0.400892, 0.801784]
    """
    return fit_natural_spline(x, df, boundary_rule=boundary_rule).evaluate(x)


def fit_natural_spline(x: Float[np.ndarray, "rows"], df: int, *, boundary_rule: BoundaryRule = "keep") -> NaturalSpline:
    """The basis that `natural_spline` evaluates, with knots taken from ``x``; arguments and errors as there."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"x has shape {x.shape}; give a vector of at least two numbers")
    if not np.isfinite(x).all():
        bad = np.count_nonzero(~np.isfinite(x))
        raise ValueError(f"x holds {bad} NaN or infinite of {x.size} values; drop them first")
    if isinstance(df, bool) or int(df) != df or df < 1:
        raise ValueError(f"df is {df!r}; give the number of columns, a whole number of at least 1")
    if boundary_rule not in BOUNDARY_RULES:
        raise ValueError(f"boundary_rule is {boundary_rule!r}; one of {list(BOUNDARY_RULES)} can be had")
    low, high = float(x.min()), float(x.max())
    if low == high:
        raise ValueError(f"x is {low} in all {x.size} rows; a spline needs at least two distinct values")
    interior = np.quantile(x, np.linspace(0, 1, int(df) + 1)[1:-1])
    interior = _moved_inside(interior, low, high, move_low=boundary_rule == "move")
    curvature = _b_splines(np.array([low, high]), interior, (low, high), 2)
    return NaturalSpline(interior, (low, high), _householder(curvature.T))


def _moved_inside(interior, low, high, move_low: bool):
    """Knots on a boundary moved by 1/8 of the gap to the nearest knot that is not."""
    on_low, on_high = interior == low, interior == high
    moved = interior.copy()
    if move_low and on_low.any():
        moved[on_low] += (np.append(interior[~on_low], high).min() - low) / 8
    if on_high.any():
        moved[on_high] -= (high - np.append(interior[~on_high], low).max()) / 8
    return moved


def _b_splines(x, interior, boundary, derivative: int):
    """Cubic B-splines but the first, or a derivative of them, at points within the boundary."""
    knots = np.concatenate([[boundary[0]] * 4, interior, [boundary[1]] * 4])
    n_splines = len(knots) - 4
    spline = BSpline(knots, np.eye(n_splines), 3)
    return np.ascontiguousarray(spline(x, nu=derivative)[:, 1:])


def _householder(matrix):
    """Vectors v of the reflections I - v v' / v_1 that triangularise ``[columns, 2]``, with LINPACK's signs."""
    matrix = matrix.copy()
    vectors = []
    for column in range(matrix.shape[1]):
        v = matrix[column:, column].copy()
        norm = np.linalg.norm(v)
        if norm > 0:
            v /= np.copysign(norm, v[0]) if v[0] != 0 else norm
            v[0] += 1.0
            matrix[column:, column:] -= np.outer(v, v @ matrix[column:, column:]) / v[0]
        vectors.append(v)
    return tuple(vectors)


def _rotated(basis, reflections):
    for column, v in enumerate(reflections):
        if v[0] != 0:
            basis[:, column:] -= np.outer(basis[:, column:] @ v, v) / v[0]
    return basis

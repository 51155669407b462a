r"""Crossed random intercepts: products with their indicator matrix Z, and linear algebra with Z'WZ + Λ.

The effects u of K grouping factors stand one after the other, the factor with most levels first. Its block of
:math:`H = Z'\mathrm{diag}(w)Z + \Lambda` is diagonal, because a row belongs to one level of it:

.. math:: H = \begin{pmatrix} D & C \\ C' & V \end{pmatrix},\qquad S = V - C'D^{-1}C = LL'.

So :math:`\ln|H| = \sum\ln D + 2\sum\ln L_{ii}`, and with :math:`R = \begin{pmatrix} D^{1/2} & 0 \\
C'D^{-1/2} & L\end{pmatrix}`, :math:`H = RR'`. Every product costs O(rows + levels of the first x levels of the
others): more prompts cost linearly more.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Int

# The trace products hold [levels of the first, levels of the others, parameters] numbers: at most so many at a time.
BLOCK_ENTRIES = 8_000_000


class Intercepts:
    """The indicator matrix Z of some grouping factors; none at all is allowed (u is empty).

    Args:
        codes: Level 0 .. n_levels - 1 of each row, one array per factor.
        n_levels: Number of levels of each factor.
        n_rows: Number of rows.
    """

    def __init__(self, codes: list[Int[np.ndarray, "rows"]], n_levels: list[int], n_rows: int):
        self.n_rows, self.n_levels = n_rows, n_levels
        order = sorted(range(len(codes)), key=lambda factor: -n_levels[factor])
        starts = np.concatenate([[0], np.cumsum([n_levels[factor] for factor in order])]).astype(int)
        self.n_effects = int(starts[-1])
        self.n_first = n_levels[order[0]] if order else 0
        self.n_other = self.n_effects - self.n_first
        #: Place of each factor's effects in u, in the order in which the factors were given.
        self.places = [slice(*starts[[order.index(k), order.index(k) + 1]]) for k in range(len(codes))]
        self._columns = [codes[factor] + starts[place] for place, factor in enumerate(order)]

    @cached_property
    def _z_transposed(self):
        return _indicator(self._columns, self.n_effects, self.n_rows)

    @cached_property
    def _pairs(self):
        """Sums rows by (level of the first factor, level of another): [n_first * n_other, rows]."""
        first = self._columns[0] * self.n_other
        return _indicator(
            [first + column - self.n_first for column in self._columns[1:]],
            self.n_first * self.n_other,
            self.n_rows,
        )

    def rows_of(self, effects: Float[np.ndarray, "effects *columns"]) -> Float[np.ndarray, "rows *columns"]:
        """Z u: the sum of each row's effects."""
        if not self._columns:
            return np.zeros((self.n_rows, *effects.shape[1:]))
        total = effects[self._columns[0]]
        for column in self._columns[1:]:
            total += effects[column]
        return total

    def sums(self, values: Float[np.ndarray, "rows *columns"]) -> Float[np.ndarray, "effects *columns"]:
        """Z' v: the sum of each level's rows."""
        if not self._columns:
            return np.zeros((0, *values.shape[1:]))
        return self._z_transposed @ values

    def factorise(
        self, weights: Float[np.ndarray, "rows"], precisions: Float[np.ndarray, "effects"]
    ) -> "Factorised | None":
        """H = Z'diag(weights)Z + diag(precisions) ready for use; None if it is not positive definite."""
        first = self.n_first
        diagonal = self._first_sums(weights) + precisions[:first]
        if first and diagonal.min() <= 0:
            return None
        cross = self.pair_sums(weights)
        scaled = cross / diagonal[:, None]
        schur = self.other_gram(weights) - cross.T @ scaled
        schur[np.diag_indices(self.n_other)] += precisions[first:]
        try:
            lower = np.linalg.cholesky(schur)
        except np.linalg.LinAlgError:
            return None
        return Factorised(self, diagonal, cross, scaled, lower)

    def _first_sums(self, values):
        if not self._columns:
            return np.zeros(0)
        return np.bincount(self._columns[0], values, self.n_first)

    def pair_sums(self, values: Float[np.ndarray, "rows *columns"]) -> Float[np.ndarray, "first other *columns"]:
        """C of Z'diag(v)Z: sums of rows by level of the first factor and level of the others."""
        if not self.n_other:
            return np.zeros((self.n_first, 0, *values.shape[1:]))
        return (self._pairs @ values).reshape(self.n_first, self.n_other, *values.shape[1:])

    def other_gram(self, values: Float[np.ndarray, "rows"]) -> Float[np.ndarray, "other other"]:
        """V of Z'diag(v)Z: the other factors among themselves."""
        size = self.n_other
        gram = np.zeros(size * size)
        others = [column - self.n_first for column in self._columns[1:]]
        for one in others:
            for other in others:
                gram += np.bincount(one * size + other, values, size * size)
        return gram.reshape(size, size)


@dataclass(frozen=True)
class Factorised:
    """H of one set of weights, in the blocks of the module's docstring."""

    intercepts: Intercepts
    diagonal: Float[np.ndarray, "first"]
    cross: Float[np.ndarray, "first other"]
    scaled: Float[np.ndarray, "first other"]  # D^-1 C
    lower: Float[np.ndarray, "other other"]  # L

    @property
    def log_determinant(self) -> float:
        """ln|H|."""
        return float(np.log(self.diagonal).sum() + 2 * np.log(np.diag(self.lower)).sum())

    @cached_property
    def _lower_inverse(self):
        return scipy.linalg.solve_triangular(self.lower, np.eye(len(self.lower)), lower=True, check_finite=False)

    @cached_property
    def _schur_inverse(self):
        return self._lower_inverse.T @ self._lower_inverse

    def solve(self, right: Float[np.ndarray, "effects *columns"]) -> Float[np.ndarray, "effects *columns"]:
        """H^-1 times vectors."""
        first = len(self.diagonal)
        upper = (right[:first].T / self.diagonal).T
        lower = self._schur_inverse @ (right[first:] - self.cross.T @ upper)
        return np.concatenate([upper - self.scaled @ lower, lower])

    def inverse_diagonals(self) -> tuple[Float[np.ndarray, "rows"], Float[np.ndarray, "effects"]]:
        """z_i' H^-1 z_i of each row i, and the diagonal of H^-1."""
        intercepts, inverse = self.intercepts, self._schur_inverse
        corner = -self.scaled @ inverse
        first = 1 / self.diagonal - np.einsum("fo,fo->f", corner, self.scaled)
        diagonal = np.concatenate([first, np.diag(inverse)])
        if not intercepts._columns:
            return np.zeros(intercepts.n_rows), diagonal
        level, *others = intercepts._columns
        others = [column - intercepts.n_first for column in others]
        by_row = first[level]
        for one in others:
            by_row += 2 * corner[level, one]
            for other in others:
                by_row += inverse[one, other]
        return by_row, diagonal

    def trace_products(
        self, slopes: Float[np.ndarray, "rows parameters"], prior_slopes: Float[np.ndarray, "effects parameters"]
    ) -> Float[np.ndarray, "parameters parameters"]:
        r"""tr(H^-1 H_s H^-1 H_t) for all pairs of H_t = Z'diag(slopes_t)Z + diag(prior_slopes_t).

        With :math:`M_t = R^{-1} H_t R^{-T}` it is :math:`\langle M_s, M_t\rangle`. In blocks, with
        :math:`A_t, G_t, V_t` the blocks of :math:`H_t` and :math:`E = D^{-1}C`:

        - :math:`M^{11} = D^{-1/2} A_t D^{-1/2}`, diagonal,
        - :math:`M^{12} = D^{-1/2}(G_t - A_t E)L^{-T}`, which counts twice,
        - :math:`M^{22} = L^{-1}(V_t - E'G_t - G_t'E + E'A_t E)L^{-T}`.
        """
        first, other = self.scaled.shape
        n_parameters = slopes.shape[1]
        by_level = self.intercepts.sums(slopes) + prior_slopes
        along = by_level[:first] / self.diagonal[:, None]
        traces = along.T @ along
        if not other:
            return traces
        pairs = self.intercepts.pair_sums(slopes)
        corner = np.zeros((other, other, n_parameters))
        if len(self.intercepts._columns) == 2:
            corner[np.arange(other), np.arange(other)] = by_level[first:]
        else:
            for parameter in range(n_parameters):
                corner[:, :, parameter] = self.intercepts.other_gram(slopes[:, parameter])
            corner[np.arange(other), np.arange(other)] += prior_slopes[first:]
        size = max(1, BLOCK_ENTRIES // (other * n_parameters))
        for start in range(0, first, size):
            part = slice(start, start + size)
            crossed = pairs[part]
            rest = crossed - by_level[:first][part, None, :] * self.scaled[part, :, None]
            corner -= np.tensordot(self.scaled[part], rest, axes=(0, 0))
            corner -= np.tensordot(self.scaled[part], crossed, axes=(0, 0)).transpose(1, 0, 2)
            rest /= np.sqrt(self.diagonal[part])[:, None, None]
            turned = np.matmul(self._lower_inverse, rest).reshape(-1, n_parameters)
            traces += 2 * (turned.T @ turned)
        turned = np.einsum("la,abt,kb->lkt", self._lower_inverse, corner, self._lower_inverse, optimize=True)
        turned = turned.reshape(-1, n_parameters)
        return traces + turned.T @ turned


def _indicator(columns, size: int, n_rows: int):
    """Sparse [size, rows] matrix that is 1 where a row belongs to a place of ``columns``."""
    places = np.concatenate(columns)
    rows = np.tile(np.arange(n_rows), len(columns))
    return scipy.sparse.csr_matrix((np.ones(len(places)), (places, rows)), shape=(size, n_rows))

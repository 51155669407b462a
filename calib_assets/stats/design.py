"""Design matrices of a formula, with R's columns, and their rows for new data.

A categorical variable is coded by indicators of its levels but the reference (treatment contrasts), or of all its
levels in an interaction whose other variables are no term by themselves (R's rule, so that no column is lost).
Constant variables and collinear columns are left out, and every such decision is a note.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from calib_assets.stats.formula import Formula, Variable
from calib_assets.stats.splines import BoundaryRule, NaturalSpline, fit_natural_spline

RANK_TOLERANCE = 1e-7  # R's: share of its own length that a column must keep beside those left of it
Matrix = Float[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Factor:
    """Indicators of a categorical column's levels; the first level is the reference."""

    variable: Variable
    levels: tuple[str, ...]

    def names(self, full: bool) -> list[str]:
        """R's names of the indicators; ``full`` has one for the reference too."""
        return [f"{self.variable.label}{level}" for level in self.levels[0 if full else 1 :]]

    def matrix(self, values: pl.Series, full: bool) -> Matrix:
        """The indicators; a row of NaN for null.

        Raises:
            ValueError: If a value is not among the levels.
        """
        codes = level_codes(values, self.levels)
        unknown = values.is_not_null().to_numpy() & (codes < 0)
        if unknown.any():
            raise ValueError(
                f"column {self.variable.column!r} holds {values[int(np.flatnonzero(unknown)[0])]!r}, which the fit "
                f"has not seen; its levels are {list(self.levels)}"
            )
        columns = (codes[:, None] == np.arange(0 if full else 1, len(self.levels))).astype(np.float64)
        columns[codes < 0] = np.nan
        return columns


@dataclass(frozen=True)
class Numeric:
    """A number, or its z-score with the fit's mean and standard deviation."""

    variable: Variable
    centre: float = 0.0
    scale: float = 1.0

    def names(self, full: bool) -> list[str]:
        return [self.variable.label]

    def matrix(self, values: pl.Series, full: bool) -> Matrix:
        return ((numbers(values) - self.centre) / self.scale)[:, None]


@dataclass(frozen=True)
class Spline:
    """The natural spline basis of a number, with the fit's knots."""

    variable: Variable
    basis: NaturalSpline

    def names(self, full: bool) -> list[str]:
        return [f"{self.variable.label}{i + 1}" for i in range(self.basis.df)]

    def matrix(self, values: pl.Series, full: bool) -> Matrix:
        return self.basis.evaluate(numbers(values))


@dataclass(frozen=True)
class Design:
    """How a formula's columns are made of data; `matrix` makes them for any data.

    Attributes:
        terms: The terms that remain.
        coders: What codes each variable.
    """

    terms: tuple[tuple[Variable, ...], ...]
    coders: Mapping[Variable, Factor | Numeric | Spline]

    @property
    def names(self) -> list[str]:
        """R's name of each column."""
        names = []
        for term in self.terms:
            parts = [self.coders[variable].names(self._is_full(term, variable)) for variable in term]
            products = [""]
            for i, part in enumerate(parts):  # the first variable runs fastest
                products = [f"{left}{':' if i else ''}{right}" for right in part for left in products]
            names.extend(products if term else ["(Intercept)"])
        return names

    def matrix(self, columns: Mapping[str, pl.Series], coded: dict | None = None) -> Matrix:
        """``[rows, columns]``; NaN in a row where a variable of a column is null.

        Args:
            columns: Every column that the terms name.
            coded: What two designs of the same rows and the same coders share, filled here.

        Raises:
            ValueError: If a categorical column holds a level that the fit has not seen.
        """
        n_rows = len(next(iter(columns.values())))
        coded = {} if coded is None else coded
        blocks = []
        for term in self.terms:
            block = np.ones((n_rows, 1))
            for variable in term:
                key = variable, self._is_full(term, variable)
                if key not in coded:
                    coded[key] = self.coders[variable].matrix(columns[variable.column], key[1])
                block = (coded[key][:, :, None] * block[:, None, :]).reshape(n_rows, -1)
            blocks.append(block)
        return np.ascontiguousarray(np.concatenate(blocks, axis=1))

    def _is_full(self, term, variable) -> bool:
        """R's rule: contrasts only where the term without the variable is a term too."""
        return tuple(other for other in term if other != variable) not in self.terms


def build_design(
    formula: Formula,
    columns: Mapping[str, pl.Series],
    reference: Mapping[str, str],
    boundary_rule: BoundaryRule = "keep",
    coders: dict[Variable, "Factor | Numeric | Spline"] | None = None,
) -> tuple[Design, list[str]]:
    """The design of a formula on complete data.

    Args:
        formula: Its terms are used.
        columns: Every column that the terms name, without nulls.
        reference: Reference level of categorical columns; the first in alphabetical order where none is named or
            the named one does not occur.
        boundary_rule: As `natural_spline`.
        coders: What codes each variable, shared by formulas of the same rows and filled here.

    Returns:
        The design, and the columns with a single value, whose terms are left out.

    Raises:
        ValueError: If a spline or ``scale`` is asked for a column that is not numeric, or a number is infinite.
    """
    coders = {} if coders is None else coders
    constant = []
    for variable in formula.variables:
        if variable in coders:
            continue
        values = columns[variable.column]
        if not is_number(values):
            if variable.transform is not None:
                raise ValueError(f"{variable.label} needs numbers, but {variable.column!r} holds {values.dtype}")
            levels = levels_of(values, reference.get(variable.column))
            if len(levels) < 2:
                constant.append(variable)
            else:
                coders[variable] = Factor(variable, levels)
            continue
        x = numbers(values)
        if not np.isfinite(x).all():
            raise ValueError(
                f"column {variable.column!r} is infinite in {np.count_nonzero(~np.isfinite(x))} rows; "
                "drop these rows or leave the value empty"
            )
        if x.min() == x.max():
            constant.append(variable)
        elif variable.transform == "ns":
            coders[variable] = Spline(variable, fit_natural_spline(x, variable.df, boundary_rule=boundary_rule))
        elif variable.transform == "scale":
            coders[variable] = Numeric(variable, float(x.mean()), float(x.std(ddof=1)))
        else:
            coders[variable] = Numeric(variable)
    gone = set(constant)
    terms = tuple(term for term in formula.terms if not gone.intersection(term))
    used = {variable: coders[variable] for term in terms for variable in term}
    return Design(terms, used), list(dict.fromkeys(variable.column for variable in constant))


def independent_columns(matrix: Matrix) -> tuple[Bool[np.ndarray, "columns"], dict[int, list[int]]]:
    """Which columns to keep so that none is a combination of those left of it.

    Args:
        matrix: A design matrix.

    Returns:
        The mask of the kept columns, and for each other one the kept ones that it is made of (empty: it is zero).

    References:
        R's ``qr`` (LINPACK ``dqrdc2`` with limited pivoting) makes the same choice.

    >>> keep, made_of = independent_columns(np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 1.0]]))
    >>> keep.tolist(), made_of
    ([True, False, True], {1: [0]})
    """
    norms = np.linalg.norm(matrix, axis=0)
    n_rows, n_columns = matrix.shape
    if n_rows >= n_columns:
        pivots = np.abs(np.diag(np.linalg.qr(matrix, mode="r")))
        if (pivots > RANK_TOLERANCE * norms).all():
            return np.ones(n_columns, dtype=bool), {}
    keep, made_of = np.zeros(n_columns, dtype=bool), {}
    basis = np.empty((n_rows, 0))
    for j in range(n_columns):
        rest = matrix[:, j]
        for _ in range(2):  # the second pass removes what rounding left
            rest = rest - basis @ (basis.T @ rest)
        length = np.linalg.norm(rest)
        if norms[j] > 0 and length > RANK_TOLERANCE * norms[j]:
            keep[j] = True
            basis = np.column_stack([basis, rest / length])
            continue
        kept = np.flatnonzero(keep)
        share = np.linalg.lstsq(matrix[:, kept], matrix[:, j], rcond=None)[0] * norms[kept]
        made_of[j] = [int(k) for k in kept[np.abs(share) > 1e-6 * norms[j]]] if norms[j] > 0 else []
    return keep, made_of


def levels_of(values: pl.Series, reference: str | None = None) -> tuple[str, ...]:
    """Distinct values as text, in the order of their code points, with the reference, if it occurs, first."""
    # Python's sets are faster here than polars' expressions, which pay for a query plan each.
    levels = sorted(set(as_text(values)) - {None})
    if reference in levels:
        levels.remove(reference)
        levels.insert(0, reference)
    return tuple(levels)


def level_codes(values: pl.Series, levels: tuple[str, ...]) -> np.ndarray:
    """Place of each value among the levels; -1 where it is none of them, or null."""
    places = {level: place for place, level in enumerate(levels)}
    return np.array([places.get(value, -1) for value in as_text(values)], dtype=np.int64)


def as_text(values: pl.Series) -> list[str | None]:
    """A categorical column's values as text."""
    return values.to_list() if values.dtype == pl.String else values.cast(pl.String).to_list()


def is_number(values: pl.Series) -> bool:
    """Whether a column enters as a number; text and truth values are categorical."""
    return values.dtype.is_numeric()


def numbers(values: pl.Series) -> np.ndarray:
    """A column as float64, null as NaN."""
    return values.cast(pl.Float64).to_numpy()

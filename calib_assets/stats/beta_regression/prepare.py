"""From a data frame and two formulas to a fit's problem: complete rows, levels, independent columns, and notes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from calib_assets.stats.beta_regression.likelihood import Response
from calib_assets.stats.beta_regression.search import Problem
from calib_assets.stats.design import (
    Design,
    Factor,
    build_design,
    independent_columns,
    is_number,
    level_codes,
    levels_of,
    numbers,
)
from calib_assets.stats.formula import Formula, parse_formula
from calib_assets.stats.frames import series
from calib_assets.stats.panel import clipped
from calib_assets.stats.splines import BoundaryRule

MOST_CELLS_NAMED = 6


@dataclass
class Notes:
    """What a reader must know beside the numbers: kind and text."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        if (kind, text) not in self.rows:
            self.rows.append((kind, text))


@dataclass(frozen=True)
class Submodel:
    """One of the two linear predictors.

    Attributes:
        design: How its columns are made.
        names: Name of each column.
        keep: Which columns are estimated.
        dropped: Why not, per column that is not.
        matrix: The kept columns at the fitted rows.
    """

    design: Design
    names: list[str]
    keep: Bool[np.ndarray, "columns"]
    dropped: dict[int, str]
    matrix: Float[np.ndarray, "rows kept"]


@dataclass(frozen=True)
class Grouping:
    """A factor with random intercepts: its levels, and the level of each fitted row."""

    name: str
    levels: tuple[str, ...]
    codes: Int[np.ndarray, "rows"]


@dataclass(frozen=True)
class Prepared:
    """Everything a fit needs.

    Attributes:
        response_name: Column of the response.
        n_dropped: Rows left out for a missing value.
        rows: Places of the fitted rows in the data.
        observed: The response there, within (0, 1).
        mean, precision: The submodels.
        groupings: The factors with at least two levels.
    """

    response_name: str
    n_dropped: int
    rows: Int[np.ndarray, "rows"]
    observed: Float[np.ndarray, "rows"]
    mean: Submodel
    precision: Submodel
    groupings: list[Grouping]

    @property
    def problem(self) -> Problem:
        return Problem(
            Response.of(self.observed),
            self.mean.matrix,
            self.precision.matrix,
            [grouping.codes for grouping in self.groupings],
            [len(grouping.levels) for grouping in self.groupings],
        )


def prepare(
    data,
    mean: str,
    precision: str,
    random: Sequence[str] | None,
    reference: Mapping[str, str],
    clip: float,
    boundary_rule: BoundaryRule,
    notes: Notes,
) -> Prepared:
    """Read, check and encode; arguments and errors as `fit_beta_mixed`, whose notes are added to ``notes``."""
    mean_formula, precision_formula = _formulas(mean, precision)
    groups = list(dict.fromkeys([*mean_formula.groups, *([random] if isinstance(random, str) else random or [])]))
    used = [variable.column for formula in (mean_formula, precision_formula) for variable in formula.variables]
    response_name = mean_formula.response
    columns = {name: series(data, name) for name in dict.fromkeys([response_name, *used, *groups])}
    if not is_number(columns[response_name]):
        raise ValueError(f"the response {response_name!r} holds {columns[response_name].dtype}; give numbers")
    complete = _complete_rows(columns, notes)
    n_all = len(complete)
    observed, is_clipped = clipped(numbers(columns[response_name])[complete], clip, response_name)
    if is_clipped.any():
        notes.add(
            "clipped",
            f"{int(is_clipped.sum())} of {is_clipped.size} values of {response_name} moved into "
            f"[{clip:g}, 1 - {clip:g}]",
        )
    at_edge = (observed <= 0) | (observed >= 1)
    if at_edge.any():
        raise ValueError(
            f"{response_name} is 0 or 1 in {int(at_edge.sum())} rows and clip is {clip:g}; give a clip such as 1e-6"
        )
    if observed.min() == observed.max():
        raise ValueError(f"{response_name} is {observed[0]} in all {observed.size} rows: there is nothing to explain")
    if not complete.all():
        columns = {name: values.filter(pl.Series(complete)) for name, values in columns.items()}
    _note_references(columns, used, reference, notes)
    shared: tuple[dict, dict] = {}, {}
    submodels = [
        _submodel(formula, part, columns, reference, boundary_rule, notes, *shared)
        for part, formula in (("mean", mean_formula), ("precision", precision_formula))
    ]
    groupings = []
    for name in groups:
        levels = levels_of(columns[name])
        if len(levels) < 2:
            notes.add("single level", f"(1 | {name}) is left out: {name} has the one level {levels[0]!r}")
            continue
        groupings.append(Grouping(name, levels, level_codes(columns[name], levels)))
    n_parameters = sum(submodel.matrix.shape[1] for submodel in submodels) + len(groupings)
    if len(observed) <= n_parameters:
        raise ValueError(
            f"{len(observed)} complete rows cannot carry {n_parameters} parameters; give more rows or fewer terms"
        )
    return Prepared(response_name, n_all - len(observed), np.flatnonzero(complete), observed, *submodels, groupings)


def _formulas(mean: str, precision: str) -> tuple[Formula, Formula]:
    mean_formula, precision_formula = parse_formula(mean), parse_formula(precision)
    if mean_formula.response is None:
        raise ValueError(f"mean {mean!r} names no response; write for instance 'D ~ {mean.strip()}'")
    if precision_formula.response is not None or precision_formula.groups:
        raise ValueError(
            f"precision {precision!r} has a response or a random intercept; write its fixed terms only, "
            "random intercepts belong to the mean"
        )
    return mean_formula, precision_formula


def _complete_rows(columns: Mapping[str, pl.Series], notes: Notes) -> np.ndarray:
    missing = {name: values.is_null().to_numpy() for name, values in columns.items()}
    complete = ~np.any(list(missing.values()), axis=0)
    if complete.size == 0 or not complete.any():
        raise ValueError(f"of {complete.size} rows none has a value in all of {list(columns)}")
    if not complete.all():
        where = ", ".join(f"{name} ({int(mask.sum())})" for name, mask in missing.items() if mask.any())
        dropped = complete.size - int(complete.sum())
        notes.add("missing", f"{dropped} of {complete.size} rows are left out for a missing value: {where}")
    return complete


def _note_references(columns, used, reference, notes):
    for name, level in reference.items():
        if name in used and not is_number(columns[name]) and level not in (levels := levels_of(columns[name])):
            notes.add("reference", f"{name} has no level {level!r}: its reference is {levels[0]!r}, the first in order")


def _submodel(formula, part, columns, reference, boundary_rule, notes, coders, coded) -> Submodel:
    design, constant = build_design(formula, columns, reference, boundary_rule, coders)
    for column in constant:
        terms = [_written(term) for term in formula.terms if any(variable.column == column for variable in term)]
        value = columns[column][0]
        notes.add("single level", f"{part}: {', '.join(terms)} left out: {column} is {value!r} in all rows")
    _note_empty_cells(design, columns, notes)
    matrix, names = design.matrix(columns, coded), design.names
    keep, made_of = independent_columns(matrix)
    dropped = {}
    for j, others in made_of.items():
        dropped[j] = f"dropped: collinear with {', '.join(names[k] for k in others)}" if others else "dropped: all zero"
        notes.add("collinear", f"{part}: {names[j]} {dropped[j]}")
    return Submodel(design, names, keep, dropped, matrix if keep.all() else np.ascontiguousarray(matrix[:, keep]))


def _note_empty_cells(design: Design, columns, notes) -> None:
    """Combinations of two categorical variables of one term that no row has."""
    for term in design.terms:
        factors = [design.coders[variable] for variable in term if isinstance(design.coders[variable], Factor)]
        for one, other in combinations(factors, 2):
            names = one.variable.column, other.variable.column
            codes = [level_codes(columns[name], factor.levels) for name, factor in zip(names, (one, other))]
            seen = np.zeros((len(one.levels), len(other.levels)), dtype=bool)
            seen[codes[0], codes[1]] = True
            empty = [f"{names[0]} {one.levels[i]} with {names[1]} {other.levels[j]}" for i, j in np.argwhere(~seen)]
            if empty:
                more = f" and {len(empty) - MOST_CELLS_NAMED} more" if len(empty) > MOST_CELLS_NAMED else ""
                notes.add("empty cells", f"no rows: {', '.join(empty[:MOST_CELLS_NAMED])}{more}")


def _written(term) -> str:
    return ":".join(variable.label for variable in term)

r"""Beta regression with random intercepts and a submodel of the precision (METHODS §4).

.. math:: y_i \sim \mathrm{Beta}(\mu_i\phi_i, (1-\mu_i)\phi_i),\quad
          \mathrm{logit}\,\mu_i = x_i'\beta + \sum_k u_{k,g_k(i)},\quad \ln\phi_i = w_i'\gamma,\quad
          u_k \sim N(0, \sigma_k^2),

so that Var = mu (1 - mu) / (1 + phi). Fitted by maximum likelihood with the Laplace approximation over the random
intercepts, as R's glmmTMB does; the numbers agree with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy.special import expit
from threadpoolctl import ThreadpoolController

from calib_assets.stats.beta_regression import tables
from calib_assets.stats.beta_regression.prepare import Notes, Prepared, prepare
from calib_assets.stats.beta_regression.search import NotConverged, Optimum, maximise_likelihood
from calib_assets.stats.beta_regression.text import written
from calib_assets.stats.design import level_codes
from calib_assets.stats.formula import parse_formula
from calib_assets.stats.frames import series
from calib_assets.stats.panel import CLIP
from calib_assets.stats.splines import BoundaryRule

MEAN = "D ~ R_sc * variant + ns(invN_sc, 4) * variant + task + (1 | prompt_uid) + (1 | model_name)"
PRECISION = "variant * task + ns(invN_sc, 3) + R_sc * variant + model_name"
REFERENCE = MappingProxyType({"variant": "base", "task": "completion"})


@dataclass(frozen=True)
class RandomIntercept:
    """One grouping factor of a fit.

    Attributes:
        levels: Its levels, in order.
        codes: Level of each fitted row.
        sd: Standard deviation; 0 where the maximum lies at the boundary.
        log_sd_se: Standard error of ln(sd); None at the boundary.
        modes: Conditional mode of each level, given the data.

    >>> rng = np.random.default_rng(0)
    >>> mean = np.repeat([0.2, 0.4, 0.6], 40)  # three groups, far apart
    >>> data = {"y": rng.beta(20 * mean, 20 * (1 - mean)), "g": np.repeat(list("abc"), 40)}
    >>> fit = fit_beta_mixed(data, "y ~ (1 | g)", "1")
    >>> group = fit.groups["g"]
    >>> group.levels, bool(np.all(np.diff(group.modes) > 0)), bool(group.sd > 0.3)
    (('a', 'b', 'c'), True, True)
    """

    levels: tuple[str, ...]
    codes: Int[np.ndarray, "rows"]
    sd: float
    log_sd_se: float | None
    modes: Float[np.ndarray, "levels"]


@dataclass(frozen=True, eq=False)
class BetaFit:
    """A fitted model. Its tables are polars frames; ``str(fit)`` prints them as the paper does (Tables 3, 7, 8, 9).

    Attributes:
        formulas: The mean and the precision, as written.
        observed: The response at the fitted rows, within (0, 1).
        rows: Places of these rows in the data.
        mu: Fitted mean of each, with its random intercepts at their modes.
        mu_population: The same with random intercepts 0.
        phi: Fitted precision of each.
        groups: The grouping factors, by name.
        parameters: Names of the estimated parameters: "mean: …", "precision: …", "log_sd: …".
        estimates: Their values.
        covariance: Their covariance, the inverse of the observed information of the marginal likelihood.
        coefficients: part "mean" | "precision", term, estimate, se, z, p, note. All null but the note for a column
            that was dropped.
        random_effects: group, n_levels, variance, sd, log_sd, log_sd_se, is_singular; the last three but one null at
            the boundary.
        random_modes: group, level, mode.
        summary_row: n_rows, n_dropped_rows, n_parameters (variances at the boundary counted, as glmmTMB does),
            log_likelihood, aic, bic, converged, iterations, max_gradient, condition (of the information, scaled to
            unit diagonal).
        notes: kind, text; no rows if there is nothing to say.
        predictions: row, mu, mu_population, phi of the fitted rows.

    >>> data = {"y": np.random.default_rng(0).beta(2.0, 6.0, 200), "x": np.tile([0.0, 1.0], 100)}
    >>> fit = fit_beta_mixed(data, "y ~ x", "1")
    >>> fit.coefficients.select("part", "term").rows()
    [('mean', '(Intercept)'), ('mean', 'x'), ('precision', '(Intercept)')]
    >>> at_one = expit(fit.estimates[0] + fit.estimates[1])  # no random intercepts: the logistic of the line
    >>> bool(np.isclose(fit.predict({"x": [1.0]})["mu"].item(), at_one))
    True
    """

    formulas: tuple[str, str]
    observed: Float[np.ndarray, "rows"]
    rows: Int[np.ndarray, "rows"]
    mu: Float[np.ndarray, "rows"]
    mu_population: Float[np.ndarray, "rows"]
    phi: Float[np.ndarray, "rows"]
    groups: Mapping[str, RandomIntercept]
    parameters: list[str]
    estimates: Float[np.ndarray, "parameters"]
    covariance: Float[np.ndarray, "parameters parameters"]
    coefficients: pl.DataFrame
    random_effects: pl.DataFrame
    random_modes: pl.DataFrame
    summary_row: pl.DataFrame
    notes: pl.DataFrame
    _prepared: Prepared

    @property
    def predictions(self) -> pl.DataFrame:
        return pl.DataFrame(
            {"row": self.rows, "mu": self.mu, "mu_population": self.mu_population, "phi": self.phi},
            schema_overrides={"row": pl.Int64},
        )

    def predict(self, data, random: bool = True) -> pl.DataFrame:
        """Mean and precision at rows of any data with the formulas' columns.

        Args:
            data: As `fit_beta_mixed`; splines and z-scores keep the fit's knots and moments.
            random: Whether the grouping factors' modes enter. A level that the fit has not seen, or null, has
                mode 0; grouping columns are not needed if False.

        Returns:
            mu and phi, one row per row of the data, in its order; null where a column is null.

        Raises:
            ValueError: If a column is missing, or a categorical one holds a level that the fit has not seen.
        """
        predictors = []
        start = 0
        for submodel in (self._prepared.mean, self._prepared.precision):
            coders = submodel.design.coders
            columns = {variable.column: series(data, variable.column) for variable in coders}
            columns = columns or {"": series(data, self._any_column(data))}
            matrix = submodel.design.matrix(columns)[:, submodel.keep]
            predictors.append(matrix @ self.estimates[start : start + matrix.shape[1]])
            start += matrix.shape[1]
        eta, zeta = predictors
        if random:
            for name, group in self.groups.items():
                codes = level_codes(series(data, name), group.levels)
                eta = eta + np.append(group.modes, 0.0)[codes]
        undefined = np.isnan(eta) | np.isnan(zeta)
        columns = {"mu": expit(eta), "phi": np.exp(zeta)}
        return pl.DataFrame(
            {name: pl.Series(np.where(undefined, np.nan, values)).fill_nan(None) for name, values in columns.items()}
        )

    @staticmethod
    def _any_column(data) -> str:
        """A model of two intercepts needs no column, but the number of rows."""
        return next(iter(data.keys() if isinstance(data, dict) else data.columns))

    def __str__(self) -> str:
        return written(self)

    def __repr__(self) -> str:
        summary = self.summary_row.row(0, named=True)
        return f"BetaFit({summary['n_rows']} rows, log-likelihood {summary['log_likelihood']:.2f})"


def fit_beta_mixed(
    data,
    mean: str = MEAN,
    precision: str = PRECISION,
    random: Sequence[str] | None = None,
    reference: Mapping[str, str] = REFERENCE,
    clip: float = CLIP,
    *,
    boundary_rule: BoundaryRule = "keep",
) -> BetaFit:
    """Fit a beta regression with random intercepts, and a model of its precision, to a table.

    The formulas' grammar is that of `parse_formula`: ``+``, ``*``, ``:``, ``ns(x, df)``, ``scale(x)``,
    ``(1 | group)``. What cannot be estimated is left out and noted, never silent: terms of a variable with a single
    value, columns that are collinear with those left of them. A variance at zero is reported as singular.

    Args:
        data: A polars or pandas DataFrame, or a mapping from names to arrays. Rows with a null or NaN in a used
            column are left out and counted; spline knots come from the rows that remain.
        mean: Formula of logit(mu), with the response, a number in [0, 1], on its left.
        precision: Formula of ln(phi); a leading ``~`` is allowed.
        random: Columns with random intercepts, beside those that ``mean`` writes as ``(1 | g)``.
        reference: Reference level of categorical columns; else, or if it does not occur (which is noted), the first
            in the order of code points. Columns that no formula uses are ignored.
        clip: The response is moved into [clip, 1 - clip].
        boundary_rule: As `natural_spline`; "keep" gives the numbers of R 4.2, "move" those of R since 2023.

    Returns:
        The fit; the same numbers for rows in any order (up to rounding).

    Raises:
        TypeError: If the data is no table.
        ValueError: If a formula or column is unknown, the response is not a number in [0, 1] or never varies,
            no row is complete, or there are not more rows than parameters.
        NotConverged: If no maximum of the likelihood was found.

    References:
        Paper B, section 5 and Appendix C.4; Ferrari and Cribari-Neto (2004); Brooks et al. (2017), *glmmTMB*.

    >>> rng = np.random.default_rng(0)
    >>> data = {"y": rng.beta(2.0, 6.0, 200), "group": np.repeat(list("abcd"), 50)}
    >>> fit = fit_beta_mixed(data, "y ~ 1 + (1 | group)", "1")
    >>> fit.coefficients["term"].to_list(), bool(abs(fit.mu.mean() - 0.25) < 0.02)
    (['(Intercept)', '(Intercept)'], True)
    """
    # The products are small: several BLAS threads would only wait for each other.
    with _blas().limit(limits=1, user_api="blas"):
        notes = Notes()
        _check_precision(data, mean, precision)
        prepared = prepare(data, mean, precision, random, reference, clip, boundary_rule, notes)
        optimum = maximise_likelihood(prepared.problem)
        return _finished((mean, precision), prepared, optimum, notes)


def _check_precision(data, mean: str, precision: str) -> None:
    """A mean of one's own beside the paper's precision, whose columns the data lack: say which argument is missing."""
    if precision != PRECISION or mean == MEAN:
        return
    try:
        for variable in parse_formula(precision).variables:
            series(data, variable.column)
    except ValueError as error:
        raise ValueError(
            f"precision is Paper B's, its default, but {error}; give your own, such as precision='1'"
        ) from error


@cache
def _blas() -> ThreadpoolController:
    """The BLAS of numpy and scipy, both loaded by now; looking for it costs milliseconds."""
    return ThreadpoolController()


def _finished(formulas, prepared: Prepared, optimum: Optimum, notes: Notes) -> BetaFit:
    """The fit's numbers and tables."""
    objective, at = optimum.objective, optimum.descent.at
    covariance, condition = _covariance(at.hessian)
    parameters = [
        f"{part}: {name}"
        for part, submodel in (("mean", prepared.mean), ("precision", prepared.precision))
        for name, keep in zip(submodel.names, submodel.keep, strict=True)
        if keep
    ] + [f"log_sd: {prepared.groupings[k].name}" for k in optimum.factors]
    groups = {}
    for k, grouping in enumerate(prepared.groupings):
        sd, log_sd_se, modes = 0.0, None, np.zeros(len(grouping.levels))
        if k in optimum.factors:
            place = optimum.factors.index(k)
            sd = float(np.exp(at.psi[objective.tau][place]))
            log_sd_se = float(np.sqrt(np.diag(covariance)[objective.tau][place]))
            modes = at.modes[objective.intercepts.places[place]]
        else:
            notes.add(
                "singular",
                f"the variance of {grouping.name} is 0, the boundary of its range: the data show no more variation "
                "between its levels than the rest of the model gives",
            )
        groups[grouping.name] = RandomIntercept(grouping.levels, grouping.codes, sd, log_sd_se, modes)
    if optimum.spike:
        notes.add("likelihood spike", optimum.spike)
    fixed = prepared.mean.matrix @ at.psi[objective.beta]
    n_rows = len(prepared.observed)
    n_parameters = prepared.problem.n_fixed + len(groups)
    summary = tables.summary_row(
        n_rows=n_rows,
        n_dropped_rows=prepared.n_dropped,
        n_parameters=n_parameters,
        log_likelihood=-at.value,
        iterations=optimum.steps,
        max_gradient=float(np.abs(at.gradient).max()),
        condition=condition,
    )
    errors = np.sqrt(np.diag(covariance))
    coefficients = tables.coefficients(
        ("mean", prepared.mean, at.psi[objective.beta], errors[objective.beta]),
        ("precision", prepared.precision, at.psi[objective.gamma], errors[objective.gamma]),
    )
    return BetaFit(
        formulas=formulas,
        observed=prepared.observed,
        rows=prepared.rows,
        mu=expit(fixed + objective.intercepts.rows_of(at.modes)),
        mu_population=expit(fixed),
        phi=np.exp(prepared.precision.matrix @ at.psi[objective.gamma]),
        groups=groups,
        parameters=parameters,
        estimates=at.psi,
        covariance=covariance,
        coefficients=coefficients,
        random_effects=tables.random_effects(groups),
        random_modes=tables.random_modes(groups),
        summary_row=summary,
        notes=tables.notes(notes.rows),
        _prepared=prepared,
    )


def _covariance(hessian) -> tuple[np.ndarray, float]:
    """Inverse and condition number of the information, both by way of its unit-diagonal form."""
    scale = 1 / np.sqrt(np.diag(hessian))
    unit = hessian * scale[:, None] * scale
    values, vectors = np.linalg.eigh(unit)
    if values[0] <= 0:
        raise NotConverged("the information is not positive definite at the maximum: fewer terms may be estimable")
    return (vectors / values) @ vectors.T * scale[:, None] * scale, float(values[-1] / values[0])

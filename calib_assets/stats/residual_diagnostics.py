r"""Residual diagnostics of a beta regression by simulation, as R's package DHARMa defines them (METHODS §4, §5).

**Scaled residuals.** For S data sets simulated from the fit, :math:`r_i = \#\{s : y_{s,i} < y_i\} / S`; where
simulations equal the datum, a uniform draw between the shares below and at most it. If the model holds, they are
uniform on (0, 1).

- *uniformity*: two-sided Kolmogorov–Smirnov test of the residuals against the uniform distribution; the exact p for
  fewer than 100 rows without ties, else the asymptotic one.
- *dispersion*: :math:`T(v) = \mathrm{var}(v - \mu_{pop})` (ddof 1), with the population mean (random intercepts 0). The
  statistic is :math:`T(y)` over the mean of :math:`T(y_s)`; p is twice the smaller share of simulations at most and at
  least :math:`T(y)`, at most 1.
- *outliers*: rows outside all their simulations (:math:`r_i` exactly 0 or 1), against a binomial with
  probability :math:`2/(S+1)`, exact and two-sided.

**Kinds.** They differ by more than seeds do, so a result names its kind: *unconditional* draws new random intercepts
for each simulation (default of DHARMa 0.4.7), *conditional* keeps them at their modes (default since 0.5.0), and
*closed_form* is the limit of the conditional residual for endless simulations, the beta distribution function
:math:`I_{y}(\mu\phi, (1-\mu)\phi)`, free of simulation noise.

References:
    Hartig (2016), *DHARMa*, CRAN (read at 0.4.7 and 0.5.0); Paper B, Figure 6.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats
from scipy.special import betainc, expit, logit

from calib_assets.stats.beta_regression import BetaFit

Kind = Literal["unconditional", "conditional", "closed_form"]
KINDS = ("unconditional", "conditional", "closed_form")
BLOCK_ENTRIES = 500_000  # simulated values held at a time
EXACT_BELOW = 100
TESTS = {
    "kind": pl.String,
    "test": pl.String,
    "statistic": pl.Float64,
    "p": pl.Float64,
    "n": pl.Int64,
    "n_simulations": pl.Int64,
    "detail": pl.String,
}
RESIDUALS = {"kind": pl.String, "row": pl.Int64, "fitted": pl.Float64, "residual": pl.Float64}


@dataclass(frozen=True)
class ResidualDiagnostics:
    """Tests and residuals of a fit.

    Attributes:
        tests: kind, test ("uniformity", "dispersion", "outliers"), statistic, p, n, n_simulations, detail (in words).
            The closed form has no simulations, and no dispersion and outlier test: null, with the reason.
        residuals: kind, row (of the data), fitted (the population mean), residual.

    >>> from calib_assets.stats import fit_beta_mixed
    >>> y = np.random.default_rng(1).beta(2.0, 6.0, 100)
    >>> found = residual_diagnostics(fit_beta_mixed({"y": y}, "y ~ 1", "1"), kinds=["closed_form"])
    >>> found.tests.columns
    ['kind', 'test', 'statistic', 'p', 'n', 'n_simulations', 'detail']
    >>> found.residuals["row"].to_list() == list(range(100))
    True
    """

    tests: pl.DataFrame
    residuals: pl.DataFrame


@dataclass(frozen=True)
class SimulatedChecks:
    """What simulations say of one response; fields as the module's docstring defines them."""

    residuals: Float[np.ndarray, "rows"]
    uniformity: float
    uniformity_p: float
    is_exact: bool
    dispersion: float
    dispersion_p: float
    outliers: int
    outliers_p: float
    n_simulations: int


def residual_diagnostics(
    fit: BetaFit, n_simulations: int = 1000, seed: int = 123, kinds: Iterable[Kind] = KINDS
) -> ResidualDiagnostics:
    """Scaled residuals and their three tests, for each kind.

    Args:
        fit: A fitted beta regression.
        n_simulations: Simulated data sets per simulated kind; DHARMa's authors advise 1000.
        seed: Of the simulations; each kind has draws of its own, so leaving one out changes no other.
        kinds: Which kinds, in order.

    Returns:
        Both tables.

    Raises:
        ValueError: If a kind is unknown or there are fewer than 2 simulations.

    >>> from calib_assets.stats import fit_beta_mixed
    >>> rng = np.random.default_rng(1)
    >>> one, two = rng.beta(2.0, 6.0, 400), np.where(rng.random(400) < 0.5, rng.beta(9, 81, 400), rng.beta(81, 9, 400))
    >>> for y in (one, two):  # drawn from the model; from two humps, which a beta distribution does not have
    ...     tests = residual_diagnostics(fit_beta_mixed({"y": y}, "y ~ 1", "1"), n_simulations=50).tests
    ...     print(tests.filter(kind="closed_form", test="uniformity").select(pl.col("p") > 0.05).item())
    True
    False
    """
    kinds = list(kinds)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"kinds holds {unknown}; {list(KINDS)} can be had")
    if n_simulations < 2:
        raise ValueError(f"n_simulations is {n_simulations}; at least 2 are needed, 1000 are usual")
    tests, residuals = [], []
    for kind in kinds:
        if kind == "closed_form":
            found, rows = _closed_form(fit)
        else:
            rng = np.random.default_rng([seed, KINDS.index(kind)])
            simulations = simulated_responses(fit, n_simulations, rng, is_conditional=kind == "conditional")
            checks = simulated_checks(fit.observed, fit.mu_population, simulations, rng)
            found, rows = checks.residuals, _test_rows(kind, checks)
        tests += rows
        columns = {"row": fit.rows, "fitted": fit.mu_population, "residual": found}
        residuals.append(pl.DataFrame({"kind": [kind] * len(found), **columns}, schema_overrides={"row": pl.Int64}))
    return ResidualDiagnostics(
        pl.DataFrame(tests, TESTS, orient="row"), pl.concat([pl.DataFrame(schema=RESIDUALS), *residuals])
    )


def simulated_responses(
    fit: BetaFit, n_simulations: int, rng: np.random.Generator, *, is_conditional: bool
) -> Iterator[Float[np.ndarray, "simulations rows"]]:
    """Blocks of data sets drawn from a fit, in all ``n_simulations`` rows.

    Args:
        fit: The fit.
        n_simulations: Number of data sets.
        rng: Their generator.
        is_conditional: Whether random intercepts stay at their modes instead of being drawn anew.
    """
    fixed = logit(fit.mu_population)
    fixed_mean = fit.mu if is_conditional else None
    size = max(1, BLOCK_ENTRIES // len(fixed))
    for start in range(0, n_simulations, size):
        count = min(size, n_simulations - start)
        if is_conditional:
            mu = fixed_mean
        else:
            eta = np.broadcast_to(fixed, (count, len(fixed))).copy()
            for group in fit.groups.values():
                if group.sd > 0:
                    eta += (group.sd * rng.standard_normal((count, len(group.levels))))[:, group.codes]
            mu = expit(eta)
        yield _beta_draws(mu, fit.phi, count, rng)


def _beta_draws(mu, phi, count: int, rng):
    """Draws of Beta(mu phi, (1 - mu) phi) as ratios of gamma draws, [count, rows]."""
    shape = (count, len(phi))
    one = rng.standard_gamma(np.broadcast_to(mu * phi, shape))
    other = rng.standard_gamma(np.broadcast_to((1 - mu) * phi, shape))
    total = one + other
    # Both draws underflow where phi is nearly 0; the distribution is then that of a coin, up to rounding.
    lost = total == 0
    if lost.any():
        one[lost] = rng.random(np.count_nonzero(lost)) < np.broadcast_to(mu, shape)[lost]
        total[lost] = 1.0
    return one / total


def simulated_checks(
    observed: Float[np.ndarray, "rows"],
    fitted: Float[np.ndarray, "rows"],
    simulations: Iterable[Float[np.ndarray, "simulations rows"]],
    rng: np.random.Generator | None = None,
) -> SimulatedChecks:
    """DHARMa's residuals and tests of a response, given any simulations of it.

    Args:
        observed: The response.
        fitted: Its population mean.
        simulations: Blocks of simulated responses.
        rng: For the draws within ties; ``numpy.random.default_rng(0)`` by default.

    >>> checks = simulated_checks(np.array([0.5, 0.2]), np.array([0.4, 0.3]), [np.array([[0.4, 0.3], [0.6, 0.4]])])
    >>> checks.residuals.tolist(), checks.outliers
    ([0.5, 0.0], 1)
    """
    rng = np.random.default_rng(0) if rng is None else rng
    n, below, at_most, spreads = len(observed), 0, 0, []
    for block in simulations:
        below = below + (block < observed).sum(axis=0)
        at_most = at_most + (block <= observed).sum(axis=0)
        spreads.append((block - fitted).var(axis=1, ddof=1))
    spreads = np.concatenate(spreads)
    n_simulations = len(spreads)
    residuals = below / n_simulations
    tied = below != at_most
    if tied.any():
        residuals[tied] = rng.uniform(below[tied] / n_simulations, at_most[tied] / n_simulations)
    uniformity, uniformity_p, is_exact = _uniformity(residuals)
    spread = (observed - fitted).var(ddof=1)
    tails = (spreads <= spread).mean(), (spreads >= spread).mean()
    margin = 1 / (n_simulations + 1)
    outliers = int(((residuals < margin) | (residuals > 1 - margin)).sum())
    return SimulatedChecks(
        residuals=residuals,
        uniformity=uniformity,
        uniformity_p=uniformity_p,
        is_exact=is_exact,
        dispersion=float(spread / spreads.mean()),
        dispersion_p=float(min(1.0, 2 * min(tails))),
        outliers=outliers,
        outliers_p=float(stats.binomtest(outliers, n, 2 * margin).pvalue),
        n_simulations=n_simulations,
    )


def _uniformity(residuals) -> tuple[float, float, bool]:
    is_exact = len(residuals) < EXACT_BELOW and len(np.unique(residuals)) == len(residuals)
    test = stats.kstest(residuals, "uniform", method="exact" if is_exact else "asymp")
    return float(test.statistic), float(test.pvalue), is_exact


def _test_rows(kind: str, checks: SimulatedChecks) -> list[tuple]:
    n, count = len(checks.residuals), checks.n_simulations
    expected = n * 2 / (count + 1)
    return [
        (kind, "uniformity", checks.uniformity, checks.uniformity_p, n, count, _ks_detail(checks.is_exact)),
        (
            kind,
            "dispersion",
            checks.dispersion,
            checks.dispersion_p,
            n,
            count,
            "variance about the population mean, data over simulations; two-sided",
        ),
        (
            kind,
            "outliers",
            float(checks.outliers),
            checks.outliers_p,
            n,
            count,
            f"rows outside all their simulations, {expected:.1f} expected; exact binomial, two-sided",
        ),
    ]


def _closed_form(fit: BetaFit):
    residuals = betainc(fit.mu * fit.phi, (1 - fit.mu) * fit.phi, fit.observed)
    statistic, p, is_exact = _uniformity(residuals)
    n = len(residuals)
    return residuals, [
        ("closed_form", "uniformity", statistic, p, n, None, _ks_detail(is_exact)),
        ("closed_form", "dispersion", None, None, n, None, "compares with simulations: see the other kinds"),
        ("closed_form", "outliers", None, None, n, None, "counts rows outside simulations: see the other kinds"),
    ]


def _ks_detail(is_exact: bool) -> str:
    return f"Kolmogorov-Smirnov distance from the uniform distribution; {'exact' if is_exact else 'asymptotic'} p"

"""From starting values to the reported maximum: variances at zero and spikes of the likelihood.

**A variance at zero.** As tau falls, F becomes flat, and Newton's steps creep without end. Once a standard
deviation is below ``SUSPECT`` the model is fitted without the factor and the slope of F is taken where the factor's
variance leaves zero: if F rises, zero is a local maximum of the likelihood and is reported as such. Otherwise the
descent goes on. At the end every variance set to zero is tested once more.

**Spikes.** Where rows can be fitted exactly their precision can grow without bound, and the likelihood with it; no
maximum likelihood estimate exists, but local maxima usually do, and one of them is what every program for this model
reports. If the first search ends with a precision above ``LARGE_PHI``, or nowhere, two more are made: one that
starts with larger variances, and one that goes by small steps from the maximum without random intercepts, with only
those factors whose variance wants to leave zero. The highest local maximum with precisions up to ``MODERATE_PHI``
is reported, else the one with the smallest precisions, and the fit says so.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from calib_assets.stats.beta_regression.intercepts import Intercepts
from calib_assets.stats.beta_regression.laplace import LaplaceObjective
from calib_assets.stats.beta_regression.likelihood import Response
from calib_assets.stats.beta_regression.newton import Descent, Limits, minimise
from calib_assets.stats.beta_regression.start import starting_values

START_SD, LARGE_SD, CAUTIOUS_SD = 0.1, 0.4, 0.03
SUSPECT, FLAT = -4.0, -8.0  # log standard deviations: 0.018, 0.0003
LEAVING_ZERO = -6.0
LARGE_PHI, MODERATE_PHI = 1e5, 1e7
SPIKE = 27.6  # log of 1e12: on the way to an optimum the precision may pass 1e6
CONVERGED = 1e-6  # squared decrement of an acceptable optimum
SEVERAL = (
    "a first search ran into rows that can be fitted almost exactly, where the likelihood may have no bound; reported "
    "is the highest local maximum, of three searches, whose precisions stay moderate"
)
BOLD = Limits(floor=SUSPECT, log_phi=SPIKE)
CAUTIOUS = replace(BOLD, zeta=0.3)

TRY = (
    "try fewer terms in the precision (a spline or an interaction less), fewer random intercepts, or leave out "
    "cells with a handful of rows"
)


class NotConverged(RuntimeError):
    """A fit that found no maximum of the likelihood; the message says what to try.

    >>> from calib_assets.stats import fit_beta_mixed
    >>> y = [0.3, 0.3, 0.3, *np.random.default_rng(5).beta(2, 5, 30)]  # cell b can be fitted exactly
    >>> try:
    ...     fit_beta_mixed({"y": y, "cell": ["b"] * 3 + ["a"] * 30}, "y ~ cell", "cell")
    ... except NotConverged as error:
    ...     print(str(error)[:42])
    no maximum of the likelihood was found (se
    """


@dataclass(frozen=True)
class Problem:
    """Response, design matrices and grouping factors of one fit."""

    response: Response
    mean_matrix: Float[np.ndarray, "rows p"]
    precision_matrix: Float[np.ndarray, "rows q"]
    codes: list[Int[np.ndarray, "rows"]]
    n_levels: list[int]

    def objective(self, factors: list[int]) -> LaplaceObjective:
        """The objective with the intercepts of some of the factors."""
        intercepts = Intercepts(
            [self.codes[k] for k in factors], [self.n_levels[k] for k in factors], len(self.response.y)
        )
        return LaplaceObjective(self.response, self.mean_matrix, self.precision_matrix, intercepts)

    @property
    def n_fixed(self) -> int:
        """Length of (beta, gamma)."""
        return self.mean_matrix.shape[1] + self.precision_matrix.shape[1]


@dataclass(frozen=True)
class Optimum:
    """A local maximum of the likelihood.

    Attributes:
        factors: Grouping factors with a variance above zero, in the order of their tau in psi.
        objective: The objective over these.
        descent: Its last descent.
        steps: Newton steps of the whole search.
        spike: What was met of the kind that the module's docstring describes, in words; None if nothing.
    """

    factors: list[int]
    objective: LaplaceObjective
    descent: Descent
    steps: int
    spike: str | None = None

    @property
    def largest_phi(self) -> float:
        """Largest fitted precision of a row."""
        gamma = self.descent.at.psi[self.objective.gamma]
        return float(np.exp((self.objective.precision_matrix @ gamma).max()))


def maximise_likelihood(problem: Problem) -> Optimum:
    """The maximum of the likelihood, or the local one that small steps reach if precisions run away.

    Raises:
        NotConverged: If no local maximum was found.
    """
    start = starting_values(problem.response, problem.mean_matrix, problem.precision_matrix)
    found, failures = [], []
    for start_sd, limits, cautious in (
        (START_SD, BOLD, False),
        (LARGE_SD, BOLD, False),
        (CAUTIOUS_SD, CAUTIOUS, True),
    ):
        try:
            optimum = _Search(problem, start, start_sd, limits, cautious).run()
        except (FloatingPointError, np.linalg.LinAlgError):
            failures.append("left the range of floating point numbers")
            continue
        if optimum is None:
            failures.append(f"let the precision of some rows grow beyond {np.exp(SPIKE):.0e}")
        elif optimum.descent.decrement > CONVERGED:
            failures.append(f"ended on a slope, with a largest precision of {optimum.largest_phi:.1e}")
        elif optimum.largest_phi <= LARGE_PHI and start_sd == START_SD:
            return optimum
        else:
            found.append(optimum)
    if not found:
        reasons = "; ".join(f"search {i} {failure}" for i, failure in enumerate(failures, start=1))
        raise NotConverged(f"no maximum of the likelihood was found ({reasons}); {TRY}")
    moderate = [optimum for optimum in found if optimum.largest_phi <= MODERATE_PHI]
    if moderate:
        best = min(moderate, key=lambda optimum: optimum.descent.at.value)
    else:
        best = min(found, key=lambda optimum: optimum.largest_phi)
    if best.largest_phi <= LARGE_PHI:
        return replace(best, spike=SEVERAL)
    return replace(
        best,
        spike=f"the precision reaches {best.largest_phi:.2g}: some rows are fitted almost exactly, and estimates and "
        "standard errors lean on them",
    )


@dataclass
class _Search:
    problem: Problem
    start: Float[np.ndarray, "p+q"]
    start_sd: float
    limits: Limits
    cautious: bool
    steps: int = 0
    objectives: dict = field(default_factory=dict)

    def run(self) -> Optimum | None:
        """None if the search ended in a spike."""
        factors = list(range(len(self.problem.n_levels)))
        fixed, log_sd = self.start, np.log(self.start_sd)
        if self.cautious and factors:
            fixed = self._minimise([], fixed).at.psi
            factors = [k for k in factors if self._wants_to_leave_zero([], fixed, k)]
        psi = np.concatenate([fixed, np.full(len(factors), log_sd)])
        reentered = set(factors) if self.cautious else set()
        while True:
            factors, descent = self._without_zeros(factors, psi)
            if descent.ended == "spike":
                return None
            back = [
                k
                for k in range(len(self.problem.n_levels))
                if k not in factors and k not in reentered and self._wants_to_leave_zero(factors, descent.at.psi, k)
            ]
            if not back:
                return Optimum(factors, self._objective(factors), descent, self.steps)
            reentered.update(back)
            factors = factors + back
            psi = np.concatenate([descent.at.psi, np.full(len(back), np.log(CAUTIOUS_SD))])

    def _without_zeros(self, factors: list[int], psi) -> tuple[list[int], Descent]:
        """Descend, and take out the factors whose variance is zero."""
        n_fixed, limits = self.problem.n_fixed, self.limits
        descent = self._minimise(factors, psi, limits)
        while descent.ended != "spike":
            log_sd = dict(zip(factors, descent.at.psi[n_fixed:], strict=True))
            low = sorted((k for k in factors if log_sd[k] < limits.floor), key=log_sd.get)
            if not low:
                break
            for k in low:
                rest = [other for other in factors if other != k]
                reduced_psi = np.delete(descent.at.psi, n_fixed + factors.index(k))
                reduced = self._minimise(rest, reduced_psi, limits)
                at_zero = reduced.at.value <= descent.at.value + 1e-6 and not self._wants_to_leave_zero(
                    rest, reduced.at.psi, k
                )
                if at_zero or log_sd[k] < FLAT:
                    factors, descent = rest, reduced
                    break
            else:  # small variances, but above zero: let them run
                limits = replace(limits, floor=FLAT)
                descent = self._minimise(factors, descent.at.psi, limits, descent.at.modes)
        return factors, descent

    def _wants_to_leave_zero(self, factors: list[int], psi, k: int) -> bool:
        """Whether F falls as the variance of factor k grows from (nearly) zero."""
        objective = self._objective([*factors, k])
        probe = objective.evaluate(np.append(psi, LEAVING_ZERO), np.zeros(objective.intercepts.n_effects), order=1)
        return probe.gradient is not None and probe.gradient[-1] < 0

    def _minimise(self, factors, psi, limits=None, modes=None) -> Descent:
        descent = minimise(self._objective(factors), psi, limits or self.limits, modes)
        self.steps += descent.steps
        return descent

    def _objective(self, factors: list[int]) -> LaplaceObjective:
        key = tuple(factors)
        if key not in self.objectives:
            self.objectives[key] = self.problem.objective(factors)
        return self.objectives[key]

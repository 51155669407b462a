"""Newton's method on a Laplace objective, with steps short enough not to fall into a spike of the likelihood.

The likelihood of this model is unbounded: where the random effects fit a few rows exactly, the precision of these
rows can grow without end. A full Newton step from far away can land there. Steps are therefore limited in units of
the linear predictors, which mean the same whatever the columns' scales are.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from jaxtyping import Float

from calib_assets.stats.beta_regression.laplace import Evaluation, LaplaceObjective

MAX_STEPS = 60
TOLERANCE = 1e-10  # squared Newton decrement: twice the log-likelihood still to be gained
SHORTEST = 1e-8


@dataclass(frozen=True)
class Limits:
    """How far one step may go, and where a descent is given up.

    Attributes:
        eta, zeta, tau: Largest change of a row's eta and zeta, and of a tau, in one step.
        floor: A tau below this ends the descent (a variance on its way to zero).
        log_phi: A row's zeta above this ends the descent (a spike).
    """

    eta: float = 2.0
    zeta: float = 1.0
    tau: float = 1.5
    floor: float = -np.inf
    log_phi: float = np.inf


@dataclass(frozen=True)
class Descent:
    """Where a descent ended and why.

    Attributes:
        at: The last evaluation, with gradient and Hessian.
        steps: Steps taken.
        decrement: Squared Newton decrement there; infinite if the Hessian is not positive definite.
        ended: "optimum"; "floor" or "spike" (see `Limits`); "stuck" if no step along the direction helps;
            "steps" after ``MAX_STEPS``.
    """

    at: Evaluation
    steps: int
    decrement: float
    ended: Literal["optimum", "floor", "spike", "stuck", "steps"]


def minimise(
    objective: LaplaceObjective,
    psi: Float[np.ndarray, "parameters"],
    limits: Limits,
    modes: Float[np.ndarray, "effects"] | None = None,
) -> Descent:
    """Descend from psi to a local minimum of the objective.

    Raises:
        FloatingPointError: If the objective is not defined at psi.
    """
    modes = np.zeros(objective.intercepts.n_effects) if modes is None else modes
    at = objective.evaluate(psi, modes)
    if not np.isfinite(at.value):
        raise FloatingPointError("the objective is not defined at the starting values")
    for steps in range(MAX_STEPS + 1):
        step, decrement = _direction(at)
        if decrement < TOLERANCE:
            return Descent(at, steps, decrement, "optimum")
        if steps == MAX_STEPS:
            break
        following = _line_search(objective, at, step * _shortening(objective, step, limits))
        if following is None:
            return Descent(at, steps, decrement, "stuck")
        at = following
        if objective.intercepts.n_effects:
            if (objective.precision_matrix @ at.psi[objective.gamma]).max() > limits.log_phi:
                return Descent(at, steps + 1, np.inf, "spike")
            if at.psi[objective.tau].min() < limits.floor:
                return Descent(at, steps + 1, np.inf, "floor")
    return Descent(at, MAX_STEPS, decrement, "steps")


def _direction(at: Evaluation):
    """Newton's direction and squared decrement; with eigenvalues in absolute value if the Hessian is indefinite."""
    try:
        factor = scipy.linalg.cho_factor(at.hessian, check_finite=False)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(at.hessian)
        sizes = np.maximum(np.abs(values), 1e-8 * np.abs(values).max())
        return -vectors @ ((vectors.T @ at.gradient) / sizes), np.inf
    step = -scipy.linalg.cho_solve(factor, at.gradient, check_finite=False)
    return step, float(-at.gradient @ step)


def _shortening(objective, step, limits: Limits) -> float:
    """The factor at most 1 that brings a step within its limits."""
    changes = [
        np.abs(objective.mean_matrix @ step[objective.beta]).max() / limits.eta,
        np.abs(objective.precision_matrix @ step[objective.gamma]).max() / limits.zeta,
        np.abs(step[objective.tau]).max(initial=0.0) / limits.tau,
    ]
    return 1 / max(1.0, *changes)


def _line_search(objective, at: Evaluation, step) -> Evaluation | None:
    """Halve the step until the objective falls enough (Armijo); None if it never does."""
    slope = float(at.gradient @ step)
    length = 1.0
    while length > SHORTEST:
        start = at.modes + length * (at.mode_slopes @ step)  # first-order modes of the new place
        found = objective.evaluate(at.psi + length * step, start)
        # The last summand forgives rounding where the decrease is below it.
        if found.value <= at.value + 1e-4 * length * slope + 1e-11 * abs(at.value):
            return found
        length /= 2
    return None

"""Starting values: the beta regression without random intercepts, by Fisher scoring."""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from calib_assets.stats.beta_regression.likelihood import BetaLikelihood, Response

MAX_STEPS = 50
ENOUGH = 1.0  # squared decrement; the exact Newton steps that follow do the rest
LOGIT_RANGE = 7.0


def starting_values(
    response: Response, mean_matrix: Float[np.ndarray, "rows p"], precision_matrix: Float[np.ndarray, "rows q"]
) -> Float[np.ndarray, "p+q"]:
    """(beta, gamma) near the maximum of the likelihood without random intercepts.

    Least squares on logit(y) gives beta, the moment estimator of one common precision gamma; then scoring steps
    with the expected information, which is positive definite everywhere, each halved until it helps.
    """
    p = mean_matrix.shape[1]
    psi = _moments(response, mean_matrix, precision_matrix)

    def likelihood(at):
        zeta = precision_matrix @ at[p:]
        return BetaLikelihood(response, zeta) if np.abs(zeta).max() < 40 else None

    for _ in range(MAX_STEPS):
        found = likelihood(psi).second(mean_matrix @ psi[:p])
        value = found.log_density.sum()
        gradient = np.concatenate([mean_matrix.T @ found.e, precision_matrix.T @ found.z])
        cross = mean_matrix.T @ (found.info_ez[:, None] * precision_matrix)
        information = np.block(
            [
                [mean_matrix.T @ (found.info_ee[:, None] * mean_matrix), cross],
                [cross.T, precision_matrix.T @ (found.info_zz[:, None] * precision_matrix)],
            ]
        )
        try:
            step = scipy.linalg.cho_solve(scipy.linalg.cho_factor(information), gradient)
        except np.linalg.LinAlgError:  # singular up to rounding, as precisions run away: start from here
            return psi
        decrement = float(gradient @ step)
        length = 1.0
        while length > 1e-8:
            trial = psi + length * step
            at = likelihood(trial)
            if at is not None and at.log_density(mean_matrix @ trial[:p]).sum() >= value + 1e-4 * length * decrement:
                break
            length /= 2
        else:
            return psi
        psi = trial
        if decrement < ENOUGH:
            break
    return psi


def _moments(response, mean_matrix, precision_matrix):
    logit = np.clip(response.logit_y, -LOGIT_RANGE, LOGIT_RANGE)
    beta = np.linalg.lstsq(mean_matrix, logit, rcond=None)[0]
    mu = 1 / (1 + np.exp(-(mean_matrix @ beta)))
    # Var = mu (1 - mu) / (1 + phi), solved for phi at the averages.
    error = max(np.mean((response.y - mu) ** 2), 1e-12)
    phi = max(np.mean(mu * (1 - mu)) / error - 1, 0.5)
    gamma = np.linalg.lstsq(precision_matrix, np.full(len(mu), np.log(phi)), rcond=None)[0]
    return np.concatenate([beta, gamma])

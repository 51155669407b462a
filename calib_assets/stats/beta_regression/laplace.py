r"""The Laplace approximation of the marginal likelihood, with exact gradient and exact Hessian.

The parameters are :math:`\psi = (\beta, \gamma, \tau)`: :math:`\eta = X\beta + Zu`, :math:`\zeta = W\gamma`, and
:math:`u \sim N(0, \Lambda^{-1})` with :math:`\Lambda = e^{-2\tau_k}` on the effects of factor k
(:math:`\tau` is the log of the standard deviation, as in glmmTMB). With

.. math:: f(u;\psi) = -\sum_i \ell(\eta_i, \zeta_i) + \tfrac12 u'\Lambda u + \sum_k J_k\tau_k,\qquad
          \hat u(\psi) = \arg\min_u f,\qquad H = f_{uu} = Z'\mathrm{diag}(a)Z + \Lambda,\quad a = -\ell_{ee},

the negative log of the approximated likelihood is :math:`F(\psi) = f(\hat u;\psi) + \tfrac12\ln|H|`; the factors of
:math:`2\pi` cancel.

**Slopes of the modes.** :math:`f_u(\hat u(\psi);\psi) = 0` gives :math:`B = \partial\hat u/\partial\psi =
-H^{-1}f_{u\psi}`. The columns of :math:`f_{u\psi}` are :math:`Z'(a X_s)` for beta, :math:`-Z'(\ell_{ez}W_s)` for gamma
and :math:`-2\Lambda_k\hat u` for :math:`\tau_k`. Write :math:`E = \partial\hat\eta/\partial\psi = X + ZB` (X padded
with zeros) and W likewise padded.

**Gradient.** :math:`F_s = f_s + \tfrac12\mathrm{tr}(H^{-1}H_s)`, because :math:`f_u = 0`. Here
:math:`H_s = Z'\mathrm{diag}(\alpha_s)Z + \Lambda_s`, :math:`\alpha_s = -\ell_{eee}E_s - \ell_{eez}W_s`. With
:math:`h_i = z_i'H^{-1}z_i` and :math:`w = H^{-1}Z'(-\tfrac12 h\,\ell_{eee})` no slope of a mode is needed:
:math:`\tfrac12\sum_i h_i(-\ell_{eee})(ZB_s)_i = -w'f_{u\psi,s}`.

**Hessian.** Differentiating once more,

.. math:: F_{st} = \underbrace{f_{st} + f_{su}B_t}_{\text{of } f}
   + \tfrac12\mathrm{tr}(H^{-1}H_{st}) - \tfrac12\mathrm{tr}(H^{-1}H_sH^{-1}H_t).

:math:`H_{st}` holds fourth derivatives of :math:`\ell` and :math:`Z\hat u_{st}`, the second derivative of the
modes. From :math:`f_u = 0` differentiated twice,
:math:`H\hat u_{st} = Z'(\ell_{eee}E_sE_t + \ell_{eez}(E_sW_t + W_sE_t) + \ell_{ezz}W_sW_t)
- \Lambda_{st}\hat u - \Lambda_sB_t - \Lambda_tB_s`, and since it enters only as
:math:`\tfrac12\sum_i h_i(-\ell_{eee})(Z\hat u_{st})_i = w'H\hat u_{st}`, it costs one inner product. Collected, with
:math:`t = Zw`, the terms in :math:`E_sE_t`, :math:`E_sW_t` and :math:`W_sW_t` have row weights

- :math:`-\tfrac12 h\,\ell_{eeee} + t\,\ell_{eee}`,
- :math:`-\tfrac12 h\,\ell_{eeez} + t\,\ell_{eez}`,
- :math:`-\tfrac12 h\,\ell_{eezz} + t\,\ell_{ezz}`.

Its inverse is the covariance of the estimates (observed information of the marginal likelihood): nothing extra is
computed for standard errors.

References:
    Kristensen et al. (2016), *TMB: Automatic Differentiation and Laplace Approximation*; Brooks et al. (2017),
    *glmmTMB*.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from calib_assets.stats.beta_regression.intercepts import Factorised, Intercepts
from calib_assets.stats.beta_regression.likelihood import BetaLikelihood, Response

# Predictors beyond these have left every use of the model (phi up to e^60): the objective counts as infinite there.
ETA_LIMIT, ZETA_LIMIT = 200.0, 60.0
INNER_STEPS = 60
BLOCK_ROWS = 512  # the Hessian's products run over blocks of rows that fit into a processor's cache
INNER_TOLERANCE = 1e-9  # squared Newton decrement after which one more step is exact to rounding


@dataclass(frozen=True)
class Evaluation:
    """F and its derivatives at one psi; ``value`` is infinite where F is not defined.

    Attributes:
        psi: The parameters (beta, gamma, tau).
        value: F, the negative log-likelihood.
        modes: u-hat, ``[effects]``.
        gradient: ``[parameters]``, or None.
        hessian: ``[parameters, parameters]``, or None.
        mode_slopes: B, ``[effects, parameters]``, or None.
    """

    psi: Float[np.ndarray, "parameters"]
    value: float
    modes: Float[np.ndarray, "effects"]
    gradient: Float[np.ndarray, "parameters"] | None = None
    hessian: Float[np.ndarray, "parameters parameters"] | None = None
    mode_slopes: Float[np.ndarray, "effects parameters"] | None = None


class LaplaceObjective:
    """F for one response, two design matrices and a set of grouping factors (possibly none).

    Args:
        response: The response, strictly within (0, 1).
        mean_matrix: X, ``[rows, p]``.
        precision_matrix: W, ``[rows, q]``.
        intercepts: The grouping factors.
    """

    def __init__(
        self,
        response: Response,
        mean_matrix: Float[np.ndarray, "rows p"],
        precision_matrix: Float[np.ndarray, "rows q"],
        intercepts: Intercepts,
    ):
        self.response, self.intercepts = response, intercepts
        self.mean_matrix, self.precision_matrix = mean_matrix, precision_matrix
        p, q, k = mean_matrix.shape[1], precision_matrix.shape[1], len(intercepts.n_levels)
        self.beta, self.gamma, self.tau = slice(0, p), slice(p, p + q), slice(p + q, p + q + k)
        self.n_parameters = p + q + k
        self._levels = np.array(intercepts.n_levels, dtype=np.float64)

    def evaluate(
        self, psi: Float[np.ndarray, "parameters"], modes: Float[np.ndarray, "effects"], order: int = 2
    ) -> Evaluation:
        """F at psi, with its gradient for ``order`` 1 and also its Hessian for 2; the modes start at ``modes``."""
        fixed, zeta = self.mean_matrix @ psi[self.beta], self.precision_matrix @ psi[self.gamma]
        outside = Evaluation(psi, np.inf, modes)
        if np.abs(zeta).max() > ZETA_LIMIT or np.abs(fixed).max() > ETA_LIMIT:
            return outside
        likelihood = BetaLikelihood(self.response, zeta)
        precisions = self._precisions(psi)
        modes, penalised, factorised = self._inner(likelihood, fixed, precisions, modes)
        if factorised is None:
            return outside
        value = penalised + 0.5 * factorised.log_determinant + float(self._levels @ psi[self.tau])
        if order == 0:
            return Evaluation(psi, value, modes)
        derivatives = likelihood.fourth(fixed + self.intercepts.rows_of(modes))
        return _Differentiated(self, derivatives, factorised, precisions, modes).at(psi, value, order)

    def _precisions(self, psi):
        """The diagonal of Lambda."""
        precisions = np.empty(self.intercepts.n_effects)
        for place, tau in zip(self.intercepts.places, psi[self.tau], strict=True):
            precisions[place] = np.exp(-2 * tau)
        return precisions

    def _inner(self, likelihood, fixed, precisions, modes) -> tuple[np.ndarray, float, Factorised | None]:
        """Newton's method for the modes; the last factorised H is None if no minimum was found.

        ell is not concave in eta everywhere: where H is not positive definite the expected information
        gives the direction.
        """
        intercepts = self.intercepts

        def penalised(u):
            found = likelihood.by_eta(fixed + intercepts.rows_of(u))
            return 0.5 * float(precisions @ (u * u)) - float(found.log_density.sum()), found

        value, found = penalised(modes)
        for _ in range(INNER_STEPS):
            factorised = intercepts.factorise(-found.ee, precisions)
            if not intercepts.n_effects:
                return modes, value, factorised
            scale = factorised or intercepts.factorise(found.info_ee, precisions)
            gradient = precisions * modes - intercepts.sums(found.e)
            step = scale.solve(gradient)
            decrement = float(gradient @ step)
            if decrement < 1e-3 * INNER_TOLERANCE and factorised is not None:
                return modes, value, factorised
            length = 1.0
            while length > 1e-10:
                moved = modes - length * step
                moved_value, moved_found = penalised(moved)
                # The last summand forgives rounding where the decrease is below it.
                if moved_value <= value - 1e-4 * length * decrement + 1e-12 * abs(value):
                    break
                length /= 2
            else:
                break
            modes, value, found = moved, moved_value, moved_found
            if decrement < INNER_TOLERANCE and length == 1.0:  # quadratic convergence: that step finished the job
                break
        return modes, value, intercepts.factorise(-found.ee, precisions)


class _Differentiated:
    """Gradient and Hessian at one psi, in the notation of the module's docstring."""

    def __init__(self, objective: LaplaceObjective, derivatives, factorised: Factorised, precisions, modes):
        self.objective, self.d, self.factorised = objective, derivatives, factorised
        self.precisions, self.modes = precisions, modes
        intercepts, tau = objective.intercepts, objective.tau
        self.tau_places = list(zip(range(tau.start, tau.stop), intercepts.places, strict=True))
        self.mixed = np.zeros((intercepts.n_effects, objective.n_parameters))  # f_u,psi
        if intercepts.n_effects:
            self.mixed[:, objective.beta] = intercepts.sums(-derivatives.ee[:, None] * objective.mean_matrix)
            self.mixed[:, objective.gamma] = intercepts.sums(-derivatives.ez[:, None] * objective.precision_matrix)
        for column, place in self.tau_places:
            self.mixed[place, column] = -2 * precisions[place] * modes[place]
        self.row_variance, self.effect_variance = factorised.inverse_diagonals()  # h, diagonal of H^-1
        self.weight = factorised.solve(intercepts.sums(-0.5 * self.row_variance * derivatives.eee))  # w

    def at(self, psi, value: float, order: int) -> Evaluation:
        slopes = -self.factorised.solve(self.mixed)
        hessian = self._hessian(slopes) if order == 2 else None
        return Evaluation(psi, value, self.modes, self._gradient(), hessian, slopes)

    def _gradient(self):
        objective, d, half = self.objective, self.d, 0.5 * self.row_variance
        gradient = -self.mixed.T @ self.weight
        gradient[objective.beta] -= objective.mean_matrix.T @ (d.e + half * d.eee)
        gradient[objective.gamma] -= objective.precision_matrix.T @ (d.z + half * d.eez)
        for column, place in self.tau_places:
            squares = self.modes[place] ** 2 + self.effect_variance[place]
            gradient[column] += (place.stop - place.start) - self.precisions[place] @ squares
        return gradient

    def _hessian(self, slopes):
        objective, d = self.objective, self.d
        beta, gamma = objective.beta, objective.gamma
        hessian = self.mixed.T @ slopes  # f_su B_t
        half = 0.5 * self.row_variance
        along = objective.intercepts.rows_of(self.weight)  # t
        ee, ez, zz = along * d.eee - half * d.eeee, along * d.eez - half * d.eeez, along * d.ezz - half * d.eezz
        weights = objective.intercepts.rows_of(slopes)  # Z B; becomes alpha below
        for start in range(0, len(ee), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            mean, precision = objective.mean_matrix[rows], objective.precision_matrix[rows]
            predictor = weights[rows].copy()
            predictor[:, beta] += mean  # E
            hessian[beta, beta] -= mean.T @ (d.ee[rows, None] * mean)
            hessian += predictor.T @ (ee[rows, None] * predictor)
            cross = predictor.T @ (ez[rows, None] * precision)
            cross[beta] -= mean.T @ (d.ez[rows, None] * precision)
            hessian[:, gamma] += cross
            hessian[gamma] += cross.T
            hessian[gamma, gamma] += precision.T @ ((zz[rows] - d.zz[rows])[:, None] * precision)
            np.multiply(-d.eee[rows, None], predictor, out=weights[rows])
            weights[rows, gamma] -= d.eez[rows, None] * precision

        prior = np.zeros_like(slopes)  # Lambda_s, for the tau alone
        for column, place in self.tau_places:
            scaled = self.precisions[place] * self.weight[place]
            row = 2 * scaled @ slopes[place]  # -w' Lambda_s B_t
            hessian[column] += row
            hessian[:, column] += row
            squares = self.modes[place] ** 2 + self.effect_variance[place]
            hessian[column, column] += 2 * self.precisions[place] @ squares - 4 * scaled @ self.modes[place]
            prior[place, column] = -2 * self.precisions[place]
        if objective.intercepts.n_effects:
            hessian -= 0.5 * self.factorised.trace_products(weights, prior)
        return 0.5 * (hessian + hessian.T)

r"""The beta log density by logit of the mean and log of the precision, with derivatives to fourth order.

With :math:`\mu = \mathrm{logit}^{-1}(\eta)`, :math:`\phi = e^\zeta`, :math:`A = \mu\phi`,
:math:`B = (1-\mu)\phi`:

.. math:: \ell = \ln\Gamma(\phi) - \ln\Gamma(A) - \ln\Gamma(B) + (A-1)\ln y + (B-1)\ln(1-y).

**By eta at fixed zeta.** As a function of :math:`\mu` alone, :math:`\ell` has the derivatives

- :math:`G_0 = \phi\,[\mathrm{logit}\,y - \psi(A) + \psi(B)]`,
- :math:`G_1 = -\phi^2[\psi'(A)+\psi'(B)]`, :math:`G_2 = -\phi^3[\psi''(A)-\psi''(B)]`,
  :math:`G_3 = -\phi^4[\psi'''(A)+\psi'''(B)]`,

and :math:`\mu` has, by :math:`\eta`, the derivatives :math:`m_1 = \mu(1-\mu)`, :math:`m_2 = m_1(1-2\mu)`,
:math:`m_3 = m_1(1-6m_1)`, :math:`m_4 = m_2(1-12m_1)`. Faà di Bruno's formula joins them:

- :math:`\ell_e = G_0 m_1`, :math:`\ell_{ee} = G_1 m_1^2 + G_0 m_2`,
- :math:`\ell_{eee} = G_2 m_1^3 + 3 G_1 m_1 m_2 + G_0 m_3`,
- :math:`\ell_{eeee} = G_3 m_1^4 + 6 G_2 m_1^2 m_2 + G_1(3 m_2^2 + 4 m_1 m_3) + G_0 m_4`.

**By zeta.** :math:`\partial/\partial\zeta = \phi\,\partial/\partial\phi` multiplies :math:`A` and :math:`B` by
themselves, so :math:`\partial_\zeta\,[\phi^k f(A)] = \phi^k[k f(A) + A f'(A)]`. Applied to the :math:`G_k` this
gives every mixed derivative, because the :math:`m_k` do not depend on :math:`\zeta`:

- :math:`\partial_\zeta G_0 = G_0 - \phi[A\psi'(A) - B\psi'(B)]`,
- :math:`\partial_\zeta G_1 = 2G_1 - \phi^2[A\psi''(A) + B\psi''(B)]`,
- :math:`\partial_\zeta G_2 = 3G_2 - \phi^3[A\psi'''(A) - B\psi'''(B)]`, and so on.

**Expected information.** :math:`E\,G_0 = 0`, so :math:`-E\,\ell_{ee} = -G_1 m_1^2`, and likewise below.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit, gammaln

from calib_assets.stats.polygamma import polygammas

Rows = Float[np.ndarray, "rows"]


@dataclass(frozen=True)
class Response:
    """The response strictly within (0, 1), with the logarithms that every evaluation needs."""

    y: Rows
    log_y: Rows
    log_1y: Rows
    logit_y: Rows

    @classmethod
    def of(cls, y: Rows) -> "Response":
        log_y, log_1y = np.log(y), np.log1p(-y)
        return cls(y, log_y, log_1y, log_y - log_1y)


@dataclass
class Derivatives:
    """Log density and partial derivatives at each row; one letter e or z per derivative by eta or zeta.

    ``info_…`` is minus the expectation of the second derivative. What an evaluation was not asked for is None.
    """

    log_density: Rows
    e: Rows | None = None
    ee: Rows | None = None
    info_ee: Rows | None = None
    z: Rows | None = None
    zz: Rows | None = None
    ez: Rows | None = None
    info_zz: Rows | None = None
    info_ez: Rows | None = None
    eee: Rows | None = None
    eeee: Rows | None = None
    eez: Rows | None = None
    eeez: Rows | None = None
    ezz: Rows | None = None
    eezz: Rows | None = None


class BetaLikelihood:
    """The likelihood of a response at linear predictors; the part of the work that only zeta decides is kept."""

    def __init__(self, response: Response, zeta: Rows):
        self.response = response
        self.phi = np.exp(zeta)
        self.log_gamma_phi = gammaln(self.phi)

    def log_density(self, eta: Rows) -> Rows:
        """ell at each row."""
        mu, co_mu = _means(eta)
        return self._log_density(mu * self.phi, co_mu * self.phi)

    def _log_density(self, a, b):
        response = self.response
        both = gammaln(np.concatenate([a, b]))
        n = len(a)
        return self.log_gamma_phi - both[:n] - both[n:] + (a - 1) * response.log_y + (b - 1) * response.log_1y

    def by_eta(self, eta: Rows) -> Derivatives:
        """ell, its first two derivatives by eta, and the expected information: all that the modes need."""
        mu, co_mu = _means(eta)
        phi, n = self.phi, len(eta)
        a, b = mu * phi, co_mu * phi
        psi, psi1 = polygammas(np.concatenate([a, b]), 1)
        m1 = mu * co_mu
        g0 = phi * (self.response.logit_y - psi[:n] + psi[n:])
        slope = phi * m1
        info = slope * slope * (psi1[:n] + psi1[n:])
        return Derivatives(self._log_density(a, b), e=g0 * m1, ee=g0 * m1 * (co_mu - mu) - info, info_ee=info)

    def second(self, eta: Rows) -> Derivatives:
        """ell and all derivatives to second order, with the expected information (the fit without intercepts)."""
        return self._all(eta, order=2)

    def fourth(self, eta: Rows) -> Derivatives:
        """ell and the derivatives to fourth order that the Laplace Hessian needs (at most two by zeta)."""
        return self._all(eta, order=4)

    def _all(self, eta, order):
        mu, co_mu = _means(eta)
        phi, n, response = self.phi, len(eta), self.response
        a, b = mu * phi, co_mu * phi
        psis = polygammas(np.concatenate([a, b]), 1 if order == 2 else 3)
        (a0, b0), (a1, b1) = ((values[:n], values[n:]) for values in psis[:2])
        phi0, phi1 = polygammas(phi, 1)
        phi2 = phi * phi
        m1 = mu * co_mu
        m2 = m1 * (co_mu - mu)
        g0 = phi * (response.logit_y - a0 + b0)
        g1 = -phi2 * (a1 + b1)
        aa1, bb1 = a * a1, b * b1
        shift = phi * (aa1 - bb1)
        g0_z = g0 - shift
        z = phi * (phi0 - mu * a0 - co_mu * b0 + mu * response.log_y + co_mu * response.log_1y)
        info_zz = a * aa1 + b * bb1 - phi2 * phi1
        found = Derivatives(
            self._log_density(a, b),
            e=g0 * m1,
            ee=g1 * m1 * m1 + g0 * m2,
            info_ee=-g1 * m1 * m1,
            z=z,
            zz=z - info_zz,
            ez=m1 * g0_z,
            info_zz=info_zz,
            info_ez=m1 * shift,
        )
        if order == 2:
            return found
        (a2, b2), (a3, b3) = ((values[:n], values[n:]) for values in psis[2:])
        phi3 = phi2 * phi
        aa2, bb2, aa3, bb3 = a * a2, b * b2, a * a3, b * b3
        g2 = -phi3 * (a2 - b2)
        g3 = -phi3 * phi * (a3 + b3)
        g1_z = 2 * g1 - phi2 * (aa2 + bb2)
        g2_z = 3 * g2 - phi3 * (aa3 - bb3)
        g0_zz = g0_z - shift - phi * (aa1 + a * aa2 - bb1 - b * bb2)
        g1_zz = 2 * g1_z - phi2 * (3 * (aa2 + bb2) + a * aa3 + b * bb3)
        m11 = m1 * m1
        m3 = m1 * (1 - 6 * m1)
        m4 = m2 * (1 - 12 * m1)
        found.eee = g2 * m11 * m1 + 3 * g1 * m1 * m2 + g0 * m3
        found.eeee = g3 * m11 * m11 + 6 * g2 * m11 * m2 + g1 * (3 * m2 * m2 + 4 * m1 * m3) + g0 * m4
        found.eez = m11 * g1_z + m2 * g0_z
        found.eeez = g2_z * m11 * m1 + 3 * m1 * m2 * g1_z + m3 * g0_z
        found.ezz = m1 * g0_zz
        found.eezz = m11 * g1_zz + m2 * g0_zz
        return found


def _means(eta):
    """mu and 1 - mu, each right to the last digits where it is small."""
    return expit(eta), expit(-eta)

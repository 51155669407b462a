"""The beta density's derivatives: scipy for the value, mpmath for the derivatives, quadrature for expectations."""

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from calib_assets.stats.beta_regression.likelihood import BetaLikelihood, Response

Y = np.array([1e-6, 0.02, 0.3, 0.5, 0.9, 1 - 1e-6])
ETA = np.array([-3.0, -1.2, 0.4, 0.0, 2.0, 0.7])
ZETA = np.array([0.5, 2.0, -1.0, 3.5, 5.0, 1.0])
LIKELIHOOD = BetaLikelihood(Response.of(Y), ZETA)


def log_density(y, eta, zeta):
    """From the definition, in 40 digits."""
    mu, phi = 1 / (1 + mpmath.exp(-eta)), mpmath.exp(zeta)
    a, b = mu * phi, (1 - mu) * phi
    beta = mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(phi)
    return (a - 1) * mpmath.log(y) + (b - 1) * mpmath.log(1 - mpmath.mpf(y)) - beta


def test_value_is_that_of_scipy():
    mu, phi = 1 / (1 + np.exp(-ETA)), np.exp(ZETA)
    expected = stats.beta.logpdf(Y, mu * phi, (1 - mu) * phi)
    for found in (LIKELIHOOD.log_density(ETA), LIKELIHOOD.by_eta(ETA).log_density, LIKELIHOOD.fourth(ETA).log_density):
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("name", ["e", "z", "ee", "ez", "zz", "eee", "eez", "ezz", "eeee", "eeez", "eezz"])
def test_derivatives_are_those_of_the_definition(name):
    found = getattr(LIKELIHOOD.fourth(ETA), name)
    orders = name.count("e"), name.count("z")
    with mpmath.workdps(40):
        expected = [
            float(mpmath.diff(lambda e, z, y=y: log_density(y, e, z), (eta, zeta), orders))
            for y, eta, zeta in zip(Y, ETA, ZETA, strict=True)
        ]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_lower_orders_agree_with_the_highest():
    highest, second, first = LIKELIHOOD.fourth(ETA), LIKELIHOOD.second(ETA), LIKELIHOOD.by_eta(ETA)
    for name in ("e", "ee", "info_ee"):
        np.testing.assert_allclose(getattr(first, name), getattr(highest, name), rtol=1e-10)
    for name in ("e", "ee", "z", "zz", "ez", "info_ee", "info_ez", "info_zz"):
        np.testing.assert_array_equal(getattr(second, name), getattr(highest, name))
    assert first.z is None and second.eee is None


def test_expected_information_is_the_mean_of_the_observed_one():
    eta, zeta = -0.8, 1.9
    mu, phi = 1 / (1 + np.exp(-eta)), np.exp(zeta)
    density = stats.beta(mu * phi, (1 - mu) * phi).pdf

    def observed(y, name):
        at = BetaLikelihood(Response.of(np.array([y])), np.array([zeta])).second(np.array([eta]))
        return -getattr(at, name)[0] * density(y)

    at = BetaLikelihood(Response.of(np.array([0.4])), np.array([zeta])).second(np.array([eta]))
    for name in ("ee", "ez", "zz"):
        mean = integrate.quad(observed, 0, 1, args=(name,), epsabs=1e-10, limit=200)[0]
        assert getattr(at, f"info_{name}")[0] == pytest.approx(mean, rel=1e-7)

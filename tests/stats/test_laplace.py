"""The Laplace objective from its definition, its derivatives by differences, and the integral that it approximates."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from calib_assets.stats.beta_regression import laplace
from calib_assets.stats.beta_regression.intercepts import Intercepts
from calib_assets.stats.beta_regression.laplace import LaplaceObjective
from calib_assets.stats.beta_regression.likelihood import Response

SIZES = {"none": [], "one": [5], "two": [6, 3], "three": [3, 6, 2], "equal": [4, 4]}


def problem(n_levels, seed=0, n_rows=40):
    """A small problem with its dense Z, and parameters where nothing is at a maximum."""
    rng = np.random.default_rng(seed)
    codes = [np.concatenate([np.arange(n), rng.integers(n, size=n_rows - n)]) for n in n_levels]
    x = np.column_stack([np.ones(n_rows), rng.normal(size=n_rows)])
    w = np.column_stack([np.ones(n_rows), x[:, 1], rng.normal(size=n_rows)])
    y = rng.beta(1.5, 3.0, n_rows)
    objective = LaplaceObjective(Response.of(y), x, w, Intercepts(codes, n_levels, n_rows))
    psi = np.concatenate([[-0.6, 0.2], [1.5, 0.2, -0.1], rng.uniform(-1.5, 0.2, len(n_levels))])
    z = np.column_stack([np.eye(n)[code] for n, code in zip(n_levels, codes, strict=True)] or [np.zeros((n_rows, 0))])
    return objective, psi, (y, x, w, z, codes)


def evaluate(objective, psi, order=2):
    return objective.evaluate(psi, np.zeros(objective.intercepts.n_effects), order)


def by_definition(data, n_levels, psi):
    """F by a general minimiser and a dense determinant, from scipy's density."""
    y, x, w, z, _ = data
    fixed, phi = x @ psi[:2], np.exp(w @ psi[2:5])
    tau = np.repeat(psi[5:], n_levels)

    def joint(u):
        mu = special.expit(fixed + z @ u)
        prior = 0.5 * np.sum((u / np.exp(tau)) ** 2) + tau.sum()
        return prior - stats.beta.logpdf(y, mu * phi, (1 - mu) * phi).sum()

    size = len(tau)
    if size == 0:
        return joint(np.zeros(0))
    found = optimize.minimize(joint, np.zeros(size), method="BFGS", options={"gtol": 1e-8})
    h, step = np.empty((size, size)), 1e-4 * np.eye(size)
    for i in range(size):
        for j in range(size):
            corners = [joint(found.x + a * step[i] + b * step[j]) for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
            h[i, j] = (corners[0] - corners[1] - corners[2] + corners[3]) / 4e-8
    return joint(found.x) + 0.5 * np.linalg.slogdet(h)[1]


@pytest.mark.parametrize("n_levels", SIZES.values(), ids=SIZES.keys())
def test_value_is_that_of_the_definition(n_levels):
    objective, psi, data = problem(n_levels)
    assert evaluate(objective, psi).value == pytest.approx(by_definition(data, n_levels, psi), abs=2e-5)


@pytest.mark.parametrize("n_levels", SIZES.values(), ids=SIZES.keys())
def test_gradient_and_hessian_are_those_of_differences(n_levels, monkeypatch):
    monkeypatch.setattr(laplace, "INNER_TOLERANCE", 1e-15)  # modes to the last digit: differences magnify their error
    objective, psi, _ = problem(n_levels)
    at, h = evaluate(objective, psi), 1e-3
    steps = h * np.eye(len(psi))
    # Fourth-order differences of F for the gradient, of the gradient for the Hessian.
    values = [[evaluate(objective, psi + k * step, 0).value for k in (-2, -1, 1, 2)] for step in steps]
    gradients = [[evaluate(objective, psi + k * step, 1).gradient for k in (-2, -1, 1, 2)] for step in steps]
    gradient = [(a - 8 * b + 8 * c - d) / (12 * h) for a, b, c, d in values]
    hessian = [(a - 8 * b + 8 * c - d) / (12 * h) for a, b, c, d in gradients]
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(at.hessian, hessian, rtol=1e-7, atol=1e-7)
    np.testing.assert_array_equal(at.gradient, evaluate(objective, psi, 1).gradient)
    assert evaluate(objective, psi, 1).hessian is None and evaluate(objective, psi, 0).gradient is None


@pytest.mark.parametrize("n_levels", [[5], [6, 3]])
def test_slopes_of_the_modes_are_those_of_differences(n_levels, monkeypatch):
    monkeypatch.setattr(laplace, "INNER_TOLERANCE", 1e-15)
    objective, psi, _ = problem(n_levels)
    at, h = evaluate(objective, psi), 1e-4
    for j, step in enumerate(h * np.eye(len(psi))):
        modes = [evaluate(objective, psi + k * step, 0).modes for k in (-1, 1)]
        np.testing.assert_allclose(at.mode_slopes[:, j], (modes[1] - modes[0]) / (2 * h), atol=1e-7)


def test_row_blocks_change_nothing(monkeypatch):
    objective, psi, _ = problem([6, 3])
    whole = evaluate(objective, psi).hessian
    monkeypatch.setattr(laplace, "BLOCK_ROWS", 7)
    np.testing.assert_allclose(evaluate(objective, psi).hessian, whole, rtol=1e-11, atol=1e-11)


def test_order_of_factors_changes_nothing():
    one, psi, (y, x, w, _, codes) = problem([3, 6])
    other = LaplaceObjective(Response.of(y), x, w, Intercepts(codes[::-1], [6, 3], len(y)))
    swapped = psi[[0, 1, 2, 3, 4, 6, 5]]
    assert evaluate(one, psi).value == pytest.approx(evaluate(other, swapped).value, abs=1e-10)
    np.testing.assert_allclose(
        evaluate(one, psi).gradient[[0, 1, 2, 3, 4, 6, 5]], evaluate(other, swapped).gradient, atol=1e-9
    )


@pytest.mark.parametrize(("rows_per_level", "tolerance"), [(3, 0.1), (30, 2e-2), (300, 2e-3)])
def test_approximates_the_integral_over_the_intercepts(rows_per_level, tolerance):
    """One factor: the likelihood is a product of one-dimensional integrals, here on a fine grid."""
    rng = np.random.default_rng(3)
    n_levels, sd, phi = 4, 0.7, 6.0
    code = np.repeat(np.arange(n_levels), rows_per_level)
    n = len(code)
    eta = -0.5 + sd * rng.normal(size=n_levels)[code]
    y = rng.beta(special.expit(eta) * phi, special.expit(-eta) * phi)
    ones = np.ones((n, 1))
    objective = LaplaceObjective(Response.of(y), ones, ones, Intercepts([code], [n_levels], n))
    value = evaluate(objective, np.array([-0.5, np.log(phi), np.log(sd)]), 0).value
    u = np.linspace(-8 * sd, 8 * sd, 4001)
    mu = special.expit(-0.5 + u)
    density = stats.beta.logpdf(y[:, None], mu * phi, (1 - mu) * phi)
    joint = np.array([density[code == level].sum(axis=0) for level in range(n_levels)]) + stats.norm.logpdf(u, 0, sd)
    integral = -(special.logsumexp(joint, axis=1) + np.log(u[1] - u[0])).sum()
    assert abs(value - integral) < tolerance


def test_far_away_parameters_are_infinite_not_an_error():
    objective, psi, _ = problem([5])
    for place, value in ((0, 1e3), (2, 100.0)):
        away = psi.copy()
        away[place] = value
        assert evaluate(objective, away).value == np.inf

"""Descents and searches: limits of a step, why a descent ends, variances near zero, several maxima."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special

from calib_assets.stats import beta_panel_columns, fit_beta_mixed
from calib_assets.stats.beta_regression.intercepts import Intercepts
from calib_assets.stats.beta_regression.laplace import LaplaceObjective
from calib_assets.stats.beta_regression.likelihood import Response
from calib_assets.stats.beta_regression.newton import Limits, minimise
from calib_assets.stats.beta_regression.search import FLAT, SUSPECT

FIXTURES = Path(__file__).parent / "fixtures"


def objective(sd=0.5, n_levels=40, per_level=5, seed=0):
    rng = np.random.default_rng(seed)
    code, n = np.repeat(np.arange(n_levels), per_level), n_levels * per_level
    x = rng.normal(size=n)
    eta = -0.5 + 0.8 * x + sd * rng.normal(size=n_levels)[code]
    y = np.clip(rng.beta(special.expit(eta) * 8, special.expit(-eta) * 8), 1e-6, 1 - 1e-6)
    matrix = np.column_stack([np.ones(n), x])
    return LaplaceObjective(Response.of(y), matrix, matrix, Intercepts([code], [n_levels], n))


FAR = np.array([3.0, -3.0, 6.0, 0.0, -3.0])


@pytest.mark.parametrize("limits", [Limits(), Limits(eta=0.5, zeta=0.3, tau=0.2)])
def test_steps_stay_within_their_limits_and_end_at_the_same_minimum(limits, monkeypatch):
    problem = objective()
    trials, evaluate = [], problem.evaluate

    def recorded(psi, modes, order=2):
        trials.append(psi)
        return evaluate(psi, modes, order)

    monkeypatch.setattr(problem, "evaluate", recorded)
    descent = minimise(problem, FAR, limits)
    assert descent.ended == "optimum" and descent.decrement < 1e-9
    np.testing.assert_allclose(descent.at.gradient, 0, atol=1e-3)
    assert np.linalg.eigvalsh(descent.at.hessian).min() > 0
    np.testing.assert_allclose(descent.at.psi, minimise(objective(), np.zeros(5), Limits()).at.psi, atol=1e-5)
    moves = np.diff(trials, axis=0)  # of accepted steps all but halvings are whole
    assert np.abs(moves[:, :2] @ problem.mean_matrix.T).max() <= limits.eta * (1 + 1e-9)
    assert np.abs(moves[:, 2:4] @ problem.precision_matrix.T).max() <= limits.zeta * (1 + 1e-9)
    assert np.abs(moves[:, 4]).max() <= limits.tau * (1 + 1e-9)


def test_an_indefinite_hessian_is_left_downhill():
    problem = objective()
    at = problem.evaluate(FAR, np.zeros(40))
    assert np.linalg.eigvalsh(at.hessian).min() < 0
    assert minimise(problem, FAR, Limits()).at.value < at.value


def test_why_a_descent_ends(monkeypatch):
    problem = objective(sd=0.0)
    assert minimise(problem, np.zeros(5), Limits(floor=-3.0)).ended == "floor"
    assert minimise(problem, np.zeros(5), Limits(log_phi=1.0)).ended == "spike"
    monkeypatch.setattr("calib_assets.stats.beta_regression.newton.MAX_STEPS", 2)
    stopped = minimise(problem, FAR, Limits())
    assert stopped.ended == "steps" and stopped.steps == 2
    with pytest.raises(FloatingPointError, match="not defined at the starting values"):
        minimise(problem, np.full(5, 1e3), Limits())


def with_sd(sd, seed, n_prompts=400, per_prompt=12, phi=400):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_prompts), per_prompt)
    eta = -0.5 + sd * rng.normal(size=n_prompts)[g]
    return pl.DataFrame({"y": rng.beta(special.expit(eta) * phi, special.expit(-eta) * phi), "g": g.astype(str)})


def test_a_small_variance_above_zero_is_not_called_zero():
    data = with_sd(0.012, seed=0, phi=4000)
    fit = fit_beta_mixed(data, "y ~ 1 + (1 | g)", "1")
    effect = fit.random_effects.row(0, named=True)
    assert FLAT < effect["log_sd"] < SUSPECT and not effect["is_singular"] and fit.notes.is_empty()
    assert effect["sd"] == pytest.approx(0.012, abs=4 * effect["sd"] * effect["log_sd_se"])
    # It is the maximum: the likelihood without the variance is lower by more than rounding.
    without = fit_beta_mixed(data, "y ~ 1", "1")
    assert fit.summary_row["log_likelihood"][0] > without.summary_row["log_likelihood"][0] + 0.5


def test_a_variance_at_zero_gives_the_fit_without_it():
    singular = 0
    for seed in range(6):
        data = with_sd(0.0, seed, n_prompts=60)
        fit, without = fit_beta_mixed(data, "y ~ 1 + (1 | g)", "1"), fit_beta_mixed(data, "y ~ 1", "1")
        assert fit.summary_row["log_likelihood"][0] >= without.summary_row["log_likelihood"][0] - 1e-9
        if fit.random_effects["is_singular"][0]:
            singular += 1
            np.testing.assert_allclose(fit.estimates, without.estimates, atol=1e-6)
    assert 1 <= singular <= 5  # about half of such data have their maximum at zero


SPIKES = pl.read_csv(FIXTURES / "spikes.csv")


def spiked(name):
    return fit_beta_mixed(beta_panel_columns(SPIKES.filter(pl.col("panel") == name)))


@pytest.mark.parametrize(
    ("name", "log_likelihood", "text"),
    [
        ("s276", 119.908, "the precision reaches 1.9e+05"),  # the first search, though its precisions are large
        ("s318", 111.660, "of three searches"),  # the second; the first ends at 111.079
        ("s222", 104.806, "of three searches"),  # the third: the others run into a spike
    ],
)
def test_which_of_several_maxima_is_reported(name, log_likelihood, text):
    fit = spiked(name)
    assert fit.summary_row["log_likelihood"][0] == pytest.approx(log_likelihood, abs=1e-3)
    assert [note for kind, note in fit.notes.iter_rows() if kind == "likelihood spike" and text in note]

"""Residual diagnostics against DHARMa's own numbers, slow definitions, and data of known fault."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from calib_assets.stats import beta_panel_columns, fit_beta_mixed, residual_diagnostics
from calib_assets.stats.residual_diagnostics import RESIDUALS, TESTS, simulated_checks, simulated_responses

FIXTURES = Path(__file__).parent / "fixtures"
DHARMA = json.loads((FIXTURES / "dharma.json").read_text())
SIMULATED = np.load(FIXTURES / "dharma.npz")


def fitted(name):
    data = pl.read_csv(FIXTURES / name).rename({"model_variant": "variant"})
    return fit_beta_mixed(beta_panel_columns(data))


TINY = fitted("tiny.csv")


@pytest.mark.parametrize("kind", ["unconditional", "conditional"])
@pytest.mark.parametrize("n_blocks", [1, 7])
def test_rs_simulations_give_rs_numbers(kind, n_blocks):
    blocks = np.array_split(SIMULATED[f"simulated_{kind}"].astype(float), n_blocks)
    found, expected = simulated_checks(SIMULATED["observed"], SIMULATED["fitted"], blocks), DHARMA["tiny"][kind]
    np.testing.assert_allclose(found.residuals, SIMULATED[f"residuals_{kind}"], atol=1e-9)
    assert found.uniformity == pytest.approx(expected["ks_D"], abs=1e-9)
    assert found.uniformity_p == pytest.approx(expected["ks_p"], abs=1e-9)
    assert found.dispersion == pytest.approx(expected["dispersion"], rel=1e-6)
    assert found.dispersion_p == pytest.approx(expected["dispersion_p"], abs=1e-12)
    assert found.outliers == expected["outliers"]
    assert found.outliers_p == pytest.approx(expected["outlier_p"], abs=1e-9)
    assert found.n_simulations == 100 and not found.is_exact


def test_paper_sized_panel_agrees_with_rs_seeds():
    tests = residual_diagnostics(fitted("paper_a.csv.gz"), kinds=["unconditional", "conditional"]).tests
    for kind in ("unconditional", "conditional"):
        seeds = DHARMA["paper_a"][kind]
        found = dict(tests.filter(pl.col("kind") == kind).select("test", "statistic").iter_rows())
        # Over seeds the KS distance varies by about .002, the dispersion by .003, the outliers by 2.
        for test, name, far in (
            ("uniformity", "ks_D", 0.008),
            ("dispersion", "dispersion", 0.012),
            ("outliers", "outliers", 7),
        ):
            assert found[test] == pytest.approx(np.mean([seed[name] for seed in seeds]), abs=far)


def by_definition(y, mu, simulations):
    """Residual, dispersion and outliers of the module's docstring, one row and one simulation at a time."""
    residuals = [sum(s[i] < y[i] for s in simulations) / len(simulations) for i in range(len(y))]
    spread = [np.var([v[i] - mu[i] for i in range(len(y))], ddof=1) for v in [y, *simulations]]
    low = sum(s <= spread[0] for s in spread[1:]) / len(simulations)
    high = sum(s >= spread[0] for s in spread[1:]) / len(simulations)
    outside = sum(len({bool(s[i] < y[i]) for s in simulations}) == 1 for i in range(len(y)))
    return residuals, spread[0] / np.mean(spread[1:]), min(1, 2 * min(low, high)), outside


def test_definitions():
    rng = np.random.default_rng(0)
    y, mu, simulations = rng.uniform(size=12), rng.uniform(size=12), rng.uniform(size=(9, 12))
    found = simulated_checks(y, mu, [simulations])
    residuals, dispersion, dispersion_p, outside = by_definition(y, mu, simulations)
    np.testing.assert_allclose(found.residuals, residuals)
    assert found.dispersion == pytest.approx(dispersion) and found.dispersion_p == pytest.approx(dispersion_p)
    assert found.outliers == outside > 0
    assert found.outliers_p == pytest.approx(stats.binomtest(outside, 12, 2 / 10).pvalue)


def test_few_rows_without_ties_have_the_exact_p():
    residuals = (np.arange(10) + 0.3) / 10
    simulations = np.linspace(0, 1, 1001)[:, None].repeat(10, axis=1)
    found = simulated_checks(residuals + 1e-6, residuals, [simulations])
    assert found.is_exact
    assert found.uniformity_p == pytest.approx(stats.kstest(found.residuals, "uniform", method="exact").pvalue)


def test_ties_are_spread_over_their_range():
    y = np.full(4000, 0.5)
    simulations = np.repeat([[0.2], [0.5], [0.5], [0.9]], 4000, axis=1)
    residuals = simulated_checks(y, y * 0.9, [simulations], np.random.default_rng(1)).residuals
    assert residuals.min() >= 0.25 and residuals.max() <= 0.75
    assert stats.kstest(residuals, stats.uniform(0.25, 0.5).cdf).pvalue > 1e-3


def test_tables_and_seeds():
    found, again = residual_diagnostics(TINY, 200, seed=5), residual_diagnostics(TINY, 200, seed=5)
    assert found.tests.schema == TESTS and found.residuals.schema == RESIDUALS
    assert found.tests.equals(again.tests) and found.residuals.equals(again.residuals)
    assert found.tests["kind"].unique(maintain_order=True).to_list() == ["unconditional", "conditional", "closed_form"]
    assert found.tests["test"].to_list() == ["uniformity", "dispersion", "outliers"] * 3
    assert not residual_diagnostics(TINY, 200, seed=6).residuals.equals(found.residuals)
    alone = residual_diagnostics(TINY, 200, seed=5, kinds=["conditional"])
    assert alone.residuals.equals(found.residuals.filter(pl.col("kind") == "conditional"))
    closed = found.tests.filter(pl.col("kind") == "closed_form")
    assert closed["statistic"].is_null().to_list() == closed["p"].is_null().to_list() == [False, True, True]
    assert closed["n_simulations"].is_null().all() and (found.tests["n"] == 120).all()
    one = found.residuals.filter(pl.col("kind") == "closed_form")
    assert one["row"].to_list() == list(range(120))
    np.testing.assert_array_equal(one["fitted"], TINY.mu_population)
    assert residual_diagnostics(TINY, 200, kinds=[]).tests.is_empty()


def test_closed_form_is_the_limit_of_the_conditional_kind():
    residuals = residual_diagnostics(TINY, 20_000, kinds=["conditional", "closed_form"]).residuals
    simulated, closed = (part["residual"].to_numpy() for part in residuals.partition_by("kind", maintain_order=True))
    expected = stats.beta.cdf(TINY.observed, TINY.mu * TINY.phi, (1 - TINY.mu) * TINY.phi)
    np.testing.assert_allclose(closed, expected, atol=1e-12)
    np.testing.assert_allclose(simulated, closed, atol=5 * 0.5 / np.sqrt(20_000))


def known(sd=0.8, n_prompts=200, per_prompt=6, seed=2):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_prompts), per_prompt)
    eta = -0.3 + sd * rng.normal(size=n_prompts)[g]
    y = rng.beta(special.expit(eta) * 9, special.expit(-eta) * 9)
    return pl.DataFrame({"y": y, "g": [f"{i:03d}" for i in g]})


@pytest.mark.parametrize("is_conditional", [True, False])
def test_simulations_have_the_models_moments(is_conditional):
    fit = fit_beta_mixed(known(), "y ~ 1 + (1 | g)", "1")
    blocks = list(simulated_responses(fit, 3000, np.random.default_rng(0), is_conditional=is_conditional))
    draws = np.concatenate(blocks)
    assert len(blocks) > 1 and draws.shape == (3000, 1200)
    phi, sd = fit.phi[0], fit.groups["g"].sd
    if is_conditional:
        mean, variance = fit.mu, fit.mu * (1 - fit.mu) / (1 + phi)
        shared = 0.0
    else:
        mu = special.expit(special.logit(fit.mu_population[0]) + sd * np.random.default_rng(1).normal(size=400_000))
        mean, shared = mu.mean(), mu.var()
        variance = shared + (mu * (1 - mu)).mean() / (1 + phi)
    np.testing.assert_allclose(draws.mean(axis=0), np.broadcast_to(mean, 1200), atol=5 * 0.35 / np.sqrt(3000))
    np.testing.assert_allclose(draws.var(axis=0), np.broadcast_to(variance, 1200), atol=0.012)
    # Rows of one prompt share their intercept in the unconditional kind, and nothing in the conditional one.
    pairs = np.mean([np.cov(draws[:, i], draws[:, i + 1])[0, 1] for i in range(0, 1200, 6)])
    assert pairs == pytest.approx(shared, abs=0.002)


def test_faults_are_found():
    data = known()
    right = residual_diagnostics(fit_beta_mixed(data, "y ~ 1 + (1 | g)", "1"), 400).tests
    assert right.filter(pl.col("kind") == "unconditional", pl.col("test") != "outliers")["p"].min() > 0.01
    rng = np.random.default_rng(0)
    mixed = pl.DataFrame({"y": np.where(rng.uniform(size=1500) < 0.5, rng.beta(2, 40, 1500), rng.beta(40, 2, 1500))})
    wrong = residual_diagnostics(fit_beta_mixed(mixed, "y ~ 1", "1"), 400).tests
    assert wrong.filter(pl.col("test") == "uniformity")["p"].max() < 1e-6


def test_precisions_near_zero_give_coins():
    fit = replace(TINY, phi=np.full(120, 1e-6))  # both gamma draws underflow: nearly a coin with probability mu
    draws = np.concatenate(list(simulated_responses(fit, 4000, np.random.default_rng(0), is_conditional=True)))
    assert np.isfinite(draws).all()
    np.testing.assert_allclose(draws.mean(axis=0), fit.mu, atol=5 * 0.5 / np.sqrt(4000))


def test_bad_settings():
    with pytest.raises(ValueError, match=r"kinds holds \['exact'\]"):
        residual_diagnostics(TINY, kinds=["exact"])
    with pytest.raises(ValueError, match="n_simulations is 1; at least 2"):
        residual_diagnostics(TINY, n_simulations=1)

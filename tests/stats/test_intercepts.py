"""Linear algebra of crossed intercepts against dense matrices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_assets.stats.beta_regression import intercepts as module
from calib_assets.stats.beta_regression.intercepts import Intercepts


@st.composite
def structures(draw):
    """Zero to three crossed factors of any sizes, every level on at least one row, and random weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_levels = draw(st.lists(st.integers(1, 6), max_size=3))
    n_rows = draw(st.integers(6, 15))
    codes = [rng.permutation(np.concatenate([np.arange(n), rng.integers(n, size=n_rows - n)])) for n in n_levels]
    return codes, n_levels, n_rows, rng


def dense_z(codes, n_levels, intercepts):
    """Z column by column, in the order in which the object keeps the effects."""
    z = np.zeros((intercepts.n_rows, intercepts.n_effects))
    for code, n, place in zip(codes, n_levels, intercepts.places, strict=True):
        z[:, place] = code[:, None] == np.arange(n)
    return z


@settings(deadline=None, max_examples=60)
@given(structures())
def test_everything_is_that_of_the_dense_matrix(structure):
    codes, n_levels, n_rows, rng = structure
    intercepts = Intercepts(codes, n_levels, n_rows)
    z = dense_z(codes, n_levels, intercepts)
    assert intercepts.n_effects == sum(n_levels) and intercepts.n_first == max(n_levels, default=0)
    u, v = rng.normal(size=(intercepts.n_effects, 2)), rng.normal(size=(n_rows, 3))
    np.testing.assert_allclose(intercepts.rows_of(u), z @ u, atol=1e-12)
    np.testing.assert_allclose(intercepts.rows_of(u[:, 0]), z @ u[:, 0], atol=1e-12)
    np.testing.assert_allclose(intercepts.sums(v), z.T @ v, atol=1e-12)

    weights, precisions = rng.uniform(0.5, 2, n_rows), rng.uniform(0.5, 2, intercepts.n_effects)
    h = z.T @ (weights[:, None] * z) + np.diag(precisions)
    factorised = intercepts.factorise(weights, precisions)
    assert factorised.log_determinant == pytest.approx(np.linalg.slogdet(h)[1], abs=1e-10)
    np.testing.assert_allclose(factorised.solve(u), np.linalg.solve(h, u), atol=1e-10)
    inverse = np.linalg.inv(h)
    rows, effects = factorised.inverse_diagonals()
    np.testing.assert_allclose(rows, np.einsum("ri,ij,rj->r", z, inverse, z), atol=1e-10)
    np.testing.assert_allclose(effects, np.diag(inverse), atol=1e-10)

    slopes, prior = rng.normal(size=(n_rows, 3)), rng.normal(size=(intercepts.n_effects, 3))
    turned = [inverse @ (z.T @ (slopes[:, [t]] * z) + np.diag(prior[:, t])) for t in range(3)]
    expected = [[np.trace(one @ other) for other in turned] for one in turned]
    np.testing.assert_allclose(factorised.trace_products(slopes, prior), expected, atol=1e-9)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    codes = [rng.integers(30, size=100), rng.integers(4, size=100)]
    slopes, prior = rng.normal(size=(100, 5)), rng.normal(size=(34, 5))
    factorised = Intercepts(codes, [30, 4], 100).factorise(np.ones(100), np.ones(34))
    whole = factorised.trace_products(slopes, prior)
    monkeypatch.setattr(module, "BLOCK_ENTRIES", 4 * 5 * 7)
    np.testing.assert_allclose(factorised.trace_products(slopes, prior), whole, rtol=1e-12)


@pytest.mark.parametrize("weights", [[-3.0, 1, 1, 1], [0.3, 0.3, -0.25, -0.25]])
def test_not_positive_definite_is_none(weights):
    intercepts = Intercepts([np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])], [2, 2], 4)
    z = dense_z([np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])], [2, 2], intercepts)
    precisions = np.full(4, 0.4)
    assert np.linalg.eigvalsh(z.T @ (np.array(weights)[:, None] * z) + np.diag(precisions)).min() < 0
    assert intercepts.factorise(np.array(weights), precisions) is None

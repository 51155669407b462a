"""Closed-form bounds: against high-precision sums, and on the models for which the paper proves them."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from calib_assets.metrics import (
    c_epsilon,
    diversity_bound_f4,
    diversity_bound_f5,
    diversity_bound_finite_vocabulary,
    entropy_loss,
    finite_vocabulary_sharpness,
    recall_bound,
)

branchings = st.lists(st.integers(1, 30), min_size=1, max_size=5).map(np.array)


def summed_loss(v, a):
    """ln v - H_v(a) by summing the v terms of the definition with 60 digits."""
    with mpmath.workdps(60):
        weight = [mpmath.e ** (-mpmath.mpf(a) * i / v) for i in range(v)]
        total = mpmath.fsum(weight)
        entropy = -mpmath.fsum(w / total * mpmath.log(w / total) for w in weight if w)
        return float(mpmath.log(v) - entropy)


def geometric_task(branching, sharpness, vocab=None):
    """(1 − Val, Div) of geometric conditionals with sharpness z_t = λ_t v_t / T, valid tokens on top.

    Without ``vocab`` the ranks are infinitely many, as Definition F.1 with (1−q)q^i needs; with it the
    conditionals are renormalised over ``vocab`` ranks and everything is summed term by term. The invalid
    mass is summed itself: 1 − Val would lose its digits where Val is near 1.
    """
    log_validity, log_diversity = 0.0, 0.0
    for v, z in zip(branching.tolist(), sharpness, strict=True):
        log_p = -z / v * np.arange(v if vocab is None else vocab)
        tail = math.exp(-z) if vocab is None else float(np.exp(log_p[v:] - logsumexp(log_p)).sum())
        log_validity += math.log1p(-tail)
        within = log_p[:v] - logsumexp(log_p[:v])
        log_diversity += float(-np.exp(within) @ within) - math.log(v)
    return -math.expm1(log_validity), math.exp(log_diversity)


@pytest.mark.parametrize("v", [1, 2, 3, 10, 57, 1000])
@pytest.mark.parametrize("a", [1e-8, 1e-3, 0.1, 1.0, 1.999, 2.001, 2.0, 7.3, 40.0, 1e3, 1e6])
def test_entropy_loss_against_its_definition(v, a):
    assert float(entropy_loss(v, a)) == pytest.approx(summed_loss(v, a), rel=2e-14, abs=1e-300)


def test_entropy_loss_of_a_whole_vocabulary():
    v = 262_144
    with mpmath.workdps(60):
        for a in (1e-6, 0.5, 30.0, 1e7):
            theta = mpmath.mpf(a) / v
            log_z = mpmath.log(mpmath.expm1(-mpmath.mpf(a)) / mpmath.expm1(-theta))
            mean = 1 / mpmath.expm1(theta) - v / mpmath.expm1(mpmath.mpf(a))
            expected = float(mpmath.log(v) - log_z - theta * mean)
            assert float(entropy_loss(v, a)) == pytest.approx(expected, rel=1e-13)


@given(st.integers(2, 300_000), st.floats(1e-6, 1e6), st.floats(1.0001, 1e3))
def test_lemma_f3_and_growth_with_v(v, a, factor):
    loss = float(entropy_loss(v, a))
    assert 0 < loss <= math.log(v) + 1e-12
    assert float(entropy_loss(v, a * factor)) >= loss * (1 - 1e-13)
    assert float(entropy_loss(v + 1, a)) >= loss * (1 - 1e-13)


@given(st.integers(2, 300_000))
def test_limits_of_the_entropy_loss(v):
    assert float(entropy_loss(v, math.inf)) == pytest.approx(math.log(v))
    assert float(entropy_loss(v, 60.0 * v)) == pytest.approx(math.log(v), rel=1e-12)
    assert float(entropy_loss(v, 0.0)) == 0.0
    assert float(entropy_loss(v, 1e-5)) == pytest.approx((v * v - 1) / (24 * v * v) * 1e-10, rel=1e-8)


def test_corollary_f6_constant_is_always_that_of_two_tokens():
    for epsilon in (1e-12, 1e-3, 0.2, 0.5, 0.9, 0.999):
        every = entropy_loss(np.arange(2, 3001), -math.log(epsilon))
        assert c_epsilon(epsilon, vocab=3000) == pytest.approx(every.min(), rel=1e-13)
    assert c_epsilon(math.exp(-1e-3), vocab=50) == pytest.approx(1e-6 / 32, rel=1e-3)
    assert c_epsilon(1e-300, vocab=50) == pytest.approx(math.log(2), rel=1e-12)


@given(branchings, st.data())
def test_f4_holds_at_every_temperature_of_the_infinite_geometric_model(branching, data):
    sharpness = data.draw(st.lists(st.floats(1e-3, 60), min_size=branching.size, max_size=branching.size))
    epsilon, diversity = geometric_task(branching, sharpness)
    assert diversity <= diversity_bound_f4(branching, epsilon) * (1 + 1e-9)
    m = int((branching >= 2).sum())
    assert diversity_bound_f4(branching, epsilon) <= diversity_bound_f5(m, epsilon, 50) * (1 + 1e-12)


def test_f4_is_an_equality_for_one_step():
    branching = np.array([10])
    for z in (0.01, 0.5, 3.0, 20.0):
        epsilon, diversity = geometric_task(branching, [z])
        assert diversity == pytest.approx(diversity_bound_f4(branching, epsilon), rel=1e-11)


@given(branchings, st.data(), st.integers(30, 400))
def test_corrected_bound_holds_at_every_temperature_of_the_finite_model(branching, data, vocab):
    sharpness = data.draw(st.lists(st.floats(1e-6, 60), min_size=branching.size, max_size=branching.size))
    epsilon, diversity = geometric_task(branching, sharpness, vocab)
    bound = diversity_bound_finite_vocabulary(branching, epsilon, vocab)
    assert diversity <= bound * (1 + 1e-9)
    assert bound >= diversity_bound_f4(branching, epsilon) * (1 - 1e-12)


def test_theorem_f4_fails_on_a_finite_vocabulary():
    # Ten valid tokens on top of 100. At λ/T = 1e-3 the conditional is almost uniform: Val ≈ 0.105 and
    # Div ≈ 1, but the theorem with L = ln 1/ε = 0.11 claims Div <= 0.9995.
    branching, vocab = np.array([10]), 100
    epsilon, diversity = geometric_task(branching, [10 * 1e-3], vocab)
    assert 1 - epsilon == pytest.approx(0.1046, abs=1e-4)
    assert diversity > 1 - 1e-5
    assert diversity_bound_f4(branching, epsilon) < 1 - 4e-4
    # One step meets the corrected bound with equality: the last digits depend on the machine.
    assert diversity == pytest.approx(diversity_bound_finite_vocabulary(branching, epsilon, vocab), rel=1e-12)
    # The gap is not always small: half of the vocabulary valid, three steps, nearly uniform.
    branching, vocab = np.array([50, 50, 50]), 60
    epsilon, diversity = geometric_task(branching, [50 * 1e-3] * 3, vocab)
    assert diversity > 0.999 > 0.95 > diversity_bound_f4(branching, epsilon)
    assert diversity <= diversity_bound_finite_vocabulary(branching, epsilon, vocab)


@given(st.integers(2, 200), st.floats(1e-3, 50))
def test_one_finite_step_never_meets_f4_and_always_the_corrected_bound(v, z):
    """One step leaves no slack: Div is the corrected bound itself, and F.4 claims at most as much."""
    vocab = 201
    epsilon, diversity = geometric_task(np.array([v]), [z], vocab)
    assert diversity_bound_f4(np.array([v]), epsilon) <= diversity * (1 + 1e-9)
    assert diversity_bound_finite_vocabulary(np.array([v]), epsilon, vocab) == pytest.approx(
        diversity, rel=1e-8
    )


@given(st.integers(1, 1000), st.floats(1e-12, 1), st.integers(0, 1000))
def test_sharpness_inverts_the_local_validity(v, epsilon, extra):
    vocab = v + extra
    z = finite_vocabulary_sharpness(v, epsilon, vocab)
    assert 0 <= z <= -math.log(epsilon)
    with mpmath.workdps(60):
        if z == 0:
            assert mpmath.mpf(v) / vocab >= 1 - mpmath.mpf(epsilon) - mpmath.mpf("1e-15")
        else:
            g = mpmath.expm1(-mpmath.mpf(z)) / mpmath.expm1(-mpmath.mpf(z) * vocab / v)
            assert float(1 - g) == pytest.approx(epsilon, rel=1e-9)


def test_steps_multiply():
    for bound in (diversity_bound_f4, lambda v, e: diversity_bound_finite_vocabulary(v, e, 30)):
        one, other = bound(np.array([4]), 0.2), bound(np.array([9]), 0.2)
        assert bound(np.array([4, 9, 1, 4, 4]), 0.2) == pytest.approx(one**3 * other)


def test_a_large_vocabulary_leaves_the_theorem_as_it_was():
    assert finite_vocabulary_sharpness(10, 0.3, 49_152) == pytest.approx(-math.log(0.3), rel=1e-12)
    # ... until the temperature spreads the mass over the whole vocabulary: 0.9998 is uniform's invalid mass.
    assert finite_vocabulary_sharpness(10, 0.9998, 49_152) == 0.0
    assert finite_vocabulary_sharpness(10, 0.0, 49_152) == math.inf


@given(st.integers(0, 20), st.floats(0, 5), st.floats(1e-3, 3), st.floats(0, 0.999))
def test_e3_bounds_every_allocation_of_the_precision_budget(m, rho, eta, delta):
    # The proof, by counting: at most floor(budget / eta) hard steps can lose more than eta each.
    budget = -math.log1p(-delta)
    bound = recall_bound(m, rho, eta, delta)
    free = min(m, math.floor(budget / eta + 1e-12))
    assert math.exp(-rho * (m - free)) <= bound * (1 + 1e-9)
    assert bound <= 1


def test_e3_hand_worked_and_its_corners():
    assert recall_bound(10, 0.5, 0.1, 1 - math.exp(-0.3)) == pytest.approx(math.exp(-0.5 * 7))
    assert recall_bound(2, 0.5, 0.1, 0.9) == 1.0  # the budget pays for both steps
    assert recall_bound(2, math.inf, 0.1, 0.0) == 0.0
    assert recall_bound(2, math.inf, 0.1, 0.9) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: entropy_loss(0, 1.0), "v >= 1"),
        (lambda: entropy_loss(2, -1.0), "a >= 0"),
        (lambda: entropy_loss(2, math.nan), "a >= 0"),
        (lambda: diversity_bound_f4(np.array([2]), 1.5), "epsilon is 1.5"),
        (lambda: diversity_bound_f4(np.array([2]), -0.1), "epsilon is -0.1"),
        (lambda: c_epsilon(0.1, 1), "vocab is 1"),
        (lambda: diversity_bound_f5(-1, 0.1, 10), "m is -1"),
        (lambda: finite_vocabulary_sharpness(11, 0.1, 10), "v is 11"),
        (lambda: diversity_bound_finite_vocabulary(np.array([0]), 0.1, 10), "v is 0"),
        (lambda: recall_bound(1, 0.1, 0.0, 0.1), "eta=0.0"),
        (lambda: recall_bound(1, 0.1, 0.1, 1.0), "delta=1.0"),
        (lambda: recall_bound(-1, 0.1, 0.1, 0.1), "hard_steps=-1"),
        (lambda: recall_bound(1, -0.1, 0.1, 0.1), "rho=-0.1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

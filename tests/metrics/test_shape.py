"""Shape measures against exact arithmetic, closed forms and the underflow that log space must survive."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import effective_support, shape_divergence, step_entropy, valid_mass


@st.composite
def conditionals(draw):
    n = draw(st.integers(1, 10))
    logits = np.array(draw(st.lists(st.floats(-30, 30), min_size=n, max_size=n)))
    counts = np.array(draw(st.lists(st.integers(0, 50), min_size=n, max_size=n)))
    counts[draw(st.integers(0, n - 1))] += 1
    return logits, counts


def exact(logits, counts):
    """(divergence, effective support, valid mass, entropy) with 60 digits, from the definitions."""
    with mpmath.workdps(60):
        weight = [mpmath.e ** mpmath.mpf(float(x)) for x in logits]
        total, valid = sum(weight), sum(w for w, n in zip(weight, counts, strict=True) if n)
        within = [
            (w / valid, mpmath.mpf(int(n)) / int(sum(counts)))
            for w, n in zip(weight, counts, strict=True)
            if n
        ]
        divergence = sum(q * mpmath.log(q / p) for p, q in within)
        support = mpmath.exp(-sum(p * mpmath.log(p) for p, _ in within)) / len(within)
        entropy = -sum(w / total * mpmath.log(w / total) for w in weight)
        return [float(x) for x in (divergence, support, valid / total, entropy)]


def test_hand_worked():
    # p = (1/2, 1/4, 1/4), G = the first two with N = (1, 1): p|G = (2/3, 1/3).
    logits = np.log([0.5, 0.25, 0.25])
    is_valid = np.array([True, True, False])
    assert shape_divergence(logits, np.array([1, 1, 0])) == pytest.approx(
        0.5 * math.log(3 / 4) + 0.5 * math.log(3 / 2)
    )
    assert shape_divergence(logits, np.array([2, 1, 0])) == pytest.approx(0, abs=1e-15)
    assert effective_support(logits, is_valid) == pytest.approx(3 / 2 ** (2 / 3) / 2)
    assert valid_mass(logits, is_valid) == pytest.approx(3 / 4)
    assert step_entropy(logits) == pytest.approx(1.5 * math.log(2))


@given(conditionals())
def test_agrees_with_exact_arithmetic(conditional):
    logits, counts = conditional
    found = [
        shape_divergence(logits, counts),
        effective_support(logits, counts > 0),
        valid_mass(logits, counts > 0),
        step_entropy(logits),
    ]
    assert found == pytest.approx(exact(logits, counts), rel=1e-9, abs=1e-13)


@given(conditionals(), st.floats(-1e3, 1e3))
def test_ranges_and_shift_invariance(conditional, shift):
    logits, counts = conditional
    is_valid = counts > 0
    assert shape_divergence(logits, counts) >= 0
    assert 1 / is_valid.sum() - 1e-12 <= effective_support(logits, is_valid) <= 1
    assert 0 <= valid_mass(logits, is_valid) <= 1
    assert 0 <= step_entropy(logits) <= math.log(logits.size) + 1e-12
    for measure, valid in ((shape_divergence, counts), (effective_support, is_valid), (valid_mass, is_valid)):
        assert measure(logits + shift, valid) == pytest.approx(measure(logits, valid), rel=1e-8, abs=1e-10)
    # Invalid tokens matter to the mass alone.
    noisy = np.where(is_valid, logits, 7.0)
    assert shape_divergence(noisy, counts) == shape_divergence(logits, counts)
    assert shape_divergence(logits[is_valid], counts[is_valid]) == shape_divergence(logits, counts)


def test_underflowing_valid_tokens_still_count():
    # p(1)/p(0) = e^-2000 is 0 in float64; with N = (1, 1): KL = ln(1/2) - (0 - 2000)/2.
    logits, counts = np.array([0.0, -2000.0, 5.0]), np.array([1, 1, 0])
    assert shape_divergence(logits, counts) == pytest.approx(math.log(1 / 2) + 1000)
    assert effective_support(logits, counts > 0) == pytest.approx(1 / 2)
    # The whole valid set underflows: everything within it stays defined.
    logits = np.array([-5000.0, -5000.0, 0.0])
    assert shape_divergence(logits, np.array([1, 1, 0])) == pytest.approx(0, abs=1e-12)
    assert effective_support(logits, np.array([True, True, False])) == pytest.approx(1)
    assert valid_mass(logits, np.array([True, True, False])) == 0.0


def test_masked_tokens():
    logits = np.array([0.0, -math.inf, 0.0])
    assert shape_divergence(logits, np.array([1, 1, 0])) == math.inf
    assert effective_support(logits, np.array([True, True, False])) == pytest.approx(1 / 2)
    assert step_entropy(logits) == pytest.approx(math.log(2))


def test_the_calibrated_shape_is_the_only_one_without_divergence():
    counts = np.array([5, 1, 2])
    assert shape_divergence(np.log(counts), counts) == pytest.approx(0, abs=1e-15)
    assert shape_divergence(np.log(counts) + [0.01, 0, 0], counts) > 1e-6


@pytest.mark.parametrize("measure", [shape_divergence, effective_support, valid_mass])
@pytest.mark.parametrize(
    ("logits", "valid", "message"),
    [
        ([0.0, math.nan], [1, 0], "1 NaN or"),
        ([0.0, math.inf], [1, 0], "1 NaN or"),
        ([0.0, 0.0], [0, 0], "no token is valid"),
        ([0.0, 0.0], [1], "one vocabulary"),
    ],
)
def test_bad_input(measure, logits, valid, message):
    with pytest.raises(ValueError, match=message):
        measure(np.array(logits), np.array(valid))


def test_bad_counts_and_an_impossible_valid_set():
    with pytest.raises(ValueError, match="negative entry: -1"):
        shape_divergence(np.zeros(2), np.array([2, -1]))
    for measure in (shape_divergence, effective_support):
        with pytest.raises(ValueError, match="every valid token has logit -inf"):
            measure(np.array([-math.inf, 0.0]), np.array([1, 0]))
    with pytest.raises(ValueError, match="every logit is -inf"):
        valid_mass(np.full(2, -math.inf), np.array([True, False]))

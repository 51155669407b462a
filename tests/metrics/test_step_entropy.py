"""Step entropies against the definition written out, and the laws that an entropy of leading tokens obeys."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.decoding import TopKExact
from calib_assets.metrics.step_entropy import leading_entropy, top_entropy

numbers = st.floats(-30, 30) | st.integers(-3, 3).map(float)
rows = st.lists(numbers | st.just(-math.inf), min_size=1, max_size=40).filter(lambda row: max(row) > -math.inf)


def by_definition(logits, k):
    """Sort by falling logit and then by id, take k, softmax, sum -p ln p; exact sums."""
    support = [i for i, value in enumerate(logits) if value > -math.inf]
    chosen = [float(logits[i]) for i in sorted(support, key=lambda i: (-logits[i], i))[:k]]
    weights = [math.exp(value - chosen[0]) for value in chosen]
    total = math.fsum(weights)
    return -math.fsum(w / total * math.log(w / total) for w in weights if w > 0)


@given(rows, st.integers(1, 50))
def test_agrees_with_the_definition(row, k):
    assert top_entropy(np.array([row]), k)[0] == pytest.approx(by_definition(row, k), abs=1e-12)


def test_hand_worked():
    # Of 1/2, 1/4, 1/8, 1/8 the two most likely are 2/3 and 1/3: ln 3 - 2/3 ln 2; all four: 7/4 ln 2.
    logits = np.log([[0.125, 0.5, 0.125, 0.25]])
    expected = {1: 0.0, 2: math.log(3) - 2 / 3 * math.log(2), 4: 7 / 4 * math.log(2), 9: 7 / 4 * math.log(2)}
    for k, value in expected.items():
        assert top_entropy(logits, k)[0] == pytest.approx(value, abs=1e-15)
    # three tied behind the first, one of which counts: 3/4 and 1/4
    tied = np.log([[3.0, 1.0, 1.0, 1.0]])
    assert top_entropy(tied, 2)[0] == pytest.approx(2 * math.log(2) - 0.75 * math.log(3), abs=1e-15)


@given(st.lists(numbers, min_size=1, max_size=40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_bounds_order_and_shift(row, k, random):
    logits = np.array([row])
    found = top_entropy(logits, k)[0]
    assert 0 <= found <= math.log(min(k, len(row))) + 1e-12
    assert top_entropy(np.append(logits, [[-math.inf] * 3], axis=1), k)[0] == pytest.approx(found, abs=1e-13)
    assert top_entropy(logits + 7.5, k)[0] == pytest.approx(found, abs=1e-11)
    shuffled = random.sample(row, len(row))
    assert top_entropy(np.array([shuffled]), k)[0] == found
    assert top_entropy(logits, 1)[0] == 0.0


@given(st.lists(st.lists(numbers | st.just(-math.inf), min_size=12, max_size=12), min_size=1, max_size=6))
def test_a_row_does_not_depend_on_its_neighbours(table):
    logits = np.array(table)
    logits[:, 0] = 0.0
    together = top_entropy(logits, 5)
    for i in range(len(logits)):
        assert top_entropy(logits[i : i + 1], 5)[0] == together[i]


@pytest.mark.parametrize("k", [1, 2, 100, 999, 5000, 60_000])
@pytest.mark.parametrize("digits", [None, 1])  # rounded logits: hundreds are tied with the k-th
def test_large_vocabularies_in_single_precision(k, digits):
    logits = np.random.default_rng(k).normal(scale=4, size=(3, 49_153)).astype(np.float32)
    logits = logits if digits is None else logits.round(digits)
    for row, found in zip(logits, top_entropy(logits, k), strict=True):
        keeps = TopKExact(k).retained(row, 1.0)
        values = np.sort(row[keeps].astype(np.longdouble))
        p = np.exp(values - values[-1])
        p /= p.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = -np.nansum(p * np.log(p))
        assert found == pytest.approx(float(expected), abs=1e-12)


def test_a_near_certain_token_and_underflow():
    assert top_entropy(np.array([[0.0, -50.0]]), 2)[0] == pytest.approx(51 * math.exp(-50), abs=1e-16)
    assert top_entropy(np.array([[0.0, -2000.0]]), 2)[0] == 0.0


def test_leading_tokens_are_enough():
    logits = np.random.default_rng(0).normal(size=(4, 300))
    kept = np.where(logits >= np.sort(logits, axis=1)[:, [-60]], logits, -np.inf)
    np.testing.assert_allclose(leading_entropy(kept, 50), top_entropy(logits, 50), atol=1e-15)


def test_no_rows():
    assert top_entropy(np.zeros((0, 5)), 3).shape == (0,)


@pytest.mark.parametrize(
    ("logits", "k", "message"),
    [
        ([[0.0, 1.0]], 0, "k is 0; give a positive integer"),
        ([[0.0, 1.0]], 2.0, "k is 2.0"),
        ([[0.0, 1.0]], True, "k is True"),
        ([0.0, 1.0], 1, r"shape \(2,\)"),
        ([[]], 1, r"shape \(1, 0\)"),
        ([[0.0, 1.0], [0.0, math.nan]], 1, "row 1 hold NaN"),
        ([[math.inf, 1.0]], 1, "row 0 hold NaN or .inf"),
        ([[-math.inf, -math.inf]], 1, "row 0 hold nothing but -inf"),
    ],
)
def test_refused(logits, k, message):
    with pytest.raises(ValueError, match=message):
        top_entropy(np.array(logits), k)

"""Retained sets and probabilities of every rule that transformers has, against its own warpers in float64."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calib_assets.decoding import RULES
from calib_assets.decoding.conditional import Conditional
from calib_assets.decoding.tempered import Tempered

WARPED = ("top_k", "top_p", "min_p", "typical_p", "epsilon", "eta", "top_h")
UNDECIDABLE = 1e-12
"""Exact distance from the threshold below which float64 rounding, not the rule, decides a set."""


def filtered(rule, logits, temperature):
    """(retained mask, filtered probabilities) by our engine."""
    conditional = Conditional(logits, np.arange(logits.size))
    view = Tempered(conditional, np.array([temperature]))
    chosen = type(rule).select(view, [rule])
    keeps = chosen.keeps[0, 0]
    assert chosen.size[0, 0] == keeps.sum()
    return keeps, np.where(keeps, np.exp(view.tracked_log_probs[0] - chosen.log_mass[0, 0]), 0.0)


def parameters(name):
    if name == "top_k":
        return st.integers(1, 60)
    nice = st.sampled_from([0.1, 0.125, 0.2, 0.25, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99])
    return nice | st.floats(1e-6, 0.9999)


tie_heavy = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=50)
continuous = st.lists(st.floats(-30, 30), min_size=1, max_size=50)
dyadic = st.lists(st.sampled_from([1, 1, 1, 2, 2, 4, 8]), min_size=1, max_size=40).map(
    lambda w: np.log2(w) * np.log(2)
)
temperatures = st.sampled_from([0.1, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0]) | st.floats(0.05, 20)


@pytest.mark.parametrize("name", WARPED)
@given(data=st.data(), logits=tie_heavy | continuous | dyadic, temperature=temperatures)
def test_same_set_and_probabilities(oracle, name, data, logits, temperature):
    logits = np.array(logits)
    parameter = data.draw(parameters(name))
    keeps, probs = filtered(RULES[name](parameter), logits, temperature)
    expected_keeps, expected = oracle.warp(name, parameter, logits, temperature)
    if name == "top_h":  # torch.topk leaves open which of several tied tokens comes first
        same = np.array_equal(np.sort(logits[keeps]), np.sort(logits[expected_keeps]))
        probs, expected = np.sort(probs), np.sort(expected)
    else:
        same = np.array_equal(keeps, expected_keeps)
    if not same:
        # Only where 60-digit arithmetic puts the statistic on the threshold itself may the two round apart.
        assert oracle.boundary_margin(name, parameter, logits, temperature) < UNDECIDABLE
        return
    np.testing.assert_allclose(probs, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", WARPED)
@pytest.mark.parametrize("kind", ["float32", "bfloat16-like", "integers"])
def test_same_set_on_a_vocabulary_of_many_blocks(oracle, name, kind):
    rng = np.random.default_rng(5)
    rank = np.arange(1, 3001)
    logits = np.where(rank < 20, 18 - 0.7 * rank, 9 - 1.1 * np.log(rank)) + 0.3 * rng.normal(size=rank.size)
    logits = rng.permutation(logits).astype(np.float32)
    if kind == "bfloat16-like":
        logits = np.round(logits * 8) / 8
    if kind == "integers":
        logits = np.round(logits)
    for temperature in (0.05, 0.3, 0.9, 1.7, 6.0):
        for parameter in RULES[name].default_grid:
            keeps, probs = filtered(RULES[name](parameter), logits, temperature)
            expected_keeps, expected = oracle.warp(name, parameter, logits, temperature)
            if name == "top_h":
                np.testing.assert_array_equal(np.sort(logits[keeps]), np.sort(logits[expected_keeps]))
                probs, expected = np.sort(probs), np.sort(expected)
            else:
                np.testing.assert_array_equal(keeps, expected_keeps)
            np.testing.assert_allclose(probs, expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("name", WARPED)
@given(data=st.data(), logits=st.lists(st.floats(-20, 20) | st.just(-np.inf), min_size=2, max_size=20))
def test_tokens_outside_the_support_are_never_retained(oracle, name, data, logits):
    logits = np.array(logits)
    assume(np.isfinite(logits).any())
    parameter = data.draw(parameters(name))
    keeps, _ = filtered(RULES[name](parameter), logits, 1.0)
    alone, _ = filtered(RULES[name](parameter), logits[np.isfinite(logits)], 1.0)
    assert not keeps[np.isinf(logits)].any()
    np.testing.assert_array_equal(keeps[np.isfinite(logits)], alone)


@pytest.mark.parametrize(
    ("name", "parameter", "expected"),
    [
        ("top_p", 0.5, [True, False, False]),  # the tail holds exactly 1 - p: dropped
        ("top_p", 0.75, [True, False, True]),
        ("min_p", 0.5, [True, True, True]),  # exactly p times the largest: kept
        ("epsilon", 0.25, [True, True, True]),  # exactly eps: kept
        ("typical_p", 0.5, [True, False, False]),  # mass exactly p: enough
    ],
)
def test_a_statistic_exactly_on_the_threshold(oracle, name, parameter, expected):
    # exp(-ln 2) is 0.5 in float64: the probabilities are exactly 1/2, 1/4, 1/4; the two deviations from the
    # entropy, 3/2 ln 2, are then equal up to rounding, which puts the first token first.
    logits = np.array([math.log(2), 0.0, 0.0])
    keeps = RULES[name](parameter).retained(logits, 1.0)
    assert keeps.tolist() == oracle.warp(name, parameter, logits, 1.0)[0].tolist() == expected


def test_top_p_drops_the_lower_token_ids_of_a_tie_first(oracle):
    logits = np.zeros(10)
    keeps = RULES["top_p"](0.35).retained(logits, 1.0)
    np.testing.assert_array_equal(keeps, np.arange(10) >= 6)
    np.testing.assert_array_equal(keeps, oracle.warp("top_p", 0.35, logits, 1.0)[0])


def test_top_p_differs_from_an_unstable_sort_only_among_tied_tokens(oracle):
    logits = np.random.default_rng(0).integers(-2, 3, 500).astype(float)
    keeps = RULES["top_p"](0.7).retained(logits, 1.0)
    unstable, _ = oracle.warp("top_p", 0.7, logits, 1.0, stable=False)
    assert (keeps != unstable).any()
    np.testing.assert_array_equal(np.sort(logits[keeps]), np.sort(logits[unstable]))


def test_eta_rounds_its_parameter_as_the_warper_does(oracle):
    # At p(v) between float64(0.1)-based and float32(0.1)-based eta, only the float32 rounding matches.
    eps = 0.1
    low, high = sorted([eps, float(np.float32(eps))])
    p = (low + high) / 2
    assert low < p < high
    logits = np.log([1 - p, p])
    np.testing.assert_array_equal(
        RULES["eta"](eps).retained(logits, 1.0), oracle.warp("eta", eps, logits, 1.0)[0]
    )
    assert RULES["epsilon"](eps).retained(logits, 1.0).tolist() == [True, True]
    assert RULES["eta"](eps).retained(logits, 1.0).tolist() == [True, False]


def test_a_probability_of_zero_ends_the_set_of_top_h_as_in_the_warper(oracle):
    logits = np.array([0.0, -2000.0, 0.0])
    expected, _ = oracle.warp("top_h", 1.0, logits, 1.0)
    assert RULES["top_h"](1.0).retained(logits, 1.0).tolist() == expected.tolist() == [True, False, True]

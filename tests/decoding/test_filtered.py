"""Several rules in a row: each sees what the ones before it left, renormalised, as transformers' warpers do."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from calib_assets.decoding import MinP, TopK, TopKExact, TopP, Unrestricted, ValidityOracle
from calib_assets.decoding.filtered import Filtered
from calib_assets.decoding.heads import leading
from calib_assets.decoding.policy import Row, Sampled

# Distinct logits: at ties the warpers depend on their sort.
LOGITS = st.lists(st.integers(-400, 400), min_size=4, max_size=30, unique=True).map(lambda v: np.array(v) / 50.0)


def support(policy, logits, draws=400) -> set[int]:
    rows = [Row((i,), ()) for i in range(draws)]
    return set(policy.choose(np.tile(logits, (draws, 1)), rows).tolist())


@given(LOGITS, st.integers(1, 8), st.floats(0.2, 0.99), st.floats(0.01, 0.5), st.sampled_from([0.5, 1.0, 1.7]))
def test_never_leaves_what_the_warpers_keep(logits, k, p, min_p, temperature):
    warpers = [TemperatureLogitsWarper(temperature), TopKLogitsWarper(k), TopPLogitsWarper(p), MinPLogitsWarper(min_p)]
    scores = LogitsProcessorList(warpers)(None, torch.tensor(logits[None], dtype=torch.float64))[0].numpy()
    policy = Filtered((TopK(k), TopP(p), MinP(min_p)), temperature)
    assert support(policy, logits, 60) <= set(np.flatnonzero(np.isfinite(scores)).tolist())


def test_frequencies_are_the_warpers_probabilities():
    logits = np.array([2.0, 1.5, 1.2, 0.3, -1.0, -3.0])
    warpers = [TemperatureLogitsWarper(1.3), TopKLogitsWarper(4), TopPLogitsWarper(0.8)]
    scores = LogitsProcessorList(warpers)(None, torch.tensor(logits[None], dtype=torch.float64))[0]
    expected = torch.softmax(scores, -1).numpy()
    draws = 20_000
    rows = [Row((i,), ()) for i in range(draws)]
    chosen = Filtered((TopK(4), TopP(0.8)), 1.3).choose(np.tile(logits, (draws, 1)), rows)
    share = np.bincount(chosen, minlength=6) / draws
    assert (share[expected == 0] == 0).all()
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / draws)


def test_the_order_matters():
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    # Top-k first: 0.4 of 0.7 is 0.57, so top-p 0.5 keeps one token; top-p first keeps two, and top-k 2 both.
    assert support(Filtered((TopK(2), TopP(0.5)), 1.0), logits) == {0}
    assert support(Filtered((TopP(0.5), TopK(2)), 1.0), logits) == {0, 1}


@given(LOGITS, st.floats(0.3, 2.0))
def test_one_rule_or_none_is_plain_sampling(logits, temperature):
    rows = [Row((i,), ()) for i in range(20)]
    tiled = np.tile(logits, (20, 1))
    for rules, rule in (((), Unrestricted()), ((TopP(0.7),), TopP(0.7))):
        expected = Sampled(rule, temperature).choose(tiled, rows)
        np.testing.assert_array_equal(Filtered(rules, temperature).choose(tiled, rows), expected)


def test_names_and_refusals():
    policy = Filtered.of(0.7, [("top_k", 20), ("top_p", 0.8)])
    assert policy == Filtered((TopK(20), TopP(0.8)), 0.7)
    assert policy.identity() != Filtered((TopP(0.8), TopK(20)), 0.7).identity()
    with pytest.raises(ValueError, match="valid set"):
        Filtered((TopK(3), ValidityOracle()), 1.0)
    with pytest.raises(ValueError, match="NaN"):
        policy.choose(np.array([[0.0, np.nan]]), [Row((0,), ())])


@given(st.integers(0, 10**6), st.integers(1, 40), st.floats(0.3, 0.99), st.sampled_from([0.5, 1.0, 1.7]))
def test_behind_top_k_the_leading_tokens_decide(seed, k, p, temperature):
    logits = np.random.default_rng(seed).normal(scale=3, size=(3, 700)).round(seed % 3).astype(np.float32)
    rows = [Row((seed, i), (1,) * i) for i in range(3)]
    for rules in ((TopK(k),), (TopK(k), TopP(p)), (TopKExact(k), TopP(p), MinP(0.05))):
        policy = Filtered(rules, temperature)
        assert policy.ranks == k
        ids, values = leading(logits, k + 7)
        places = policy.choose(values, rows)
        assert ids[np.arange(3), places].tolist() == policy.choose(logits, rows).tolist()
    assert Filtered((TopP(p), TopK(k))).ranks is None and Filtered().ranks is None

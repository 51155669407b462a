"""The two rules of the released canopy-entropy pipeline, where they differ from the reference warpers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.decoding import DecodingGrid, TopK, TopKExact, TopP, TopPCanopy

weights = st.lists(st.sampled_from([1, 1, 2, 4, 8]), min_size=2, max_size=12)


def released_top_p(probs, p):
    """``apply_top_p`` of the released pipeline, in numpy: sort descending, cumulate, mark > p, shift, scatter."""
    order = np.argsort(-probs, kind="stable")
    removed = np.cumsum(probs[order]) > p
    removed[1:] = removed[:-1].copy()
    removed[0] = False
    keeps = np.ones(len(probs), bool)
    keeps[order[removed]] = False
    return keeps


def test_the_mass_that_equals_p_exactly():
    # Four tokens of 1/4 (exact in floating point): the running mass is .25, .5, .75, 1. At p = .5 the warper stops at
    # two tokens, the pipeline at three; its tied tokens go by id, lower first.
    logits = np.zeros(4)
    assert TopP(0.5).retained(logits, 1.0).sum() == 2
    assert TopPCanopy(0.5).retained(logits, 1.0).tolist() == [True, True, True, False]
    assert TopPCanopy(0.25).retained(logits, 1.0).sum() == 2
    assert TopPCanopy(0.49).retained(logits, 1.0).sum() == TopP(0.49).retained(logits, 1.0).sum() == 2
    assert TopPCanopy(1.0).retained(logits, 1.0).all()
    for n in (2, 8, 64, 1024):
        for k in range(1, n, max(1, n // 8)):
            expected = released_top_p(np.full(n, 1 / n), k / n)
            np.testing.assert_array_equal(TopPCanopy(k / n).retained(np.zeros(n), 1.0), expected)
            assert expected.sum() == k + 1


@given(weights, st.integers(0, 6), st.integers(1, 15))
def test_as_the_released_code_where_sums_are_exact(counts, padding, sixteenths):
    total = 2 ** int(np.ceil(np.log2(sum(counts))))
    counts = [*counts, *([1] * (total - sum(counts))), *([0] * padding)]  # dyadic probabilities add up exactly
    probs, p = np.array(counts) / total, sixteenths / 16
    with np.errstate(divide="ignore"):
        logits = np.log2(probs) * np.log(2)
    expected = released_top_p(probs, p) & (probs > 0)
    keeps = TopPCanopy(p).retained(logits, 1.0)
    size, exact = int(keeps.sum()), int(expected.sum())
    mass = np.cumsum(np.sort(probs)[::-1])
    if size == exact:
        np.testing.assert_array_equal(keeps, expected)
    else:  # exp(ln) may round by one unit: then only a mass that equals p may fall on the other side
        assert p in mass and size == exact - 1


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=30, unique=True), st.floats(0.01, 0.999))
def test_elsewhere_it_is_top_p(logits, p):
    values = np.array(logits)
    exact, warper = TopPCanopy(p).retained(values, 1.0), TopP(p).retained(values, 1.0)
    probs = np.exp(values - values.max())
    probs /= probs.sum()
    if np.abs(np.cumsum(np.sort(probs)[::-1]) - p).min() > 1e-12 and len({*probs.round(14)}) == len(probs):
        np.testing.assert_array_equal(exact, warper)


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=30), st.integers(1, 35))
def test_exactly_k_tokens_of_which_ties_lose_by_id(values, k):
    logits = np.array(values, float)
    keeps = TopKExact(k).retained(logits, 1.0)
    assert keeps.sum() == min(k, len(values))
    assert (keeps <= TopK(k).retained(logits, 1.0)).all()
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert set(np.flatnonzero(keeps)) == set(order[:k])


@pytest.mark.parametrize("name", ["top_k_exact", "top_p_canopy"])
def test_only_swept_when_asked_for(name):
    assert name not in DecodingGrid.default([1.0]).rules
    assert DecodingGrid([1.0], {name: (1,)}).n_configurations == 1


def test_at_one_all_tokens_stay_even_where_their_sum_rounds_above_one():
    rng = np.random.default_rng(0)
    for n in (50, 500, 5000):
        for scale in (1.0, 5.0, 20.0):
            assert TopPCanopy(1.0).retained(rng.normal(scale=scale, size=n), 1.0).all()

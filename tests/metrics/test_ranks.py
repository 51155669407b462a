"""Order measures against their definitions over all pairs and all cutoffs."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import (
    average_precision,
    is_order_calibrated,
    last_valid_rank,
    order_auroc,
    precision_at_n_valid,
    valid_ranks,
)

MEASURES = (
    average_precision,
    is_order_calibrated,
    last_valid_rank,
    order_auroc,
    precision_at_n_valid,
    valid_ranks,
)


@st.composite
def ranked_vocabularies(draw):
    """Scores from few values, so that ties are common; at least one valid token, perhaps all."""
    n = draw(st.integers(1, 14))
    scores = draw(st.lists(st.sampled_from([-math.inf, -2.0, -0.5, 0.0, 1.0, 3.0]), min_size=n, max_size=n))
    is_valid = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    is_valid[draw(st.integers(0, n - 1))] = True
    return np.array(scores), np.array(is_valid)


def order_of(scores):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def test_hand_worked():
    # By rank: token 1 (valid), 2, 0 (valid), 3. Pairs valid-invalid: 1>2, 1>3, 0<2, 0>3: 3 of 4.
    # Precision at the valid ranks 1 and 3: 1/1 and 2/3; among the first |G| = 2 ranks one is valid.
    scores, is_valid = np.array([0.2, 0.4, 0.3, 0.1]), np.array([True, True, False, False])
    assert order_auroc(scores, is_valid) == 3 / 4
    assert average_precision(scores, is_valid) == pytest.approx((1 + 2 / 3) / 2)
    assert precision_at_n_valid(scores, is_valid) == 1 / 2
    assert last_valid_rank(scores, is_valid) == 3
    assert not is_order_calibrated(scores, is_valid)


def test_a_tie_across_the_boundary_is_calibrated_although_its_rank_is_late():
    scores, is_valid = np.array([1.0, 1.0, 2.0]), np.array([False, True, True])
    assert is_order_calibrated(scores, is_valid)
    assert last_valid_rank(scores, is_valid) == 3
    assert order_auroc(scores, is_valid) == 3 / 4  # one pair won, one tied


@given(ranked_vocabularies())
def test_ranks_by_sorting(vocabulary):
    scores, is_valid = vocabulary
    places = valid_ranks(scores, is_valid)
    expected = [i for i in order_of(scores) if is_valid[i]]
    assert places.token.tolist() == expected
    assert places.rank.tolist() == [order_of(scores).index(i) + 1 for i in expected]
    tied_ranks = [[r for r, j in enumerate(order_of(scores), 1) if scores[j] == scores[i]] for i in expected]
    assert places.midrank.tolist() == [sum(ranks) / len(ranks) for ranks in tied_ranks]


@given(ranked_vocabularies())
def test_auroc_over_all_pairs(vocabulary):
    scores, is_valid = vocabulary
    pairs = [(v, w) for v in scores[is_valid] for w in scores[~is_valid]]
    if not pairs:
        assert order_auroc(scores, is_valid) is None
        return
    wins = sum(Fraction(1) if v > w else Fraction(1, 2) if v == w else 0 for v, w in pairs)
    assert order_auroc(scores, is_valid) == pytest.approx(float(wins / len(pairs)), abs=1e-15)


@given(ranked_vocabularies())
def test_cutoff_measures_over_all_cutoffs(vocabulary):
    scores, is_valid = vocabulary
    hits = [bool(is_valid[i]) for i in order_of(scores)]
    n_valid = sum(hits)
    precisions = [sum(hits[:k]) / k for k in range(1, len(hits) + 1)]
    expected = sum(p for p, hit in zip(precisions, hits, strict=True) if hit) / n_valid
    assert average_precision(scores, is_valid) == pytest.approx(expected)
    assert precision_at_n_valid(scores, is_valid) == pytest.approx(precisions[n_valid - 1])
    assert last_valid_rank(scores, is_valid) == max(k for k, hit in enumerate(hits, 1) if hit)
    calibrated = all(v >= w for v in scores[is_valid] for w in scores[~is_valid])
    assert is_order_calibrated(scores, is_valid) == calibrated


@given(ranked_vocabularies(), st.floats(0.1, 9), st.floats(-5, 5))
def test_strictly_increasing_transforms_change_nothing(vocabulary, temperature, shift):
    scores, is_valid = vocabulary
    for measure in MEASURES[:-1]:
        assert measure(scores / temperature + shift, is_valid) == measure(scores, is_valid)
        assert measure(scores.astype(np.float32), is_valid) == measure(scores, is_valid)


@given(ranked_vocabularies())
def test_reversing_the_order_mirrors_the_auroc(vocabulary):
    scores, is_valid = vocabulary
    auroc = order_auroc(scores, is_valid)
    if auroc is not None:
        assert order_auroc(-scores, is_valid) == pytest.approx(1 - auroc)
        assert order_auroc(scores, ~is_valid) == pytest.approx(1 - auroc)


def test_one_valid_token_of_a_large_vocabulary():
    vocab = 262_144
    scores = -np.arange(vocab, dtype=np.float32)
    is_valid = np.zeros(vocab, dtype=bool)
    is_valid[1000] = True
    assert last_valid_rank(scores, is_valid) == 1001
    assert order_auroc(scores, is_valid) == pytest.approx(1 - 1000 / (vocab - 1), rel=1e-15)
    # Every token valid but the last: products of counts must not overflow 32 bits.
    assert order_auroc(scores, np.arange(vocab) < vocab - 1) == 1.0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("scores", "is_valid", "message"),
    [
        ([0.1, math.nan], [True, False], "1 NaN of 2"),
        ([0.1, 0.2], [False, False], "no token is valid"),
        ([0.1, 0.2], [True], "one vocabulary"),
        ([[0.1], [0.2]], [[True], [False]], "one vocabulary"),
    ],
)
def test_bad_input(measure, scores, is_valid, message):
    with pytest.raises(ValueError, match=message):
        measure(np.array(scores), np.array(is_valid))

"""Precision–recall curves against sets, frontiers against pairwise domination."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import (
    frontier_auc,
    local_precision_recall,
    precision_recall_frontier,
    recall_at_precision,
)


@st.composite
def ranked_vocabularies(draw):
    """Tied scores and a valid set that is never empty."""
    n = draw(st.integers(1, 14))
    scores = draw(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5]), min_size=n, max_size=n))
    is_valid = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    is_valid[draw(st.integers(0, n - 1))] = True
    return np.array(scores), np.array(is_valid)


unit = st.integers(0, 8).map(lambda i: i / 8)  # a coarse grid: equal precisions and recalls occur
clouds = st.lists(st.tuples(unit, unit), min_size=1, max_size=12).map(lambda points: np.array(points).T)


def precision_recall_of_sets(scores, is_valid, cutoff, weight=None):
    """Slow oracle, straight from the definition; shares no line with the module."""
    retained = set(sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:cutoff])
    valid = {i for i, flag in enumerate(is_valid) if flag}
    weight = weight if weight is not None else dict.fromkeys(valid, 1)
    recall = sum(weight[i] for i in retained & valid) / sum(weight[i] for i in valid)
    return len(retained & valid) / cutoff, recall


def test_interleaved_valid_tokens_hand_worked():
    # Ranks 1..4 hold valid, invalid, valid, invalid; |V| = 2: P = 1/1 1/2 2/3 2/4, Q = 1/2 1/2 2/2 2/2.
    curve = local_precision_recall(np.array([0.2, 0.4, 0.3, 0.1]), np.array([True, True, False, False]))
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3, 2 / 4])
    np.testing.assert_allclose(curve.recall, [1 / 2, 1 / 2, 1, 1])
    # The frontier is (P, Q) = (1, 1/2), (2/3, 1); its area 1/2 * 1 + 1/2 * 2/3; recall at 0.8 is 1/2.
    frontier = precision_recall_frontier(*curve)
    np.testing.assert_allclose(frontier.precision, [1, 2 / 3])
    np.testing.assert_allclose(frontier.recall, [1 / 2, 1])
    assert frontier_auc(*curve) == pytest.approx(5 / 6)
    assert recall_at_precision(*curve, p0=0.8) == 1 / 2


def test_continuations_weigh_recall_but_not_precision():
    # Token 1 leads the ranking and carries 1 of 4 continuations, token 0 carries 3.
    scores, is_valid = np.array([0.2, 0.4, 0.3, 0.1]), np.array([True, True, False, False])
    curve = local_precision_recall(scores, is_valid, np.array([3, 1, 0, 0]))
    np.testing.assert_allclose(curve.recall, [1 / 4, 1 / 4, 1, 1])
    np.testing.assert_allclose(curve.precision, local_precision_recall(scores, is_valid).precision)


@given(ranked_vocabularies())
def test_agrees_with_set_definition_at_every_cutoff(vocabulary):
    curve = local_precision_recall(*vocabulary)
    assert curve.precision.size == vocabulary[0].size
    for cutoff, point in enumerate(zip(*curve, strict=True), start=1):
        assert point == pytest.approx(precision_recall_of_sets(*vocabulary, cutoff))


@given(ranked_vocabularies(), st.data())
def test_continuation_recall_agrees_with_set_definition(vocabulary, data):
    scores, is_valid = vocabulary
    weight = [data.draw(st.integers(1, 1000)) if flag else 0 for flag in is_valid]
    curve = local_precision_recall(scores, is_valid, np.array(weight))
    for cutoff, point in enumerate(zip(*curve, strict=True), start=1):
        assert point == pytest.approx(precision_recall_of_sets(scores, is_valid, cutoff, weight))


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.int8, bool, np.float16])
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 127]), st.booleans()), min_size=1, max_size=8), st.integers(0, 7))
def test_counts_and_flags_are_scores_like_any_other(kind, tokens, place):
    scores, is_valid = (np.array(column) for column in zip(*tokens))
    is_valid[place % is_valid.size] = True
    scores = scores.astype(kind)
    curve = local_precision_recall(scores, is_valid)
    for cutoff, point in enumerate(zip(*curve, strict=True), start=1):
        assert point == pytest.approx(precision_recall_of_sets(scores.tolist(), is_valid, cutoff))


def test_the_least_integer_is_the_last_rank():
    curve = local_precision_recall(np.array([-128, 0, 5], np.int8), np.array([True, False, False]))
    np.testing.assert_array_equal(curve.recall, [0, 0, 1])


@given(ranked_vocabularies(), st.floats(0.05, 20))
def test_temperature_does_not_move_the_curve(vocabulary, temperature):
    scores, is_valid = vocabulary
    for cold, warm in zip(
        local_precision_recall(scores, is_valid),
        local_precision_recall(scores / temperature, is_valid),
        strict=True,
    ):
        np.testing.assert_array_equal(cold, warm)


@given(clouds)
def test_frontier_is_the_set_of_points_that_no_point_dominates(cloud):
    precision, recall = cloud
    points = set(zip(precision, recall, strict=True))
    undominated = {p for p in points if not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in points)}
    frontier = precision_recall_frontier(precision, recall)
    found = list(zip(*frontier, strict=True))
    assert found == sorted(undominated, key=lambda p: p[1])
    assert (np.diff(frontier.recall) > 0).all() and (np.diff(frontier.precision) < 0).all()


@given(clouds)
def test_area_is_the_integral_of_the_best_precision(cloud):
    precision, recall = cloud
    # The recalls lie on a grid of eighths, so the step integrand is constant on each eighth.
    levels = [(i + 0.5) / 8 for i in range(8)]
    best = [max((p for p, q in zip(precision, recall, strict=True) if q >= r), default=0.0) for r in levels]
    assert frontier_auc(precision, recall) == pytest.approx(sum(best) / 8)
    assert frontier_auc(*precision_recall_frontier(precision, recall)) == pytest.approx(sum(best) / 8)


@given(clouds, unit)
def test_recall_at_precision_by_search(cloud, p0):
    precision, recall = cloud
    expected = max((q for p, q in zip(precision, recall, strict=True) if p >= p0), default=0.0)
    assert recall_at_precision(precision, recall, p0) == expected
    assert recall_at_precision(*precision_recall_frontier(precision, recall), p0) == expected


def test_four_fifths_reach_a_precision_of_0_8():
    assert recall_at_precision(np.array([4 / 5]), np.array([0.3]), p0=0.8) == 0.3


def test_perfect_order_has_area_one():
    curve = local_precision_recall(np.arange(9.0), np.arange(9) >= 6)
    assert frontier_auc(*curve) == 1.0


@pytest.mark.parametrize(
    ("scores", "is_valid", "weight", "message"),
    [
        ([0.1, math.nan], [True, False], None, "1 NaN of 2"),
        ([0.1, 0.2], [False, False], None, "no token is valid"),
        ([0.1, 0.2], [True, False], [1, 1], "2 positive entries, 1 valid"),
        ([0.1, 0.2], [True, True], [1, 0], "1 positive entries, 2 valid"),
        ([0.1, 0.2], [True, False], [1, -1], "positive on the valid tokens"),
        ([0.1, 0.2], [True, False], [1], "positive on the valid tokens"),
    ],
)
def test_bad_conditionals(scores, is_valid, weight, message):
    with pytest.raises(ValueError, match=message):
        local_precision_recall(
            np.array(scores), np.array(is_valid), None if weight is None else np.array(weight)
        )


@pytest.mark.parametrize("function", [precision_recall_frontier, recall_at_precision, frontier_auc])
@pytest.mark.parametrize(
    ("precision", "recall", "message"),
    [
        ([], [], "non-empty"),
        ([0.5], [0.5, 1.0], "equal"),
        ([1.5], [0.5], "precision holds a value outside"),
        ([0.5], [math.nan], "recall holds a value outside"),
    ],
)
def test_bad_points(function, precision, recall, message):
    with pytest.raises(ValueError, match=message):
        function(np.array(precision), np.array(recall))


def test_bad_precision_level():
    with pytest.raises(ValueError, match="p0 is 80"):
        recall_at_precision(np.array([0.5]), np.array([0.5]), p0=80)

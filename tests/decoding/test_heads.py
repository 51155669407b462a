"""Partial selection against sorting, and top-k sampling from it against the definition on whole rows."""

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.decoding import TopK, TopKExact, TopP, Unrestricted
from calib_assets.decoding import policy as policies
from calib_assets.decoding.heads import Heads, leading, log_norms
from calib_assets.decoding.policy import Greedy, Row, Sampled

value = st.integers(-3, 3).map(float) | st.floats(-20, 20, width=32) | st.just(-math.inf)


@st.composite
def tables(draw, width=st.integers(1, 60) | st.just(700)):
    """Rows with ties and holes, of which some are wide enough to be looked at in blocks."""
    n_rows, n = draw(st.integers(1, 4)), draw(width)
    seed = draw(st.integers(0, 2**20))
    rng = np.random.default_rng(seed)
    table = rng.normal(scale=3, size=(n_rows, n)).round(draw(st.sampled_from([0, 1, 6])))
    table[rng.random(table.shape) < draw(st.sampled_from([0, 0.3, 0.99]))] = -np.inf
    for row in table:
        row[rng.integers(n)] = draw(st.floats(-9, 9))
    return table.astype(np.float32)


def kept_by_definition(row, ranks):
    """Ids of the most likely tokens by a full sort, and of all tied with the last of them."""
    support = sorted((i for i in range(len(row)) if row[i] > -np.inf), key=lambda i: -row[i])
    least = row[support[min(ranks, len(support)) - 1]]
    return [i for i in range(len(row)) if row[i] >= least and row[i] > -np.inf]


@given(tables(), st.integers(1, 70))
def test_the_leading_tokens_of_each_row(table, ranks):
    ids, values = leading(table, ranks)
    assert ids.shape == values.shape and values.dtype == table.dtype
    assert ids.shape[1] >= min(ranks, table.shape[1])
    for row, some, numbers in zip(table, ids, values, strict=True):
        expected = kept_by_definition(row, ranks)
        assert some[: len(expected)].tolist() == expected
        np.testing.assert_array_equal(numbers[: len(expected)], row[expected])
        assert (numbers[len(expected) :] == -np.inf).all()


@pytest.mark.parametrize("at", [0, 700, 4999])
def test_nan_shows_in_the_top(at):
    table = np.random.default_rng(0).normal(size=(3, 5000)).astype(np.float32)
    table[1, at] = np.nan
    assert np.isnan(Heads.of(table, 5).top).tolist() == [False, True, False]


def test_norms_are_those_of_the_whole_row():
    table = np.random.default_rng(1).normal(scale=9, size=(5, 30_000)).astype(np.float32)
    exact = np.log(np.exp(table.astype(np.longdouble)).sum(axis=1)).astype(float)
    np.testing.assert_allclose(log_norms(table), exact, rtol=1e-14)
    np.testing.assert_allclose(Heads.of(table, 3).log_norm, exact, rtol=1e-14)


def drawn_slowly(rule, temperature, logits, rows):
    """The definition: the rule on the whole row, then inverse CDF over the whole vocabulary in token order."""
    chosen = []
    for row, values in zip(rows, logits, strict=True):
        scaled = values.astype(np.float64) / temperature
        weights = np.exp(scaled - scaled.max()) * rule.retained(values, temperature)
        cumulative = np.cumsum(weights)
        goal = policies.uniform(row.stream, len(row.ids)) * cumulative[-1]
        first_above = np.searchsorted(cumulative, goal, side="right")
        chosen.append(min(first_above, np.searchsorted(cumulative, cumulative[-1])))
    return chosen


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.7])
@given(table=tables(), k=st.integers(1, 70), rule=st.sampled_from([TopK, TopKExact]), seed=st.integers())
def test_top_k_draws_exactly_what_whole_rows_lead_to(temperature, table, k, rule, seed):
    rows = [Row((seed, i), (1,) * i) for i in range(len(table))]
    policy = Sampled(rule(k), temperature)
    expected = drawn_slowly(rule(k), temperature, table, rows)
    assert policy.choose(table, rows).tolist() == expected
    for ranks in (policy.ranks, policy.ranks + 9):  # and so do the leading tokens alone
        ids, values = leading(table, ranks)
        places = policy.choose(values, rows)
        assert ids[np.arange(len(rows)), places].tolist() == expected


@pytest.mark.parametrize("rule", [TopK(100), TopKExact(100)])
def test_uniforms_on_the_border_of_two_tokens(rule):
    """Numbers that equal a cumulative weight to the bit, where one rounding more would give the neighbour."""
    logits = np.random.default_rng(2).normal(scale=3, size=(1, 49_152)).astype(np.float32).round(1)
    weights = np.exp(logits[0].astype(np.float64) - float(logits.max())) * rule.retained(logits[0], 1.0)
    cumulative = np.cumsum(weights)
    for token in np.flatnonzero(weights)[::9]:
        for goal in (cumulative[token], np.nextafter(cumulative[token], 0)):
            u = goal / cumulative[-1]
            with mock.patch.object(policies, "uniform", lambda *_, u=u: u):
                slow = drawn_slowly(rule, 1.0, logits, [Row((), ())])
                assert Sampled(rule).choose(logits, [Row((), ())]).tolist() == slow


@given(tables())
def test_greedy_needs_one_rank(table):
    rows = [Row((), ())] * len(table)
    ids, values = leading(table, Greedy().ranks)
    assert ids[np.arange(len(rows)), Greedy().choose(values, rows)].tolist() == table.argmax(axis=1).tolist()


def test_what_decides_a_choice():
    assert (Sampled(TopK(7)).ranks, Sampled(TopKExact(3)).ranks, Greedy().ranks) == (7, 3, 1)
    assert Sampled(TopP(0.9)).ranks is None and Sampled(Unrestricted()).ranks is None

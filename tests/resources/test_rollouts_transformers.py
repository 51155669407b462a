"""Rollouts on transformers: many contexts in one batch against one row at a time, `generate`, exact probabilities."""

import logging

import numpy as np
import pytest
import torch
from scipy import stats

from calib_assets.decoding import TopK, TopP
from calib_assets.decoding.heads import Heads
from calib_assets.decoding.policy import Greedy, Sampled
from calib_assets.metrics.step_entropy import top_entropy
from resources.language_models import (
    ModelError,
    ModelSettings,
    ModelSource,
    Request,
    RolloutRequest,
    TransformersModel,
    release_models,
)
from resources.language_models.device_heads import leading_on_device

CONTEXTS = [(0, *range(20, 31)), (7,), (0, 40, 41), tuple(range(100, 125)), (0, 40, 41)]  # some outgrow the windows


def handle(directory, dtype="float32", **options):
    return TransformersModel(
        ModelSource(path=directory), ModelSettings(dtype=dtype), cache_dir=directory / "c", device="cpu", **options
    )


def collect(model, requests, policy, n, **options):
    found = list(model.rollouts(requests, policy, n, **options))
    assert sorted(one.index for one in found) == list(range(len(requests)))
    return sorted(found, key=lambda one: one.index)


def wanted(each=4, contexts=CONTEXTS):
    return [RolloutRequest(context, (3, i, j)) for i, context in enumerate(contexts) for j in range(each)]


def agree(one, other, atol=2e-4):
    assert [(a.ids, a.finish) for a in one] == [(b.ids, b.finish) for b in other]
    np.testing.assert_allclose([a.log_probability for a in one], [b.log_probability for b in other], atol=atol)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.step_entropy, b.step_entropy, atol=2e-5)


@pytest.fixture
def many_ends(monkeypatch):
    """Half of the vocabulary ends a row, so that rows leave and enter all the time."""
    from resources.language_models.tokenization import TokenizerView

    monkeypatch.setattr(TokenizerView, "end_ids", tuple(range(0, 263, 7)))


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3", "gemma2", "gemma3"])
@pytest.mark.parametrize("policy", [Greedy(), Sampled(TopK(30), 1.7), Sampled(TopP(0.9))], ids=["greedy", "k", "p"])
def test_a_batch_equals_recomputing_every_row(tiny, architecture, policy, many_ends):
    with handle(tiny(architecture), tree=False) as plain:
        slow = collect(plain, wanted(), policy, 14)
    assert len({len(one.ids) for one in slow}) >= (3 if policy == Greedy() else 5)
    with handle(tiny(architecture)) as model:
        for batch_rows in (3, 64):
            agree(collect(model, wanted(), policy, 14, batch_rows=batch_rows), slow)
        assert model.loaded.notes["contexts_verified"] and model.loaded.notes["no_tree"] is None


def test_drawn_as_continuations_of_each_context(tiny):
    policy = Sampled(TopK(20))
    with handle(tiny("llama")) as model:
        found = collect(model, wanted(), policy, 9, batch_rows=6)
        for i, context in enumerate(CONTEXTS):
            one = sorted(
                model.continuations(context, [Request((), (3, i, j)) for j in range(4)], policy, 9),
                key=lambda one: one.index,
            )
            assert [(a.ids, a.finish) for a in one] == [(b.ids, b.finish) for b in found[4 * i : 4 * i + 4]]


def test_entropies_and_log_probabilities_are_those_of_the_whole_sequence(tiny):
    with handle(tiny("gemma3")) as model:
        found = collect(model, wanted(), Sampled(TopK(5)), 12, entropy_ranks=40)
        for request, one in zip(wanted(), found, strict=True):
            ids = torch.tensor([[*request.context_ids, *one.ids]])
            with torch.inference_mode():
                logits = model.loaded.model(input_ids=ids, use_cache=False).logits[0, len(request.context_ids) - 1 : -1]
            expected = logits.double().log_softmax(-1)[torch.arange(len(one.ids)), torch.tensor(one.ids)].sum()
            assert one.log_probability == pytest.approx(float(expected), abs=2e-4)
            np.testing.assert_allclose(one.step_entropy, top_entropy(logits.numpy(), 40), atol=2e-5)


def test_each_context_is_computed_once_and_let_go(tiny, monkeypatch):
    from resources.language_models import context_rows

    calls, held = [], []
    prefill, table = context_rows.prefill, context_rows.ContextRows
    monkeypatch.setattr(context_rows, "prefill", lambda *a: calls.append(a[1]) or prefill(*a))
    forward = table._forward
    monkeypatch.setattr(table, "_forward", lambda self, t: held.append(self._context) or forward(self, t))
    with handle(tiny("llama")) as model:
        collect(model, wanted(3), Sampled(TopK(9)), 6, batch_rows=4)
    assert calls == CONTEXTS
    assert held[0].context_ids == CONTEXTS[1] and held[-1] is None


def test_one_forward_pass_a_step_and_full_batches(tiny, many_ends):
    with handle(tiny("llama")) as model:
        widths, forward = [], model.loaded.model.forward
        model.loaded.notes["contexts_verified"] = True

        def counted(*args, **kwargs):
            widths.append(tuple(kwargs["input_ids"].shape))
            return forward(*args, **kwargs)

        model.loaded.model.forward = counted
        try:
            found = collect(model, wanted(8), Sampled(TopK(50)), 10, batch_rows=5)
        finally:
            del model.loaded.model.forward
    steps = [rows for rows, length in widths if length == 1 and rows]
    steps = [rows for rows in steps if rows > 1] if (1, 1) in widths else steps
    assert max(steps) == 5 and steps == sorted(steps, reverse=True)
    # the first token of a rollout comes from the context's own logits
    fed = sum(len(one.ids) - 1 for one in found)
    assert fed - 20 <= sum(steps) <= fed


def test_many_steps_outgrow_the_table_and_the_window(tiny):
    contexts = [(7,), (0, *range(30, 80)), (5, 6)]
    with handle(tiny("gemma3")) as model, handle(tiny("gemma3"), tree=False) as plain:
        policy = Sampled(TopK(100), 0.5)
        fast, slow = (collect(m, wanted(2, contexts), policy, 90, batch_rows=3) for m in (model, plain))
        agree(fast, slow, atol=1e-3)
        assert max(len(one.ids) for one in fast) == 90


@pytest.mark.parametrize("architecture", ["bloom", "mamba"])
def test_models_without_a_tree_mask_are_recomputed(tiny, architecture, caplog):
    with caplog.at_level(logging.WARNING), handle(tiny(architecture)) as model:
        found = collect(model, wanted(2), Greedy(), 4, batch_rows=3)
        for request, one in zip(wanted(2), found, strict=True):
            ids = list(request.context_ids)
            for token in one.ids:
                assert int(np.argmax(model.next_logits(ids))) == token
                ids.append(token)
    assert "one forward pass a node" in caplog.text
    release_models()


@pytest.mark.parametrize("batch_rows", [1, 4, 64])
def test_a_mask_that_a_model_ignores_is_noticed(tiny, monkeypatch, caplog, batch_rows, many_ends):
    from resources.language_models import tree_attention

    release_models()
    as_mask = tree_attention._as_mask
    monkeypatch.setattr(
        tree_attention, "_as_mask", lambda model, config, mask: as_mask(model, config, np.ones_like(mask))
    )
    policy = Sampled(TopK(40))
    with caplog.at_level(logging.WARNING), handle(tiny("llama")) as model, handle(tiny("llama"), tree=False) as plain:
        agree(*(collect(m, wanted(6), policy, 12, batch_rows=batch_rows) for m in (model, plain)))
    # one row at a time sees the columns of no longer row, and needs no mask
    assert ("a tree mask changes its logits" in caplog.text) == (batch_rows > 1)
    release_models()


def test_positions_are_a_limit_known_without_weights(tiny):
    release_models()
    from resources.language_models import MODELS

    before = len(MODELS.loads)
    with handle(tiny("llama")) as model:
        assert model.max_positions == 256
        assert collect(model, [], Greedy(), 5) == []
        fits, longer = RolloutRequest((5,) * 200), RolloutRequest((5,) * 201)
        for request, message in (
            (longer, "request 1: 201 tokens of context and 57 new ones exceed its 256 positions; remedy: shorten"),
            (RolloutRequest(()), "request 1 has an empty context"),
            (RolloutRequest((1, 263)), r"request 1: token ids 1\.\.263 outside 0\.\.262"),
        ):
            with pytest.raises(ModelError, match=message):
                next(model.rollouts([fits, request], Greedy(), 57))
        assert len(MODELS.loads) == before
        assert len(collect(model, [fits], Greedy(), 57)[0].ids) <= 57  # the last position is used


def test_nan_logits_are_an_error_that_names_request_and_step(tiny):
    with handle(tiny("llama")) as model:
        weight = model.loaded.model.lm_head.weight
        kept = weight.detach().clone()
        try:
            with torch.no_grad():
                weight[7] = float("nan")
            for policy in (Sampled(TopK(5)), Sampled(TopP(0.5))):
                with pytest.raises(ModelError, match="logit after request 0 and 0 new tokens is nan"):
                    collect(model, wanted(), policy, 3)
        finally:
            with torch.no_grad():
                weight.copy_(kept)
            model.loaded.notes.clear()


def test_half_precision_runs(tiny):
    with handle(tiny("llama"), "bfloat16") as model:
        for one in collect(model, wanted(), Sampled(TopK(100)), 6, entropy_ranks=20):
            assert 0 < len(one.ids) <= 6 and (0 <= one.step_entropy).all() and (one.step_entropy <= np.log(20)).all()


@pytest.mark.parametrize("ranks", [1, 7, 100, 3000])
@pytest.mark.parametrize("digits", [0, 1, 6])
def test_on_a_device_the_same_tokens_lead(ranks, digits):
    table = np.random.default_rng(ranks).normal(scale=3, size=(20, 2000)).round(digits).astype(np.float32)
    table[3, 5:] = table[4] = -np.inf
    table[4, 8] = 1.0
    here, there = Heads.of(table, ranks), leading_on_device(torch.from_numpy(table), ranks)
    for name in ("ids", "values", "top"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    np.testing.assert_allclose(here.log_norm, there.log_norm, rtol=1e-13)
    table[6, 1999] = np.nan
    assert np.flatnonzero(np.isnan(leading_on_device(torch.from_numpy(table), ranks).top)).tolist() == [6]


def test_rows_read_on_a_device_are_the_same(tiny, monkeypatch, many_ends):
    from resources.language_models.context_rows import ContextRows

    policy, used = Sampled(TopK(30)), []
    with handle(tiny("llama")) as model:
        here = collect(model, wanted(), policy, 9, batch_rows=6)

        def on_device(self, tokens, ranks):
            used.append(len(tokens))
            return leading_on_device(self._forward(tokens), ranks)

        assert model.loaded.notes["contexts_verified"]
        monkeypatch.setattr(ContextRows, "step_heads", on_device)
        agree(collect(model, wanted(), policy, 9, batch_rows=6), here, atol=1e-5)
    assert used


QUESTIONS = ["Name a fruit.", "What is the capital of Australia?", "Write the numbers from one to five, please."]


def test_smollm2_greedy_is_generate(smollm2):
    contexts = [smollm2.tokenization.context(question).ids for question in QUESTIONS]
    assert len({len(context) for context in contexts}) == 3
    for one, context in zip(collect(smollm2, wanted(1, contexts), Greedy(), 8), contexts, strict=True):
        ids = torch.tensor([list(context)])
        generated = smollm2.loaded.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0,
            eos_token_id=list(smollm2.tokenization.end_ids),
        )  # fmt: skip
        assert generated[0, len(context) :].tolist() == list(one.ids)


def test_smollm2_first_tokens_have_the_exact_probabilities(smollm2):
    context = smollm2.tokenization.context(QUESTIONS[0]).ids
    logits = smollm2.next_logits(context).astype(np.float64)
    keeps = TopK(100).retained(logits, 1.0)
    probs = np.where(keeps, np.exp(logits - logits.max()), 0.0)
    probs /= probs.sum()
    n = 4000
    requests = [RolloutRequest(context, (12, i)) for i in range(n)]
    found = collect(smollm2, requests, Sampled(TopK(100)), 1)
    counts = np.bincount([one.ids[0] for one in found], minlength=len(probs))
    assert counts[~keeps].sum() == 0
    common = probs * n >= 5
    observed, expected = (np.append(v[common], v[~common].sum()) for v in (counts, probs * n))
    assert stats.chisquare(observed, expected).pvalue > 0.01
    assert len({float(one.step_entropy[0]) for one in found}) == 1
    assert found[0].step_entropy[0] == pytest.approx(top_entropy(logits[None], 100)[0], abs=2e-5)


def test_smollm2_entropies_are_those_of_one_row_recomputed(smollm2):
    contexts = [smollm2.tokenization.context(question).ids for question in QUESTIONS]
    requests = wanted(1, contexts)
    for request, one in zip(requests, collect(smollm2, requests, Sampled(TopK(100)), 6), strict=True):
        ids = torch.tensor([[*request.context_ids, *one.ids]])
        with torch.inference_mode():
            logits = smollm2.loaded.model(input_ids=ids, use_cache=False).logits[0, len(request.context_ids) - 1 : -1]
        np.testing.assert_allclose(one.step_entropy, top_entropy(logits.numpy(), 100), atol=2e-5)
        assert len(one.step_entropy) == len(one.ids)

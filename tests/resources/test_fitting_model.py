"""A model whose memory ends: a transformer that refuses batches above a size, as a device of so much memory would."""

import gc
import logging

import numpy as np
import pytest

from calib_assets.decoding import PrefixTrie, TopK
from calib_assets.decoding.policy import Greedy, Sampled
from resources.language_models import (
    ModelError,
    ModelSettings,
    ModelSource,
    Request,
    RolloutRequest,
    TransformersModel,
    release_models,
)
from resources.language_models.fitting_model import FittingModel

CONTEXT = (0, 5, 6)


@pytest.fixture
def opened(tiny):
    """``opened(kind)``: the tiny Llama."""
    made = []

    def make(kind=FittingModel, **options):
        directory = tiny("llama")
        made.append(
            kind(ModelSource(path=directory), ModelSettings(), cache_dir=directory / "c", device="cpu", **options)
        )
        return made[-1]

    yield make
    for model in made:
        model.close()
    release_models()


@pytest.fixture
def limited(opened):
    """``limited(tokens)``: the model, and sizes of the forward passes that it refused: more than so many tokens."""

    def make(most, **options):
        import torch

        model, refused = opened(**options), []

        def check(module, arguments, named):
            size = named["input_ids"].numel()
            if size > most:
                refused.append(size)
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} GiB.\nAdvice.")

        handles.append(model.loaded.model.register_forward_pre_hook(check, with_kwargs=True))
        return model, refused

    handles = []
    yield make
    for handle in handles:
        handle.remove()


def by_index(found):
    return sorted(found, key=lambda one: one.index)


def test_rollouts_are_those_that_fit_at_once(limited, opened):
    requests = [RolloutRequest((0, 7 + i // 10, 9), (4, i)) for i in range(30)]
    policy, seen = Sampled(TopK(40)), []
    expected = by_index(opened(TransformersModel).rollouts(requests, policy, 12))
    model, refused = limited(7)
    found = list(model.rollouts(requests, policy, 12, batch_rows=30, progress=lambda *at: seen.append(at)))
    assert [n for n in refused if n > 7] == [30, 15] and model.loaded.notes["rows_that_fit"] == 7
    assert [(one.ids, one.finish) for one in by_index(found)] == [(one.ids, one.finish) for one in expected]
    for one, other in zip(by_index(found), expected, strict=True):
        np.testing.assert_allclose(one.step_entropy, other.step_entropy, atol=2e-5)
    assert seen == [(i + 1, 30) for i in range(30)]
    assert len(list(model.rollouts(requests, policy, 3, batch_rows=20))) == 30 and refused == [30, 15]  # remembered


def test_what_was_given_is_not_computed_again(limited):
    """Memory ends in the middle: rows that were finished by then are not among those that are asked again."""
    requests = [Request((20 + i,), (i,)) for i in range(40)]
    model, _ = limited(10**6)
    model.loaded.notes.pop("rows_that_fit", None)
    policy = Sampled(TopK(40), 3.0)
    whole = by_index(model.continuations(CONTEXT, requests, policy, 20, batch_rows=16))
    steps, asked = [], []

    def stop(ids):  # every row says here how far it is
        asked.append(ids)
        return len(ids) >= 2 + ids[0] % 11

    def check(module, arguments, named):
        import torch

        steps.append(named["input_ids"].shape[0])
        if len(steps) == 9:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = model.loaded.model.register_forward_pre_hook(check, with_kwargs=True)
    found = list(model.continuations(CONTEXT, requests, policy, 20, stop=stop, batch_rows=16))
    handle.remove()
    assert sorted(one.index for one in found) == list(range(40)) and model.loaded.notes["rows_that_fit"] == 8
    for one, other in zip(by_index(found), whole, strict=True):
        assert one.ids == other.ids[: len(one.ids)]
    counts = {one.ids: asked.count(one.ids) for one in found if one.finish == "stop"}
    assert max(counts.values()) == 1 and len(counts) > 20


def test_packs_of_a_tree_shrink(limited, opened):
    rng = np.random.default_rng(2)
    trie = PrefixTrie.from_sequences(sorted({tuple(map(int, rng.integers(5, 12, size=3))) for _ in range(80)}))
    expected = {int(i): row for index, block in opened().trie_logits(CONTEXT, trie) for i, row in zip(index, block)}
    model, refused = limited(25, pack_nodes=64)
    model.loaded.notes.pop("prompt")
    seen, found = [], {}
    for index, block in model.trie_logits(CONTEXT, trie, progress=lambda *at: seen.append(at)):
        found |= {int(i): row for i, row in zip(index, block)}
    assert refused and model.pack_nodes == 64 and sorted(found) == sorted(expected)
    for row, logits in found.items():
        np.testing.assert_allclose(logits, expected[row], atol=1e-4)
    assert seen[-1] == (len(trie.internal),) * 2


def test_what_never_fits_is_said_with_its_cause(limited):
    import torch

    model, _ = limited(0)
    with pytest.raises(ModelError, match=r"one row at a time does not fit in memory: .*allocate \d+ GiB\.; remedy"):
        list(model.rollouts([RolloutRequest(CONTEXT, (i,)) for i in range(3)], Greedy(), 4))
    with pytest.raises(ModelError) as caught:
        list(model.continuations(CONTEXT, [Request((7,), (1,))], Greedy(), 4))
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)  # so that the step is tried again


def test_a_switch_to_tf32_is_undone_when_a_model_is_taken(opened):
    import torch

    torch.set_float32_matmul_precision("high")
    try:
        opened().loaded  # noqa: B018
        assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee" and not torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")
        gc.collect()


def test_no_warning_where_nothing_shrinks(opened, caplog):
    with caplog.at_level(logging.WARNING):
        assert len(list(opened().rollouts([RolloutRequest(CONTEXT, (1,))], Greedy(), 4))) == 1
    assert caplog.text == ""

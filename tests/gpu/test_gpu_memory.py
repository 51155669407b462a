"""GPU memory: what one model held is free for the next, and batches shrink until they fit."""

import gc
import logging

import pytest

from calib_assets.decoding import TopK
from calib_assets.decoding.policy import Greedy, Sampled
from resources.language_models import MODELS, ModelError, Request, RolloutRequest, release_models

pytestmark = pytest.mark.gpu

MIB = 1 << 20


@pytest.fixture
def limited(gpu):
    """``limited(mib)``: this process may hold no more from now on; the limit is gone after the test."""
    import torch

    def limit(mib: float) -> None:
        gc.collect()
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, mib * MIB / total))

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)


def held() -> int:
    import torch

    return torch.cuda.memory_allocated()


def test_an_idle_model_makes_room_and_a_closed_one_leaves_nothing(gpu, small, tiny, handle, record_property):
    release_models()
    before = held()
    first = handle(small)
    list(first.rollouts([RolloutRequest((0, 5), (1,))], Greedy(), 8))
    weights = sum(one.numel() * one.element_size() for one in first.loaded.model.parameters())
    record_property("weights, bytes", weights)
    record_property("held with its context, bytes", held() - before)
    assert weights <= held() - before < 1.2 * weights + 4 * MIB  # no second copy
    first.close()
    second = handle(tiny("qwen3"))
    second.next_logits([0, 5])
    assert len(MODELS) == 1 and held() - before < 0.1 * weights
    second.close()
    release_models()
    record_property("held after all, bytes", held() - before)
    assert held() == before


def test_rollouts_go_on_with_fewer_rows_when_memory_ends(gpu, small, handle, limited, caplog, record_property):
    """128 rows of 100 tokens need 0.2 GB of keys and values; the first 36 of them fit, so memory ends on the way."""
    requests = [RolloutRequest((0, 40, 41, 42 + i % 3), (3, i)) for i in range(160)]
    policy = Sampled(TopK(100))
    model = handle(small)
    many = sorted(model.rollouts(requests, policy, 120, batch_rows=128), key=lambda one: one.index)
    seen = []
    limited(held() / MIB + 100)
    with caplog.at_level(logging.WARNING):
        found = list(model.rollouts(requests, policy, 120, batch_rows=128, progress=lambda *at: seen.append(at)))
    assert "memory ended with 128 rows at a time; going on with 64" in caplog.text
    rows = model.loaded.notes["rows_that_fit"]
    record_property("rows that fit", rows)
    assert 16 <= rows <= 64 and sorted(one.index for one in found) == list(range(160))
    assert seen == [(i + 1, 160) for i in range(160)]
    same = sum(a.ids == b.ids for a, b in zip(many, sorted(found, key=lambda one: one.index), strict=True))
    record_property("share of identical rollouts, with memory for all and without", same / 160)
    assert same >= 0.98 * 160
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        again = list(model.rollouts(requests[:100], policy, 20, batch_rows=128))
    assert len(again) == 100 and "memory ended" not in caplog.text


def test_completions_shrink_as_well(gpu, small, handle, limited, caplog, record_property):
    model = handle(small)
    context = (0, *range(20, 200))
    model.next_logits(context)
    requests = [Request((40, 41 + i % 90), (i,)) for i in range(256)]
    limited(held() / MIB + 160)
    with caplog.at_level(logging.WARNING):
        found = list(model.continuations(context, requests, Greedy(), 60, batch_rows=256))
    assert sorted(one.index for one in found) == list(range(256)) and "memory ended" in caplog.text
    record_property("rows that fit", model.loaded.notes["rows_that_fit"])
    assert 8 <= model.loaded.notes["rows_that_fit"] < 256


def test_trees_shrink_as_well(gpu, small, handle, limited, caplog, trie, record_property):
    """A pack of all nodes holds a mask and scores of nodes x nodes for each head: more than the limit."""
    model = handle(small, pack_nodes=8192)
    context = (0, *range(20, 200))
    expected = {int(i): row for index, block in model.trie_logits(context, trie) for i, row in zip(index, block)}
    limited(held() / MIB + 24)
    with caplog.at_level(logging.WARNING):
        found = {int(i): row for index, block in model.trie_logits(context, trie) for i, row in zip(index, block)}
    assert "memory ended" in caplog.text and sorted(found) == sorted(expected)
    record_property("nodes that fit", model.loaded.notes["nodes_that_fit"])
    largest = max(abs(float((found[i] - expected[i]).max())) for i in found)
    assert largest < 1e-4 and model.pack_nodes == 8192


def test_finished_rows_hold_no_memory(gpu, small, handle, record_property):
    model = handle(small)
    requests = [RolloutRequest((0, 40, 41), (3, i)) for i in range(64)]
    list(model.rollouts(requests, Greedy(), 4))
    before = held()
    list(model.rollouts(requests, Sampled(TopK(100)), 200))
    record_property("held more after 64 rollouts, bytes", held() - before)
    assert held() - before < MIB


def test_what_can_never_fit_is_said(gpu, small, handle, limited):
    import torch

    release_models()
    limited(held() / MIB + 30)
    with pytest.raises(ModelError, match=r"its weights \(float32\) do not fit in the memory of cuda") as caught:
        handle(small).next_logits([0, 5])
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)  # tried again: others may hold the memory

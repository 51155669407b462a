"""Rollouts and continuations on a GPU: the tokens of the CPU from the same random streams, and those of a rerun."""

import numpy as np
import pytest

from calib_assets.decoding import MinP, TopK, TopP, Unrestricted
from calib_assets.decoding.heads import Heads
from calib_assets.decoding.policy import Greedy, Sampled
from resources.language_models import Request, RolloutRequest, expand_tree
from resources.language_models.device_heads import leading_on_device

pytestmark = pytest.mark.gpu

CONTEXTS = [(0, *range(20, 60)), (7,), (0, 40, 41), tuple(range(100, 170)), (0, 40, 41)]
POLICIES = {
    "greedy": Greedy(),
    "top-k": Sampled(TopK(100)),
    "top-p": Sampled(TopP(0.9), 1.4),
    "min-p": Sampled(MinP(0.02), 1.0),
    "all": Sampled(Unrestricted(), 0.8),
}
# A draw differs where rounding carries a cumulative probability over a random number. With some hundred tokens whose
# cumulative probabilities move by 3e-7 each, that is 5e-5 of the steps, so 0.3 % of rollouts of 60 steps; 1 % and one
# more are let pass, if the conditionals of the step that went apart agree.
SAME = 0.99


def wanted(each=40):
    return [RolloutRequest(context, (3, i, j)) for i, context in enumerate(CONTEXTS) for j in range(each)]


def collect(found):
    found = sorted(found, key=lambda one: one.index)
    assert [one.index for one in found] == list(range(len(found)))
    return found


def compared(one, other, record_property) -> None:
    same = [(a, b) for a, b in zip(one, other, strict=True) if a.ids == b.ids and a.finish == b.finish]
    record_property("rollouts", len(one))
    record_property("share of identical rollouts", len(same) / len(one))
    apart = [(a, b) for a, b in zip(one, other, strict=True) if a.ids != b.ids]
    for a, b in apart:
        steps = next(i for i, (x, y) in enumerate(zip(a.ids, b.ids, strict=False)) if x != y) + 1
        np.testing.assert_allclose(a.step_entropy[:steps], b.step_entropy[:steps], atol=2e-4)
    entropy = max(float(np.abs(a.step_entropy - b.step_entropy).max()) for a, b in same)
    likely = max(abs(a.log_probability - b.log_probability) / len(a.ids) for a, b in same)
    record_property("largest difference of a step entropy, nats", entropy)
    record_property("largest difference of a log-probability, nats a token", likely)
    assert len(same) >= SAME * len(one) - 1
    assert entropy < 2e-4 and likely < 2e-4


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_rollouts_are_those_of_the_cpu(gpu, small, handle, policy, record_property):
    requests = wanted()
    on_gpu = collect(handle(small).rollouts(requests, policy, 60))
    on_cpu = collect(handle(small, "cpu").rollouts(requests, policy, 60))
    assert max(len(one.ids) for one in on_gpu) > 40
    compared(on_gpu, on_cpu, record_property)


@pytest.mark.parametrize("architecture", ["mistral", "qwen3", "gemma2", "gemma3"])
def test_windows_and_caps_too(gpu, tiny, handle, architecture, record_property):
    requests, policy = wanted(each=12), Sampled(TopK(30), 1.7)
    model = handle(tiny(architecture))
    on_gpu = collect(model.rollouts(requests, policy, 24))
    assert model.loaded.notes["no_tree"] is None and model.loaded.notes["contexts_verified"]
    compared(on_gpu, collect(handle(tiny(architecture), "cpu").rollouts(requests, policy, 24)), record_property)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_rerun_draws_the_same_and_so_does_another_batch(gpu, small, handle, dtype, record_property):
    requests, policy = wanted(), Sampled(TopK(100))
    first, second = (collect(handle(small, dtype=dtype).rollouts(requests, policy, 60)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert (a.ids, a.finish, a.log_probability) == (b.ids, b.finish, b.log_probability)
        np.testing.assert_array_equal(a.step_entropy, b.step_entropy)
    fewer = collect(handle(small, dtype=dtype).rollouts(requests, policy, 60, batch_rows=16))
    same = np.mean([a.ids == b.ids for a, b in zip(first, fewer, strict=True)])
    record_property("share of identical rollouts, 16 rows at a time against 64", float(same))
    assert same >= (SAME if dtype == "float32" else 0.3)


def test_greedy_completions_of_a_sweep_are_those_of_the_cpu(gpu, small, handle, record_property):
    found = {}
    for device in ("cuda", "cpu"):
        model = handle(small, device)
        tree = expand_tree(model, CONTEXTS[0], depth=2, stride=7, max_rank=200, branches=(20, 6), seed=9)
        paths = list(tree.leaf_paths().values())
        requests = [Request(path, (9, i)) for i, path in enumerate(paths)]
        answers = collect(model.continuations(CONTEXTS[0], requests, Greedy(), 40))
        found[device] = paths, tree.nodes["log_probability"].to_numpy(), [(one.ids, one.finish) for one in answers]
    (paths, nodes, answers), (cpu_paths, cpu_nodes, cpu_answers) = found["cuda"], found["cpu"]
    assert paths == cpu_paths and len(paths) == 120
    np.testing.assert_allclose(nodes, cpu_nodes, atol=2e-4)
    same = np.mean([a == b for a, b in zip(answers, cpu_answers, strict=True)])
    record_property("share of identical greedy completions", float(same))
    assert same >= SAME


def test_the_most_likely_tokens_are_found_on_the_device(gpu):
    """Ties, -inf and half precision: the same tokens and values as on the CPU, the norm in float64."""
    import torch

    rng = np.random.default_rng(1)
    logits = torch.from_numpy(rng.normal(size=(70, 20_000)).astype(np.float32) * 4)
    logits[0, :] = 1.0
    logits[1, 5:] = -torch.inf
    logits[2] = (logits[2] * 2).round() / 2
    for data in (logits, logits.bfloat16()):
        found, expected = leading_on_device(data.cuda(), 100), Heads.of(data.float().numpy(), 100)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.log_norm.dtype == np.float64
        np.testing.assert_allclose(found.log_norm, expected.log_norm, rtol=1e-13)

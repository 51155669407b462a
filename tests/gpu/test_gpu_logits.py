"""Exact logit caches on a GPU against the CPU, and against float64 on another way.

Tolerance in float32. A logit is what is left of some hundred roundings in a row, each of relative size 6e-8 of the
terms that are summed, so 1e-6 to 3e-6 of the largest logit lies between two orders of summation; 1e-5 is asked. TF32
has 8,000 times larger roundings and fails by far.
"""

import numpy as np
import pytest

from calib_assets.decoding import MinP, TopK, TopP, Unrestricted
from calib_assets.metrics import validity_diversity
from resources.language_models import cache_trie_logits

pytestmark = pytest.mark.gpu

RELATIVE = 1e-5
CONTEXT = (0, *range(20, 51))


def rows(model, trie, context=CONTEXT):
    found = np.full((len(trie.internal), model.vocab_size), np.nan, np.float32)
    for index, block in model.trie_logits(context, trie):
        assert np.isnan(found[index]).all()  # each row once
        found[index] = block
    return found


def float64_rows(directory, trie, context=CONTEXT):
    """Logits at every internal node in float64 on the CPU: one plain forward pass a node, no mask, no cache."""
    import torch
    from transformers import AutoModelForCausalLM

    from resources.language_models.transformers_model import _path
    from resources.language_models.tree_attention import plain_logits

    attention = {"attn_implementation": "eager"} if "gemma2" in str(directory) else {}
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64, **attention).eval()
    paths = [_path(trie.parent, trie.token, node) for node in trie.internal]
    found = np.full((len(paths), model.config.vocab_size), np.nan)
    for index, logits in plain_logits(model, context, paths, batch=128):
        found[index] = logits.numpy()
    return found


def relative(found, expected) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3", "gemma2", "gemma3", "bloom", "mamba"])
def test_every_architecture_gives_the_logits_of_the_cpu(gpu, tiny, handle, trie, architecture, record_property):
    directory = tiny(architecture)
    model = handle(directory)
    found = rows(model, trie)
    plain = architecture in ("bloom", "mamba")
    assert bool(model.loaded.notes["no_tree"]) == plain  # attention of the others takes the tree's mask on a GPU too
    difference = relative(found, rows(handle(directory, "cpu"), trie))
    record_property("largest difference, relative", difference)
    assert 0 < difference < RELATIVE


def test_float32_against_float64(gpu, small, handle, trie, record_property):
    exact = float64_rows(small, trie)
    found, on_cpu = rows(handle(small), trie), rows(handle(small, "cpu"), trie)
    errors = relative(found, exact), relative(on_cpu, exact)
    record_property("GPU float32 from float64", errors[0])
    record_property("CPU float32 from float64", errors[1])
    assert errors[0] < RELATIVE and errors[1] < RELATIVE
    given, true = _measures(trie, found), _measures(trie, exact.astype(np.float32))
    largest = max(abs(given[name] - true[name]) for name in true)
    record_property("largest change of Val, Div, Prec_seq, Rec_seq", largest)
    assert largest < 2e-5


def _measures(trie, logits) -> dict:
    found = {}
    for rule in (Unrestricted(), TopK(60), TopP(0.95), MinP(0.01)):
        for temperature in (0.7, 1.5):
            result = validity_diversity(trie, logits, rule, temperature)
            for name in ("validity", "diversity", "sequence_precision", "sequence_recall"):
                found[str(rule), temperature, name] = getattr(result, name)
    return found


@pytest.mark.parametrize("switch", ["set_float32_matmul_precision", "allow_tf32", "fp32_precision"])
def test_tf32_that_someone_switched_on_is_off_again(gpu, small, handle, trie, switch, record_property):
    import torch

    expected = rows(handle(small), trie)
    on = {
        "set_float32_matmul_precision": lambda: torch.set_float32_matmul_precision("high"),
        "allow_tf32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        "fp32_precision": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    }[switch]
    taken = handle(small)
    taken.loaded  # noqa: B018 - the model is taken first, so that the switch is what its next passes run under
    on()
    coarse = relative(rows(taken, trie), expected)
    record_property("largest difference with TF32, relative", coarse)
    assert coarse > 1e-4  # the switch does what this test is about
    np.testing.assert_array_equal(rows(handle(small), trie), expected)


def test_half_precision_is_as_near_to_float64_as_on_the_cpu(gpu, small, handle, trie, record_property):
    exact = float64_rows(small, trie)
    found, on_cpu = rows(handle(small, dtype="bfloat16"), trie), rows(handle(small, "cpu", "bfloat16"), trie)
    errors = [float(np.sqrt(np.square(one - exact).mean()) / exact.std()) for one in (found, on_cpu)]
    record_property("GPU bfloat16 from float64, RMS", errors[0])
    record_property("CPU bfloat16 from float64, RMS", errors[1])
    assert (found.view(np.uint32) & 0xFFFF == 0).all()  # every value is a bfloat16: stored without loss
    assert errors[0] < 1.5 * errors[1]
    wide, true = _measures(trie, found), _measures(trie, exact.astype(np.float32))
    largest = max(abs(wide[key] - true[key]) for key in true if key[2] in ("validity", "diversity"))
    record_property("largest change of Val or Div, bfloat16", largest)
    assert largest < 0.1


def test_a_cache_made_twice_is_the_same_and_packs_do_not_matter(gpu, small, handle, trie, tmp_path, record_property):
    digests = []
    for name in ("one", "two"):
        model = handle(small, dtype="bfloat16")
        cache = cache_trie_logits(tmp_path / name, model, CONTEXT, trie, fingerprint="f")
        digests.append(cache.content_digest)
        model.loaded.notes.pop("prompt")
    assert digests[0] == digests[1]
    whole, parts = rows(handle(small), trie), rows(handle(small, pack_nodes=37), trie)
    difference = relative(parts, whole)
    record_property("packs of 37 against packs of 256, relative", difference)
    assert difference < RELATIVE

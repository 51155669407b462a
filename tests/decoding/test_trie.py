"""The prefix trie against sets of tuples."""

import time

import numpy as np
import polars as pl
import polars.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.decoding import PrefixTrie


@st.composite
def prefix_free_sets(draw):
    """Distinct sequences of tokens 0..3, none a prefix of another, in any order."""
    drawn = draw(
        st.sets(st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=25)
    )
    kept = [s for s in drawn if not any(s != other and other[: len(s)] == s for other in drawn)]
    return draw(st.permutations(sorted(kept)))


@given(prefix_free_sets())
def test_holds_every_prefix_once_in_breadth_first_token_order(sequences):
    trie = PrefixTrie.from_sequences([list(s) for s in sequences])
    prefixes = sorted({s[:t] for s in sequences for t in range(len(s) + 1)}, key=lambda p: (len(p), p))
    assert [tuple(trie.path(u)) for u in range(trie.n_nodes)] == prefixes
    assert trie.depth.tolist() == [len(p) for p in prefixes]
    assert trie.max_depth == max(map(len, sequences))
    counts = [sum(s[: len(p)] == p for s in sequences) for p in prefixes]
    assert trie.n_continuations.tolist() == counts and trie.n_sequences == len(sequences)
    assert trie.answer.tolist() == [sequences.index(p) if p in sequences else -1 for p in prefixes]
    assert not trie.is_open.any() and trie.n_answers == len(sequences)
    inner = [u for u, p in enumerate(prefixes) if p not in sequences]
    assert trie.internal.tolist() == inner
    assert [trie.row_of[u] for u in range(trie.n_nodes)] == [inner.index(u) if u in inner else -1
                                                            for u in range(trie.n_nodes)]  # fmt: skip
    for u, prefix in enumerate(prefixes):
        tokens, nodes = trie.children(u)
        expected = sorted(p[-1] for p in prefixes if len(p) == len(prefix) + 1 and p[: len(prefix)] == prefix)
        assert tokens.tolist() == trie.valid_tokens(u).tolist() == expected
        assert [prefixes[node] for node in nodes] == [(*prefix, v) for v in expected]


@given(prefix_free_sets(), st.randoms(use_true_random=False))
def test_raw_nodes_in_any_order_and_tables_give_the_same_trie(sequences, random):
    trie = PrefixTrie.from_sequences([list(s) for s in sequences])
    order = list(range(trie.n_nodes))
    random.shuffle(order)  # raw node i is trie node order[i]
    place = {node: i for i, node in enumerate(order)}
    raw = {
        "parent": [place.get(int(trie.parent[node]), -1) for node in order],
        "token": [int(trie.token[node]) for node in order],
        "answer": [int(trie.answer[node]) for node in order],
    }
    again = PrefixTrie.from_nodes(**raw)
    polars.testing.assert_frame_equal(again.to_frame(), trie.to_frame())
    assert PrefixTrie.canonical_order(raw["parent"], raw["token"]).tolist() == [
        place[u] for u in range(trie.n_nodes)
    ]
    shuffled = trie.to_frame().sample(fraction=1, shuffle=True, seed=1)
    polars.testing.assert_frame_equal(PrefixTrie.from_frame(shuffled).to_frame(), trie.to_frame())


def test_several_sequences_may_spell_one_answer():
    trie = PrefixTrie.from_sequences([[1, 9], [2, 9], [1, 8]], answers=[0, 1, 0])
    assert trie.n_sequences == 3 and trie.n_answers == 2
    assert trie.answer[trie.leaves].tolist() == [0, 0, 1]  # leaves in token order: 1 8, 1 9, 2 9


def test_partly_explored_trie():
    trie = PrefixTrie.from_nodes([-1, 0, 0, 1], [-1, 5, 3, 7], [-1, -1, -1, 2], [0, 0, 1, 0], n_answers=10)
    assert trie.token.tolist() == [-1, 3, 5, 7] and trie.is_open.tolist() == [False, True, False, False]
    assert trie.n_answers == 10 and trie.n_continuations.tolist() == [1, 0, 1, 1]
    assert trie.internal.tolist() == [0, 2]
    frame = trie.to_frame()
    polars.testing.assert_frame_equal(PrefixTrie.from_frame(frame, n_answers=10).to_frame(), frame)
    assert frame.schema["is_open"] == pl.Boolean and frame["node"].to_list() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("sequences", "answers", "message"),
    [
        ([], None, "valid set is empty"),
        ([[1], []], None, "sequence 1 is empty"),
        ([[1, 2], [3], [1, 2]], None, "sequence 2 repeats sequence 0"),
        (
            [[1, 2, 3], [4], [1, 2]],
            None,
            r"sequence 2 is a proper prefix of sequence 0; add a terminator \(`termin",
        ),
        ([[1, -2]], None, "token ids must be 0 or more"),
        ([[1], [2]], [0], "1 answers for 2 sequences"),
        ([[1], [2]], [0, 2], "without gaps"),
    ],
)
def test_refuses_sets_that_are_no_valid_set(sequences, answers, message):
    with pytest.raises(ValueError, match=message):
        PrefixTrie.from_sequences(sequences, answers)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (([-1, -1], [-1, 1], [0, 0]), "one root"),
        (([-1, 5], [-1, 1], [-1, 0]), "one root"),
        (([-1, 2, 1], [-1, 1, 2], [-1, 0, 0]), "not below the root"),
        (([-1, 0, 0], [-1, 1, 1], [-1, 0, 1]), "share a token"),
        (([-1, 0, 1], [-1, 1, 1], [-1, 0, 1]), "proper prefix of another; add a terminator"),
        (([-1, 0], [-1, 1], [-1, -1]), "neither an answer nor open"),
        (([-1, 0], [-1, 1], [-1, 0], [False, True]), "spells no answer"),
        (([-1, 0], [-1, 1], [-1, 3], None, 3), "n_answers is 3, but answers up to 3 occur"),
        (([-1, 0], [-1, -4], [-1, 0]), "0 or more"),
    ],
)
def test_refuses_nodes_that_are_no_trie(nodes, message):
    with pytest.raises(ValueError, match=message):
        PrefixTrie.from_nodes(*nodes)


def test_ten_thousand_sequences_of_ten_tokens_in_under_a_second():
    digits = (np.arange(10_000)[:, None] // 10 ** np.arange(3, -1, -1)) % 10
    sequences = np.full((10_000, 10), 44)
    sequences[:, ::3] = digits
    rows = sequences.tolist()
    start = time.process_time()  # not the time that passes: a shared machine must not fail the test
    trie = PrefixTrie.from_sequences(rows)
    assert time.process_time() - start < 1.0
    # Each digit but the last is followed by two separators, so levels hold 1, 10 x3, 100 x3, 1000 x3, 10000
    # nodes.
    assert trie.n_nodes == 1 + 3 * (10 + 100 + 1000) + 10_000

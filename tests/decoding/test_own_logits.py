"""Logits of one's own, by context: what is missing or uneven is named, and never filled in."""

import numpy as np
import pytest

from calib_assets.decoding import PrefixTrie, contexts, logit_matrix

TRIE = PrefixTrie.from_sequences([[0, 1], [1, 0]])


def test_rows_stand_in_the_order_of_the_trie():
    logits = {context: np.full(2, float(len(context)), np.float32) for context in reversed(contexts(TRIE))}
    found = logit_matrix(TRIE, logits | {(1, 1): np.zeros(7)})  # a context that the trie does not need
    assert found.dtype == np.float32 and found.tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]


def test_a_context_without_logits_is_named():
    with pytest.raises(ValueError, match=r"no row after tokens \(0,\) \(1 of 3 contexts have none\)"):
        logit_matrix(TRIE, {(): [0.0, 1.0], (1,): [0.0, 1.0]})


@pytest.mark.parametrize("row", [[0.0], [0.0, 1.0, 2.0], [[0.0, 1.0]], 1.0])
def test_rows_of_another_length_are_named(row):
    with pytest.raises(ValueError, match=r"after tokens \(1,\) have shape .* those after \(\) \(2,\)"):
        logit_matrix(TRIE, {(): [0.0, 1.0], (0,): [0.0, 1.0], (1,): row})

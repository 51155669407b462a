"""A small trie with irregular branching and its conditionals, shared by the table tests."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings

from calib_assets.decoding import PrefixTrie

# A shared or slow machine must not fail a property for taking its time.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

SEQUENCES = ((1, 0), (1, 2), (1, 5, 3), (4, 4), (6,))
VOCAB = 8


@pytest.fixture
def small_task():
    """Five sequences of lengths 1 to 3 over 8 tokens; logits on a coarse grid, so ties occur."""
    trie = PrefixTrie.from_sequences([list(s) for s in SEQUENCES])
    rng = np.random.default_rng(7)
    logits = rng.integers(-6, 6, size=(len(trie.internal), VOCAB)).astype(np.float32) / 2
    return SimpleNamespace(trie=trie, logits=logits, sequences=SEQUENCES, vocab=VOCAB)

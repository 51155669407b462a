"""A small trie with irregular branching and its conditionals, shared by the table tests."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from calib_assets.decoding import PrefixTrie

SEQUENCES = ((1, 0), (1, 2), (1, 5, 3), (4, 4), (6,))
VOCAB = 8


@pytest.fixture
def small_task():
    """Five sequences of lengths 1 to 3 over 8 tokens; logits on a coarse grid, so ties occur."""
    trie = PrefixTrie.from_sequences([list(s) for s in SEQUENCES])
    rng = np.random.default_rng(7)
    logits = rng.integers(-6, 6, size=(len(trie.internal), VOCAB)).astype(np.float32) / 2
    return SimpleNamespace(trie=trie, logits=logits, sequences=SEQUENCES, vocab=VOCAB)


@pytest.fixture(scope="session")
def judged_trees():
    """A function: random sweep trees of irregular shape and two judges' verdicts on their leaves.

    Leaves end at any depth, ranks have gaps, rows come in no order, some verdicts are null and some absent.
    """

    def grow(number, n_seeds=2, depth=3, branching=4):
        rng = np.random.default_rng(number)
        rows = []
        for seed in range(n_seeds):
            level, n_nodes = [(0, 0)], 1
            rows.append((seed, 0, -1, 0, 0, -1, "", 0.0, False))
            for at in range(1, depth + 1):
                below = []
                for parent, _ in level:
                    ranks = 1 + 3 * np.sort(rng.choice(9, size=rng.integers(1, branching + 1), replace=False))
                    for rank in ranks.tolist():
                        is_leaf = at == depth or rng.random() < 0.2
                        rows.append((seed, n_nodes, parent, at, rank, 40 - rank, f"t{rank}", -rank / 4, is_leaf))
                        if not is_leaf:
                            below.append((n_nodes, at))
                        n_nodes += 1
                level = below
        names = ("seed", "node", "parent", "depth", "rank", "token", "text", "log_probability", "is_leaf")
        tree = pl.DataFrame(rows, schema=names, orient="row")
        tree = tree[rng.permutation(tree.height)]
        leaves = tree.filter("is_leaf").select("seed", "node")
        labels = []
        for judge, share in (("strict", 0.3), ("lax", 0.6)):
            verdicts = [
                (judge, *leaf, None if rng.random() < 0.25 else bool(rng.random() < share))
                for leaf in leaves.iter_rows()
                if rng.random() < 0.9
            ]
            schema = {"judge": pl.String, "seed": pl.Int64, "node": pl.Int64, "is_valid": pl.Boolean}
            labels.append(pl.DataFrame(verdicts, schema=schema, orient="row"))
        return tree, pl.concat(labels)

    return grow

"""Where the probability of not answering validly goes, step by step: a second route to the invalid mass."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import log_softmax

from calib_assets.metrics._prefixes import check_rows


def leaked_mass(trie, logits, temperatures: Sequence[float]) -> pl.DataFrame:
    """Mass that leaves the trie, that reaches its leaves, and that stays on open nodes, under temperature alone.

    Walking down from the root, a context u that is reached with probability P(u) leaks P(u) (1 − Σ_{v∈G} p(v|u)).
    Leaks are summed as they occur, not as 1 − Val, so that valid + open + leaked = 1 is a check of both.

    Args:
        trie: `PrefixTrie` of the valid sequences.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        temperatures: Positive.

    Returns:
        Columns temperature, valid, open, leaked (probabilities); one row per temperature.

    Raises:
        ValueError: If the rows do not match the trie.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> logits = np.log([[0.5, 0.2, 0.3]])  # the valid tokens 0 and 1 stand at ranks 1 and 3
    >>> leaked_mass(trie, logits, [1.0]).select(pl.all().round(9)).row(0)
    (1.0, 0.7, 0.0, 0.3)
    """
    check_rows(trie, logits)
    scale = 1 / np.asarray(temperatures, dtype=np.float64)[:, None]
    reached = np.zeros((scale.size, trie.n_nodes))
    reached[:, 0] = 1.0
    leaked = np.zeros(scale.size)
    for row, node in enumerate(trie.internal):
        tokens, children = trie.children(node)
        probabilities = np.exp(log_softmax(np.asarray(logits[row], dtype=np.float64)[None] * scale, axis=1))
        reached[:, children] = reached[:, [node]] * probabilities[:, tokens]
        invalid = probabilities.copy()
        invalid[:, tokens] = 0.0
        leaked += reached[:, node] * invalid.sum(axis=1)
    return pl.DataFrame(
        {
            "temperature": [float(value) for value in temperatures],
            "valid": reached[:, trie.leaves].sum(axis=1),
            "open": reached[:, trie.is_open].sum(axis=1),
            "leaked": leaked,
        }
    )

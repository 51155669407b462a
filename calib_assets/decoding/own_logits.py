"""Logits of your own for a trie: which contexts it needs, and their rows in the order that the engine reads.

For use from a notebook; the studies' logits come from a cache that is already in this order.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from .trie import PrefixTrie


def contexts(trie: PrefixTrie) -> list[tuple[int, ...]]:
    """Token ids after which the trie branches or goes on: the contexts whose logits are needed, in row order.

    Args:
        trie: The valid set.

    Returns:
        Token ids from the root to each node of ``trie.internal``, without the prompt; the first is ``()``.

    >>> contexts(PrefixTrie.from_sequences([[7, 1], [7, 2], [9, 1]]))
    [(), (7,), (9,)]
    """
    return [tuple(trie.path(int(node))) for node in trie.internal]


def logit_matrix(
    trie: PrefixTrie, logits: Mapping[tuple[int, ...], Sequence[float]]
) -> Float[np.ndarray, "internal vocab"]:
    """Rows of logits in the order of ``trie.internal``, from a mapping of contexts to logits.

    Args:
        trie: The valid set.
        logits: Raw next-token logits ``[vocab]`` after each of :func:`contexts`, by its token ids (a tuple; ``()``
            is the root). Contexts that the trie does not need are ignored.

    Returns:
        A matrix that :func:`~calib_assets.decoding.sweep` and
        :func:`~calib_assets.metrics.validity_diversity` take, in the dtype of the rows.

    Raises:
        ValueError: If a context has no logits, or rows differ in length.

    >>> trie = PrefixTrie.from_sequences([[0, 1], [1, 0]])
    >>> logit_matrix(trie, {(): [0.0, 1.0], (1,): [4.0, 5.0], (0,): [2.0, 3.0]}).tolist()
    [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    """
    needed = contexts(trie)
    missing = [context for context in needed if context not in logits]
    if missing:
        raise ValueError(
            f"logits has no row after tokens {missing[0]} ({len(missing)} of {len(needed)} contexts have none); "
            "give one for each of contexts(trie), under a tuple of token ids"
        )
    rows = [np.asarray(logits[context]) for context in needed]
    for context, row in zip(needed, rows, strict=True):
        if row.ndim != 1 or row.shape != rows[0].shape:
            raise ValueError(
                f"logits after tokens {context} have shape {row.shape}, those after () {rows[0].shape}; "
                "give one row [vocab] for each context, over one vocabulary"
            )
    return np.stack(rows)

"""Order and shape calibration of every conditional of a trie, as one table (METHODS §1, Paper A App. D)."""

import numpy as np
import polars as pl

from calib_assets.metrics._prefixes import TextOf, check_rows, prefix_text
from calib_assets.metrics.ranks import (
    auroc_of,
    average_precision_of,
    is_order_calibrated,
    precision_at_n_valid_of,
    valid_ranks,
)
from calib_assets.metrics.shape import effective_support, shape_divergence, step_entropy, valid_mass

SCHEMA = {
    "node": pl.Int64,
    "depth": pl.Int64,
    "prefix": pl.String,
    "n_valid": pl.Int64,
    "n_continuations": pl.Int64,
    "order_auroc": pl.Float64,
    "average_precision": pl.Float64,
    "precision_at_n_valid": pl.Float64,
    "last_valid_rank": pl.Int64,
    "is_order_calibrated": pl.Boolean,
    "shape_divergence": pl.Float64,
    "effective_support": pl.Float64,
    "valid_mass": pl.Float64,
    "entropy": pl.Float64,
    "vocab": pl.Int64,
}


def conditional_calibration(trie, logits, text_of: TextOf | None = None) -> pl.DataFrame:
    """One row of order and shape measures per internal node, at temperature 1.

    The order columns hold at every temperature; the shape columns change with it (divide the logits).
    Steps with one valid token are rows too; ``n_valid >= 2`` selects the branching ones.

    Args:
        trie: `PrefixTrie` of the valid sequences.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        text_of: Decodes a list of token ids for the column ``prefix``; the ids themselves by default.

    Returns:
        A table with the columns of `SCHEMA`, one row per internal node in ascending node id. Entropies
        and divergences in nats. ``order_auroc`` is null where every token is valid; ``shape_divergence``
        where continuations are not all known (open nodes below; ``n_continuations`` is then a lower bound).

    Raises:
        ValueError: If the rows do not match the trie, or a row breaks what `ranks` and `shape` ask.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> logits = np.log([[0.5, 0.2, 0.3]])  # the valid tokens 0 and 1 stand at ranks 1 and 3
    >>> table = conditional_calibration(trie, logits)
    >>> table.select("last_valid_rank", "order_auroc", "is_order_calibrated", pl.col("valid_mass").round(9)).row(0)
    (3, 0.5, False, 0.7)
    """
    check_rows(trie, logits)
    counts_known = ~_has_open_below(trie)
    rows = []
    for row, node in enumerate(trie.internal):
        scores = np.asarray(logits[row])
        tokens, children = trie.children(node)
        is_valid = np.zeros(scores.size, dtype=bool)
        is_valid[tokens] = True
        places = valid_ranks(scores, is_valid)
        rows.append(
            {
                "node": int(node),
                "depth": int(trie.depth[node]),
                "prefix": prefix_text(trie.path(node), text_of),
                "n_valid": len(tokens),
                "n_continuations": int(trie.n_continuations[node]),
                "order_auroc": auroc_of(places),
                "average_precision": average_precision_of(places),
                "precision_at_n_valid": precision_at_n_valid_of(places),
                "last_valid_rank": int(places.rank[-1]),
                "is_order_calibrated": is_order_calibrated(scores, is_valid),
                # Only the valid entries matter to these two, so the whole vocabulary is not copied.
                "shape_divergence": (
                    shape_divergence(scores[tokens], trie.n_continuations[children])
                    if counts_known[node]
                    else None
                ),
                "effective_support": effective_support(scores[tokens], np.ones(len(tokens), dtype=bool)),
                "valid_mass": valid_mass(scores, is_valid),
                "entropy": step_entropy(scores),
                "vocab": scores.size,
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def _has_open_below(trie):
    below = np.array(trie.is_open)
    for node in range(trie.n_nodes - 1, 0, -1):  # breadth-first ids: a parent comes before its children
        below[trie.parent[node]] |= below[node]
    return below

"""One conditional close up: its ranking, and where its mass goes under temperature (Paper A, Figure 1)."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy.special import log_softmax, softmax

from calib_assets.metrics._prefixes import TextOf, check_rows, chosen_nodes, prefix_text

FREQUENT, RARE, INVALID = "valid, frequent", "valid, rare", "invalid"
RANK_SCHEMA = {
    "node": pl.Int64,
    "prefix": pl.String,
    "rank": pl.Int64,
    "token": pl.Int64,
    "text": pl.String,
    "logit": pl.Float64,
    "probability": pl.Float64,
    "is_valid": pl.Boolean,
    "n_continuations": pl.Int64,
}
MASS_SCHEMA = {
    "node": pl.Int64,
    "prefix": pl.String,
    "temperature": pl.Float64,
    "group": pl.String,
    "mass": pl.Float64,
}


def conditional_ranks(
    trie, logits, nodes: Iterable[int] | None = None, text_of: TextOf | None = None, top: int = 50
) -> pl.DataFrame:
    """The first ranks of chosen conditionals and every valid token of them, at temperature 1.

    Args:
        trie: `PrefixTrie` of the valid sequences.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        nodes: Internal nodes to show; all by default.
        text_of: Decodes a list of token ids; the ids themselves by default.
        top: Number of first ranks kept besides the valid tokens.

    Returns:
        Columns of `RANK_SCHEMA`; nodes as given, then by rank (1-based, ties by token id).
        ``n_continuations`` is 0 for invalid tokens.

    Raises:
        ValueError: If the rows do not match the trie, a node has no conditional, or ``top`` < 0.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> logits = np.log([[0.5, 0.2, 0.3]])  # the valid tokens 0 and 1 stand at ranks 1 and 3
    >>> conditional_ranks(trie, logits).select("rank", "token", pl.col("probability").round(9), "is_valid").rows()
    [(1, 0, 0.5, True), (2, 2, 0.3, False), (3, 1, 0.2, True)]
    """
    check_rows(trie, logits)
    if top < 0:
        raise ValueError(f"top is {top}; give a number of ranks, 0 for the valid tokens alone")
    frames = [pl.DataFrame(schema=RANK_SCHEMA)]
    for node in chosen_nodes(trie, nodes):
        row = np.asarray(logits[int(trie.row_of[node])], dtype=np.float64)
        tokens, children = trie.children(node)
        n_continuations = np.zeros(row.size, dtype=np.int64)
        n_continuations[tokens] = trie.n_continuations[children]
        is_valid = np.zeros(row.size, dtype=bool)
        is_valid[tokens] = True
        by_rank = np.argsort(-row, kind="stable")
        place = np.flatnonzero(is_valid[by_rank] | (np.arange(row.size) < top))
        kept = by_rank[place]
        columns = {
            "node": [node] * kept.size,
            "prefix": [prefix_text(trie.path(node), text_of)] * kept.size,
            "rank": place + 1,
            "token": kept,
            "text": [prefix_text([token], text_of) for token in kept],
            "logit": row[kept],
            "probability": softmax(row)[kept],
            "is_valid": is_valid[kept],
            "n_continuations": n_continuations[kept],
        }
        frames.append(pl.DataFrame(columns, schema=RANK_SCHEMA))
    return pl.concat(frames)


def frequent_valid(
    logits: Float[np.ndarray, "vocab"], is_valid: Bool[np.ndarray, "vocab"], frequent_share: float = 0.9
) -> Bool[np.ndarray, "vocab"]:
    """The smallest set of valid tokens that holds ``frequent_share`` of the valid mass at temperature 1.

    The paper colours "frequent" and "rare" valid tokens without a definition; this is ours. Tokens enter
    by falling probability, ties by token id; the token that crosses the share is included.

    Args:
        logits: Unnormalised log-probabilities, ``[vocab]``.
        is_valid: True where the token is in G(y_<t); at least one.
        frequent_share: Share of the valid mass, in (0, 1].

    Returns:
        True at the frequent tokens, ``[vocab]``.

    Raises:
        ValueError: If ``frequent_share`` is outside (0, 1] or no token is valid.

    >>> frequent_valid(np.log([0.6, 0.1, 0.2, 0.1]), np.array([True, True, False, True]), 0.8)
    array([ True,  True, False, False])
    """
    if not 0 < frequent_share <= 1:
        raise ValueError(f"frequent_share is {frequent_share}; it lies in (0, 1]")
    tokens = np.flatnonzero(is_valid)
    if tokens.size == 0:
        raise ValueError("no token is valid after this context; drop it from the trie first")
    mass = softmax(np.asarray(logits, dtype=np.float64)[tokens])
    by_rank = np.argsort(-mass, kind="stable")
    # Rounding must not ask for one token more: the share is met up to 1e-12.
    count = 1 + int(np.count_nonzero(np.cumsum(mass[by_rank])[:-1] < frequent_share - 1e-12))
    frequent = np.zeros(len(logits), dtype=bool)
    frequent[tokens[by_rank[:count]]] = True
    return frequent


def mass_by_temperature(
    trie,
    logits,
    temperatures: Sequence[float],
    nodes: Iterable[int] | None = None,
    text_of: TextOf | None = None,
    frequent_share: float = 0.9,
) -> pl.DataFrame:
    """Mass of frequent valid, rare valid and invalid tokens of chosen conditionals at each temperature.

    Args:
        trie: `PrefixTrie` of the valid sequences.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        temperatures: Positive temperatures. The groups are fixed at temperature 1.
        nodes: Internal nodes to show; all by default.
        text_of: Decodes a list of token ids for the column ``prefix``; the ids themselves by default.
        frequent_share: See `frequent_valid`.

    Returns:
        Columns of `MASS_SCHEMA`; three rows (frequent, rare, invalid) per node and temperature that sum
        to 1.

    Raises:
        ValueError: If the rows do not match the trie, a node has no conditional, or a temperature is not
            positive and finite.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> logits = np.log([[0.5, 0.2, 0.3]])  # the valid tokens 0 and 1 stand at ranks 1 and 3
    >>> table = mass_by_temperature(trie, logits, [1.0], frequent_share=0.7)  # token 0 holds 0.5 of 0.7
    >>> table.select("group", pl.col("mass").round(9)).rows()
    [('valid, frequent', 0.5), ('valid, rare', 0.2), ('invalid', 0.3)]
    """
    check_rows(trie, logits)
    for temperature in temperatures:
        if not 0 < temperature < np.inf:
            raise ValueError(f"temperature is {temperature}; a temperature is positive and finite")
    rows = []
    for node in chosen_nodes(trie, nodes):
        row = np.asarray(logits[int(trie.row_of[node])], dtype=np.float64)
        is_valid = np.zeros(row.size, dtype=bool)
        is_valid[trie.valid_tokens(node)] = True
        frequent = frequent_valid(row, is_valid, frequent_share)
        groups = {FREQUENT: frequent, RARE: is_valid & ~frequent, INVALID: ~is_valid}
        prefix = prefix_text(trie.path(node), text_of)
        for temperature in temperatures:
            p = np.exp(log_softmax(row / temperature))
            rows += [
                (node, prefix, float(temperature), name, float(p[mask].sum()))
                for name, mask in groups.items()
            ]
    return pl.DataFrame(rows, schema=MASS_SCHEMA, orient="row")

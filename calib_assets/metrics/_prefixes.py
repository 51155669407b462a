"""How the tables of this room name a trie node's prefix."""

from collections.abc import Callable, Iterable

TextOf = Callable[[list[int]], str]


def prefix_text(path: Iterable[int], text_of: TextOf | None) -> str:
    """Text of a path from the root: the tokenizer's decoding if one is given, else the ids by spaces.

    >>> prefix_text([5, 12], None)
    '5 12'
    """
    ids = [int(token) for token in path]
    return " ".join(map(str, ids)) if text_of is None else text_of(ids)


def check_rows(trie, logits) -> None:
    """Raise ValueError unless ``logits`` has one row for every internal node of the trie."""
    if len(logits) != len(trie.internal):
        raise ValueError(
            f"logits has {len(logits)} rows, the trie {len(trie.internal)} internal nodes: "
            "score this trie's own contexts, in the order of trie.internal"
        )


def chosen_nodes(trie, nodes: Iterable[int] | None) -> list[int]:
    """The internal nodes asked for (all of them by default), each checked to have a conditional."""
    if nodes is None:
        return [int(node) for node in trie.internal]
    nodes = [int(node) for node in nodes]
    for node in nodes:
        if not 0 <= node < trie.n_nodes or trie.row_of[node] < 0:
            raise ValueError(f"node {node} has no conditional: it is not an internal node of the trie")
    return nodes

"""The prefix trie of a valid set: every distinct valid prefix once, in breadth-first order.

Belongs here: the trie, its construction and its table form. Does not belong here: probabilities of any kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl
from jaxtyping import Bool, Int

_ADD_TERMINATOR = "add a terminator (`terminated: true`), or drop one of the two"


@dataclass(frozen=True, eq=False)
class PrefixTrie:
    """All valid sequences, merged by prefix (Paper A, section 3: G and N at every valid context).

    Node ids follow breadth-first order, so the children of a node are contiguous and ordered by token id,
    and every level is one slice. Node 0 is the root (the context itself).

    Attributes:
        parent: ``parent[u]`` is the node before ``u``; -1 for the root.
        token: ``token[u]`` is the token id on the edge into ``u``; -1 for the root.
        depth: Number of tokens from the root.
        n_continuations: N of Paper A: number of valid sequences through the node (1 at a leaf; sequences
            below an open node are unknown and not counted).
        answer: At a leaf the index of the answer that its sequence spells, else -1.
        child_start: ``child_start[u]:child_start[u + 1]`` are the ids of the children of ``u``.
        is_open: True at an unexpanded frontier node of a partly explored trie.
        n_answers: |V|, the number of answers; diversity is measured against it.

    >>> trie = PrefixTrie.from_sequences([[7, 1], [7, 2], [9, 1]])
    >>> trie.n_nodes, trie.n_continuations.tolist(), trie.valid_tokens(0).tolist()
    (6, [3, 2, 1, 1, 1, 1], [7, 9])
    """

    parent: Int[np.ndarray, "nodes"]
    token: Int[np.ndarray, "nodes"]
    depth: Int[np.ndarray, "nodes"]
    n_continuations: Int[np.ndarray, "nodes"]
    answer: Int[np.ndarray, "nodes"]
    child_start: Int[np.ndarray, "nodes+1"]
    is_open: Bool[np.ndarray, "nodes"]
    n_answers: int

    @classmethod
    def from_sequences(cls, sequences: Sequence[Sequence[int]], answers: Sequence[int] | None = None) -> Self:
        """Build the trie of complete valid sequences.

        Args:
            sequences: Token ids of each valid sequence, without the context.
            answers: ``answers[i]`` is the index of the answer that ``sequences[i]`` spells; several
                sequences may spell one answer. By default every sequence is an answer of its own.

        Raises:
            ValueError: If the set is empty, a sequence is empty, occurs twice or is a proper prefix of
                another, a token id is negative, or an answer index between 0 and the largest has no sequence.
        """
        lengths = np.fromiter((len(sequence) for sequence in sequences), np.int64, len(sequences))
        if not lengths.size:
            raise ValueError("the valid set is empty; give at least one sequence")
        if not lengths.all():
            raise ValueError(
                f"sequence {int(lengths.argmin())} is empty; every answer needs at least one token"
            )
        answers = np.arange(lengths.size) if answers is None else np.asarray(answers, np.int64)
        if answers.shape != lengths.shape:
            raise ValueError(
                f"{answers.size} answers for {lengths.size} sequences; give one answer index for each"
            )
        if not np.array_equal(np.unique(answers), np.arange(answers.max() + 1)):
            raise ValueError("answer indexes must cover 0 .. n_answers - 1; renumber them without gaps")

        filled = np.arange(lengths.max()) < lengths[:, None]
        tokens = np.full(filled.shape, -1, np.int64)
        tokens[filled] = np.concatenate([np.asarray(sequence, np.int64) for sequence in sequences])
        if (tokens[filled] < 0).any():
            raise ValueError(
                "token ids must be 0 or more; look for a tokenizer that returned an unknown token"
            )

        order = np.lexsort(tokens.T[::-1])
        tokens, lengths, answers = tokens[order], lengths[order], answers[order]
        differs = tokens[1:] != tokens[:-1]
        shared = np.where(differs.any(axis=1), differs.argmax(axis=1), tokens.shape[1])
        # The padding -1 sorts before every token, so a prefix stands directly before one of its extensions.
        for i in np.flatnonzero(shared >= lengths[:-1])[:1]:
            first, second = order[i], order[i + 1]
            if lengths[i] == lengths[i + 1]:
                raise ValueError(f"sequence {second} repeats sequence {first}; list every sequence once")
            raise ValueError(f"sequence {first} is a proper prefix of sequence {second}; {_ADD_TERMINATOR}")
        return cls._from_sorted_rows(tokens, lengths, np.concatenate([[-1], shared]), answers)

    @classmethod
    def _from_sorted_rows(cls, tokens, lengths, shared, answers) -> Self:
        """Assemble the levels; rows ``i - 1`` and ``i`` share their first ``shared[i]`` tokens."""
        row_node = np.zeros(lengths.size, np.int64)  # node of each row at the current depth
        parents, labels, counts, ends = [np.array([-1])], [np.array([-1])], [np.array([lengths.size])], []
        ends.append(np.array([-1]))
        n_nodes = 1
        for depth in range(1, tokens.shape[1] + 1):
            alive = np.flatnonzero(lengths >= depth)
            is_new = shared[alive] < depth
            # A row that ended in between shares less, so the first living row of a prefix is always new.
            first = alive[is_new]
            index = np.cumsum(is_new) - 1
            parents.append(row_node[first])
            labels.append(tokens[first, depth - 1])
            counts.append(np.bincount(index, minlength=first.size))
            ends.append(np.where(lengths[first] == depth, answers[first], -1))
            row_node[alive] = n_nodes + index
            n_nodes += first.size
        return cls._assemble(
            np.concatenate(parents),
            np.concatenate(labels),
            np.concatenate(ends),
            np.zeros(n_nodes, bool),
            int(answers.max()) + 1,
            np.concatenate(counts),
        )

    @classmethod
    def _assemble(cls, parent, token, answer, is_open, n_answers, n_continuations=None) -> Self:
        """Derive depth, child ranges and (unless given) continuation counts; nodes are in final order."""
        n = parent.size
        child_start = 1 + np.searchsorted(parent[1:], np.arange(n + 1), side="left")
        level_ends = [1]
        while level_ends[-1] < n:
            level_ends.append(int(child_start[level_ends[-1]]))
        depth = np.repeat(np.arange(len(level_ends)), np.diff([0, *level_ends]))
        if n_continuations is None:
            n_continuations = (answer >= 0).astype(np.int64)
            for first, last in zip(level_ends[-2::-1], level_ends[:0:-1], strict=True):
                np.add.at(n_continuations, parent[first:last], n_continuations[first:last])
        arrays = (parent, token, depth, n_continuations, answer)
        arrays = [np.ascontiguousarray(a, np.int64) for a in arrays] + [child_start.astype(np.int64), is_open]
        for array in arrays:
            array.setflags(write=False)
        return cls(*arrays, n_answers=int(n_answers))

    @staticmethod
    def canonical_order(parent: Sequence[int], token: Sequence[int]) -> Int[np.ndarray, "nodes"]:
        """Order in which :meth:`from_nodes` numbers raw nodes: its node ``i`` is the raw node ``order[i]``.

        Raises:
            ValueError: Unless there is exactly one root (parent -1) and every node hangs below it.
        """
        parent, token = np.asarray(parent, np.int64), np.asarray(token, np.int64)
        if parent.size == 0 or np.count_nonzero(parent < 0) != 1 or parent.max() >= parent.size:
            raise ValueError("a trie needs one root (parent -1) and parents that are node ids")
        by_parent = np.lexsort((token, parent))
        start = np.searchsorted(parent[by_parent], np.arange(parent.size + 1))
        levels = [by_parent[:1]]
        for _ in range(parent.size):
            level = levels[-1]
            sizes = start[level + 1] - start[level]
            if not sizes.any():
                break
            ends = np.cumsum(sizes)
            offset = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
            levels.append(by_parent[np.repeat(start[level], sizes) + offset])
        order = np.concatenate(levels)
        if order.size != parent.size:
            raise ValueError(
                f"{parent.size - order.size} nodes are not below the root; look for a cycle in parent"
            )
        return order

    @classmethod
    def from_nodes(
        cls,
        parent: Sequence[int],
        token: Sequence[int],
        answer: Sequence[int],
        is_open: Sequence[bool] | None = None,
        n_answers: int | None = None,
    ) -> Self:
        """Build from raw nodes in any order, as a partly explored trie is; `canonical_order` renumbers them.

        Args:
            parent: Node id before each node, -1 for the root.
            token: Token id on the edge into each node (ignored at the root).
            answer: Answer index at a leaf of V, else -1.
            is_open: True where a node was not expanded: it has no children and is no leaf of V.
            n_answers: |V|; by default the number of answers found.

        Raises:
            ValueError: If the nodes form no tree, two siblings share a token, a childless node is neither a
                leaf of V nor open, or a node with children is one of the two.
        """
        order = cls.canonical_order(parent, token)
        number = np.empty(order.size, np.int64)
        number[order] = np.arange(order.size)
        old_parent = np.asarray(parent, np.int64)[order]
        parent = np.where(old_parent < 0, -1, number[old_parent])
        token = np.where(old_parent < 0, -1, np.asarray(token, np.int64)[order])
        answer = np.asarray(answer, np.int64)[order]
        is_open = np.zeros(order.size, bool) if is_open is None else np.asarray(is_open, bool)[order]
        if ((parent[1:] == parent[:-1]) & (token[1:] == token[:-1])).any():
            raise ValueError("two children of one node share a token; merge them into one node")
        if (token[1:] < 0).any():
            raise ValueError("token ids must be 0 or more")
        has_child = np.bincount(parent[1:], minlength=order.size) > 0
        if (has_child & (answer >= 0)).any():
            raise ValueError(f"a valid sequence is a proper prefix of another; {_ADD_TERMINATOR}")
        if (is_open & (has_child | (answer >= 0))).any():
            raise ValueError("an open node has no children and spells no answer; unset is_open there")
        if (~has_child & ~is_open & (answer < 0)).any():
            raise ValueError(
                "a node without children is neither an answer nor open; set answer or is_open there"
            )
        found = int(answer.max()) + 1
        if n_answers is None:
            n_answers = found
        if n_answers < max(found, 1):
            raise ValueError(f"n_answers is {n_answers}, but answers up to {found - 1} occur; give |V|")
        return cls._assemble(parent, token, answer, is_open, n_answers)

    def to_frame(self) -> pl.DataFrame:
        """One row per node: node, parent, token, depth, n_continuations, answer, is_open."""
        columns = ("parent", "token", "depth", "n_continuations", "answer", "is_open")
        return pl.DataFrame(
            {"node": np.arange(self.n_nodes)} | {name: getattr(self, name) for name in columns}
        )

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, n_answers: int | None = None) -> Self:
        """Inverse of :meth:`to_frame`; ``n_answers`` is needed where |V| exceeds the answers found."""
        frame = frame.sort("node")
        raw = {name: frame[name].to_numpy() for name in ("parent", "token", "answer", "is_open")}
        return cls.from_nodes(**raw, n_answers=n_answers)

    @property
    def n_nodes(self) -> int:
        """Number of nodes, the root included."""
        return self.parent.size

    @property
    def n_sequences(self) -> int:
        """Number of valid sequences (leaves of V)."""
        return int(self.n_continuations[0])

    @property
    def max_depth(self) -> int:
        """Tokens in the longest path."""
        return int(self.depth[-1])

    @cached_property
    def leaves(self) -> Int[np.ndarray, "sequences"]:
        """Node ids where a valid sequence ends, ascending."""
        return np.flatnonzero(self.answer >= 0)

    @cached_property
    def internal(self) -> Int[np.ndarray, "internal"]:
        """Node ids with at least one child, ascending: the contexts whose logits are needed."""
        return np.flatnonzero(np.diff(self.child_start))

    @cached_property
    def row_of(self) -> Int[np.ndarray, "nodes"]:
        """Row of each internal node in the logit matrix, -1 for the others."""
        rows = np.full(self.n_nodes, -1, np.int64)
        rows[self.internal] = np.arange(self.internal.size)
        return rows

    @cached_property
    def level_start(self) -> Int[np.ndarray, "levels+1"]:
        """``level_start[t]:level_start[t + 1]`` are the nodes at depth ``t``."""
        return np.searchsorted(self.depth, np.arange(self.max_depth + 2))

    def children(self, node: int) -> tuple[Int[np.ndarray, "children"], Int[np.ndarray, "children"]]:
        """Token ids and node ids of the children, ascending by token id."""
        nodes = np.arange(self.child_start[node], self.child_start[node + 1])
        return self.token[nodes], nodes

    def valid_tokens(self, node: int) -> Int[np.ndarray, "children"]:
        """G of Paper A: tokens after which a valid sequence can still be completed."""
        return self.token[self.child_start[node] : self.child_start[node + 1]]

    def path(self, node: int) -> list[int]:
        """Token ids from the root to the node."""
        tokens = []
        while node > 0:
            tokens.append(int(self.token[node]))
            node = int(self.parent[node])
        return tokens[::-1]

"""The node pass of a sweep: every context is sorted once, then every temperature and rule is read off it."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from .conditional import Conditional
from .rules import TruncationRule
from .tempered import Tempered
from .trie import PrefixTrie

_BUFFER_BYTES = 64 * 2**20  # tempered probabilities that one thread holds at a time
_NODES_PER_TASK = 8


class LogitRows(Protocol):
    """Logits of every branching context: a matrix, or a mapped file that reads like one.

    >>> from calib_assets.decoding import Unrestricted
    >>> from calib_assets.metrics import validity_diversity
    >>> class Alike:  # anything with a length and rows: here every token is as likely as any other
    ...     def __len__(self): return 1
    ...     def __getitem__(self, row): return np.zeros(4)
    >>> round(validity_diversity(PrefixTrie.from_sequences([[0], [3]]), Alike(), Unrestricted(), 1.0).validity, 9)
    0.5
    """

    def __len__(self) -> int:
        """Number of rows: one for each internal node of the trie, in that order."""

    def __getitem__(self, row: int) -> Float[np.ndarray, "vocab"]:
        """Raw logits of one context."""


@dataclass(frozen=True)
class Selections:
    """What every configuration retains at every context; an edge is numbered by the node it enters, less 1.

    Attributes:
        log_probs: Tempered log-probability of the token on each edge, before any cutoff.
        keeps: Whether the token on the edge is retained.
        log_mass: Log-probability of the retained set at each internal node.
        size: Number of retained tokens at each internal node.
    """

    log_probs: Float[np.ndarray, "edges temperatures"]
    keeps: Bool[np.ndarray, "edges temperatures rules"]
    log_mass: Float[np.ndarray, "internal temperatures rules"]
    size: Int[np.ndarray, "internal temperatures rules"]


def bytes_per_temperature(trie: PrefixTrie, n_rules: int) -> int:
    """Memory that :func:`select_everywhere` fills for one temperature."""
    return (trie.n_nodes - 1) * (8 + n_rules) + trie.internal.size * n_rules * 12


def check_logits(trie: PrefixTrie, logits: LogitRows) -> None:
    """Refuse logits that do not belong to the trie.

    Raises:
        ValueError: Unless there is one row for each internal node.
    """
    if len(logits) != trie.internal.size:
        raise ValueError(
            f"logits has {len(logits)} rows, the trie {trie.internal.size} internal nodes; "
            "score exactly `trie.internal`, in that order"
        )


def conditional_at(trie: PrefixTrie, logits: LogitRows, row: int) -> Conditional:
    """The conditional of one internal node, tracking its valid tokens.

    Raises:
        ValueError: If the row is not usable; the message names the context.
    """
    node = int(trie.internal[row])
    valid = trie.valid_tokens(node)
    try:
        values = np.asarray(logits[row])
        if values.ndim == 1 and valid[-1] >= values.size:
            raise ValueError(f"valid token {valid[-1]} is outside the vocabulary of {values.size}")
        return Conditional(values, valid)
    except ValueError as error:
        raise ValueError(f"logits of node {node} (after tokens {trie.path(node)}): {error}") from error


def usable_threads(threads: int | None) -> int:
    """Number of threads: as asked, else one for each processor this process may use."""
    return threads if threads is not None else len(os.sched_getaffinity(0))


def select_everywhere(
    trie: PrefixTrie,
    logits: LogitRows,
    temperatures: Float[np.ndarray, "temperatures"],
    groups: Sequence[Sequence[TruncationRule]],
    *,
    threads: int | None = None,
    on_nodes: Callable[[int], None] | None = None,
) -> Selections:
    """Evaluate every rule at every internal node and temperature.

    Args:
        trie: The valid set.
        logits: One row for each internal node.
        temperatures: Positive temperatures.
        groups: Settings of each rule; all in one group are of one class.
        threads: Worker threads (numpy releases the interpreter lock in sort, exp and sums).
        on_nodes: Called with the number of contexts that were finished since the last call.
    """
    n_rules = sum(len(group) for group in groups)
    shape = (temperatures.size, n_rules)
    result = Selections(
        log_probs=np.empty((trie.n_nodes - 1, temperatures.size)),
        keeps=np.empty((trie.n_nodes - 1, *shape), bool),
        log_mass=np.empty((trie.internal.size, *shape)),
        size=np.empty((trie.internal.size, *shape), np.int32),
    )
    local = threading.local()

    def run(rows: range) -> int:
        for row in rows:
            node = trie.internal[row]
            edges = slice(trie.child_start[node] - 1, trie.child_start[node + 1] - 1)
            conditional = conditional_at(trie, logits, row)
            padded = conditional.blocks.size
            step = min(temperatures.size, max(1, _BUFFER_BYTES // (8 * padded)))
            if getattr(local, "buffer", np.empty(0)).size < step * padded:
                local.buffer = np.empty(step * padded)
            for first in range(0, temperatures.size, step):
                part = slice(first, first + step)
                view = Tempered(conditional, temperatures[part], local.buffer)
                result.log_probs[edges, part] = view.tracked_log_probs.T
                column = 0
                for group in groups:
                    chosen = type(group[0]).select(view, group)
                    columns = slice(column, column + len(group))
                    result.keeps[edges, part, columns] = np.moveaxis(chosen.keeps, 2, 0)
                    result.log_mass[row, part, columns] = chosen.log_mass
                    result.size[row, part, columns] = chosen.size
                    column += len(group)
        return len(rows)

    tasks = [
        range(first, min(first + _NODES_PER_TASK, trie.internal.size))
        for first in range(0, trie.internal.size, _NODES_PER_TASK)
    ]
    with ThreadPoolExecutor(usable_threads(threads)) as pool:
        pending = {pool.submit(run, rows) for rows in tasks}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    n_done = future.result()
                    if on_nodes is not None:
                        on_nodes(n_done)
        finally:
            for future in pending:
                future.cancel()
    return result

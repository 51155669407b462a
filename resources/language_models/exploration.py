"""``tokenizations: all``: every token sequence that spells a valid answer, best first, with a bound.

The probability of an answer under a language model is the sum over all tokenizations of its text, of which
there are exponentially many. Nodes (token prefixes that spell the beginning of an answer) are expanded in
order of their probability at temperature 1, a batch of the best ones per round. What is not expanded has a
known total probability, so at any time ``Val ∈ [explored_mass, explored_mass + open_mass]``: an open node's
sequences have together at most the node's own probability.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from calib_assets.decoding import PrefixTrie
from resources.language_models.base import LanguageModel
from resources.language_models.errors import TokenizationError


@dataclass(frozen=True)
class Exploration:
    """A partly explored set of tokenizations.

    Attributes:
        trie: Explored nodes; ``trie.is_open`` marks the frontier, ``trie.answer`` the answer of each leaf.
        logits: ``[len(trie.internal), vocab]`` float32 in the order of ``trie.internal``; None if not kept.
        log_probability: ln P(node | context) of every node of ``trie``, at temperature 1.
        explored_mass: P of the complete sequences found; a lower bound on Val.
        open_mass: P of the frontier; explored_mass + open_mass is an upper bound on Val.
        n_scored: Contexts that went through the model.
    """

    trie: PrefixTrie
    logits: Float[np.ndarray, "internal vocab"] | None
    log_probability: Float[np.ndarray, "nodes"]
    explored_mass: float
    open_mass: float
    n_scored: int


class Spelling:
    """Which tokens continue the spelling of some answer, at each byte position.

    States are distinct byte prefixes of the answers. A token leads from a state to a later one (its bytes
    stay inside some answer), and only tokens from which an answer can still be completed are offered.

    Args:
        answers: UTF-8 bytes of each answer; index i is answer i.
        token_bytes: Bytes of each token, None or empty for tokens that spell nothing.
        end_ids: Tokens that end an answer (``terminated: true``), or None where answers end by themselves.

    Raises:
        TokenizationError: Empty or repeated answers; an answer that begins another one without a terminator;
            an answer that no token sequence spells.
    """

    def __init__(
        self,
        answers: Sequence[bytes],
        token_bytes: Sequence[bytes | None],
        end_ids: Sequence[int] | None = None,
    ):
        self._ends = None if end_ids is None else sorted(set(end_ids))
        self._ids: dict[bytes, list[int]] = {}
        for token, data in enumerate(token_bytes):
            if data:
                self._ids.setdefault(data, []).append(token)
        self._longest = max(map(len, self._ids), default=0)
        self._answers = {data: i for i, data in enumerate(answers)}
        self._check(answers)
        self._below: dict[bytes, list[bytes]] = {}  # answers that go on after each byte prefix
        for answer in self._answers:
            for size in range(len(answer) + 1):
                self._below.setdefault(answer[:size], []).append(answer)
        self._steps: dict[bytes, list[tuple[int, bytes]]] = {}
        # Longest prefixes first, so that every later state is already known to be completable or not.
        for state in sorted(self._below, key=len, reverse=True):
            self._steps[state] = list(self._offered(state))
        for answer, i in self._answers.items():
            if not self._reachable(answer):
                raise TokenizationError(
                    f"answer {i} {answer!r}", "no token sequence spells it", "remove it or correct it"
                )

    def _check(self, answers: Sequence[bytes]) -> None:
        if not answers or b"" in self._answers:
            raise TokenizationError("valid set", "empty, or with an empty answer", "give non-empty answers")
        if len(self._answers) != len(answers):
            repeated = next(data for i, data in enumerate(answers) if self._answers[data] != i)
            raise TokenizationError(f"answer {repeated!r}", "listed twice", "remove one")
        ordered = sorted(self._answers)
        for short, long in pairwise(ordered):
            if self._ends is None and long.startswith(short):
                raise TokenizationError(
                    f"answer {short!r}",
                    f"it begins the answer {long!r}",
                    "add a terminator (`terminated: true`)",
                )

    def _offered(self, state: bytes) -> Iterator[tuple[int, bytes]]:
        at, pieces = len(state), set()
        for answer in self._below[state]:
            for size in range(1, min(self._longest, len(answer) - at) + 1):
                pieces.add(answer[at : at + size])
        for piece in pieces:
            after = state + piece
            if piece in self._ids and (after in self._answers or self._steps[after]):
                yield from ((token, after) for token in self._ids[piece])

    def _reachable(self, answer: bytes) -> bool:
        reached = [True] + [False] * len(answer)
        for at in range(len(answer)):
            if reached[at]:
                for size in range(1, min(self._longest, len(answer) - at) + 1):
                    reached[at + size] |= answer[at : at + size] in self._ids
        return reached[-1]

    def next(self, state: bytes) -> list[tuple[int, bytes | None, int]]:
        """Valid next tokens after a byte prefix.

        Returns:
            ``(token, state after it or None, answer or -1)``: None and the answer where one is complete.
        """
        found = []
        for token, after in self._steps[state]:
            if self._ends is None and after in self._answers:
                found.append((token, None, self._answers[after]))
            else:
                found.append((token, after, -1))
        if self._ends is not None and state in self._answers:
            found += [(token, None, self._answers[state]) for token in self._ends]
        return found


def explore(
    model: LanguageModel,
    context_ids: Sequence[int],
    answers: Sequence[bytes],
    *,
    max_nodes: int,
    tolerance: float = 0.0,
    terminated: bool = False,
    batch: int = 64,
    keep_logits: bool = True,
    progress: Callable[[int, float], None] | None = None,
) -> Exploration:
    """Explore the tokenizations of ``answers`` after a context, most probable prefixes first.

    Args:
        model: Scores contexts and knows the bytes of its tokens.
        context_ids: The context.
        answers: UTF-8 bytes of every valid answer.
        max_nodes: Score at most this many contexts (each costs one node of a forward pass and one row of
            logits).
        tolerance: Stop when the open mass is at most this.
        terminated: Sequences must also end with one of the model's end tokens; each of them counts.
        batch: Frontier nodes scored per round. It shifts which nodes are expanded, never the bound's
            correctness.
        keep_logits: False leaves the logits to be computed again for the final trie, where memory is short.
        progress: Called after each round with (contexts scored, open mass).

    Returns:
        The trie with its frontier, and the bound. The masses are sums of float64 probabilities of a float64
        log-softmax over the model's logits.

    Raises:
        TokenizationError: See :class:`Spelling`; also if ``terminated`` and the model has no end token.
        ValueError: If ``max_nodes`` or ``batch`` is not positive, or ``tolerance`` is negative.
    """
    if max_nodes < 1 or batch < 1 or not tolerance >= 0:
        raise ValueError(
            f"max_nodes={max_nodes}, batch={batch}, tolerance={tolerance}; give >= 1, >= 1 and >= 0"
        )
    ends = model.tokenization.end_ids if terminated else None
    if terminated and not ends:
        raise TokenizationError("terminated", "the model names no end token", "set terminated: false")
    spelling = Spelling(answers, model.tokenization.bytes_table, ends)
    grown = _Grown()
    frontier, rows = [(0.0, 0)], {}
    while frontier and len(rows) < max_nodes and grown.open_mass(frontier) > tolerance:
        best = sorted(
            heapq.heappop(frontier)[1] for _ in range(min(batch, max_nodes - len(rows), len(frontier)))
        )
        scored = {}
        for index, logits in model.tree_logits(
            context_ids, np.array(grown.parent), np.array(grown.token), np.array(best)
        ):
            scored |= {best[place]: row for place, row in zip(index, logits, strict=True)}
        # In node order, whatever the order of the blocks: ties then never depend on pack sizes.
        for node in best:
            grown.expand(node, scored[node], spelling, frontier)
        rows |= scored if keep_logits else dict.fromkeys(best)
        if progress:
            progress(len(rows), grown.open_mass(frontier))
    return grown.finish(frontier, rows if keep_logits else None, len(rows), len(answers))


class _Grown:
    """The growing trie, in order of creation."""

    def __init__(self):
        self.parent, self.token, self.answer = [-1], [-1], [-1]
        self.state: list[bytes | None] = [b""]
        self.log_probability = [0.0]

    def expand(self, node: int, logits: np.ndarray, spelling: Spelling, frontier: list) -> None:
        """Append the valid children of a scored node; those that are no answer join the frontier."""
        wide = logits.astype(np.float64)
        top = wide.max()
        log_total = top + math.log(np.exp(wide - top).sum())
        for token, state, answer in spelling.next(self.state[node]):
            child = len(self.parent)
            self.parent.append(node)
            self.token.append(token)
            self.answer.append(answer)
            self.state.append(state)
            self.log_probability.append(self.log_probability[node] + float(wide[token]) - log_total)
            if answer < 0:
                heapq.heappush(frontier, (-self.log_probability[child], child))

    @staticmethod
    def open_mass(frontier: list) -> float:
        return math.fsum(math.exp(-cost) for cost, _ in frontier)

    def finish(self, frontier: list, rows: dict | None, n_scored: int, n_answers: int) -> Exploration:
        is_open = np.zeros(len(self.parent), bool)
        is_open[[node for _, node in frontier]] = True
        order = PrefixTrie.canonical_order(self.parent, self.token)
        trie = PrefixTrie.from_nodes(self.parent, self.token, self.answer, is_open, n_answers)
        logits = None if rows is None else np.stack([rows[int(node)] for node in order[trie.internal]])
        log_probability = np.array(self.log_probability)[order]
        leaves = [
            math.exp(p) for p, answer in zip(self.log_probability, self.answer, strict=True) if answer >= 0
        ]
        return Exploration(
            trie, logits, log_probability, math.fsum(leaves), self.open_mass(frontier), n_scored
        )

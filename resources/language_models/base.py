"""The two interfaces that a language model offers: text to tokens, and tokens to logits.

Nothing here imports torch: an asset that is up to date asks only for an identity.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int

from resources.language_models.errors import TokenizationError
from resources.language_models.rollout import Rollout, RolloutRequest
from resources.language_models.suggested import SuggestedSampling

if TYPE_CHECKING:
    from calib_assets.decoding import PrefixTrie
    from calib_assets.decoding.policy import Policy

Progress = Callable[[int, int], None]  # (rows done, rows asked for)
Block = tuple[Int[np.ndarray, "rows"], Float[np.ndarray, "rows vocab"]]


@dataclass(frozen=True)
class Context:
    """What the model is conditioned on.

    Attributes:
        text: The rendered text (template, generation prompt, answer prefix), without an added BOS.
        ids: Its token ids, with BOS; these go to the model.
    """

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """One continuation that is wanted.

    Attributes:
        ids: Tokens between the shared context and the continuation; may be empty.
        stream: Names the random stream of a sampling policy (seed, sample index, …).
    """

    ids: tuple[int, ...]
    stream: tuple[int, ...] = ()


@dataclass(frozen=True)
class Continuation:
    """How a request went on.

    Attributes:
        index: Place in the list of requests.
        ids: The new tokens, with the end token if there was one.
        finish: ``"end"`` (an end token), ``"stop"`` (the caller's predicate) or ``"length"`` (cut at the limit).
        log_probability: Sum of ln p(token | everything before) over the new tokens, in nats, under the model at
            temperature 1 without truncation.
    """

    index: int
    ids: tuple[int, ...]
    finish: Literal["end", "stop", "length"]
    log_probability: float


class Tokenization(ABC):
    """Text to token ids and back, for one model and one way of speaking to it."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids the tokenizer knows; the model's logits may be padded to more."""

    @property
    @abstractmethod
    def end_ids(self) -> tuple[int, ...]:
        """Ids that end an answer: EOS and end of turn, ascending."""

    @abstractmethod
    def context(
        self, prompt: str, completion: str | None = None, history: Sequence[tuple[str, str]] = ()
    ) -> Context:
        """The context of a task.

        Args:
            prompt: What a chat model is asked.
            completion: The completion-style text for a base model; defaults to ``prompt``.
            history: What was said before, oldest first: (message, answer) of a chat model; (text that was continued,
                its continuation) of a base model, each on a line of its own.
        """

    @abstractmethod
    def token_bytes(self, token: int) -> bytes | None:
        """The bytes that a token adds to the text; None for control tokens and unused ids."""

    @abstractmethod
    def token_text(self, token: int) -> str:
        """A token for human eyes (control tokens by name; incomplete UTF-8 as U+FFFD)."""

    @abstractmethod
    def _encode_after(self, context: Context, text: str) -> list[int]:
        """Tokens of the context's text followed by ``text``, tokenized in one go, with the context's BOS."""

    def context_ids(self, prompt: str, completion: str | None = None) -> list[int]:
        """Token ids of :meth:`context`."""
        return list(self.context(prompt, completion).ids)

    @cached_property
    def bytes_table(self) -> tuple[bytes | None, ...]:
        """:meth:`token_bytes` of every id, ``[vocab_size]``."""
        return tuple(self.token_bytes(token) for token in range(self.vocab_size))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids``: their bytes joined, so that a part of a text never loses its leading space.

        Control tokens appear by name; bytes that are no UTF-8 appear as U+FFFD.
        """
        parts = [(self.token_bytes(token), token) for token in ids]
        joined = b"".join(self.token_text(token).encode() if data is None else data for data, token in parts)
        return joined.decode("utf-8", errors="replace")

    def answer_ids(self, answer: str, context: Context) -> list[int]:
        """The canonical tokenization of ``answer`` after ``context``.

        Canonical: what the tokenizer makes of the whole text, in which the context's tokens must survive.

        Raises:
            TokenizationError: If the answer is empty, a token spans the end of the context, or the tokens do
                not spell the answer. The message names the answer, the tokens and the remedy.
        """
        where = f"answer {answer!r}"
        if not answer:
            raise TokenizationError(where, "empty text", "remove it from the valid set")
        ids = self._encode_after(context, answer)
        kept = len(context.ids)
        if tuple(ids[:kept]) != context.ids:
            same = next(
                (i for i, (a, b) in enumerate(zip(ids, context.ids, strict=False)) if a != b),
                min(kept, len(ids)),
            )
            raise TokenizationError(
                where,
                f"its first characters merge with the end of the context: tokens {self._named(ids[same:])} "
                f"instead of {self._named(context.ids[same:])} + answer",
                "move the space or punctuation at the boundary to the other side (prompt or answer_prefix)",
            )
        spelled = [self.token_bytes(token) for token in ids[kept:]]
        if None in spelled or b"".join(spelled) != answer.encode():
            raise TokenizationError(
                where,
                f"tokens {self._named(ids[kept:])} spell {self.decode(ids[kept:])!r}",
                "write it with characters that this tokenizer keeps (no control tokens, no normalised forms)",
            )
        return ids[kept:]

    def _named(self, ids: Sequence[int]) -> str:
        return "[" + ", ".join(f"{token} {self.token_text(token)!r}" for token in ids) + "]"


def lines_before(history: Sequence[tuple[str, str]], answer_prefix: str = "") -> str:
    """A history as a base model reads it: each text with its continuation on a line of its own.

    >>> lines_before([("A city:", " Oslo"), ("A city:", " Lima")])
    'A city: Oslo\\nA city: Lima\\n'
    """
    return "".join(f"{said}{answer_prefix}{answer}\n" for said, answer in history)


class LanguageModel(ABC):
    """Next-token logits of contexts, many contexts of one tree at a time.

    Construction is cheap; weights are loaded by the first call that needs logits.
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Width of a row of logits."""

    @property
    @abstractmethod
    def dtype(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``: the model's arithmetic, and how its logits are stored."""

    @property
    @abstractmethod
    def tokenization(self) -> Tokenization:
        """How text becomes tokens for this model, without loading weights."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON-able description of all that determines the logits; computed without loading weights."""

    @abstractmethod
    def tree_logits(
        self,
        context_ids: Sequence[int],
        parent: Int[np.ndarray, "nodes"],
        token: Int[np.ndarray, "nodes"],
        wanted: Int[np.ndarray, "wanted"],
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        """Logits after chosen nodes of a token tree that hangs below ``context_ids``.

        Args:
            context_ids: The context; its own next-token logits are those of the root.
            parent: Parent of each node, -1 for the root (node 0); a parent precedes its children.
            token: Token of each node (ignored at the root).
            wanted: Nodes whose next-token logits are wanted, distinct.
            progress: Called with (done, total) counts of wanted nodes.

        Yields:
            ``(index, logits)``: ``logits[i]`` (float32, ``[vocab_size]``) belongs to ``wanted[index[i]]``.
            Every index appears once, blocks come in any order. Half precision is widened exactly.
        """

    @abstractmethod
    def continuations(
        self,
        context_ids: Sequence[int],
        requests: Sequence[Request],
        policy: "Policy",
        max_new_tokens: int,
        *,
        stop: Callable[[tuple[int, ...]], bool] | None = None,
        batch_rows: int = 64,
        progress: Progress | None = None,
    ) -> Iterator[Continuation]:
        """Continue many requests behind one context, each until an end token, ``stop`` or the limit.

        The context and what neighbouring requests have in common are computed once; finished rows leave the batch
        and waiting ones take their place. Which rows share a batch changes the logits by rounding only.

        Args:
            context_ids: What all requests begin with.
            requests: Tokens and random stream of each; lengths may differ.
            policy: Chooses each token.
            max_new_tokens: New tokens of a continuation at most; 0 gives empty continuations.
            stop: Asked after each token with the new tokens so far; True ends the row with ``finish="stop"``.
            batch_rows: Rows that are decoded together (circumstance): bounds the memory.
            progress: Called with (continuations finished, requests).

        Yields:
            Continuations in any order, one for each request.

        Raises:
            ModelError: If a context cannot be taken (it names the limit), or logits hold NaN.
            ValueError: If a number makes no sense, or the policy refuses the logits.
        """

    @property
    @abstractmethod
    def max_positions(self) -> int | None:
        """Tokens that the model can be fed, context included, without loading weights; None: no limit is known."""

    @abstractmethod
    def rollouts(
        self,
        requests: Sequence[RolloutRequest],
        policy: "Policy",
        max_new_tokens: int,
        *,
        entropy_ranks: int = 100,
        batch_rows: int = 64,
        progress: Progress | None = None,
    ) -> Iterator[Rollout]:
        """Roll out many requests of many contexts, each until an end token or the limit, with step entropies.

        Rows of different contexts share a batch; finished rows leave it and waiting ones take their place, in the
        order given. Requests of one context stand together best: it is computed once when the first of them begins, and
        forgotten when the last of them has begun. Memory depends on ``batch_rows`` and lengths, not on the number of
        requests.

        A rollout is drawn as :meth:`continuations` draws it for ``Request((), stream)`` behind its context. Which rows
        share a batch changes the logits by rounding only.

        Args:
            requests: Context and random stream of each.
            policy: Chooses each token.
            max_new_tokens: Tokens of a rollout at most (T_max), 1 or more.
            entropy_ranks: K of the step entropy.
            batch_rows: Rows that are decoded together (circumstance): bounds the memory.
            progress: Called with (rollouts finished, requests).

        Yields:
            Rollouts in any order, one for each request.

        Raises:
            ModelError: If a context cannot be taken, before any work; or if logits hold NaN, naming request and step.
            ValueError: If a number makes no sense, or the policy refuses the logits.
        """

    def suggested_sampling(self) -> SuggestedSampling:
        """The sampling that the model's makers suggest; plain sampling for a model that comes without a word of it."""
        return SuggestedSampling()

    @abstractmethod
    def close(self) -> None:
        """Give up this handle; weights shared with other handles stay loaded while these need them."""

    def trie_logits(
        self,
        context_ids: Sequence[int],
        trie: "PrefixTrie",
        rows: Int[np.ndarray, "rows"] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        """Logits at internal nodes of a trie: row r is node ``trie.internal[r]``. Leaves cost nothing.

        Args:
            context_ids: The context that the trie continues.
            trie: The valid sequences.
            rows: Which rows to compute (default: all). Neighbours in :func:`~.packing.depth_first_rows` order
                share most of their prefixes, so a part of that order is the cheapest part to ask for.
            progress: Called with (done, total) counts of rows.

        Yields:
            ``(row indices, logits [rows, vocab])`` blocks in any order; each row once.
        """
        rows = np.arange(len(trie.internal)) if rows is None else np.asarray(rows)
        wanted = np.asarray(trie.internal)[rows]
        for index, block in self.tree_logits(context_ids, trie.parent, trie.token, wanted, progress):
            yield rows[index], block

    def next_logits(self, context_ids: Sequence[int]) -> Float[np.ndarray, "vocab"]:
        """Next-token logits (float32) after one context."""
        root = np.array([-1]), np.array([-1]), np.array([0])
        return next(iter(self.tree_logits(context_ids, *root)))[1][0]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

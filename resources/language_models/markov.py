"""A second real language model: an order-1 Markov chain whose every answer is known.

Next-token logits are ln P[last], exact in float32 up to rounding, with -inf where a transition is impossible.
Tests of everything above the model use it: probabilities of sequences are products of table entries.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from calib_assets.decoding.policy import Policy
from resources.language_models.base import (
    Block,
    Context,
    Continuation,
    LanguageModel,
    Progress,
    Request,
    Tokenization,
    lines_before,
)
from resources.language_models.continuation import Batch, check_requests, decode, roll_out
from resources.language_models.errors import CorruptFileError, SourceError, TokenizationError
from resources.language_models.rollout import (
    Rollout,
    RolloutRequest,
    check_contexts,
    check_rollouts,
    distinct_contexts,
)
from resources.language_models.spec import MarkovChain

_BLOCK_ROWS = 1024


class CheckedChain:
    """A :class:`~.spec.MarkovChain` whose numbers were checked, as arrays.

    Raises:
        SourceError: If shapes differ from the number of tokens, a row is no distribution (to 1e-9), a token
            is empty or repeated, or an end id is not a token.
    """

    def __init__(self, chain: MarkovChain):
        n = len(chain.tokens)
        self.chain = chain
        self.transition = np.array(chain.transition, np.float64)
        self.initial = np.array(chain.initial, np.float64)
        if self.transition.shape != (n, n) or self.initial.shape != (n,):
            found = f"transition {self.transition.shape}, initial {self.initial.shape} for {n} tokens"
            raise SourceError("markov chain", found, f"give {n} x {n} and {n} probabilities")
        rows = np.vstack([self.transition, self.initial])
        if not ((rows >= 0).all() and np.abs(rows.sum(axis=1) - 1).max() < 1e-9):
            bad = int(np.argmax(np.abs(rows.sum(axis=1) - 1) + 10 * (rows < 0).any(axis=1)))
            row = "initial" if bad == n else f"transition row {bad}"
            raise SourceError(
                f"markov chain, {row}", f"sums to {rows[bad].sum()}", "give probabilities that sum to 1"
            )
        if len(set(chain.tokens)) != n or "" in chain.tokens:
            raise SourceError(
                "markov chain, field tokens", "empty or repeated", "give distinct, non-empty tokens"
            )
        if any(not 0 <= end < n for end in chain.end):
            raise SourceError("markov chain, field end", f"{chain.end}", f"give token ids below {n}")

    def digest(self) -> str:
        """SHA-256 of the tokens and probabilities, the same for a file and for inline parameters."""
        return hashlib.sha256(json.dumps(asdict(self.chain), sort_keys=True).encode()).hexdigest()


def load_chain(source: str | Path | MarkovChain) -> CheckedChain:
    """Read a chain from its JSON file (fields of :class:`~.spec.MarkovChain`), or check one given inline.

    Raises:
        SourceError: Missing file or wrong numbers.
        CorruptFileError: The file is not the JSON of a chain.
    """
    if isinstance(source, MarkovChain):
        return CheckedChain(source)
    path = Path(source).expanduser()
    if not path.is_file():
        raise SourceError(f"markov {str(path)!r}", "no such file", "correct the path")
    try:
        raw = json.loads(path.read_text())
        tables = {name: tuple(float(p) for p in raw[name]) for name in ("initial",)}
        transition = tuple(tuple(float(p) for p in row) for row in raw["transition"])
        chain = MarkovChain(tuple(raw["tokens"]), transition, **tables, end=tuple(raw.get("end", ())))
    except (ValueError, KeyError, TypeError) as error:
        found = f"not the JSON of a chain ({type(error).__name__}: {error})"
        raise CorruptFileError(
            str(path), found, "write tokens, transition, initial and optionally end"
        ) from error
    try:
        return CheckedChain(chain)
    except SourceError as error:
        raise SourceError(f"{path}: {error.where}", error.found, error.remedy) from None


class MarkovTokenization(Tokenization):
    """Greedy longest match over the chain's tokens (characters, in most tests). No template, no BOS."""

    def __init__(self, chain: MarkovChain):
        self._chain = chain
        self._id = {token: i for i, token in enumerate(chain.tokens) if i not in chain.end}
        self._longest = max(map(len, self._id), default=0)

    @property
    def vocab_size(self) -> int:
        return len(self._chain.tokens)

    @property
    def end_ids(self) -> tuple[int, ...]:
        return tuple(sorted(self._chain.end))

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``; a character outside the vocabulary is a :class:`TokenizationError`."""
        ids, at = [], 0
        while at < len(text):
            pieces = (text[at : at + size] for size in range(self._longest, 0, -1))
            piece = next((piece for piece in pieces if piece in self._id), None)
            if piece is None:
                raise TokenizationError(
                    f"text {text!r}", f"no token for {text[at]!r}", "add it to the chain's tokens"
                )
            ids.append(self._id[piece])
            at += len(piece)
        return ids

    def context(
        self, prompt: str, completion: str | None = None, history: Sequence[tuple[str, str]] = ()
    ) -> Context:
        text = lines_before(history) + (prompt if completion is None else completion)
        return Context(text, tuple(self.encode(text)))

    def _encode_after(self, context: Context, text: str) -> list[int]:
        return self.encode(context.text + text)

    def token_bytes(self, token: int) -> bytes | None:
        return None if token in self._chain.end else self._chain.tokens[token].encode()

    def token_text(self, token: int) -> str:
        return self._chain.tokens[token]


class MarkovModel(LanguageModel):
    """The language model of a chain.

    Args:
        source: JSON file or :class:`~.spec.MarkovChain`.

    >>> model = MarkovModel(MarkovChain(("a", "b"), ((0.25, 0.75), (1.0, 0.0)), (0.5, 0.5)))
    >>> np.exp(model.next_logits(model.tokenization.context_ids("ba"))).tolist()
    [0.25, 0.75]
    """

    def __init__(self, source: str | Path | MarkovChain):
        self._checked = load_chain(source)

    @property
    def chain(self) -> MarkovChain:
        """The parameters."""
        return self._checked.chain

    @property
    def vocab_size(self) -> int:
        return len(self.chain.tokens)

    @property
    def dtype(self) -> str:
        return "float32"

    @cached_property
    def tokenization(self) -> MarkovTokenization:
        return MarkovTokenization(self.chain)

    def identity(self) -> dict[str, Any]:
        return {"kind": "markov", "content": f"markov:sha256:{self._checked.digest()}", "dtype": self.dtype}

    def probabilities(self, last: int | None) -> Float[np.ndarray, "vocab"]:
        """P(next | last), float64; ``None`` for the empty context."""
        return self._checked.initial if last is None else self._checked.transition[last]

    @cached_property
    def _logits(self) -> Float[np.ndarray, "states vocab"]:
        """ln P(next | last) in float32; row -1: nothing came before."""
        table = np.vstack([self._checked.transition, self._checked.initial])
        with np.errstate(divide="ignore"):
            return np.log(table).astype(np.float32)

    def tree_logits(
        self,
        context_ids: Sequence[int],
        parent: Int[np.ndarray, "nodes"],
        token: Int[np.ndarray, "nodes"],
        wanted: Int[np.ndarray, "wanted"],
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        logits = self._logits
        last = np.where(
            np.asarray(parent) < 0, context_ids[-1] if len(context_ids) else -1, np.asarray(token)
        )
        for start in range(0, len(wanted), _BLOCK_ROWS):
            index = np.arange(start, min(start + _BLOCK_ROWS, len(wanted)))
            if progress:
                progress(int(index[-1]) + 1, len(wanted))
            yield index, logits[last[np.asarray(wanted)[index]]]

    def continuations(
        self,
        context_ids: Sequence[int],
        requests: Sequence[Request],
        policy: Policy,
        max_new_tokens: int,
        *,
        stop: Callable[[tuple[int, ...]], bool] | None = None,
        batch_rows: int = 64,
        progress: Progress | None = None,
    ) -> Iterator[Continuation]:
        check_requests(requests, max_new_tokens, batch_rows)
        used = {int(token) for ids in (context_ids, *(request.ids for request in requests)) for token in ids}
        if used and not 0 <= min(used) <= max(used) < self.vocab_size:
            raise SourceError(
                "markov chain",
                f"token ids {min(used)}..{max(used)} outside 0..{self.vocab_size - 1}",
                "use the chain's own tokenization",
            )
        yield from decode(
            _LastTokens(self._logits, int(context_ids[-1]) if len(context_ids) else -1),
            requests,
            policy,
            max_new_tokens,
            self.tokenization.end_ids,
            where="markov chain",
            stop=stop,
            batch_rows=batch_rows,
            progress=progress,
        )

    @property
    def max_positions(self) -> None:
        """A chain goes on for ever."""
        return None

    def rollouts(
        self,
        requests: Sequence[RolloutRequest],
        policy: Policy,
        max_new_tokens: int,
        *,
        entropy_ranks: int = 100,
        batch_rows: int = 64,
        progress: Progress | None = None,
    ) -> Iterator[Rollout]:
        check_rollouts(requests, max_new_tokens, entropy_ranks, batch_rows)
        limits = dict(vocab_size=self.vocab_size, max_positions=None, max_new_tokens=max_new_tokens, empty=True)
        check_contexts(distinct_contexts(requests), "markov chain", **limits)
        options = dict(where="markov chain", batch_rows=batch_rows, progress=progress)
        rows, ends = _LastTokens(self._logits, -1), self.tokenization.end_ids
        yield from roll_out(rows, requests, policy, max_new_tokens, ends, entropy_ranks, **options)

    def close(self) -> None:
        """Nothing to release."""


class _LastTokens(Batch):
    """All that a chain remembers of its rows: nothing, since the token that is fed says it all."""

    def __init__(self, logits: Float[np.ndarray, "states vocab"], last: int):
        self._logits, self._last, self._rows = logits, last, 0

    def enter(self, request: Request | RolloutRequest | None) -> None:
        if isinstance(request, RolloutRequest):
            self._last = int(request.context_ids[-1]) if request.context_ids else -1

    def context_logits(self) -> Float[np.ndarray, "vocab"]:
        return self._logits[self._last]

    def add(self, ids: tuple[int, ...]) -> None:
        self._rows += 1

    def drop(self, row: int) -> None:
        self._rows -= 1

    def step(self, tokens: Sequence[int]) -> Float[np.ndarray, "rows vocab"]:
        return self._logits[np.asarray(tokens)]

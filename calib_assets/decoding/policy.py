"""How the next token is chosen, for a batch of rows: greedy, sampled under a truncation rule, or restricted.

A choice depends on a row's logits, the name of its random stream and how many tokens it has: never on the other
rows, on the order of the work or on the process. So batch size is circumstance, and a sample that was drawn in a
run that was killed is drawn again.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from .conditional import Conditional
from .heads import leading
from .rules import TruncationRule, check_temperature
from .rules.top_k import TopK
from .rules.top_k_exact import TopKExact
from .rules.unrestricted import Unrestricted
from .tempered import Tempered

_BLOCK_ELEMENTS = 1 << 19  # float64 probabilities that are held at once: 4 MB stay in the cache
_FEW = 4  # rows of up to so many times the ranks that count are not worth a selection


@dataclass(frozen=True)
class Row:
    """What a policy may know about a row.

    Attributes:
        stream: Names the row's random stream (seed, sample index, …). Two rows with one stream draw the same numbers.
        ids: Tokens after the shared context so far: the request's own, then generated ones.
        n_given: How many of ``ids`` the request gave.
    """

    stream: tuple[int, ...]
    ids: tuple[int, ...]
    n_given: int = 0


def random_words(stream: Sequence[int], step: int, n: int = 1) -> UInt64[np.ndarray, "n"]:
    """Random 64-bit words by counter: Philox keyed by a hash of ``stream``, its counter at ``step``.

    Philox's words are fixed for all numpy versions. Beyond four words they run into those of later steps.

    Args:
        stream: Any integers; ``(1,)`` and ``(1, 0)`` are different streams.
        step: Counter, 0 or more.
        n: How many words.
    """
    name = json.dumps([int(part) for part in stream]).encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
    return np.random.Philox(key=key, counter=step).random_raw(n)


def uniform(stream: Sequence[int], step: int) -> float:
    """A number in [0, 1) that belongs to (stream, step), the same in every process and batch.

    >>> uniform((42, 0), 3) == uniform((42, 0), 3), uniform((42, 0), 3) == uniform((42, 0), 4)
    (True, False)
    """
    return float(random_words(stream, step)[0] >> np.uint64(11)) * 2.0**-53


class Policy(ABC):
    """Chooses one token for every row of a batch."""

    @property
    def ranks(self) -> int | None:
        """How much of a row decides a choice: the so many most likely tokens and what is tied with the last of them.

        Where it is a number, rows of these tokens alone, in the order of their ids and filled up with -inf
        (:func:`~.heads.leading`), lead to the same tokens, by place. None: the whole row.
        """
        return None

    @abstractmethod
    def choose(self, logits: Float[np.ndarray, "rows vocab"], rows: Sequence[Row]) -> Int[np.ndarray, "rows"]:
        """The next token of each row.

        Args:
            logits: Raw logits (temperature 1, nothing removed); -inf marks tokens outside the support.
            rows: The rows that they belong to.

        Raises:
            ValueError: If a row of logits holds NaN or +inf, or nothing but -inf.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON-able description of all that determines the choices (with the streams)."""


def _checked(logits: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
    logits = np.asarray(logits)
    if logits.ndim != 2 or len(logits) != len(rows) or logits.shape[1] == 0:
        raise ValueError(f"logits have shape {logits.shape}; give [{len(rows)}, vocab], a row for each of the rows")
    top = logits.max(axis=1)  # NaN if there is one
    if not np.isfinite(top).all():
        bad = int(np.flatnonzero(~np.isfinite(top))[0])
        what = "nothing but -inf" if top[bad] == -np.inf else "NaN or +inf"
        raise ValueError(
            f"logits after tokens {list(rows[bad].ids)} (stream {rows[bad].stream}) hold {what}: look for an overflow "
            "in the model's forward pass, or for a restriction that leaves no possible token"
        )
    return logits


@dataclass(frozen=True)
class Greedy(Policy):
    """The most likely token; among equal logits the lowest id.

    >>> Greedy().choose(np.array([[0.0, 2.0, 2.0]]), [Row((), ())]).tolist()
    [1]
    """

    @property
    def ranks(self) -> int:
        return 1

    def choose(self, logits: Float[np.ndarray, "rows vocab"], rows: Sequence[Row]) -> Int[np.ndarray, "rows"]:
        return _checked(logits, rows).argmax(axis=1)

    def identity(self) -> dict[str, Any]:
        return {"policy": "greedy"}


@dataclass(frozen=True)
class Sampled(Policy):
    """Temperature, then the rule, renormalised; drawn by inverse CDF in token-id order, in float64.

    The number that a row's next token is drawn with is ``uniform(row.stream, len(row.ids))``.

    Attributes:
        rule: Which tokens stay; a rule that needs the valid set is refused.
        temperature: Positive.

    >>> policy = Sampled(Unrestricted(), temperature=0.7)
    >>> policy.choose(np.array([[0.0, -np.inf]]), [Row(stream=(1,), ids=())]).tolist()
    [0]
    """

    rule: TruncationRule
    temperature: float = 1.0

    def __post_init__(self):
        if self.rule.uses_valid_set:
            raise ValueError(
                f"rule {self.rule.name!r} needs the valid set, which is not known while sampling; use a practical "
                "rule, or Restricted with the tokens that are valid"
            )
        object.__setattr__(self, "temperature", check_temperature(self.temperature))

    @property
    def ranks(self) -> int | None:
        return int(self.rule.k) if type(self.rule) in (TopK, TopKExact) else None

    def choose(self, logits: Float[np.ndarray, "rows vocab"], rows: Sequence[Row]) -> Int[np.ndarray, "rows"]:
        logits = _checked(logits, rows)
        chosen = np.empty(len(rows), np.int64)
        step = max(1, _BLOCK_ELEMENTS // logits.shape[1])
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            if self.ranks is None or logits.shape[1] <= _FEW * self.ranks:
                chosen[part] = self._draw(logits[part], rows[part])
            else:
                ids, values = leading(logits[part], self.ranks)
                chosen[part] = ids[np.arange(len(ids)), self._draw(values, rows[part])]
        return chosen

    def _draw(self, logits: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
        weights = np.divide(logits, self.temperature, dtype=np.float64)
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        if self.ranks is not None:
            weights *= _leads(self.rule, logits)
        elif not isinstance(self.rule, Unrestricted):
            for row, values in enumerate(logits):
                weights[row] *= retained(self.rule, values, self.temperature)
        cumulative = np.cumsum(weights, axis=1, out=weights)
        total = cumulative[:, -1]
        target = np.array([uniform(row.stream, len(row.ids)) for row in rows]) * total
        # The first token whose cumulative weight exceeds the target has a weight of its own, so a removed token is
        # never drawn; where rounding makes the target the total, the last token with a weight is meant.
        return np.array(
            [
                min(np.searchsorted(line, goal, side="right"), np.searchsorted(line, end, side="left"))
                for line, goal, end in zip(cumulative, target, total)
            ],
            np.int64,
        )

    def identity(self) -> dict[str, Any]:
        parameters = {name: _plain(value) for name, value in asdict(self.rule).items()}
        return {
            "policy": "sampled",
            "rule": self.rule.name,
            "parameters": parameters,
            "temperature": float(self.temperature),
        }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _leads(rule: TopK | TopKExact, logits: Float[np.ndarray, "rows vocab"]) -> Bool[np.ndarray, "rows vocab"]:
    """What the rule keeps of every row, and perhaps -inf, which weighs nothing."""
    vocab = logits.shape[1]
    if rule.k >= vocab:
        return np.ones(logits.shape, bool)
    last = np.partition(logits, vocab - rule.k, axis=1)[:, vocab - rule.k, None]
    if type(rule) is TopK:
        return logits >= last
    above, tied = logits > last, logits == last
    return above | (tied & (np.cumsum(tied, axis=1) <= rule.k - above.sum(axis=1, keepdims=True)))


def retained(
    rule: TruncationRule, logits: Float[np.ndarray, "vocab"], temperature: float
) -> Bool[np.ndarray, "vocab"]:
    """``rule.retained(logits, temperature)``, without ranking the whole vocabulary.

    A retained set that is an interval of the ranking is an interval of logits, unless tied logits lie across its
    border. Then the count gives that away, and the rule is asked in full.

    >>> from calib_assets.decoding import TopP
    >>> retained(TopP(0.5), np.array([0.0, 3.0, 1.0]), 1.0).tolist()
    [False, True, False]
    """
    if type(rule).select.__func__ is TruncationRule.select.__func__:
        conditional = Conditional(logits, np.arange(0))
        start, stop = type(rule).intervals(Tempered(conditional, np.array([temperature])), [rule])
        start, stop = int(np.ravel(start)[0]), int(np.ravel(stop)[0])
        low, high = conditional.value_at(np.array([stop - 1, start]))
        keeps = (logits >= low) & (logits <= high)
        if np.count_nonzero(keeps) == stop - start:
            return keeps
    return rule.retained(logits, temperature)


@dataclass(frozen=True)
class Restricted(Policy):
    """Only listed tokens may follow some paths; what remains is left to another policy.

    Attributes:
        allowed: Path (a row's ``ids``) -> the only tokens that may follow it. After a path that is not a key, every
            token may. Any mapping will do, also one that computes its answers.
        inner: Chooses among what remains; the other logits are -inf before it sees them.

    >>> policy = Restricted({(): [2], (2,): [0, 1]}, Greedy())
    >>> policy.choose(np.array([[5.0, 1.0, 0.0]] * 3), [Row((), ()), Row((), (2,)), Row((), (1,))]).tolist()
    [2, 0, 0]
    """

    allowed: Mapping[tuple[int, ...], Sequence[int]]
    inner: Policy

    def choose(self, logits: Float[np.ndarray, "rows vocab"], rows: Sequence[Row]) -> Int[np.ndarray, "rows"]:
        logits = np.asarray(logits)
        masked = None
        for i, row in enumerate(rows):
            tokens = self.allowed.get(row.ids)
            if tokens is None:
                continue
            tokens = np.asarray(tokens, np.int64)
            if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= logits.shape[1]:
                raise ValueError(
                    f"allowed after {list(row.ids)}: {tokens.tolist()}; give one or more token ids in "
                    f"0..{logits.shape[1] - 1}"
                )
            if np.isnan(logits[i]).any():
                continue  # the inner policy refuses it; a mask would hide it
            masked = logits.copy() if masked is None else masked
            masked[i] = -np.inf
            masked[i, tokens] = logits[i, tokens]
        return self.inner.choose(logits if masked is None else masked, rows)

    def identity(self) -> dict[str, Any]:
        paths = sorted((list(path), sorted({int(t) for t in tokens})) for path, tokens in self.allowed.items())
        digest = hashlib.sha256(json.dumps([[list(map(int, path)), tokens] for path, tokens in paths]).encode())
        return {"policy": "restricted", "allowed_sha256": digest.hexdigest(), "inner": self.inner.identity()}

"""Who is decoded now, who waits, who is finished: the one loop of continuations and rollouts. No model in here.

A model gives a :class:`Batch`, which remembers its rows (keys and values, a last token, …). The loop feeds the batch,
asks a policy for tokens (:mod:`.choosing`), lets finished rows out and waiting ones in. Continuations share one
context; rollouts come with a context each, in groups.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from calib_assets.decoding.heads import Heads
from calib_assets.decoding.policy import Policy, Row
from resources.language_models.base import Continuation, Progress, Request
from resources.language_models.choosing import Chooser, token_log_probabilities
from resources.language_models.errors import ModelError
from resources.language_models.rollout import Rollout, RolloutRequest

__all__ = [
    "Active",
    "Batch",
    "Ends",
    "admission_order",
    "check_requests",
    "check_tops",
    "decode",
    "roll_out",
    "token_log_probabilities",
]


class Batch(ABC):
    """What a model remembers of the rows that are being decoded. Rows are numbered 0, 1, … without gaps."""

    def enter(self, request: Request | RolloutRequest | None) -> None:  # noqa: B027
        """A request begins: the context of what follows is its own. None: no request is left to begin.

        Batches of one shared context have nothing to do.
        """

    @abstractmethod
    def context_logits(self) -> Float[np.ndarray, "vocab"]:
        """Logits after the context alone."""

    @abstractmethod
    def add(self, ids: tuple[int, ...]) -> None:
        """A new last row, with these tokens after the context."""

    @abstractmethod
    def drop(self, row: int) -> None:
        """Forget a row; the last row takes its number."""

    @abstractmethod
    def step(self, tokens: Sequence[int]) -> Float[np.ndarray, "rows vocab"]:
        """Append one token to each row; logits (float32) after it."""

    def step_heads(self, tokens: Sequence[int], ranks: int) -> Heads:
        """:meth:`step`, of which only the most likely tokens are wanted."""
        return Heads.of(self.step(tokens), ranks)


@dataclass
class Active:
    """A request that is being decoded, and what came of it so far."""

    index: int
    request: Request | RolloutRequest
    new: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    entropies: list[float] = field(default_factory=list)

    @property
    def ids(self) -> tuple[int, ...]:
        return (*self.request.ids, *self.new)

    @property
    def last(self) -> int:
        return self.new[-1] if self.new else self.request.ids[-1]

    def view(self) -> Row:
        return Row(self.request.stream, self.ids, len(self.request.ids))


def admission_order(requests: Sequence[Request]) -> list[int]:
    """Places in ``requests`` in the order in which :func:`decode` admits them: neighbours share the most tokens.

    Requests that agree in all but their last token follow each other without a gap.
    """
    return sorted(range(len(requests)), key=lambda i: (requests[i].ids[:-1], requests[i].ids))


def decode(
    batch: Batch,
    requests: Sequence[Request],
    policy: Policy,
    max_new_tokens: int,
    end_ids: Sequence[int],
    *,
    where: str,
    indexes: Sequence[int] | None = None,
    stop: Callable[[tuple[int, ...]], bool] | None = None,
    batch_rows: int = 64,
    progress: Progress | None = None,
) -> Iterator[Continuation]:
    """Continue requests until each is finished; at most ``batch_rows`` at a time.

    A request's last token is fed in the batch, so ``batch.add`` gets the tokens before it; requests without tokens
    begin with the logits of the context.

    Args:
        batch: An empty batch behind the shared context.
        requests: What is continued.
        policy: Chooses the tokens.
        max_new_tokens: Length at which a continuation is cut; 0 gives empty ones without asking the model.
        end_ids: Tokens that end a continuation, as its last token.
        where: Names the model in errors.
        indexes: Which requests, by default all in :func:`admission_order`.
        stop: Asked with the new tokens after each of them, unless it was an end token.
        batch_rows: Rows of one step (circumstance).
        progress: Called with (continuations finished, requests).

    Yields:
        Continuations as they finish.

    Raises:
        ModelError: If logits hold NaN or +inf, or nothing but -inf.
        ValueError: What the policy refuses.
    """
    order = admission_order(requests) if indexes is None else indexes
    ends = Ends(frozenset(end_ids), stop, max_new_tokens)
    for row, how in _run(batch, requests, Chooser(policy), ends, where, order, batch_rows, progress):
        yield Continuation(row.index, tuple(row.new), how, row.log_probability)


def roll_out(
    batch: Batch,
    requests: Sequence[RolloutRequest],
    policy: Policy,
    max_new_tokens: int,
    end_ids: Sequence[int],
    entropy_ranks: int,
    *,
    where: str,
    indexes: Sequence[int] | None = None,
    batch_rows: int = 64,
    progress: Progress | None = None,
) -> Iterator[Rollout]:
    """:func:`decode` for rollouts: every request has a context of its own, and steps their entropies.

    ``batch.enter`` is told of each request that begins, in the order given, and of the end of them; nothing is kept of
    a rollout that is finished.

    Args:
        entropy_ranks: K, of which a step's entropy is.

    Other arguments and errors are those of :func:`decode`.

    Yields:
        Rollouts as they finish.
    """
    order = range(len(requests)) if indexes is None else indexes
    ends = Ends(frozenset(end_ids), None, max_new_tokens)
    for row, how in _run(batch, requests, Chooser(policy, entropy_ranks), ends, where, order, batch_rows, progress):
        yield Rollout(row.index, tuple(row.new), how, row.log_probability, np.array(row.entropies))


@dataclass(frozen=True)
class Ends:
    """When a row is finished: an end token, the caller's predicate, or the limit."""

    ids: frozenset[int]
    stop: Callable[[tuple[int, ...]], bool] | None
    max_new_tokens: int

    def of(self, row: Active) -> str | None:
        """How the row ended with its last token; None if it goes on."""
        if row.new[-1] in self.ids:
            return "end"
        if self.stop is not None and self.stop(tuple(row.new)):
            return "stop"
        return "length" if len(row.new) >= self.max_new_tokens else None


def _run(
    batch: Batch,
    requests: Sequence[Request] | Sequence[RolloutRequest],
    chooser: Chooser,
    ends: Ends,
    where: str,
    order: Sequence[int],
    batch_rows: int,
    progress: Progress | None,
) -> Iterator[tuple[Active, str]]:
    """Rows as they finish, and how."""
    entered, done = 0, len(requests) - len(order)
    rows: list[Active] = []

    def advance(active: list[Active], conditionals: np.ndarray | Heads) -> list[str | None]:
        """Choose a token for each row; how each is finished, None if it is not."""
        check_tops(chooser.top(conditionals), [(row.index, len(row.new)) for row in active], where)
        chosen = chooser(conditionals, [row.view() for row in active])
        for row, token, value in zip(active, chosen.tokens.tolist(), chosen.log_probabilities.tolist(), strict=True):
            row.new.append(token)
            row.log_probability += value
        if chosen.entropies is not None:
            for row, entropy in zip(active, chosen.entropies.tolist(), strict=True):
                row.entropies.append(entropy)
        return [ends.of(row) for row in active]

    def counted(row: Active, how: str) -> tuple[Active, str]:
        nonlocal done
        done += 1
        if progress:
            progress(done, len(requests))
        return row, how

    while entered < len(order) or rows:
        while entered < len(order) and len(rows) < batch_rows:
            row = Active(order[entered], requests[order[entered]])
            entered += 1
            how = "length" if ends.max_new_tokens == 0 else None
            if how is None:
                batch.enter(row.request)
                if not row.request.ids:
                    how = advance([row], chooser.of_logits(batch.context_logits()[None]))[0]
            if how is not None:
                yield counted(row, how)
                continue
            batch.add(row.request.ids[:-1])
            rows.append(row)
        if not rows:
            continue
        if entered == len(order):
            batch.enter(None)
        tokens = [row.last for row in rows]
        step = batch.step(tokens) if chooser.ranks is None else batch.step_heads(tokens, chooser.ranks)
        ways = advance(rows, step)
        for place in range(len(rows) - 1, -1, -1):  # from the end, so that the row that moves in was looked at
            if (how := ways[place]) is not None:
                row, rows[place] = rows[place], rows[-1]
                rows.pop()
                batch.drop(place)
                yield counted(row, how)


def check_tops(top: Float[np.ndarray, "rows"], places: Sequence[tuple[int, int]], where: str) -> None:
    """Refuse rows whose largest logit is no number.

    Args:
        top: The largest logit of each row, NaN if it holds NaN.
        places: (request, new tokens so far) of each row.
        where: Names the model.

    Raises:
        ModelError: Naming the request and the step.
    """
    if not np.isfinite(top).all():
        bad = int(np.flatnonzero(~np.isfinite(top))[0])
        index, n_new = places[bad]
        raise ModelError(
            where,
            f"the largest logit after request {index} and {n_new} new tokens is {top[bad]}",
            "use dtype float32 or bfloat16, or check the weights",
        )


def check_requests(requests: Sequence[Request], max_new_tokens: int, batch_rows: int) -> None:
    """Refuse numbers that make no sense.

    Raises:
        ValueError: Naming the argument and its value.
    """
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; give 0 or more")
    if batch_rows < 1:
        raise ValueError(f"batch_rows is {batch_rows}; give 1 or more")
    for i, request in enumerate(requests):
        if not isinstance(request, Request):
            raise ValueError(f"requests[{i}] is {request!r}; give a Request")

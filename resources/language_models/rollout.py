"""Rollouts: answers of many contexts, each with the entropy of its steps. What is asked for and what comes back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from resources.language_models.errors import ModelError


@dataclass(frozen=True)
class RolloutRequest:
    """One rollout that is wanted.

    Attributes:
        context_ids: What it begins behind.
        stream: Names the random stream of a sampling policy (seed, prompt, sample index, …).
    """

    context_ids: tuple[int, ...]
    stream: tuple[int, ...] = ()

    ids: ClassVar[tuple[int, ...]] = ()
    """Tokens between the context and the rollout: none."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """How a request went on.

    Attributes:
        index: Place in the list of requests.
        ids: The new tokens, with the end token if there was one; their number is the length tau.
        finish: ``"end"`` (an end token) or ``"length"`` (truncated at the limit).
        log_probability: Sum of ln p(token | everything before) over ``ids``, in nats, under the model at temperature 1
            without truncation.
        step_entropy: Entropy in nats of the step that chose each of ``ids``, over the K most likely tokens,
            renormalised, at temperature 1, whatever the policy (METHODS §4); float64, ``[len(ids)]``.
    """

    index: int
    ids: tuple[int, ...]
    finish: Literal["end", "length"]
    log_probability: float
    step_entropy: Float[np.ndarray, "steps"]


def check_rollouts(
    requests: Sequence[RolloutRequest], max_new_tokens: int, entropy_ranks: int, batch_rows: int
) -> None:
    """Refuse numbers that make no sense.

    Raises:
        ValueError: Naming the argument and its value.
    """
    for name, value in (
        ("max_new_tokens", max_new_tokens),
        ("entropy_ranks", entropy_ranks),
        ("batch_rows", batch_rows),
    ):
        if value < 1:
            raise ValueError(f"{name} is {value}; give 1 or more")
    for i, request in enumerate(requests):
        if not isinstance(request, RolloutRequest):
            raise ValueError(f"requests[{i}] is {request!r}; give a RolloutRequest")


def check_contexts(
    contexts: Iterable[tuple[int, Sequence[int]]],
    where: str,
    *,
    vocab_size: int,
    max_positions: int | None,
    max_new_tokens: int,
    empty: bool,
) -> None:
    """Refuse contexts that a model cannot take.

    Args:
        contexts: (place of the request, context), as :func:`distinct_contexts` gives them.
        where: Names the model.
        vocab_size: Ids lie below it.
        max_positions: Tokens that the model can be fed; None: any number.
        max_new_tokens: New tokens at most; the last of them is not fed.
        empty: Whether an empty context will do.

    Raises:
        ModelError: Naming the request.
    """
    for i, context_ids in contexts:
        if not len(context_ids) and not empty:
            remedy = "give a prompt, or bos: always for a start token"
            raise ModelError(where, f"request {i} has an empty context", remedy)
        low, high = min(context_ids, default=0), max(context_ids, default=0)
        if not 0 <= low <= high < vocab_size:
            found = f"request {i}: token ids {low}..{high} outside 0..{vocab_size - 1}"
            raise ModelError(where, found, "they come from another tokenizer: make them anew with this model's")
        needed = len(context_ids) + max_new_tokens - 1
        if max_positions is not None and needed > max_positions:
            found = f"request {i}: {len(context_ids)} tokens of context and {max_new_tokens} new ones exceed its"
            raise ModelError(where, f"{found} {max_positions} positions", "shorten the prompt or lower max_new_tokens")


def distinct_contexts(requests: Sequence[RolloutRequest]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Each context that differs from the one of the request before it, with that request's place."""
    last = None
    for i, request in enumerate(requests):
        if last is None or request.context_ids != last:
            last = request.context_ids
            yield i, last

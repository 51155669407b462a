"""What a speaker is asked, how, and what comes back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from resources.endpoints.digests import digest_of
from resources.endpoints.form import Progress

Status = Literal["ok", "empty", "truncated", "refused", "failed"]
FINAL: tuple[Status, ...] = ("ok", "empty", "truncated", "refused")  # "failed" is tried again by a rerun


@dataclass(frozen=True)
class Exchange:
    """An earlier question of a conversation and the answer that it got, as it came."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Question:
    """One answer that is wanted.

    Attributes:
        prompt: What is asked.
        stream: Names the answer and its random numbers (seed, setting, number, …): two questions that differ in
            nothing else are two answers.
        completion: What a base model continues; None: the prompt.
        history: What was said before, oldest first.
    """

    prompt: str
    stream: tuple[int, ...]
    completion: str | None = None
    history: tuple[Exchange, ...] = ()

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits of all of it."""
        return digest_of(asdict(self))[:16]

    @property
    def seed(self) -> int:
        """A seed of 31 bits for servers that take one: another for every stream, else all answers would be one."""
        return int(np.random.SeedSequence(self.stream).generate_state(1)[0] >> 1)


@dataclass(frozen=True)
class Sampling:
    """How answers are sampled.

    Attributes:
        temperature: Above 0.
        top_p: None: not cut.
        top_k: None: not cut. Servers are sent none: their protocol has no such field.
        max_new_tokens: Longest answer, thoughts included.
        line: A base model's answer ends with its line (it would go on for ever). Chat models end theirs themselves.
    """

    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    max_new_tokens: int = 64
    line: bool = False


@dataclass(frozen=True)
class Sample:
    """What a speaker said.

    Attributes:
        status: ``"ok"``; ``"empty"`` nothing; ``"truncated"`` cut at the limit; ``"refused"`` a refusal that is marked
            as such, or a content filter; ``"failed"`` no answer came: it is missing, which is not an empty answer.
        text: As it came, less keys and control tokens.
        finish: Why it ended, in the words of the model's room or of the server.
        log_probability: Sum of ln p over its tokens: under the model at temperature 1 without truncation for a local
            model; as the server says for an API model; None where that is unknown.
        n_tokens: Tokens of the answer: those of the log-probabilities where a server gives them, else as it counts
            (with thoughts, if there were any); None where that is unknown.
        token_logprobs: JSON list of the server's log-probabilities of each token; empty where there are none.
        detail: Why the status is what it is.
        cost: Of the answer, in the price's currency.
    """

    status: Status
    text: str = ""
    finish: str = ""
    log_probability: float | None = None
    n_tokens: int | None = None
    token_logprobs: str = ""
    detail: str = ""
    cost: float = 0.0


class Speaker(ABC):
    """Answers questions."""

    @abstractmethod
    def answer(
        self, questions: Sequence[Question], sampling: Sampling, progress: Progress | None = None
    ) -> list[Sample]:
        """Samples in the order of ``questions``.

        Args:
            questions: Distinct; may be empty.
            sampling: The same for all.
            progress: Called with (done, total).

        Raises:
            ModelError: If a local model cannot take a question.
            SettingsError, EndpointError, BudgetReached, ReplyStoreError: See there (API models).
        """

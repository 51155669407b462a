"""What a judge is given: a response to a prompt, or two responses to one prompt."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

from resources.endpoints.digests import digest_of

Of = Literal["response", "pair"]  # what a judge, by its rubric, judges


@dataclass(frozen=True)
class Item:
    """A text to judge.

    Attributes:
        prompt: What the model was asked.
        response: Its whole answer: prefix, swept tokens and completion.
        truncated: The answer was cut at the length limit, so its end is not the model's.
        answers: Closed list of valid answers, for verifiers.
        pattern: Regular expression that a valid answer matches as a whole, for verifiers.
        lead: Text before the answer that belongs to its surface form, such as a space, for verifiers.
    """

    of: ClassVar[Of] = "response"

    prompt: str
    response: str
    truncated: bool = False
    answers: tuple[str, ...] | None = field(default=None, repr=False)
    pattern: str | None = field(default=None, repr=False)
    lead: str = field(default="", repr=False)

    @property
    def texts(self) -> tuple[str, str]:
        """What others wrote, and a judge may therefore quote but never obey."""
        return self.prompt, self.response

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits of (prompt, response).

        >>> Item("p", "r").digest == Item("p", "r", truncated=True).digest != Item("pr", "").digest
        True
        """
        return digest_of(self.texts)[:16]


@dataclass(frozen=True)
class Pair:
    """Two responses to one prompt: do they mean the same (relaxed semantic entropy, METHODS §4)?

    The order matters: a judge may say of (a, b) what it does not say of (b, a). Whoever wants both, asks for both.

    Attributes:
        prompt: What the model was asked both times.
        first: One whole answer.
        second: Another, perhaps the same text.
    """

    of: ClassVar[Of] = "pair"

    prompt: str
    first: str
    second: str

    @property
    def texts(self) -> tuple[str, str, str]:
        """What others wrote, and a judge may therefore quote but never obey."""
        return self.prompt, self.first, self.second

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits of (prompt, first, second).

        >>> Pair("p", "a", "b").digest == Pair("p", "a", "b").digest != Pair("p", "b", "a").digest
        True
        """
        return digest_of(self.texts)[:16]


Judged = Item | Pair

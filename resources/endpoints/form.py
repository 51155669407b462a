"""What a server is asked and how its answers are read: the part of a session that differs between its users."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from resources.endpoints.reply import Answer

Progress = Callable[[int, int], None]  # (distinct items that have an outcome or have failed, distinct items)


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        messages: Chat messages.
        max_tokens: Longest answer, thoughts included.
        schema: JSON schema of the answer; None: plain text.
        fields: Further fields of the request (temperature, seed, …).
    """

    messages: list[dict[str, str]]
    max_tokens: int
    schema: dict | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class Asked(Protocol):
    """Whatever a server is asked about; ``digest`` is for people who read the store's file."""

    @property
    def digest(self) -> str: ...


class Outcome(Protocol):
    """A frozen dataclass of plain values that a store has a table for; one status is its class's "failed"."""

    status: str
    detail: str


class Form(ABC):
    """Questions and outcomes of one user of a server.

    Attributes:
        structured: "schema": JSON schema; "text": plain text; "auto": JSON schema, and plain text where the server
            rejects it or an answer comes back empty.
    """

    structured: Literal["auto", "schema", "text"] = "text"

    @abstractmethod
    def call(self, asked: Asked, structured: bool) -> Call:
        """The request."""

    @abstractmethod
    def read(self, answer: Answer, asked: Asked, cost: float) -> Outcome:
        """What an answer comes to."""

    @abstractmethod
    def unanswered(self, status: Literal["refused", "failed"], detail: str, raw: str = "") -> Outcome:
        """What it comes to that there is no answer: a content filter objected, or every try failed."""

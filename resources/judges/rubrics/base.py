"""A rubric as data: instructions, the form of a reply, and messages in which no text can pass for the judge's own."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

from resources.endpoints.digests import digest_of
from resources.judges.items import Judged, Of
from resources.judges.verdicts import AnyVerdict


@dataclass(frozen=True)
class Rubric(ABC):
    """Instructions of a judge. Reasons come before scores: a verdict that is given first flips trials.

    Attributes:
        of: What is judged: a "response", or a "pair" of them.
        verdict: The class of what comes back.
        layout: Version of :meth:`user`: raise it when the same texts are laid out differently.
        name: Key in the study.
        instructions: What is judged and how the scores are meant.
        json_form: How to reply where the reply is one JSON object.
        text_form: How to reply in plain text.
    """

    of: ClassVar[Of]
    verdict: ClassVar[type[AnyVerdict]]
    layout: ClassVar[int]

    name: str
    instructions: str
    json_form: str
    text_form: str

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores, in the order in which they are to be written."""
        return self.verdict.scores

    @cached_property
    def version(self) -> str:
        """16 hexadecimal digits of every text that a judge may be shown."""
        return digest_of([self.layout, {f.name: getattr(self, f.name) for f in fields(self)}, self.schema])[:16]

    @property
    def schema(self) -> dict:
        """JSON schema of a reply: the reason, then the scores, in the order in which they are to be written."""
        score = {"type": "integer", "minimum": 0, "maximum": 100}
        return {
            "type": "object",
            "properties": {"reason": {"type": "string"}, **{name: score for name in self.scores}},
            "required": ["reason", *self.scores],
            "additionalProperties": False,
        }

    def system(self, structured: bool) -> str:
        """The part that all that is judged shares."""
        return f"{self.instructions}\n\n{self.json_form if structured else self.text_form}"

    @abstractmethod
    def user(self, judged: Judged) -> str:
        """What is judged, each text :func:`enclosed` between markers that its author cannot have known."""

    @abstractmethod
    def example(self, text: str) -> Judged:
        """Something to judge whose texts are all this one, for seeing what messages have in common."""

    def messages(self, judged: Judged, structured: bool) -> list[dict[str, str]]:
        """What is judged as chat messages."""
        return [
            {"role": "system", "content": self.system(structured)},
            {"role": "user", "content": self.user(judged)},
        ]


def enclosed(judged: Judged, names: tuple[str, ...]) -> str:
    """The texts of an item or a pair, each between marker lines.

    The markers hold a hash of the very texts that they enclose. It is the same in every run, so verdicts can be
    cached, and a text that holds its own hash cannot be written on purpose.

    Args:
        names: What the markers call each of ``judged.texts``.
    """
    tag = boundary(judged)
    return "\n\n".join(
        f"{name} BEGINS {tag}\n{text}\n{name} ENDS {tag}" for name, text in zip(names, judged.texts, strict=True)
    )


def boundary(judged: Judged) -> str:
    """The marker of an item or a pair: 12 hexadecimal digits that occur in none of its texts.

    >>> from resources.judges.items import Item
    >>> item = Item("Name a state.", "Ohio")
    >>> boundary(item) == boundary(Item("Name a state.", "Ohio", truncated=True)) != boundary(Item("", "Ohio"))
    True
    """
    turn = 0
    while True:
        text = f"judge boundary {turn} {digest_of(judged.texts)}"
        tag = hashlib.sha256(text.encode()).hexdigest()[:12]
        if not any(tag in text for text in judged.texts):
            return tag
        turn += 1

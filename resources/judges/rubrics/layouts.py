"""The two kinds of rubrics: how one response is shown to a judge, and how two are."""

from dataclasses import dataclass
from typing import ClassVar

from resources.judges.items import Item, Of, Pair
from resources.judges.rubrics.base import Rubric, enclosed
from resources.judges.verdicts import PairVerdict, Verdict


@dataclass(frozen=True)
class ResponseRubric(Rubric):
    """Instructions for judging one response to a prompt.

    Attributes:
        truncation_note: Told of an item that was cut at its length limit; empty: the judge does not see the flag.
    """

    of: ClassVar[Of] = "response"
    verdict: ClassVar[type[Verdict]] = Verdict
    layout: ClassVar[int] = 2

    truncation_note: str = ""

    @property
    def shows_truncation(self) -> bool:
        """Whether the flag is part of what the judge sees, and so of a verdict's key."""
        return bool(self.truncation_note)

    def user(self, judged: Item) -> str:
        note = f"\n\n{self.truncation_note}" if judged.truncated and self.shows_truncation else ""
        return f"{enclosed(judged, ('PROMPT', 'RESPONSE'))}{note}\n\nJudge the response."

    def example(self, text: str) -> Item:
        return Item(text, text)


@dataclass(frozen=True)
class PairRubric(Rubric):
    """Instructions for comparing two responses to one prompt."""

    of: ClassVar[Of] = "pair"
    verdict: ClassVar[type[PairVerdict]] = PairVerdict
    layout: ClassVar[int] = 1

    def user(self, judged: Pair) -> str:
        return f"{enclosed(judged, ('PROMPT', 'FIRST RESPONSE', 'SECOND RESPONSE'))}\n\nCompare the two responses."

    def example(self, text: str) -> Pair:
        return Pair(text, text, text)

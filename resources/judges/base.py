"""The interface of a judge."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from resources.endpoints.form import Progress
from resources.judges.items import Item, Pair
from resources.judges.verdicts import PairVerdict, Verdict


class Judge(ABC):
    """Gives verdicts on items or on pairs; a judge that has a rubric does what the rubric is of.

    Attributes:
        kind: "llm", "verifier" or "local".
        name: Row of the study; presentation, not identity.
        threshold: A text is valid iff all three scores reach it (see :func:`~resources.judges.verdicts.is_valid`), a
            pair is similar iff its score does (:func:`~resources.judges.verdicts.is_similar`); not part of a verdict.
    """

    kind: ClassVar[str]
    name: str
    threshold: float

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON-able description of all that determines a verdict; no endpoint, no key, no concurrency."""

    @abstractmethod
    def judge(self, items: Sequence[Item], *, progress: Progress | None = None) -> list[Verdict]:
        """Verdicts in the order of ``items``; identical items are judged once.

        Args:
            items: Texts; may be empty and may repeat.
            progress: Called with (done, total) counts of distinct items, from the thread that does the work.

        Raises:
            TooManyMissing: More than the judge's largest share of verdicts is missing.
            SettingsError: The judge's rubric is of pairs.
            BudgetReached, EndpointError: See there (LLM judges).
        """

    @abstractmethod
    def judge_pairs(self, pairs: Sequence[Pair], *, progress: Progress | None = None) -> list[PairVerdict]:
        """Whether the responses of each pair mean the same, in the order of ``pairs``; identical pairs are judged once.

        (a, b) and (b, a) are two pairs: a judge that is asked for one says nothing of the other.

        Args:
            pairs: May be empty and may repeat.
            progress: Called with (done, total) counts of distinct pairs, from the thread that does the work.

        Raises:
            TooManyMissing: More than the judge's largest share of verdicts is missing.
            SettingsError: The judge's rubric is of single responses.
            BudgetReached, EndpointError: See there (LLM judges).
        """

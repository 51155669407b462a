"""A judge that is a program: a response is valid iff it is listed or matches a pattern, a pair similar iff alike."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from resources.endpoints.errors import SettingsError
from resources.judges.base import Judge, Progress
from resources.judges.items import Item, Pair
from resources.judges.verdicts import PairVerdict, Verdict

_VERSION = 2  # raise it when the same item would be matched differently


class VerifierJudge(Judge):
    """Compares a response with the item's closed list or pattern (METHODS §5, validity of strings), or two responses.

    Args:
        name: Row of the study.
        matching: "strict": exactly the item's lead and an answer, character for character. "lenient": the same but for
            case, surrounding white space and one trailing full stop; two responses are also compared but for the
            kind and length of the white space in them. Two rows, never mixed.
        threshold: Any above 0: the scores are 100 or 0 in all places.

    A truncated response is compared like any other: the text that is there is the response.

    >>> judge = VerifierJudge("states")
    >>> [verdict.overall for verdict in judge.judge([Item("p", text, answers=("Ohio",)) for text in ("Ohio", "ohio.")])]
    [100, 0]
    >>> [verdict.overall for verdict in judge.judge([Item("p", t, pattern="[0-9]+", lead=" ") for t in (" 12", "12")])]
    [100, 0]
    >>> [verdict.similar for verdict in judge.judge_pairs([Pair("p", "Ohio", "Ohio"), Pair("p", "Ohio", "ohio")])]
    [100, 0]
    """

    kind = "verifier"

    def __init__(self, name: str, matching: Literal["strict", "lenient"] = "strict", *, threshold: float = 99):
        if matching not in ("strict", "lenient"):
            raise SettingsError(f"judge {name!r}, field matching", repr(matching), "use strict or lenient")
        if not 0 < threshold <= 100:
            raise SettingsError(f"judge {name!r}, field threshold", repr(threshold), "use a score above 0, up to 100")
        self.name, self.matching, self.threshold = name, matching, threshold

    def identity(self) -> dict[str, Any]:
        return {"kind": "verifier", "matching": self.matching, "version": _VERSION}

    def judge(self, items: Sequence[Item], *, progress: Progress | None = None) -> list[Verdict]:
        """Verdicts in the order of ``items``; every status is "ok".

        Raises:
            ValueError: An item has no closed list, or an empty one, and no pattern; or both.
        """
        known: dict[Item, Verdict] = {}
        for item in items:
            if bool(item.answers) == bool(item.pattern):
                has = "both a list of answers and a pattern" if item.answers else "neither answers nor a pattern"
                raise ValueError(
                    f"judge {self.name!r}: the item of prompt {item.prompt[:60]!r} has {has}; give the prompt one of "
                    "the two, or judge it with an LLM judge"
                )
            if item not in known:
                known[item] = self._verdict(item)
        if progress:
            progress(len(known), len(known))
        return [known[item] for item in items]

    def judge_pairs(self, pairs: Sequence[Pair], *, progress: Progress | None = None) -> list[PairVerdict]:
        """Verdicts in the order of ``pairs``; every status is "ok", and "similar" is an equivalence."""
        known = {pair: self._compared(pair) for pair in pairs}
        if progress:
            progress(len(known), len(known))
        return [known[pair] for pair in pairs]

    def _compared(self, pair: Pair) -> PairVerdict:
        first, second = (_whole_form(text, self.matching) for text in (pair.first, pair.second))
        reason = f"{'the same' if first == second else 'different'} texts ({self.matching})"
        return PairVerdict("ok", 100 if first == second else 0, reason)

    def _verdict(self, item: Item) -> Verdict:
        if item.answers:
            answer = _listed(item.answers, item.lead, self.matching).get(_form(item.response, self.matching))
            found = answer is not None
            reason = f"the listed answer {answer!r}" if found else "not a listed answer"
        else:
            found = self._matches(item)
            reason = f"{'matches' if found else 'does not match'} {item.pattern!r}"
        score = 100 if found else 0
        return Verdict("ok", score, score, score, f"{reason} ({self.matching})")

    def _matches(self, item: Item) -> bool:
        text, lead = item.response, item.lead
        if self.matching == "lenient":
            text, lead = text.strip().removesuffix(".").rstrip(), lead.strip()
            if text[: len(lead)].casefold() != lead.casefold():
                return False
            return re.fullmatch(item.pattern, text[len(lead) :].lstrip(), re.IGNORECASE) is not None
        return text.startswith(lead) and re.fullmatch(item.pattern, text[len(lead) :]) is not None


def _form(text: str, matching: str) -> str:
    """What of a text is compared."""
    return text if matching == "strict" else text.strip().removesuffix(".").rstrip().casefold()


def _whole_form(text: str, matching: str) -> str:
    """What of a response is compared with another one."""
    return text if matching == "strict" else " ".join(_form(text, matching).split())


@cache
def _listed(answers: tuple[str, ...], lead: str, matching: str) -> dict[str, str]:
    """Compared form of each answer; a list is normalised once, however many items share it."""
    return {_form(lead + answer, matching): answer for answer in answers}

"""What a judge gives back, and what is made of it. A verdict that is missing is never a bad one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from resources.judges.errors import TooManyMissing

Status = Literal["ok", "unparsable", "refused", "truncated", "failed"]
FINAL: tuple[Status, ...] = ("ok", "unparsable", "refused", "truncated")  # "failed" is tried again by a rerun


@dataclass(frozen=True)
class Verdict:
    """What a judge said of an item.

    Attributes:
        status: ``"ok"``: all three scores are known. Anything else is a *missing* verdict, never an invalid text:
            ``"unparsable"`` no unambiguous scores, ``"refused"``, ``"truncated"`` cut at the judge's own limit,
            ``"failed"`` no usable reply (not final).
        grammar: Score in 0..100, None unless ok; so are semantic and overall.
        reason: The judge's words before its scores.
        raw: The reply's text as it came, less keys.
        detail: Why the status is what it is, or how the reply was got.
        prompt_tokens: Of the reply that was labelled, as the server counts; the ledger has all replies.
        cost: Of that reply, in the price's currency.
    """

    scores: ClassVar[tuple[str, ...]] = ("grammar", "semantic", "overall")

    status: Status
    grammar: int | None = None
    semantic: int | None = None
    overall: int | None = None
    reason: str = ""
    raw: str = ""
    detail: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class PairVerdict:
    """What a judge said of a pair: how surely the two responses mean the same.

    Attributes:
        status: As in :class:`Verdict`; anything but ``"ok"`` is a *missing* verdict, never "not similar".
        similar: Score in 0..100, None unless ok.
        reason: And all that follows: as in :class:`Verdict`.
    """

    scores: ClassVar[tuple[str, ...]] = ("similar",)

    status: Status
    similar: int | None = None
    reason: str = ""
    raw: str = ""
    detail: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


AnyVerdict = Verdict | PairVerdict


def is_valid(verdict: Verdict, threshold: float) -> bool | None:
    """Whether all three scores reach the threshold (METHODS §3.4); None where the verdict is missing.

    >>> is_valid(Verdict("ok", 100, 99, 99), 99)
    True
    >>> [is_valid(Verdict("ok", *scores), 99) for scores in ((98, 99, 99), (99, 98, 99), (99, 99, 98))]
    [False, False, False]
    >>> is_valid(Verdict("refused"), 99) is None
    True
    """
    if verdict.status != "ok":
        return None
    return min(verdict.grammar, verdict.semantic, verdict.overall) >= threshold


def is_similar(verdict: PairVerdict, threshold: float) -> bool | None:
    """Whether two responses count as one meaning: the score reaches the threshold; None where it is missing.

    >>> [is_similar(PairVerdict("ok", score), 50) for score in (49, 50)], is_similar(PairVerdict("refused"), 50)
    ([False, True], None)
    """
    return None if verdict.status != "ok" else verdict.similar >= threshold


def check_missing(judge: str, verdicts: Sequence[AnyVerdict], limit: float) -> None:
    """Fail loudly when the share of missing verdicts exceeds ``limit``.

    Args:
        judge: Name, for the message.
        verdicts: One per distinct item or pair; an empty list passes.
        limit: Largest share of statuses other than "ok".

    Raises:
        TooManyMissing: With the count of each status and one example.
    """
    missing = [verdict for verdict in verdicts if verdict.status != "ok"]
    if missing and len(missing) > limit * len(verdicts):
        counts = {status: sum(verdict.status == status for verdict in missing) for status in (*FINAL[1:], "failed")}
        example = next((verdict.detail for verdict in missing if verdict.detail), "")
        raise TooManyMissing(judge, counts, len(verdicts), limit, example)

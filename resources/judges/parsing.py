"""Scores from a judge's reply. A reply that could be read in two ways is unparsable: missing, never guessed.

Only what the judge itself says may count, so the rules are strict where a quoted completion could speak instead:

- JSON is read with a JSON scanner. An object is taken whole, so that whatever its strings quote is never looked at.
- What opens like a JSON object and is none makes the reply unparsable: its insides are not searched.
- All scores standing together in a judged text, and score lines of it, are quotations wherever they appear: a text
  that is full of every combination of scores can make its own verdict missing, never good.
- Scores that are stated beside an object must agree with it.
- Several verdicts that differ, a field given twice with two values, a score out of range, a fraction, a boolean or a
  word: unparsable. Nothing is clamped or rounded.
- Without any object, lines that hold nothing but scores are read ("Grammar: 90", "**Overall**: 85/100").
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resources.judges.score_words import ScoreWords, score_words

_OBJECT_OPENS = re.compile(r"\{\s*(?:[\"'“]|\w+\s*:)")
_PLAIN_NUMBER = re.compile(r"\d{1,3}(?:\.0+)?", re.ASCII)
_REASON = re.compile(r"[\s*_#>\-•\"']*reason(?:ing)?[\s*_\"']*[:=]\s*(?P<reason>.*)", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"\s*```\w*\s*(?P<inside>.*?)\s*```\s*", re.DOTALL)
_REFUSAL = re.compile(
    r"\bI(?:['’]m| am) (?:sorry|unable|not able)\b|\bI (?:can(?:not|['’]t| not)|won['’]t|will not|must decline)\b"
    r"|\b(?:unable|not able) to (?:assist|help|comply|evaluate|judge|rate|score)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Scores:
    """What a reply says: a whole number from 0 to 100 for each name, and the words before them."""

    reason: str
    values: dict[str, int]
    alone: bool = False  # the reply is this one object and nothing else


class Unparsable(ValueError):
    """The reply gives no scores, or more than one reading; the message says which."""


class _Object(dict):
    """A JSON object that remembers whether a key was given twice with different values."""

    def __init__(self, pairs: list[tuple[str, Any]]):
        super().__init__(pairs)
        self.contradicts_itself = any(self[key] != value or type(self[key]) is not type(value) for key, value in pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_Object)


def parse_reply(text: str, names: Sequence[str], quoted: Sequence[str] = ()) -> Scores:
    """The judge's scores.

    Args:
        text: The reply.
        names: Of the scores that the rubric asks for (:attr:`~resources.judges.rubrics.Rubric.scores`).
        quoted: The judged texts (prompt and responses): score objects and score lines that stand in them are taken
            for quotations. A judge that answers with the very words of an item is therefore unparsable.

    Returns:
        The scores, from an object if there is one, else from lines of plain text.

    Raises:
        Unparsable: Naming what is wrong or ambiguous.

    >>> parse_reply('Sure: {"reason": "Not {\\\\"similar\\\\": 100}.", "similar": 7.0}', ["similar"])
    Scores(reason='Not {"similar": 100}.', values={'similar': 7}, alone=False)
    >>> names = ["grammar", "semantic", "overall"]
    >>> parse_reply("Reason: fine.\\nGrammar: 100\\nSemantic: 99/100\\n**Overall:** 98", names).values["overall"]
    98
    >>> parse_reply('{"reason": "", "grammar": "ninety", "semantic": 80, "overall": 70}', names)
    Traceback (most recent call last):
    resources.judges.parsing.Unparsable: grammar is 'ninety', not a whole number from 0 to 100
    """
    words = score_words(tuple(names))
    quotable = _quotable(quoted, words)
    scores = _read(text, quoted, words, quotable)
    if tuple(scores.values.values()) in quotable:
        said = "these scores stand together" if len(words.names) > 1 else "this score stands"
        raise Unparsable(f"{said} in the judged text, so it may be a quotation")
    return scores


def _read(text: str, quoted: Sequence[str], words: ScoreWords, quotable: set[tuple]) -> Scores:
    alone = _only_object(text, words)
    if alone is not None:
        return replace(_scores_of_object(alone, words), alone=True)
    answer = _after_thinking(text)
    objects, around = _verdict_objects(answer, words)
    if not objects:
        return _scores_of_lines(answer, quoted, words)
    read = [_scores_of_object(found, words) for found in objects if _together(found, words) not in quotable]
    if not read:
        raise Unparsable("the only scores are a quotation of the judged text")
    if any(scores.values != read[0].values for scores in read):
        raise Unparsable(f"{len(read)} verdicts that differ")
    # An object may have been closed by what it quotes; the judge's own scores then stand behind it.
    for stated in words.stated.finditer(around):
        if float(stated["value"]) != read[-1].values[words.name(stated["label"])]:
            raise Unparsable(f"{stated[0]!r} beside an object that says otherwise")
    return read[-1]


def is_refusal(text: str) -> bool:
    """Whether a reply without scores reads like a refusal.

    >>> is_refusal("I'm sorry, but I can't help with that."), is_refusal("Grammar: good")
    (True, False)
    """
    return bool(_REFUSAL.search(text))


def _after_thinking(text: str) -> str:
    """What follows a reasoning model's thoughts, for servers that leave them in the reply."""
    thoughts, end, answer = text.partition("</think>")  # noqa: RUF059
    if not end and text.lstrip().startswith("<think>"):
        raise Unparsable("the thoughts never end")
    return answer if end else text


def _only_object(text: str, words: ScoreWords) -> _Object | None:
    """The verdict, if the whole reply (but for a code fence) is one JSON object with a score in it."""
    fenced = _FENCE.fullmatch(text)
    try:
        found = _DECODER.decode(fenced["inside"] if fenced else text)
    except (ValueError, RecursionError):
        return None
    found = _lowered(found) if isinstance(found, _Object) else None
    return found if found and any(name in found for name in words.names) else None


def _lowered(found: _Object) -> _Object:
    lowered = _Object([(key.lower(), value) for key, value in found.items()])
    lowered.contradicts_itself |= found.contradicts_itself
    return lowered


def _together(found: _Object, words: ScoreWords) -> tuple:
    """An object's numbers, None for what is none; a text is a number where :func:`_whole` takes it for one."""
    values = (_number(found.get(name)) for name in words.names)
    return tuple(value if isinstance(value, int | float) else None for value in values)


def _number(value: Any) -> Any:
    """A number between quotation marks says the same."""
    return float(value) if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()) else value


def _quotable(parts: Sequence[str], words: ScoreWords) -> set[tuple]:
    """Scores that stand together in judged texts, in objects or loosely one after the other."""
    objects = {_together(found, words) for part in parts for found in _any_objects(part)}
    loose = (match for part in parts for match in words.loose.finditer(part))
    return objects | {tuple(float(match[name]) for name in words.names) for match in loose}


def _verdict_objects(text: str, words: ScoreWords) -> tuple[list[_Object], str]:
    """Top-level JSON objects that hold a score, in order, and the text around them; insides are never searched."""
    at, objects, around, kept = 0, [], [], 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if _OBJECT_OPENS.match(text, at):
                raise Unparsable(f"an object that is not JSON: {text[at : at + 60]!r}") from error
            at += 1
            continue
        found = _lowered(found)
        if any(name in found for name in words.names):
            objects.append(found)
        around.append(text[kept:at])
        at = kept = end
    return objects, " ".join([*around, text[kept:]])


def _any_objects(text: str) -> Iterable[_Object]:
    """Every verdict-like object that begins anywhere in a judged text, also inside another one."""
    for opening in _OBJECT_OPENS.finditer(text):
        try:
            found, _ = _DECODER.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        yield _lowered(found)


def _scores_of_object(found: _Object, words: ScoreWords) -> Scores:
    if found.contradicts_itself:
        raise Unparsable("a field is given twice with different values")
    _refuse_absent(found, words)
    reason = found.get("reason", "")
    values = {name: _whole(found, name) for name in words.names}
    return Scores(reason if isinstance(reason, str) else json.dumps(reason), values)


def _refuse_absent(found: dict, words: ScoreWords, more: str = "") -> None:
    absent = [name for name in words.names if name not in found]
    if absent:
        raise Unparsable(f"no {' and no '.join(absent)}{more}")


def _whole(values: dict[str, Any], name: str) -> int:
    value = _number(values[name])
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not whole or not 0 <= value <= 100:
        raise Unparsable(f"{name} is {value!r}, not a whole number from 0 to 100")
    return int(value)


def _scores_of_lines(text: str, quoted: Sequence[str], words: ScoreWords) -> Scores:
    """Scores from lines that hold nothing but labelled numbers; what stands before the first is the reason."""
    foreign = {line.strip() for part in quoted for line in part.splitlines()}
    found: dict[str, str] = {}
    reason, quotation = [], False
    for line in text.splitlines():
        parts = [part for part in re.split(r"[,;|]", line) if part.strip()]
        matches = [words.line.fullmatch(part) for part in parts]
        if not parts or not all(matches):
            if words.named.match(line):
                raise Unparsable(f"a score that is not a number: {line.strip()[:60]!r}")
            if not found:
                reason.append(line)
            continue
        if line.strip() in foreign:
            quotation = True
            continue
        for match in matches:
            name = words.name(match["label"])
            if found.setdefault(name, match["value"]) != match["value"]:
                raise Unparsable(f"two values of {name}: {found[name]} and {match['value']}")
    _refuse_absent(found, words, " besides a quotation of the judged text" if quotation else "")
    before = "\n".join(reason).strip()
    stated = _REASON.fullmatch(before)
    values = {name: _whole({name: float(found[name])}, name) for name in words.names}
    return Scores(stated["reason"].strip() if stated else before, values)

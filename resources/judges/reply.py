"""From the body of a chat completion to an answer, and from an answer to a verdict."""

import json
from dataclasses import dataclass
from typing import Any

from resources.judges.items import Judged
from resources.judges.parsing import Unparsable, is_refusal, parse_reply
from resources.judges.rubrics import Rubric
from resources.judges.score_words import score_words
from resources.judges.verdicts import AnyVerdict


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        content: The message; empty if there is none.
        finish: Why it ended: "stop", "length", "content_filter", …
        refusal: The refusal field; empty if there is none.
        measured: Whether the server counted tokens; if not, both counts are 0.
        raw: The body.
    """

    content: str
    finish: str
    refusal: str
    prompt_tokens: int
    completion_tokens: int
    measured: bool
    raw: str


class Unusable(Exception):
    """A body with status 200 that is no single answer: malformed, no or several choices. It was perhaps billed."""

    def __init__(self, detail: str, raw: str, usage: tuple[int, int] | None = None):
        super().__init__(detail)
        self.detail, self.raw, self.measured = detail, raw, usage is not None
        self.prompt_tokens, self.completion_tokens = usage or (0, 0)


def read_body(body: str) -> Answer:
    """The answer in a chat completion.

    Args:
        body: JSON text.

    Raises:
        Unusable: It is not JSON, not a chat completion, or has not exactly one choice.

    >>> read_body('{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}').content
    'hi'
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"malformed answer ({type(error).__name__})", body) from None
    data = data if isinstance(data, dict) else {}
    usage, choices = _usage(data.get("usage")), data.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        found = f"{len(choices)} choices" if isinstance(choices, list) else "no choices"
        raise Unusable(f"{found} instead of 1: {body[:200]}", body, usage)
    choice = choices[0] if isinstance(choices[0], dict) else {}
    message = choice.get("message")
    content = _text(message.get("content")) if isinstance(message, dict) else None
    if content is None:
        raise Unusable(f"no message in the choice: {body[:200]}", body, usage)
    refusal, finish = message.get("refusal"), choice.get("finish_reason")
    return Answer(content, str(finish or ""), str(refusal or ""), *(usage or (0, 0)), usage is not None, body)


def _usage(usage: Any) -> tuple[int, int] | None:
    """(prompt, completion) tokens; None if the server does not say."""
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else [None]
    return tuple(counts) if all(type(count) is int and count >= 0 for count in counts) else None


def _text(content: Any) -> str | None:
    """A message's text, which some servers send in parts; None if it is no text at all."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def is_empty(answer: Answer) -> bool:
    """Whether nothing was said, for no reason that is given (as structured output fails on some servers)."""
    return not (answer.content.strip() or answer.refusal or answer.finish in ("length", "content_filter"))


def verdict_of(answer: Answer, rubric: Rubric, judged: Judged, cost: float = 0.0) -> AnyVerdict:
    """The verdict in an answer. Only the judge's message is read; see :mod:`~resources.judges.parsing`.

    A reply that was cut at max_tokens is "truncated", unless it is one whole JSON object: nothing of that was cut,
    whereas the last number of a plain text may have been.

    Args:
        answer: What the server said.
        rubric: What was asked for.
        judged: What was judged: its texts may be quoted in the answer.
        cost: Of the answer.

    >>> from resources.judges import RUBRICS, Pair
    >>> body = '{"choices": [{"message": {"content": "I cannot judge that."}, "finish_reason": "stop"}]}'
    >>> verdict_of(read_body(body), RUBRICS["similarity-v1"], Pair("p", "a", "b")).status
    'refused'
    """

    def verdict(status, detail="", **scores) -> AnyVerdict:
        tokens = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
        return rubric.verdict(status, raw=answer.content, detail=detail, cost=cost, **tokens, **scores)

    if answer.refusal:
        return verdict("refused", f"refusal: {answer.refusal[:200]}")
    if answer.finish == "content_filter":
        return verdict("refused", "content filter")
    cut = answer.finish == "length"
    try:
        scores = parse_reply(answer.content, rubric.scores, judged.texts)
    except Unparsable as error:
        if cut:
            return verdict("truncated", "the reply was cut at max_tokens")
        if is_refusal(answer.content) and not score_words(rubric.scores).claimed.search(answer.content):
            return verdict("refused", f"no scores: {answer.content[:200]}")
        return verdict("unparsable", str(error) if answer.content.strip() else "empty reply")
    if cut and not scores.alone:
        return verdict("truncated", "the reply was cut at max_tokens")
    return verdict("ok", reason=scores.reason, **scores.values)

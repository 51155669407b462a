"""From the body of a chat completion to an answer."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        content: The message; empty if there is none.
        finish: Why it ended: "stop", "length", "content_filter", …
        refusal: The refusal field; empty if there is none.
        measured: Whether the server counted tokens; if not, both counts are 0.
        raw: The body.
        token_logprobs: ln p of each token of the message, as the server says; None if it does not.
    """

    content: str
    finish: str
    refusal: str
    prompt_tokens: int
    completion_tokens: int
    measured: bool
    raw: str
    token_logprobs: tuple[float, ...] | None = None


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
    counts = *(usage or (0, 0)), usage is not None
    return Answer(content, str(finish or ""), str(refusal or ""), *counts, body, _logprobs(choice.get("logprobs")))


def _usage(usage: Any) -> tuple[int, int] | None:
    """(prompt, completion) tokens; None if the server does not say."""
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else [None]
    return tuple(counts) if all(type(count) is int and count >= 0 for count in counts) else None


def _logprobs(found: Any) -> tuple[float, ...] | None:
    """Log-probabilities of the message's tokens; None where there are none, or not of every token."""
    tokens = found.get("content") if isinstance(found, dict) else None
    if not isinstance(tokens, list):
        return None
    values = [token.get("logprob") if isinstance(token, dict) else None for token in tokens]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    return tuple(float(value) for value in values)


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

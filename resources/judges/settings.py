"""What a judge's row in the study says of an LLM judge, checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from resources.endpoints.settings import EndpointSettings
from resources.judges.rubrics import RUBRICS, Rubric


@dataclass(frozen=True)
class LlmJudgeSettings(EndpointSettings):
    """One LLM judge.

    Identity: model, rubric, temperature, max_tokens, seed, structured. Presentation: name. Threshold: what is made of
    the scores. All else is circumstance.

    Attributes:
        rubric: Key of :data:`~resources.judges.rubrics.RUBRICS`.
        threshold: A text is valid, a pair similar, iff all scores of its verdict reach it.
        temperature: None: not sent (for models that take no other than their own).
        max_tokens: Longest reply, thoughts included.
        seed: Sent if given.
        structured: "schema": JSON schema; "text": plain text; "auto": JSON schema, and plain text where the server
            rejects it or a reply comes back empty.
        max_missing_share: Largest share of missing verdicts of one call of ``judge``.

    Raises:
        SettingsError: Naming field, value and remedy.

    >>> LlmJudgeSettings(name="gpt", model="gpt-5", endpoint="localhost:8000")
    Traceback (most recent call last):
    resources.endpoints.errors.SettingsError: judge 'gpt', field endpoint: 'localhost:8000'; remedy: write a base URL \
such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1, without user, password or query
    """

    kind: ClassVar[str] = "judge"

    rubric: str = "validity-v1"
    threshold: float = 99
    temperature: float | None = 0.0
    max_tokens: int = 512
    seed: int | None = None
    structured: Literal["auto", "schema", "text"] = "auto"
    max_missing_share: float = 0.05

    def _problems(self) -> Iterator[tuple[str, str]]:
        yield from super()._problems()
        if self.rubric not in RUBRICS:
            yield "rubric", f"use one of {', '.join(RUBRICS)}"
        if self.structured not in ("auto", "schema", "text"):
            yield "structured", "use auto, schema or text"
        if not 0 <= self.threshold <= 100:
            yield "threshold", "use a score from 0 to 100"
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            yield "temperature", "use 0 to 2, or null to send none"
        if self.max_tokens < 1:
            yield "max_tokens", "use 1 or more"
        if not 0 <= self.max_missing_share <= 1:
            yield "max_missing_share", "use a share from 0 to 1"

    @property
    def rubric_text(self) -> Rubric:
        """The rubric itself."""
        return RUBRICS[self.rubric]

    def identity(self) -> dict[str, Any]:
        """All that determines a verdict, with the hash of the rubric's text."""
        return {
            "kind": "llm",
            "model": self.model,
            "rubric": {"name": self.rubric, "version": self.rubric_text.version},
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "structured": self.structured,
        }

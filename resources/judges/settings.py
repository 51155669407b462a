"""What a judge's row in the study says of an LLM judge, checked."""

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from resources.judges.errors import SettingsError
from resources.judges.rubrics import RUBRICS, Rubric


@dataclass(frozen=True)
class LlmJudgeSettings:
    """One LLM judge.

    Identity: model, rubric, temperature, max_tokens, seed, structured. Presentation: name. Threshold: what is made of
    the scores. All else is circumstance.

    Attributes:
        name: Row of the study.
        model: The model's name at the endpoint.
        endpoint: Base URL of an OpenAI-compatible server, for example ``https://api.openai.com/v1``.
        api_key_env: Name of the environment variable that holds the key; None sends no key.
        rubric: Key of :data:`~resources.judges.rubrics.RUBRICS`.
        threshold: A text is valid, a pair similar, iff all scores of its verdict reach it.
        temperature: None: not sent (for models that take no other than their own).
        max_tokens: Longest reply, thoughts included.
        seed: Sent if given.
        structured: "schema": JSON schema; "text": plain text; "auto": JSON schema, and plain text where the server
            rejects it or a reply comes back empty.
        concurrency: Calls in flight at once.
        timeout_s: Seconds that one call may take as a whole.
        max_attempts: Calls for one item before it counts as failed.
        price_per_million: (prompt, completion) price of a million tokens; None: cost is not counted.
        max_tokens_total: Hard limit over all runs on one store: prompt and completion tokens.
        max_cost: Hard limit over all runs on one store, in the price's currency.
        max_missing_share: Largest share of missing verdicts of one call of ``judge``.

    Raises:
        SettingsError: Naming field, value and remedy.

    >>> LlmJudgeSettings(name="gpt", model="gpt-5", endpoint="localhost:8000")
    Traceback (most recent call last):
    resources.judges.errors.SettingsError: judge 'gpt', field endpoint: 'localhost:8000'; remedy: write a base URL \
such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1, without user, password or query
    """

    name: str
    model: str
    endpoint: str
    api_key_env: str | None = None
    rubric: str = "validity-v1"
    threshold: float = 99
    temperature: float | None = 0.0
    max_tokens: int = 512
    seed: int | None = None
    structured: Literal["auto", "schema", "text"] = "auto"
    concurrency: int = 8
    timeout_s: float = 60
    max_attempts: int = 6
    price_per_million: tuple[float, float] | None = None
    max_tokens_total: int | None = None
    max_cost: float | None = None
    max_missing_share: float = 0.05

    def __post_init__(self):
        for field, remedy in self._problems():
            where = f"judge {self.name!r}, field {field}"
            raise SettingsError(where, self._shown(field), remedy)

    def _shown(self, field: str) -> str:
        """A wrong value as a message may show it: without what may be a secret."""
        if field == "api_key_env":
            return "not a variable's name"  # perhaps the key itself
        value = getattr(self, field)
        return repr(value.rpartition("@")[2].partition("?")[0] if field == "endpoint" else value)

    def _problems(self):
        try:
            url = urlsplit(self.endpoint)
            bad_url = url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc or url.query
            bad_url = bad_url or url.port == 0
        except ValueError:
            bad_url = True
        if bad_url:
            yield (
                "endpoint",
                "write a base URL such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1, "
                "without user, password or query",
            )
        if not self.name or not self.model:
            yield ("model" if self.name else "name"), "write one"
        if self.api_key_env is not None and not self.api_key_env.isidentifier():
            yield "api_key_env", "write the name of an environment variable, never the key itself"
        if self.rubric not in RUBRICS:
            yield "rubric", f"use one of {', '.join(RUBRICS)}"
        if self.structured not in ("auto", "schema", "text"):
            yield "structured", "use auto, schema or text"
        if not 0 <= self.threshold <= 100:
            yield "threshold", "use a score from 0 to 100"
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            yield "temperature", "use 0 to 2, or null to send none"
        for field in ("max_tokens", "concurrency", "max_attempts"):
            if getattr(self, field) < 1:
                yield field, "use 1 or more"
        if not 0 < self.timeout_s < float("inf"):
            yield "timeout_s", "use a positive number of seconds"
        if not 0 <= self.max_missing_share <= 1:
            yield "max_missing_share", "use a share from 0 to 1"
        if self.price_per_million is not None and not all(
            0 <= price < float("inf") for price in self.price_per_million
        ):
            yield "price_per_million", "use two prices of 0 or more: prompt and completion"
        for field in ("max_tokens_total", "max_cost"):
            if getattr(self, field) is not None and not getattr(self, field) > 0:
                yield field, "use a positive limit, or null for none"
        if self.max_cost is not None and self.price_per_million is None:
            yield "max_cost", "give price_per_million too: a cost cannot be counted without prices"

    @property
    def rubric_text(self) -> Rubric:
        """The rubric itself."""
        return RUBRICS[self.rubric]

    @property
    def host(self) -> str:
        """Host (and port) of the endpoint, for messages."""
        return urlsplit(self.endpoint).netloc

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

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Price of a call, 0 without prices.

        >>> settings = LlmJudgeSettings("j", "m", "http://localhost/v1", price_per_million=(2.0, 10.0))
        >>> settings.cost(1_000_000, 500_000)
        7.0
        """
        prompt, completion = self.price_per_million or (0.0, 0.0)
        return (prompt * prompt_tokens + completion * completion_tokens) / 1e6

"""What a row of the study says of a server's model, checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from resources.endpoints.errors import SettingsError


@dataclass(frozen=True)
class EndpointSettings:
    """A model at an OpenAI-compatible endpoint: where it is and what it may cost. Of these, only ``model`` is identity.

    Attributes:
        name: Row of the study.
        model: The model's name at the endpoint.
        endpoint: Base URL of an OpenAI-compatible server, for example ``https://api.openai.com/v1``.
        api_key_env: Name of the environment variable that holds the key; None sends no key.
        concurrency: Calls in flight at once.
        timeout_s: Seconds that one call may take as a whole.
        max_attempts: Calls for one item before it counts as failed.
        price_per_million: (prompt, completion) price of a million tokens; None: cost is not counted.
        max_tokens_total: Hard limit over all runs on one store: prompt and completion tokens.
        max_cost: Hard limit over all runs on one store, in the price's currency.

    Raises:
        SettingsError: Naming field, value and remedy.
    """

    kind: ClassVar[str] = "model"

    name: str
    model: str
    endpoint: str
    api_key_env: str | None = None
    concurrency: int = 8
    timeout_s: float = 60
    max_attempts: int = 6
    price_per_million: tuple[float, float] | None = None
    max_tokens_total: int | None = None
    max_cost: float | None = None

    def __post_init__(self):
        for field, remedy in self._problems():
            raise SettingsError(f"{self.who}, field {field}", self._shown(field), remedy)

    @property
    def who(self) -> str:
        """Whose server it is, for messages."""
        return f"{self.kind} {self.name!r}"

    def _shown(self, field: str) -> str:
        """A wrong value as a message may show it: without what may be a secret."""
        if field == "api_key_env":
            return "not a variable's name"  # perhaps the key itself
        value = getattr(self, field)
        return repr(value.rpartition("@")[2].partition("?")[0] if field == "endpoint" else value)

    def _problems(self) -> Iterator[tuple[str, str]]:
        """(field, remedy) of everything that is wrong."""
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
        for field in ("concurrency", "max_attempts"):
            if getattr(self, field) < 1:
                yield field, "use 1 or more"
        if not 0 < self.timeout_s < float("inf"):
            yield "timeout_s", "use a positive number of seconds"
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
    def host(self) -> str:
        """Host (and port) of the endpoint, for messages."""
        return urlsplit(self.endpoint).netloc

    def identity(self) -> dict[str, Any]:
        """All that determines what comes of a call, besides what is asked."""
        return {"model": self.model}

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Price of a call, 0 without prices.

        >>> settings = EndpointSettings("j", "m", "http://localhost/v1", price_per_million=(2.0, 10.0))
        >>> settings.cost(1_000_000, 500_000)
        7.0
        """
        prompt, completion = self.price_per_million or (0.0, 0.0)
        return (prompt * prompt_tokens + completion * completion_tokens) / 1e6

    def api_key(self, environment: Mapping[str, str]) -> str | None:
        """The key, read when a call is needed and not before; None where the row names no variable.

        Raises:
            SettingsError: The variable is not set.
        """
        name = self.api_key_env
        if name is None:
            return None
        key = environment.get(name, "").strip()
        if not key:
            where = f"{self.who}, field api_key_env"
            raise SettingsError(where, f"environment variable {name} is not set", f"export {name}=… and run again")
        return key

"""What an API model's row in the study says, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from resources.endpoints.settings import EndpointSettings


@dataclass(frozen=True)
class ApiModelSettings(EndpointSettings):
    """A model behind a server that is asked for answers.

    Identity: model, system_prompt, parameters, fixed_sampling, logprobs. All else is circumstance or presentation.

    Attributes:
        system_prompt: First message of every conversation; None: there is none.
        parameters: Further fields of every request.
        fixed_sampling: The model takes no temperature, top_p or seed, so none is sent.
        logprobs: Ask for the log-probability of each token; a server that does not know the field is asked without.

    >>> ApiModelSettings("gpt", "gpt-x", "https://host/v1", api_key_env="sk-123")
    Traceback (most recent call last):
    resources.endpoints.errors.SettingsError: API model 'gpt', field api_key_env: not a variable's name; remedy: write \
the name of an environment variable, never the key itself
    """

    kind: ClassVar[str] = "API model"

    system_prompt: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fixed_sampling: bool = False
    logprobs: bool = True

    def identity(self) -> dict[str, Any]:
        return {
            "kind": "api",
            "model": self.model,
            "system_prompt": self.system_prompt,
            "parameters": dict(self.parameters),
            "fixed_sampling": self.fixed_sampling,
            "logprobs": self.logprobs,
        }

"""Rows of ``api_models`` and ``collapse``: models that can only be sampled, and questions asked many times.

A *speaker* is whatever can answer: a row of ``models`` or of ``api_models``. API models give no logits, so they are on
no axis of the other studies.
"""

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from calib_assets.study.judging import JudgeBudget, JudgePrice
from calib_assets.study.rows import Name, Row, Texts, partition_key

# What the client itself writes into a request.
OWN_FIELDS = (
    *("model", "messages", "n", "stream", "stream_options", "temperature", "top_p", "seed"),
    *("max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "user"),
)
# Where a server is and what it costs: never in a fingerprint.
API_CIRCUMSTANCE = frozenset(
    {"endpoint", "api_key_env", "concurrency", "timeout_s", "max_attempts", "price_per_million", "budget"}
)


class ApiModelRow(Row):
    """A model behind any OpenAI-compatible server: it can be sampled, and gives no logits."""

    name: Name
    model: str = Field(min_length=1, description="the server's name of the model")
    endpoint: str = Field(description="circumstance: base URL, such as https://api.openai.com/v1")
    api_key_env: str | None = Field(
        default=None, description="circumstance: name of the environment variable, never the key"
    )
    system_prompt: str | None = None
    parameters: dict[str, str | int | float | bool] = Field(
        default={}, description="further fields of every request, such as {reasoning_effort: low}"
    )
    fixed_sampling: bool = Field(
        default=False, description="true: the model takes no temperature, top_p or seed of ours, so none is sent"
    )
    logprobs: bool = Field(
        default=True, description="ask for the log-probability of each token; kept where the server knows it"
    )
    variant: Literal["instruct", "sft", "dpo", "rl", "think"] = Field(default="instruct", description="presentation")
    family: str = Field(default="", description="presentation: family in figures")
    size: float | None = Field(default=None, gt=0, description="presentation: parameters in billions, where known")
    licence: str = Field(default="", description="presentation: terms of use for the report")
    concurrency: int = Field(default=8, ge=1, le=1024, description="circumstance: calls in flight")
    timeout_s: float = Field(default=120.0, gt=0, description="circumstance")
    max_attempts: int = Field(default=6, ge=1, le=50, description="circumstance: tries of one call")
    price_per_million: JudgePrice | None = Field(default=None, description="circumstance: for the cost ledger")
    budget: JudgeBudget | None = Field(default=None, description="circumstance: hard limits")

    _name = field_validator("name")(partition_key)

    @field_validator("parameters")
    @classmethod
    def _not_ours(cls, value):
        for name in value:
            if name in OWN_FIELDS:
                raise ValueError(
                    f"parameters holds {name!r}, which the client writes itself; set it in the row of `collapse` or "
                    "`coding`, or see `fixed_sampling` and `logprobs`"
                )
        return value

    @model_validator(mode="after")
    def _priced(self):
        if self.budget is not None and self.budget.cost is not None and self.price_per_million is None:
            raise ValueError(f"API model {self.name!r} has a cost limit but no price; add `price_per_million`")
        return self


class History(Row):
    """Conversations in which the same question is asked again and again, with all earlier answers in view."""

    turns: int = Field(default=50, ge=2, description="questions of one conversation, one after the other")
    conversations: int = Field(default=2, ge=1, description="independent conversations")


class CollapseRow(Row):
    """One open question, asked many times: independently, and in conversations (Paper A, App. G)."""

    name: Name
    prompt: str = Field(min_length=1, description="the question, such as `Name a random city in the world.`")
    completion: str | None = Field(
        default=None, description="text that a base model continues; null: the prompt. Each answer ends with its line"
    )
    answer_prefix: str = Field(
        default="", description="beginning of a chat model's answer, given to it; not of an API model's"
    )
    samples: int = Field(default=100, ge=2, description="independent answers; more adds only the missing ones")
    history: History | None = Field(default=History(), description="null: no conversations")
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, description="null: not cut")
    max_new_tokens: int = Field(default=64, ge=1, description="of one answer, thoughts of a thinking model included")
    seed: int = Field(default=0, ge=0, description="of all random streams")
    answer: Literal["text", "first_line"] = Field(
        default="text", description="what of a chat model's message is its answer; of a base model's always a line"
    )
    matching: Literal["strict", "lenient"] = Field(
        default="strict",
        description="which answers are one in figures and findings: `strict`: equal but for outer white space, "
        "`lenient`: also but for case and a full stop at the end; the tables hold both",
    )
    answers: Texts | None = Field(default=None, description="valid answers, for coverage; null: any answer is valid")
    answers_file: str | None = Field(default=None, description="the same as a text file, one a line")
    max_missing_share: float = Field(
        default=0.05, ge=0, le=1, description="a larger share of answers that never came fails the run"
    )

    _name = field_validator("name")(partition_key)

    @model_validator(mode="after")
    def _at_most_one_list(self):
        if self.answers is not None and self.answers_file is not None:
            raise ValueError("give `answers` or `answers_file`, not both")
        return self

    @field_validator("completion", "answer_prefix")
    @classmethod
    def _no_trailing_space(cls, value: str | None) -> str | None:
        if value is not None and value != value.rstrip(" "):
            raise ValueError("it ends in a space, which tokenizers glue to the next word; end it without one")
        return value

    @property
    def calls(self) -> int:
        """Answers that are asked for of one speaker."""
        return self.samples + (0 if self.history is None else self.history.turns * self.history.conversations)


ApiModels = Annotated[tuple[ApiModelRow, ...], Strict(False)]
Collapse = Annotated[tuple[CollapseRow, ...], Strict(False)]

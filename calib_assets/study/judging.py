"""Rows of ``judges``, and the annotations that judges are held against (METHODS §3.4, §3.9)."""

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from calib_assets.study.rows import Name, Row, partition_key


class JudgePrice(Row):
    """What a judge's server asks for a million tokens, in any one currency."""

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)


class JudgeBudget(Row):
    """Hard limits of one judge over the whole store: it stops cleanly before it would pass one, and can be resumed."""

    tokens: int | None = Field(default=None, ge=1)
    cost: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="needs `price`")


class JudgeRow(Row):
    """One judge: a model behind any OpenAI-compatible server, a program that knows V, or a model of this study."""

    name: Name
    kind: Literal["llm", "verifier", "local"]
    model: str | None = Field(default=None, description="`llm`: the server's model; `local`: a model of this study")
    endpoint: str | None = Field(
        default=None,
        description="circumstance: base URL of an OpenAI-compatible server; null: the variable `CALIB_JUDGE_ENDPOINT`",
    )
    api_key_env: str | None = Field(default=None, description="name of the environment variable, never the key")
    rubric: str = "validity-v1"
    threshold: int = Field(
        default=99,
        ge=0,
        le=100,
        description="valid: all three scores at least this; `similarity-v1`: one meaning from it on (default 50)",
    )
    matching: Literal["strict", "lenient"] = Field(
        default="strict", description="`verifier`: exactly a listed answer, or up to case, outer spaces and full stop"
    )
    temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="null: not sent, for models that take no other than their own"
    )
    seed: int | None = None
    max_tokens: int = Field(default=512, ge=16, description="of one reply; `local`: of the reason")
    structured: Literal["auto", "schema", "text"] = Field(
        default="auto", description="`auto`: JSON schema, plain text where that fails"
    )
    max_missing_share: float = Field(
        default=0.05, ge=0, le=1, description="a larger share of missing judgments fails the run"
    )
    concurrency: int = Field(default=8, ge=1, le=1024, description="circumstance: calls in flight")
    timeout_s: float = Field(default=60.0, gt=0, description="circumstance")
    max_attempts: int = Field(default=6, ge=1, le=50, description="circumstance: tries of one call")
    price_per_million: JudgePrice | None = Field(default=None, description="circumstance: for the cost ledger")
    budget: JudgeBudget | None = Field(default=None, description="circumstance: hard limits")

    _name = field_validator("name")(partition_key)

    @model_validator(mode="before")
    @classmethod
    def _threshold_of_the_rubric(cls, fields):
        """The rubric cuts its scale at 50: under 99 nearly every answer would be a meaning of its own."""
        if isinstance(fields, dict) and fields.get("rubric") == "similarity-v1" and "threshold" not in fields:
            return {**fields, "threshold": 50}
        return fields

    @model_validator(mode="after")
    def _complete(self):
        if self.kind != "verifier" and not self.model:
            raise ValueError(
                f"judge {self.name!r} of kind {self.kind!r} needs `model`; write the name of the server's model (llm) "
                "or of a model of this study (local)"
            )
        if self.budget is not None and self.budget.cost is not None and self.price_per_million is None:
            raise ValueError(f"judge {self.name!r} has a cost limit but no price; add `price_per_million`")
        return self


class Annotations(Row):
    """Human judgments of items, to hold the judges against (Paper A, A.2)."""

    file: str = Field(description="CSV: item, annotator, grammar, semantic, overall; path relative to the study file")
    threshold: int = Field(default=99, ge=0, le=100, description="valid: all three scores at least this")


Judges = Annotated[tuple[JudgeRow, ...], Strict(False)]

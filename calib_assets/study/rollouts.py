"""Rows of the canopy study: what is rolled out, what people bring along, and the regression (METHODS §4)."""

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from calib_assets.stats.formula import Formula, parse_formula
from calib_assets.study.rows import Name, Numbers, Row, partition_key
from calib_assets.study.sweeps import Filter, Sampling

# The paper's step entropy is of the 100 most likely tokens, and it samples from these (Paper B §5).
PAPER_RANKS = 100
# Switches to rules of the released pipeline where it differs from the reference warpers (METHODS §5).
CANOPY_RULES = {"top_k": "top_k_exact", "top_p": "top_p_canopy"}
PANEL_COLUMNS = ("D", "R_sc", "invN_sc", "R_bar", "N_bar", "M", "task", "variant", "model_name", "model", "prompt_uid")
PAPER_MEAN = "D ~ R_sc * variant + ns(invN_sc, 4) * variant + task + (1 | prompt_uid) + (1 | model_name)"
PAPER_PRECISION = "variant * task + ns(invN_sc, 3) + R_sc * variant + model_name"


class SemanticEntropy(Row):
    """Relaxed semantic entropy: a judge says which rollouts of a prompt mean the same (METHODS §4)."""

    judge: str = Field(description="name of a judge; `similarity-v1` is the rubric of those that have one")
    rollouts: int = Field(default=24, ge=2, description="drawn from those of each prompt; fewer if there are fewer")
    prompts: int | None = Field(default=None, ge=1, description="the first so many prompts; null: all")
    seed: int = Field(default=42, ge=0, description="of the draw; the i-th prompt uses (seed, i)")


class RolloutRow(Row):
    """One kind of prompts (math, stories, …) and how every model is sampled on them (Paper B §5)."""

    name: Name = Field(description="the task in tables and in the regression")
    prompts: str = Field(description="name of a prompt set")
    max_prompts: int | None = Field(default=None, ge=1, description="the first so many prompts; null: all")
    rollouts: int = Field(default=100, ge=1, description="of each prompt; asking for more adds only the missing ones")
    seed: int = Field(default=0, ge=0, description="of all random streams")
    max_new_tokens: int = Field(default=4000, ge=1, description="T_max; a longer rollout is truncated, and flagged")
    sampling: Sampling = Field(
        default=Sampling(filters=(Filter(rule="top_k", parameter=PAPER_RANKS),)),
        description="the decoding policy; default the paper's: temperature 1, the 100 most likely tokens",
    )
    entropy_ranks: int = Field(
        default=PAPER_RANKS, ge=2, description="K: step entropies are of so many tokens, at temperature 1"
    )
    parity: Literal["canopy"] | None = Field(
        default=None,
        description="`canopy`: top-k and top-p as the released pipeline has them, ties included; its second BOS is "
        "the model's own `parity`",
    )
    relative_se: Numbers = Field(
        default=(0.1, 0.05, 0.02),
        min_length=1,
        description="standard errors, as shares of the estimate, to plan prompts and rollouts for",
    )
    semantic_entropy: SemanticEntropy | None = Field(default=None, description="null: no judge is asked")

    _name = field_validator("name")(partition_key)

    @field_validator("relative_se")
    @classmethod
    def _shares(cls, value):
        for share in value:
            if not 0 < share < 1:
                raise ValueError(f"a relative standard error lies in (0, 1), not {share}; write for example 0.05")
        return value

    def filters(self) -> list[tuple[str, int | float | None]]:
        """(rule, parameter) in the order of application, the pipeline's own rules under ``parity``."""
        swap = CANOPY_RULES if self.parity == "canopy" else {}
        return [(swap.get(item.rule, item.rule), item.parameter) for item in self.sampling.filters]


class ExternalData(Row):
    """Rollouts or a regression panel that were made elsewhere (docs/external-data.md has the columns)."""

    name: Name
    kind: Literal["rollouts", "panel"]
    file: str = Field(description="Parquet or CSV; path relative to the study file")
    columns: dict[str, str] = Field(default={}, description="our name of a column -> its name in the file")
    max_new_tokens: int | None = Field(
        default=None, ge=1, description="T_max of these rollouts; null: unknown, so there is no bound on the bias"
    )
    entropy_ranks: int = Field(default=PAPER_RANKS, ge=2, description="K of their step entropies")

    _name = field_validator("name")(partition_key)


class Regression(Row):
    """Beta mixed regression of semantic diversity (Paper B §5.2, App. C.4); the grammar is in docs/regression.md."""

    mean: str = Field(default=PAPER_MEAN, description="logit μ; random intercepts are `(1 | group)`")
    precision: str = Field(default=PAPER_PRECISION, description="ln φ")
    reference: dict[str, str] = Field(
        default={"variant": "base"},
        description="reference levels; `task` is `completion` or the first in the study unless named",
    )
    clip: float = Field(default=1e-6, gt=0, lt=0.5, description="D is clipped to [clip, 1 − clip]")
    simulations: int = Field(default=1000, ge=50, description="of the residual diagnostics")
    seed: int = Field(default=123, ge=0, description="of these simulations")

    @model_validator(mode="after")
    def _formulas_are_readable(self):
        mean, precision = (_read(name, getattr(self, name)) for name in ("mean", "precision"))
        if mean.response != "D":
            raise ValueError(f"regression.mean: the response is {mean.response!r}, not D; write `D ~ R_sc + …`")
        if precision.response is not None or precision.groups:
            raise ValueError("regression.precision has a response or a random intercept; write the fixed terms alone")
        used = {variable.column for formula in (mean, precision) for variable in formula.variables}
        unknown = sorted((used | set(mean.groups)) - set(PANEL_COLUMNS))
        if unknown:
            raise ValueError(f"regression: no column {unknown[0]!r} in the panel; it has {', '.join(PANEL_COLUMNS)}")
        return self


def _read(name: str, text: str) -> Formula:
    try:
        return parse_formula(text)
    except ValueError as error:
        raise ValueError(f"regression.{name}: {error}") from None


Rollouts = Annotated[tuple[RolloutRow, ...], Strict(False)]
External = Annotated[tuple[ExternalData, ...], Strict(False)]

"""The study file as validated data: what may be written in ``studies/*.yaml``, and nothing else.

Rows of data, never code: a model, a task, a judge or an encoder is one row. Fields are *identity* (they change
numbers) unless their description says *circumstance* (device, paths, shard sizes) or *presentation*; only identity
reaches a fingerprint, through ``calib_assets.study.slices``. Belongs here: types, ranges, cross references.
Does not belong here: reading files (``load``) or expanding answers (``answers``).
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Strict, Tag, field_validator, model_validator

from calib_assets.decoding import RULES, DecodingGrid
from calib_assets.study.coding import Coding, CodingRow
from calib_assets.study.judging import Annotations, JudgeRow, Judges
from calib_assets.study.models import (
    EncoderSource,
    ModelRow,
)
from calib_assets.study.rollouts import External, ExternalData, Regression, RolloutRow, Rollouts
from calib_assets.study.rows import Name, Numbers, Parameters, Row, partition_key
from calib_assets.study.speaking import ApiModelRow, ApiModels, Collapse, CollapseRow
from calib_assets.study.sweeps import PromptSet, PromptSets, SweepRow, Sweeps
from calib_assets.study.tasks import DigitsTask, DigitSumTask, ListTask, Task


class TemperatureRange(Row):
    """`count` temperatures from `start` to `stop`, evenly spaced (`linear`) or in ratio (`log`)."""

    start: float = Field(gt=0, allow_inf_nan=False)
    stop: float = Field(gt=0, allow_inf_nan=False)
    count: int = Field(ge=2, le=200)
    spacing: Literal["linear", "log"] = "linear"

    def values(self) -> tuple[float, ...]:
        """The temperatures, rounded to 6 significant digits so that a range equals the list it prints as."""
        steps = [index / (self.count - 1) for index in range(self.count)]
        if self.spacing == "linear":
            raw = [self.start + (self.stop - self.start) * step for step in steps]
        else:
            raw = [self.start * (self.stop / self.start) ** step for step in steps]
        return tuple(float(f"{value:.6g}") for value in raw)


class Decoding(Row):
    """The decoding grid, the validity floors and the temperatures at which sequences are listed."""

    temperatures: Annotated[
        Annotated[Numbers, Tag("list")] | Annotated[TemperatureRange, Tag("range")],
        Discriminator(lambda value: "range" if isinstance(value, dict | TemperatureRange) else "list"),
    ] = (0.5, 1.0, 1.5, 2.0)
    rules: Literal["default"] | dict[str, Literal["default"] | Parameters] = Field(
        default="default", description="`default`: every registered rule with its own grid"
    )
    validity_floors: Numbers = Field(default=(0.5, 0.8, 0.9, 0.95), min_length=1)
    sequence_temperatures: Numbers = Field(default=(0.5, 1.0, 1.5, 2.0), min_length=1)

    @field_validator("rules", mode="after")
    @classmethod
    def _known(cls, value):
        if isinstance(value, dict):
            for name in value:
                if name not in RULES:
                    raise ValueError(f"unknown rule {name!r}; registered rules are {', '.join(sorted(RULES))}")
        return value

    @field_validator("validity_floors")
    @classmethod
    def _floors(cls, value):
        for floor in value:
            if not 0 < floor <= 1:
                raise ValueError(f"a validity floor is a probability in (0, 1], not {floor}; write for example 0.8")
        return value

    @field_validator("sequence_temperatures")
    @classmethod
    def _positive(cls, value):
        for temperature in value:
            if not temperature > 0:
                raise ValueError(f"temperature {temperature} is not a distribution; write a positive number")
        return value

    @model_validator(mode="after")
    def _grid_is_valid(self):
        self.grid()
        return self

    def grid(self) -> DecodingGrid:
        """The grid that the sweep runs; every parameter has been checked by its own rule."""
        temperatures = self.temperatures
        if isinstance(temperatures, TemperatureRange):
            temperatures = temperatures.values()
        default = DecodingGrid.default(temperatures)
        if self.rules == "default":
            return default
        rules = {name: default.rules[name] if values == "default" else values for name, values in self.rules.items()}
        return DecodingGrid(temperatures=temperatures, rules=rules)


class LogitFits(Row):
    """Which conditionals get a piecewise fit (App. I): the root, and a seeded draw of the others."""

    conditionals: int = Field(default=12, ge=1, le=500)
    seed: int = 0
    top_ranks: int | None = Field(default=None, ge=10, description="fit only this many first ranks; null: all of them")


class EmbedderRow(Row):
    """The sentence encoder, for diversity in meaning."""

    name: Name
    source: EncoderSource
    document_prefix: str = ""

    _name = field_validator("name")(partition_key)


class Storage(Row):
    """Where artifacts live (circumstance). `CALIB_STORE` overrides it."""

    root: str = Field(default=".store", description="folder, or a URL such as s3://bucket/prefix")


class Budgets(Row):
    """Limits checked before any work starts."""

    trie_nodes: int = Field(default=50_000, ge=1, description="contexts scored per model and task, at the most")
    disk_gb: float = Field(default=50.0, gt=0, description="size of one logit cache, at the most")
    sweep_leaves: int = Field(default=200_000, ge=1, description="completions per model and sweep, at the most")
    judge_calls: int = Field(default=500_000, ge=1, description="judgments per model, sweep and judge, at the most")
    rollout_tokens: int = Field(
        default=200_000_000, ge=1, description="tokens sampled per model and rollout row, at the most"
    )
    api_calls: int = Field(default=100_000, ge=1, description="requests per API model and case study, at the most")


class Study(Row):
    """One study: everything that determines its numbers, in one document."""

    name: Name
    title: str
    description: str = ""
    models: Annotated[tuple[ModelRow, ...], Strict(False)] = ()
    api_models: ApiModels = ()
    tasks: Annotated[tuple[Task, ...], Strict(False)] = ()
    decoding: Decoding = Decoding()
    logit_fits: LogitFits = LogitFits()
    prompt_sets: PromptSets = ()
    sweeps: Sweeps = ()
    rollouts: Rollouts = ()
    external: External = ()
    collapse: Collapse = ()
    coding: Coding = ()
    regression: Regression = Regression()
    judges: Judges = ()
    annotations: Annotations | None = None
    embedder: EmbedderRow | None = None
    storage: Storage = Storage()
    budgets: Budgets = Budgets()

    _name = field_validator("name")(partition_key)

    @field_validator(
        *("models", "api_models", "tasks", "prompt_sets", "sweeps", "rollouts", "external", "collapse", "coding"),
        "judges",
    )
    @classmethod
    def _unique(cls, rows):
        names = [row.name for row in rows]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} is used {names.count(name)} times; give each row its own name")
        return rows

    @model_validator(mode="after")
    def _pairs_exist(self):
        names = {row.name for row in self.models}
        for row in self.models:
            if row.pair is not None and row.pair not in names:
                raise ValueError(
                    f"model {row.name!r} names {row.pair!r} as its pair, which is not a model of this study; "
                    f"models are {', '.join(sorted(names))}"
                )
        return self

    @model_validator(mode="after")
    def _something_to_do(self):
        asked, cases = self.tasks or self.sweeps or self.rollouts, self.collapse or self.coding
        if not asked and not cases and not self.external:
            raise ValueError(
                "there is nothing to compute; add a row to `tasks`, `sweeps`, `rollouts`, `external`, `collapse` or "
                "`coding`"
            )
        if asked and not self.models:
            raise ValueError("there is no model; add a row to `models`, or keep to `external` data")
        if cases and not self.speakers:
            raise ValueError("nobody is there to answer; add a row to `models` or `api_models`")
        return self

    @model_validator(mode="after")
    def _speakers_are_distinct(self):
        both = {row.name for row in self.models} & {row.name for row in self.api_models}
        if both:
            raise ValueError(
                f"the name {min(both)!r} is used in `models` and in `api_models`, so an answer would not say whose it "
                "is; rename one of them"
            )
        return self

    @model_validator(mode="after")
    def _cases_are_within_budget(self):
        for row in self.collapse if self.api_models else ():
            if row.calls > self.budgets.api_calls:
                raise ValueError(
                    f"collapse {row.name!r} needs {row.calls:,} requests, and budgets.api_calls is "
                    f"{self.budgets.api_calls:,}; raise the budget, or take fewer samples, turns or conversations"
                )
        return self

    @model_validator(mode="after")
    def _sweeps_are_complete(self):
        sets, judges = {row.name for row in self.prompt_sets}, {row.name: row for row in self.judges}
        models = {row.name for row in self.models}
        for row in self.judges:
            if row.kind == "local" and row.model not in models:
                raise ValueError(
                    f"judge {row.name!r} runs on {row.model!r}, which is not a model of this study; "
                    f"models are {', '.join(sorted(models))}"
                )
        for row in self.sweeps:
            if row.prompts not in sets:
                raise ValueError(
                    f"sweep {row.name!r} names {row.prompts!r}, which is not a prompt set of this study; "
                    f"prompt sets are {', '.join(sorted(sets)) or 'none'}"
                )
            unknown = [name for name in row.judges if name not in judges]
            if unknown:
                raise ValueError(
                    f"sweep {row.name!r} names {unknown[0]!r}, which is not a judge of this study; "
                    f"judges are {', '.join(sorted(judges)) or 'none'}"
                )
            if row.decoding is not None and self.embedder is None:
                raise ValueError(f"sweep {row.name!r} compares decoding, which needs an encoder; add `embedder`")
            self._within_budget(row)
        return self

    @model_validator(mode="after")
    def _rollouts_are_complete(self):
        sets, judges = {row.name for row in self.prompt_sets}, {row.name for row in self.judges}
        if (self.rollouts or self.external) and self.embedder is None:
            raise ValueError("the canopy study compares rollouts in meaning, which needs an encoder; add `embedder`")
        for row in self.rollouts:
            if row.prompts not in sets:
                raise ValueError(
                    f"rollouts {row.name!r} name {row.prompts!r}, which is not a prompt set of this study; "
                    f"prompt sets are {', '.join(sorted(sets)) or 'none'}"
                )
            if row.semantic_entropy is not None and row.semantic_entropy.judge not in judges:
                raise ValueError(
                    f"rollouts {row.name!r} name {row.semantic_entropy.judge!r}, which is not a judge of this study; "
                    f"judges are {', '.join(sorted(judges)) or 'none'}"
                )
        return self

    def _within_budget(self, row: SweepRow) -> None:
        leaves = row.seeds * row.leaves
        calls = leaves + row.seeds * row.sampled_leaves + row.compared_samples
        for field, count, limit in (
            ("sweep_leaves", leaves, self.budgets.sweep_leaves),
            ("judge_calls", calls, self.budgets.judge_calls),
        ):
            if count > limit:
                raise ValueError(
                    f"sweep {row.name!r} needs {count:,} for budgets.{field}, which is {limit:,}; raise the budget, "
                    "or take fewer seeds, branches or samples"
                )

    def model(self, name: str) -> ModelRow:
        """The model row called `name`; KeyError names the models there are."""
        return _by_name(self.models, name, "model")

    @property
    def speakers(self) -> tuple[ModelRow | ApiModelRow, ...]:
        """Everything that can answer: models, then API models."""
        return (*self.models, *self.api_models)

    def speaker(self, name: str) -> ModelRow | ApiModelRow:
        """The model or API model called `name`; KeyError names those there are."""
        return _by_name(self.speakers, name, "speaker")

    def collapse_row(self, name: str) -> CollapseRow:
        """The collapse row called `name`; KeyError names the rows there are."""
        return _by_name(self.collapse, name, "collapse row")

    def coding_row(self, name: str) -> CodingRow:
        """The coding row called `name`; KeyError names the rows there are."""
        return _by_name(self.coding, name, "coding row")

    def task(self, name: str) -> DigitsTask | DigitSumTask | ListTask:
        """The task row called `name`; KeyError names the tasks there are."""
        return _by_name(self.tasks, name, "task")

    def sweep(self, name: str) -> SweepRow:
        """The sweep row called `name`; KeyError names the sweeps there are."""
        return _by_name(self.sweeps, name, "sweep")

    def rollout(self, name: str) -> RolloutRow:
        """The rollouts row called `name`; KeyError names the rows there are."""
        return _by_name(self.rollouts, name, "rollouts row")

    def external_data(self, name: str) -> ExternalData:
        """The external data called `name`; KeyError names the rows there are."""
        return _by_name(self.external, name, "external data")

    def prompt_set(self, name: str) -> PromptSet:
        """The prompt set called `name`; KeyError names the sets there are."""
        return _by_name(self.prompt_sets, name, "prompt set")

    def judge(self, name: str) -> JudgeRow:
        """The judge row called `name`; KeyError names the judges there are."""
        return _by_name(self.judges, name, "judge")


def _by_name(rows, name: str, what: str):
    for row in rows:
        if row.name == name:
            return row
    raise KeyError(f"unknown {what} {name!r}; this study has {', '.join(row.name for row in rows)}")

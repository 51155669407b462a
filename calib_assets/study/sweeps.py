"""Rows of the order study: prompt sets, and sweeps of what a model could have said instead (METHODS §3)."""

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from calib_assets.decoding import RULES, DecodingGrid
from calib_assets.decoding.sweep_plan import SweepPlan
from calib_assets.study.rows import Name, Numbers, Parameters, Row, Texts, partition_key

Branches = Annotated[tuple[int | None, ...], Strict(False)]


class HubFile(Row):
    """A JSONL or Parquet file of a dataset on the Hugging Face hub, pinned by its revision or the set's `content`."""

    id: str = Field(description="hub id of the dataset, `organisation/name`")
    revision: str | None = Field(
        default=None, pattern="^[0-9a-f]{40}$", description="full commit hash; branches and tags can move"
    )
    file: str = Field(description="path of the file inside the dataset")


class PromptSet(Row):
    """Prompts: a JSONL file (one object a line, field `prompt`), or a file of a dataset on the hub.

    Optional fields of a line: `id`, `completion` (what a base model continues instead), `answers` (a closed list) or
    `pattern` (a regular expression that a right answer matches as a whole), `answer_prefix` (beginning of a chat
    model's answer), `lead` (text between that, or `completion`, and the answer; default a space), `stop` (text that
    ends an answer).
    """

    name: Name
    file: str | None = Field(default=None, description="JSONL; path relative to the study file")
    hub: HubFile | None = None
    select: Literal["all", "open", "closed"] = Field(
        default="all", description="`closed`: only prompts with `answers` or a `pattern`; `open`: only those without"
    )
    prompt_field: str = Field(default="prompt", description="name of the field that holds the prompt")
    first: int | None = Field(default=None, ge=1, description="the first so many prompts of the file; null: all")
    strip_code_fence: bool = Field(
        default=False,
        description="drop a closing code fence at the end of a prompt, which base models take for the end of the text "
        "(Paper B, C.2)",
    )
    content: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="expected digest of the selected prompts, as `calib-assets validate` prints it",
    )

    _name = field_validator("name")(partition_key)

    @model_validator(mode="after")
    def _one_source(self):
        if (self.file is None) == (self.hub is None):
            raise ValueError("give `file` or `hub`, one of the two")
        if self.hub is not None and self.hub.revision is None and self.content is None:
            raise ValueError(
                f"prompt set {self.name!r}: branches move, so results would not say which prompts made them; write "
                "the commit as `hub.revision`, or the digest of the prompts as `content`"
            )
        return self


class Prefixes(Row):
    """How the context of a seed is cut from a sampled response: a uniform number of tokens in the range."""

    min_tokens: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=20, ge=0)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self):
        if self.max_tokens < self.min_tokens:
            raise ValueError(f"max_tokens {self.max_tokens} is below min_tokens {self.min_tokens}; raise it")
        return self


class Filter(Row):
    """One truncation rule with its parameter."""

    rule: str
    parameter: int | float | None = None

    @model_validator(mode="after")
    def _known(self):
        practical_rule(self.rule, self.parameter)
        return self


class Sampling(Row):
    """A sampling policy: temperature first, then the filters in the order written."""

    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    filters: Annotated[tuple[Filter, ...], Strict(False)] = ()


class Robustness(Row):
    """Labels from sampled continuations beside the greedy ones (Paper A, A.3)."""

    samples: int = Field(default=10, ge=1, description="sampled continuations of each leaf")
    leaves: int | None = Field(default=None, ge=1, description="seeded draw of leaves of each seed; null: all")
    sampling: Literal["suggested"] | Sampling = Field(
        default="suggested", description="`suggested`: as the model's own generation_config.json says, else plain"
    )


class Comparison(Row):
    """Sampling with every rule, and with the oracle filter in the first two steps (Paper A, Table 1, App. B.4)."""

    samples: int = Field(default=16, ge=2, description="samples of each setting and seed")
    seeds: int | None = Field(default=None, ge=1, description="the first so many seeds; null: all")
    temperatures: Numbers = Field(default=(0.7, 1.0, 1.3, 1.6), min_length=1)
    rules: dict[str, Literal["default"] | Parameters] = Field(
        default={"unrestricted": "default", "top_k": (10, 50), "top_p": (0.8, 0.95), "min_p": (0.05, 0.1)},
        description="as in `decoding.rules`",
    )
    oracle_steps: int = Field(default=2, ge=1, le=3, description="steps in which only valid tokens are sampled")
    validity_floor: float = Field(default=0.8, gt=0, le=1)
    tokenization: Literal["word", "whitespace"] = Field(default="word", description="of Self-BLEU-4")

    @model_validator(mode="after")
    def _grid_is_valid(self):
        for name, parameter in self.settings():
            practical_rule(name, parameter)
        return self

    def settings(self) -> list[tuple[str, int | float | None]]:
        """(rule, parameter) of every practical strategy, in the order written."""
        found = []
        for name, values in self.rules.items():
            if name not in RULES:
                raise ValueError(f"unknown rule {name!r}; registered rules are {', '.join(sorted(RULES))}")
            grid = DecodingGrid.default((1.0,)).rules.get(name, RULES[name].default_grid)
            found += [(name, value) for value in (grid if values == "default" else values)]
        return found


class SweepRow(Row):
    """One sweep: prompts, random contexts, the tree of candidates, and who judges (Paper A §4.1, App. B.1)."""

    name: Name
    prompts: str = Field(description="name of a prompt set")
    judges: Texts = Field(min_length=1, description="names of judges; the first one's labels define the oracle filter")
    seeds: int = Field(default=10, ge=1, description="repetitions, each with a random prompt and prefix")
    seed: int = Field(
        default=0,
        ge=0,
        description="of random prompts, prefixes, branches and leaves; repetition r uses (seed, r), its samples r",
    )
    prefix: Prefixes = Prefixes()
    depth: int = Field(default=3, ge=1, le=3)
    stride: int = Field(default=10, ge=1, description="candidates are ranks 1, 1 + stride, …")
    max_rank: int = Field(default=1000, ge=1)
    branches: Branches | None = Field(
        default=None, description="candidates kept at each depth, a seeded draw; null: all of them"
    )
    max_new_tokens: int = Field(default=200, ge=1, description="of a greedy completion; a longer one is truncated")
    precision: float = Field(default=0.8, gt=0, le=1, description="recall is reported at this precision")
    robustness: Robustness | None = Field(default=None, description="null: greedy completions only")
    decoding: Comparison | None = Field(default=None, description="null: no decoding comparison")

    _name = field_validator("name")(partition_key)

    @model_validator(mode="after")
    def _levels(self):
        _ = self.plan  # checks the branches
        if len(set(self.judges)) != len(self.judges):
            raise ValueError("judges names one judge twice; remove one")
        return self

    @property
    def plan(self) -> SweepPlan:
        """How far and how densely a tree is swept."""
        return SweepPlan(self.depth, self.stride, self.max_rank, self.branches or (None,) * self.depth, self.seed)

    @property
    def leaves(self) -> int:
        """Leaves of one seed, at the most (a small vocabulary has fewer)."""
        return self.plan.leaves(self.max_rank)

    @property
    def expanded(self) -> int:
        """Nodes of one seed whose logits are needed, at the most (the root among them)."""
        return self.plan.contexts(self.max_rank)

    @property
    def sampled_leaves(self) -> int:
        """Sampled continuations of one seed for the robustness check."""
        if self.robustness is None:
            return 0
        return min(self.robustness.leaves or self.leaves, self.leaves) * self.robustness.samples

    @property
    def compared_samples(self) -> int:
        """Samples of the decoding comparison over all its seeds, the oracle filter among the strategies."""
        if self.decoding is None:
            return 0
        settings = (len(self.decoding.settings()) + 1) * len(self.decoding.temperatures)
        return settings * self.decoding.samples * min(self.decoding.seeds or self.seeds, self.seeds)


def practical_rule(name: str, parameter: int | float | None):
    """The rule of a name and parameter; ValueError if it is unknown, out of range, or needs the valid set."""
    if name not in RULES:
        raise ValueError(f"unknown rule {name!r}; registered rules are {', '.join(sorted(RULES))}")
    kind = RULES[name]
    if kind.uses_valid_set:
        raise ValueError(f"rule {name!r} needs the valid set, which open prompts do not have; remove it")
    return kind() if kind.parameter is None else kind(**{kind.parameter: parameter})


PromptSets = Annotated[tuple[PromptSet, ...], Strict(False)]
Sweeps = Annotated[tuple[SweepRow, ...], Strict(False)]

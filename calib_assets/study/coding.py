"""Rows of ``coding``: sets of programming problems, and how speakers write programs for them (Paper A, App. H)."""

import datetime
from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from calib_assets.study.livecodebench import release_files
from calib_assets.study.rows import Name, Row, Texts, partition_key

Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Strict(False)]


class LiveCodeBench(Row):
    """Problems of LiveCodeBench: files of its dataset on the hub, at a fixed commit, or files on this machine."""

    id: str = Field(default="livecodebench/code_generation_lite", description="hub id of the dataset")
    revision: str | None = Field(
        default=None, pattern="^[0-9a-f]{40}$", description="full commit hash; branches and tags can move"
    )
    release: str = Field(default="release_v6", description="`release_v6`: files 1 to 6; `v6`: the sixth; `v4_v6`")
    files: Texts | None = Field(
        default=None, min_length=1, description="JSONL files on this machine instead; relative to the study file"
    )
    first_date: str | None = Field(default=None, description="of the contest, such as 2024-08-01; null: any")
    last_date: str | None = Field(default=None, description="of the contest, included; null: any")
    difficulty: Annotated[tuple[Literal["easy", "medium", "hard"], ...], Strict(False)] | None = Field(
        default=None, min_length=1, description="null: all"
    )
    tests: Literal["all", "public"] = Field(default="all", description="`public`: leave the private tests out")

    @field_validator("first_date", "last_date")
    @classmethod
    def _is_a_date(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                datetime.date.fromisoformat(value)
            except ValueError:
                raise ValueError(f"{value!r} is no date; write it in quotes, as '2024-08-01'") from None
        return value

    @model_validator(mode="after")
    def _is_pinned(self):
        release_files(self.release)
        if self.files is None and self.revision is None:
            raise ValueError("branches move; write the dataset's commit as `revision`, or name local `files`")
        if self.first_date and self.last_date and self.first_date > self.last_date:
            raise ValueError(f"first_date {self.first_date} is after last_date {self.last_date}; swap them")
        return self


class CodeLimits(Row):
    """What one program may use while one test runs; a program that needs more fails."""

    cpu_seconds: int = Field(default=5, ge=1, description="processor time, over all its threads")
    wall_seconds: float = Field(
        default=30.0, gt=0, allow_inf_nan=False, description="by the clock: for programs that wait"
    )
    memory_mb: int = Field(default=1024, ge=128)
    output_kb: int = Field(default=1024, ge=1)
    files_mb: int = Field(default=16, ge=1, description="files that it writes, which nobody reads")
    threads: int = Field(default=32, ge=1)


class CodingRow(Row):
    """One set of problems with tests, and how programs are sampled for them."""

    name: Name
    problems: str | None = Field(default=None, description="JSONL of problems; path relative to the study file")
    livecodebench: LiveCodeBench | None = Field(default=None, description="instead of `problems`")
    max_problems: int | None = Field(default=None, ge=1, description="the first so many; null: all")
    samples: int = Field(default=10, ge=1, description="programs of each problem; more adds the missing ones")
    temperature: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="at 1 and uncut, samples are the model's own distribution"
    )
    top_p: float | None = Field(default=None, gt=0, le=1, description="null: not cut")
    top_k: int | None = Field(default=None, ge=1, description="null: not cut; API models take none")
    max_new_tokens: int = Field(default=512, ge=1)
    seed: int = Field(default=0, ge=0, description="of all random streams")
    extraction: Literal["first_fence", "last_fence", "whole"] = Field(
        default="first_fence", description="what of a chat model's answer is its program; a base model continues one"
    )
    ends_with: Literal["program", "answer"] = Field(
        default="program",
        description="`program`: sampling of a local model ends where its program does, so that what it says of it "
        "costs nothing and is no part of the sequence; `answer`: with the answer",
    )
    ks: Counts = Field(default=(1, 2, 5, 10), min_length=1, description="pass@k is reported at these k")
    limits: CodeLimits = CodeLimits()
    max_missing_share: float = Field(
        default=0.05, ge=0, le=1, description="a larger share of programs without a verdict fails the run"
    )

    _name = field_validator("name")(partition_key)

    @model_validator(mode="after")
    def _one_source(self):
        if (self.problems is None) == (self.livecodebench is None):
            raise ValueError("give `problems` or `livecodebench`, one of the two")
        if self.ends_with == "program" and self.extraction == "last_fence":
            raise ValueError("the last code block is known at the end of an answer; write `ends_with: answer` with it")
        return self

    def filters(self) -> list[tuple[str, int | float]]:
        """(rule, parameter) of the truncation of sampling, in order."""
        named = (("top_k", self.top_k), ("top_p", self.top_p))
        return [(rule, parameter) for rule, parameter in named if parameter is not None]


Coding = Annotated[tuple[CodingRow, ...], Strict(False)]

"""Rows of ``coding``: sets of programming problems, and how speakers write programs for them (Paper A, App. H)."""

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator

from calib_assets.study.rows import Name, Row, partition_key


class CodeLimits(Row):
    """What one program may use while its tests run."""

    seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False, description="of one test, on the wall clock")
    memory_mb: int = Field(default=512, ge=16)


class CodingRow(Row):
    """One set of problems with tests, and how programs are sampled for them."""

    name: Name
    problems: str = Field(description="JSONL of problems; path relative to the study file")
    kind: Literal["problems", "livecodebench"] = Field(default="problems", description="format of that file")
    max_problems: int | None = Field(default=None, ge=1, description="the first so many; null: all")
    samples: int = Field(default=10, ge=1, description="programs of each problem; more adds the missing ones")
    temperature: float = Field(default=0.8, gt=0, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, description="null: not cut")
    top_k: int | None = Field(default=None, ge=1, description="null: not cut; API models take none")
    max_new_tokens: int = Field(default=512, ge=1)
    seed: int = Field(default=0, ge=0, description="of all random streams")
    language: Literal["python"] = "python"
    limits: CodeLimits = CodeLimits()

    _name = field_validator("name")(partition_key)


Coding = Annotated[tuple[CodingRow, ...], Strict(False)]

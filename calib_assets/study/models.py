"""Rows of ``models``: where weights come from and how a model is spoken to."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, field_validator, model_validator

from calib_assets.study.rows import Name, Row, partition_key

COMMIT = re.compile(r"^[0-9a-f]{40}$")


class HubSource(Row):
    """A model on the Hugging Face hub, at one fixed revision."""

    id: str = Field(description="hub id, `organisation/name`")
    revision: str = Field(description="full commit hash, 40 hexadecimal digits; branches and tags can move")

    @field_validator("revision")
    @classmethod
    def _fixed(cls, value: str) -> str:
        if not COMMIT.match(value):
            raise ValueError(
                "branches and tags move, so a cached result would not say which weights made it; write the full "
                "commit hash (40 hexadecimal digits) shown on the model's hub page"
            )
        return value


class PackageSource(Row):
    """A GGUF file that an installed Python package carries."""

    package: str = Field(description="name of the installed distribution")
    file: str = Field(description="file name or glob inside the distribution; it must match one file")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="expected checksum of the file")


class LocalSource(Row):
    """A directory in Hugging Face format, or one GGUF file, on this machine."""

    path: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="expected checksum (one file)")


class MarkovSource(Row):
    """A first-order Markov chain from a JSON file: a model whose answers are known in closed form."""

    markov: str = Field(description="path of the JSON file (relative to the study file)")


class NgramSource(Row):
    """An encoder without weights: random features of character n-grams, for tests and machines without an encoder."""

    ngrams: int = Field(ge=8, le=65536, description="dimensions")


def _source_kind(value: object) -> str | None:
    """Which kind of source a mapping means, so that its errors speak of that kind only."""
    fields = value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else {}
    kinds = {
        "id": "HubSource",
        "package": "PackageSource",
        "path": "LocalSource",
        "markov": "MarkovSource",
        "ngrams": "NgramSource",
    }
    return next((kinds[field] for field in kinds if field in fields), None)


_UNKNOWN_SOURCE = {
    "custom_error_type": "unknown_source",
    "custom_error_message": "a source needs one of the fields `id` (hub), `package`, `path` or `markov`",
}
EncoderSource = Annotated[
    Annotated[HubSource, Tag("HubSource")]
    | Annotated[PackageSource, Tag("PackageSource")]
    | Annotated[LocalSource, Tag("LocalSource")]
    | Annotated[NgramSource, Tag("NgramSource")],
    Discriminator(_source_kind, **_UNKNOWN_SOURCE),
]
Source = Annotated[
    Annotated[HubSource, Tag("HubSource")]
    | Annotated[PackageSource, Tag("PackageSource")]
    | Annotated[LocalSource, Tag("LocalSource")]
    | Annotated[MarkovSource, Tag("MarkovSource")],
    Discriminator(_source_kind, **_UNKNOWN_SOURCE),
]


class ModelRow(Row):
    """One language model."""

    name: Name
    source: Source
    variant: Literal["base", "instruct", "sft", "dpo", "rl", "think"] = Field(
        description="`base` gets a task's completion prompt; every other variant its chat prompt"
    )
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    backend: Literal["transformers", "vllm"] = Field(
        default="transformers",
        description="what runs the model; numbers of two engines differ by rounding, so it is part of their identity",
    )
    chat_template: str = Field(default="default", description="`default` (the tokenizer's), or a Jinja template")
    system_prompt: str | None = None
    answer_prefix: str = Field(default="", description="text put after the generation prompt, before a task's own")
    thinking: bool | None = Field(default=None, description="`enable_thinking` of templates that know it")
    bos: Literal["auto", "always", "never"] = "auto"
    parity: Literal["canopy"] | None = Field(default=None, description="`canopy`: the paper's second BOS")
    family: str = Field(default="", description="presentation: family in figures")
    size: float | None = Field(default=None, gt=0, description="presentation: parameters in billions")
    pair: str | None = Field(default=None, description="name of the base (or instruct) counterpart")
    licence: str = Field(default="", description="presentation: licence note for the report")

    _name = field_validator("name")(partition_key)

    @model_validator(mode="after")
    def _engine_has_weights(self) -> "ModelRow":
        if self.backend == "vllm" and isinstance(self.source, MarkovSource):
            raise ValueError("backend: vllm runs weights, and a Markov chain has none; remove the field backend")
        return self

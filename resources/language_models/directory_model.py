"""What every engine that runs a directory of weights has in common: all that is known without loading them."""

import dataclasses
import json
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from resources.language_models.base import LanguageModel
from resources.language_models.conversion import CONVERTER, prepare_model
from resources.language_models.errors import ModelError
from resources.language_models.loading import MODELS, Loaded
from resources.language_models.sources import content_digest
from resources.language_models.spec import ModelSettings, ModelSource
from resources.language_models.suggested import SuggestedSampling, read_suggested_sampling
from resources.language_models.tokenization import TokenizerView


class DirectoryModel(LanguageModel):
    """A causal language model whose weights are a directory of config, tokenizer and safetensors.

    Args:
        source: Where the weights are.
        settings: dtype, template, BOS policy.
        cache_dir: Converted weights and remembered hashes (circumstance).
    """

    engine: str
    """What computes the logits, as the identity names it."""
    libraries: tuple[str, ...] = ("tokenizers", "torch", "transformers")
    """Distributions whose versions can change them."""

    def __init__(self, source: ModelSource, settings: ModelSettings | None, *, cache_dir: str | Path):
        self.source, self.settings, self.cache_dir = source, settings or ModelSettings(), Path(cache_dir)
        self._loaded: Loaded | None = None

    def identity(self) -> dict[str, Any]:
        settings = {
            f.name: getattr(self.settings, f.name) for f in dataclasses.fields(self.settings) if f.compare
        }
        libraries = {name: metadata.version(name) for name in self.libraries}
        return {
            "kind": self.engine,
            "content": content_digest(self.source, self.cache_dir),
            "converter": CONVERTER,
            "settings": settings,
            # "+cpu" and "+cu128" name the build, which is circumstance like the device itself
            "libraries": {name: version.partition("+")[0] for name, version in libraries.items()},
        }

    @cached_property
    def directory(self) -> Path:
        """Directory of config, tokenizer and safetensors; the first access may convert a GGUF."""
        return prepare_model(self.source, self.cache_dir)

    @cached_property
    def tokenization(self) -> TokenizerView:
        return TokenizerView(self.directory, self.settings)

    @cached_property
    def _config(self) -> dict[str, Any]:
        config = json.loads((self.directory / "config.json").read_text())
        return config.get("text_config", config)

    @property
    def vocab_size(self) -> int:
        return int(self._config["vocab_size"])

    @property
    def max_positions(self) -> int | None:
        limits = (self._config.get(name) for name in ("max_position_embeddings", "n_positions"))
        return next((int(limit) for limit in limits if limit is not None), None)

    @property
    def dtype(self) -> str:
        return self.settings.dtype

    @property
    def where(self) -> str:
        """The model in errors."""
        return f"model {self.settings.name!r}"

    def suggested_sampling(self) -> SuggestedSampling:
        return read_suggested_sampling(self.directory)

    def check_ids(
        self, context_ids: Sequence[int], tokens: Int[np.ndarray, "tokens"], longest: int, remedy: str
    ) -> None:
        """Refuse a context and tokens behind it, ``longest`` of them at most, that the model cannot take."""
        limit = self.max_positions
        if not len(context_ids):
            raise ModelError(self.where, "empty context", "give a prompt, or bos: always for a start token")
        ids = np.concatenate([np.asarray(context_ids, np.int64), tokens])
        if ids.min() < 0 or ids.max() >= self.vocab_size:
            raise ModelError(
                self.where,
                f"token ids {ids.min()}..{ids.max()} outside 0..{self.vocab_size - 1}",
                "they come from another tokenizer: make them anew with this model's",
            )
        if limit is not None and len(context_ids) + longest > limit:
            raise ModelError(self.where, f"{len(context_ids) + longest} tokens exceed its {limit} positions", remedy)

    def close(self) -> None:
        if self._loaded is not None:
            MODELS.release(self._loaded)
            self._loaded = None

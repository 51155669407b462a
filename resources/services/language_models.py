"""Language models by their row in the study."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from calib_assets.study.models import HubSource, LocalSource, MarkovSource, ModelRow, PackageSource, Source
from resources.language_models import (
    LanguageModel,
    MarkovModel,
    ModelSettings,
    ModelSource,
    VllmModel,
)
from resources.language_models.conversion import is_prepared
from resources.language_models.errors import ModelError
from resources.language_models.fitting_model import FittingModel
from resources.language_models.loading import hide_conversion_bars
from resources.language_models.vllm_options import why_no_vllm
from resources.services.environment import positive

CACHE_FOLDER = ".cache"
ROWS_VARIABLE, ROWS = "CALIB_BATCH_ROWS", 64
PROGRESS = logging.getLogger("calib_assets.progress")
_LOOKED_AT: set[tuple[ModelSource, Path]] = set()  # in this process


class LanguageModels(dg.ConfigurableResource):
    """Language models by their row in the study.

    Attributes:
        device: Circumstance: "cuda", "cpu", …; empty means the GPU if there is one.
        pack_nodes: Circumstance: contexts of one forward pass.
        batch_rows: Circumstance: rollouts that are decoded together; bounds the memory; fewer
            where a GPU's memory ends. By default what ``CALIB_BATCH_ROWS`` says, else 64.
        vllm: Circumstance: options of the engine of rows with ``backend: vllm``
            (:class:`~resources.language_models.vllm_options.EngineOptions`); empty means those of ``CALIB_VLLM``.
    """

    device: str = ""
    pack_nodes: int = 256
    batch_rows: int = Field(default_factory=lambda: positive(ROWS_VARIABLE, ROWS))
    vllm: dict[str, Any] = {}

    def open(self, row: ModelRow, root: Path, answer_prefix: str = "") -> LanguageModel:
        """A handle on a model; its weights load when logits are first asked for, once per process.

        Args:
            row: The study's row.
            root: Folder of the store; converted weights are kept under it.
            answer_prefix: Beginning of the answer that the task gives a chat model, after the model's own prefix.
        """
        if isinstance(row.source, MarkovSource):
            return MarkovModel(row.source.markov)
        if self.unready(row) is None:
            _announce_conversion(row, root / CACHE_FOLDER)
        if row.backend == "vllm":
            settings = settings_of(row, answer_prefix)
            return VllmModel(source_of(row), settings, cache_dir=root / CACHE_FOLDER, options=self.vllm)
        return FittingModel(
            source_of(row),
            settings_of(row, answer_prefix),
            cache_dir=root / CACHE_FOLDER,
            device=self.device or None,
            pack_nodes=self.pack_nodes,
        )

    def unready(self, row: ModelRow) -> str | None:
        """Why a model could not run here now (its engine is missing), or None; results that are known need none."""
        missing = why_no_vllm(row.name) if row.backend == "vllm" else None
        return None if missing is None else str(missing)


def _announce_conversion(row: ModelRow, cache: Path) -> None:
    """Say that a GGUF will be converted, which takes a while once for each store; what is wrong with it comes later."""
    source = source_of(row)
    if source.kind == "hub" or (source, cache) in _LOOKED_AT:
        return
    _LOOKED_AT.add((source, cache))
    with suppress(ModelError):
        if not is_prepared(source, cache):
            PROGRESS.info("%s: its weights are converted to files that load fast, once for this store", row.name)
            hide_conversion_bars()


def source_of(row: ModelRow) -> ModelSource:
    """Where a row's weights come from, as the model room wants it."""
    return weights_of(row.source)


def weights_of(source: Source) -> ModelSource:
    """A source of weights, as the model room wants it."""
    match source:
        case HubSource(id=name, revision=revision):
            return ModelSource(hub=name, revision=revision)
        case PackageSource(package=package, file=file, sha256=sha256):
            return ModelSource(package=package, file=file, sha256=sha256)
        case LocalSource(path=path, sha256=sha256):
            return ModelSource(path=path, sha256=sha256)
        case MarkovSource(markov=path):
            return ModelSource(markov=path)


def settings_of(row: ModelRow, answer_prefix: str = "") -> ModelSettings:
    """How a row's model is spoken to; a base model has no answer to begin."""
    return ModelSettings(
        dtype=row.dtype,
        variant=row.variant,
        chat_template=row.chat_template,
        system_prompt=row.system_prompt,
        answer_prefix="" if row.variant == "base" else row.answer_prefix + answer_prefix,
        thinking=row.thinking,
        bos=row.bos,
        parity=row.parity,
        name=row.name,
    )

"""Language models as a service: text to tokens, tokens to logits.

What a model *is* stands in :class:`ModelSource` and :class:`ModelSettings`; :func:`open_model` gives a
:class:`LanguageModel` for them. Nothing here imports torch until weights are needed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calib_assets.decoding import PrefixTrie
from resources.artifacts.cache_builder import build_logit_cache
from resources.artifacts.logit_cache import LogitCache
from resources.language_models.base import Context, Continuation, LanguageModel, Progress, Request, Tokenization
from resources.language_models.errors import (
    ChecksumError,
    CorruptFileError,
    ModelError,
    SourceError,
    TokenizationError,
)
from resources.language_models.exploration import Exploration, explore
from resources.language_models.loading import MODELS, release_models
from resources.language_models.markov import MarkovModel
from resources.language_models.packing import depth_first_rows
from resources.language_models.rollout import Rollout, RolloutRequest
from resources.language_models.spec import MarkovChain, ModelSettings, ModelSource
from resources.language_models.sweeping import expand_tree
from resources.language_models.transformers_model import TransformersModel
from resources.language_models.vllm_model import VllmModel

__all__ = [
    "MODELS",
    "ChecksumError",
    "Context",
    "Continuation",
    "CorruptFileError",
    "Exploration",
    "LanguageModel",
    "MarkovChain",
    "MarkovModel",
    "ModelError",
    "ModelSettings",
    "ModelSource",
    "Request",
    "Rollout",
    "RolloutRequest",
    "SourceError",
    "Tokenization",
    "TokenizationError",
    "TransformersModel",
    "VllmModel",
    "cache_trie_logits",
    "expand_tree",
    "explore",
    "open_model",
    "release_models",
]


def open_model(
    source: ModelSource,
    settings: ModelSettings | None = None,
    *,
    cache_dir: str | Path,
    device: str | None = None,
    backend: str = "transformers",
) -> LanguageModel:
    """The language model of a source; cheap, weights are loaded by the first request for logits.

    Args:
        source: Where the weights are.
        settings: How it is loaded and spoken to (a Markov chain has none).
        cache_dir: Converted weights and remembered hashes.
        device: Circumstance; by default the GPU if there is one. vLLM runs on what it was built for.
        backend: ``"transformers"`` or ``"vllm"``.

    Raises:
        SourceError: For a Markov chain that is none. Other sources are looked at when first used.
    """
    if source.kind == "markov":
        return MarkovModel(source.markov)
    if backend == "vllm":
        return VllmModel(source, settings, cache_dir=cache_dir)
    return TransformersModel(source, settings, cache_dir=cache_dir, device=device)


def cache_trie_logits(
    path: str | Path,
    model: LanguageModel,
    context_ids: Sequence[int],
    trie: PrefixTrie,
    *,
    fingerprint: str,
    attributes: dict[str, Any] | None = None,
    shard_bytes: int = 96 << 20,
    progress: Progress | None = None,
) -> LogitCache:
    """Build (or finish, or find) the logit cache of a model on a trie.

    Rows are computed and stored depth first, so that each shard recomputes only one path of its neighbour.
    Args and errors are those of :func:`resources.artifacts.cache_builder.build_logit_cache`; a finished cache
    is opened without loading weights.
    """
    return build_logit_cache(
        path,
        trie,
        lambda rows: model.trie_logits(context_ids, trie, rows),
        dtype=model.dtype,
        vocab_size=model.vocab_size,
        context_ids=context_ids,
        fingerprint=fingerprint,
        order=depth_first_rows(trie),
        attributes=attributes,
        shard_bytes=shard_bytes,
        progress=progress,
    )

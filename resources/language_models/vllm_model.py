"""A language model on vLLM: the same questions as on transformers, batched by vLLM's scheduler.

What is guaranteed:

- Logits are the model's own, before any processing, widened to float32 without loss: what the logit cache stores is
  what it stores for transformers, up to rounding of the engine's kernels.
- Tokens are chosen by the project's policies in float64, each request with its own random stream (:mod:`.vllm_worker`):
  rollout s of a prompt is the same whatever else is in the batch, up to rounding of the logits.
- Log-probabilities and step entropies are computed in float64 from whole rows, as on transformers. A forced
  continuation is a :class:`~calib_assets.decoding.policy.Restricted` policy that allows one token at each step.

Prefix caching shares contexts and common beginnings in blocks of tokens; it changes numbers by rounding only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from calib_assets.decoding.policy import Policy
from resources.language_models.base import Block, Continuation, Progress, Request
from resources.language_models.choosing import Chooser
from resources.language_models.continuation import Active, Ends, admission_order, check_requests, decode
from resources.language_models.directory_model import DirectoryModel
from resources.language_models.errors import ModelError
from resources.language_models.loading import MODELS, Loaded
from resources.language_models.rollout import Rollout, RolloutRequest, check_contexts, check_rollouts, distinct_contexts
from resources.language_models.sources import content_digest
from resources.language_models.spec import ModelSettings, ModelSource
from resources.language_models.tokenization import TokenizerView
from resources.language_models.vllm_options import EngineOptions, installed_vllm, why_no_vllm


class VllmModel(DirectoryModel):
    """A causal language model of any source, run by a vLLM engine in this process (one at a time).

    Args:
        source: Where the weights are.
        settings: dtype, template, BOS policy.
        cache_dir: Converted weights and remembered hashes (circumstance).
        options: How the engine is run (circumstance); empty: what the environment says.
    """

    engine = "vllm"

    def __init__(
        self,
        source: ModelSource,
        settings: ModelSettings | None = None,
        *,
        cache_dir: str | Path,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__(source, settings, cache_dir=cache_dir)
        self._options = options or {}

    def identity(self) -> dict[str, Any]:
        self._require()
        found = super().identity()
        return {**found, "libraries": {**found["libraries"], "vllm": installed_vllm()[1]}}

    @cached_property
    def tokenization(self) -> TokenizerView:
        """Asked for before weights: where vLLM is missing this says so, before anything is converted."""
        self._require()
        return TokenizerView(self.directory, self.settings)

    @property
    def max_positions(self) -> int | None:
        """One less than the model has: vLLM gives the last new token a position too."""
        limit = super().max_positions
        return None if limit is None else limit - 1

    @property
    def loaded(self) -> Loaded:
        """The engine; the first access in the process starts it.

        Raises:
            ModelError: If vLLM is missing or does not start, an option is wrong, or another engine is in use.
        """
        if self._loaded is None:
            self._require()
            options = EngineOptions.of(self._options)
            from resources.language_models.vllm_engine import Engine

            content = content_digest(self.source, self.cache_dir)
            key = (content, self.dtype, f"vllm {options.model_dump_json()}")
            if MODELS.in_use(lambda other: isinstance(other, Engine), but=key):
                remedy = "close that model first: a process runs one engine at a time"
                raise ModelError(self.where, "another vLLM engine is in use in this process", remedy)
            start = lambda: Engine(self.directory, self.dtype, options, self.where)  # noqa: E731
            self._loaded = MODELS.acquire(key, start, Engine.shutdown)
        return self._loaded

    def _require(self) -> None:
        if (missing := why_no_vllm(self.settings.name)) is not None:
            raise missing

    def tree_logits(
        self,
        context_ids: Sequence[int],
        parent: Int[np.ndarray, "nodes"],
        token: Int[np.ndarray, "nodes"],
        wanted: Int[np.ndarray, "wanted"],
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        """One request of one step for each wanted node, neighbours of the tree after each other."""
        from resources.language_models.vllm_engine import Asked

        paths = _paths(np.asarray(parent), np.asarray(token))
        longest = max((len(paths[node]) for node in wanted), default=0)
        self.check_ids(context_ids, np.asarray(token)[np.asarray(parent) >= 0], longest, "shorten the prompt")
        context = tuple(map(int, context_ids))
        order = sorted(range(len(wanted)), key=lambda i: paths[wanted[i]])
        asked = (Asked(i, (*context, *paths[wanted[i]]), Request(paths[wanted[i]])) for i in order)
        done, at_once = 0, EngineOptions.of(self._options).max_num_seqs
        for step in self.loaded.model.logits(asked, len(context) + longest, at_once):
            if not step:
                continue
            done += len(step)
            if progress:
                progress(done, len(wanted))
            yield np.array([index for index, _ in step]), np.stack([logits for _, logits in step])

    def continuations(
        self,
        context_ids: Sequence[int],
        requests: Sequence[Request],
        policy: Policy,
        max_new_tokens: int,
        *,
        stop: Callable[[tuple[int, ...]], bool] | None = None,
        batch_rows: int = 64,
        progress: Progress | None = None,
    ) -> Iterator[Continuation]:
        check_requests(requests, max_new_tokens, batch_rows)
        given = max((len(request.ids) for request in requests), default=0)
        used = np.array([token for request in requests for token in request.ids], np.int64)
        remedy = "shorten the prompt or lower max_new_tokens"
        self.check_ids(context_ids, used, given + max(max_new_tokens - 1, 0), remedy)
        ends, context = self.tokenization.end_ids, tuple(map(int, context_ids))
        if not requests or max_new_tokens == 0:
            yield from decode(None, requests, policy, 0, ends, where=self.where, progress=progress)
            return
        from resources.language_models.vllm_engine import Asked

        asked = (Asked(i, (*context, *requests[i].ids), requests[i]) for i in admission_order(requests))
        longest, when = len(context) + given, Ends(frozenset(ends), stop, max_new_tokens)
        rows = self.loaded.model.decode(asked, longest, Chooser(policy), when, batch_rows)
        for row, how in _counted(rows, len(requests), progress):
            yield Continuation(row.index, tuple(row.new), how, row.log_probability)

    def rollouts(
        self,
        requests: Sequence[RolloutRequest],
        policy: Policy,
        max_new_tokens: int,
        *,
        entropy_ranks: int = 100,
        batch_rows: int = 64,
        progress: Progress | None = None,
    ) -> Iterator[Rollout]:
        check_rollouts(requests, max_new_tokens, entropy_ranks, batch_rows)
        limits = dict(vocab_size=self.vocab_size, max_positions=self.max_positions, max_new_tokens=max_new_tokens)
        check_contexts(distinct_contexts(requests), self.where, **limits, empty=False)
        if not requests:
            return
        from resources.language_models.vllm_engine import Asked

        asked = (Asked(i, request.context_ids, request) for i, request in enumerate(requests))
        longest = max(len(request.context_ids) for request in requests)
        when = Ends(frozenset(self.tokenization.end_ids), None, max_new_tokens)
        rows = self.loaded.model.decode(asked, longest, Chooser(policy, entropy_ranks), when, batch_rows)
        for row, how in _counted(rows, len(requests), progress):
            yield Rollout(row.index, tuple(row.new), how, row.log_probability, np.array(row.entropies))


def _counted(
    rows: Iterator[tuple[Active, str]], total: int, progress: Progress | None
) -> Iterator[tuple[Active, str]]:
    """The same rows; ``progress`` is told of each."""
    for done, row in enumerate(rows, start=1):
        if progress:
            progress(done, total)
        yield row


def _paths(parent: Int[np.ndarray, "nodes"], token: Int[np.ndarray, "nodes"]) -> list[tuple[int, ...]]:
    """Tokens from the root to each node."""
    paths: list[tuple[int, ...]] = [()]
    for node in range(1, len(parent)):
        paths.append((*paths[parent[node]], int(token[node])))
    return paths

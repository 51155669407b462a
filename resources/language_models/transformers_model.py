"""A language model on transformers. torch is imported when weights are first needed, not before."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from calib_assets.decoding.policy import Policy
from resources.language_models.base import Block, Continuation, Progress, Request
from resources.language_models.continuation import admission_order, check_requests, decode, roll_out
from resources.language_models.directory_model import DirectoryModel
from resources.language_models.loading import MODELS, Loaded
from resources.language_models.packing import NoTreeMask, Pack, plan_packs
from resources.language_models.rollout import (
    Rollout,
    RolloutRequest,
    check_contexts,
    check_rollouts,
    distinct_contexts,
)
from resources.language_models.sources import content_digest
from resources.language_models.spec import ModelSettings, ModelSource

# Largest difference from a plain forward pass, relative to the largest logit, that counts as the same number.
_AGREES = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}
_BLOCK_BYTES = 1 << 28
_log = logging.getLogger(__name__)


class TransformersModel(DirectoryModel):
    """A causal language model of any source, scored by tree attention.

    Args:
        source: Where the weights are.
        settings: dtype, template, BOS policy.
        cache_dir: Converted weights and remembered hashes (circumstance).
        device: ``"cuda"``, ``"cpu"``, … (circumstance); by default the GPU if there is one.
        pack_nodes: Nodes of one forward pass (circumstance).
        tree: False forces the plain batched path; the numbers agree to rounding, the time does not.
    """

    engine = "transformers"

    def __init__(
        self,
        source: ModelSource,
        settings: ModelSettings | None = None,
        *,
        cache_dir: str | Path,
        device: str | None = None,
        pack_nodes: int = 256,
        tree: bool = True,
    ):
        super().__init__(source, settings, cache_dir=cache_dir)
        self.pack_nodes, self.tree, self._device = pack_nodes, tree, device

    @property
    def loaded(self) -> Loaded:
        """The weights; the first access in the process loads them."""
        if self._loaded is None:
            import torch

            device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
            key = (content_digest(self.source, self.cache_dir), self.dtype, device)
            self._loaded = MODELS.acquire(key, lambda: self._load(device))
        return self._loaded

    def _load(self, device: str):
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging

        config = AutoConfig.from_pretrained(self.directory, local_files_only=True)
        # sdpa has no soft cap on attention scores
        capped = getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None
        attention = {"attn_implementation": "eager"} if capped else {}
        bars = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()
        try:
            model = AutoModelForCausalLM.from_pretrained(
                self.directory, dtype=getattr(torch, self.dtype), local_files_only=True, **attention
            )
        finally:
            if bars:
                transformers_logging.enable_progress_bar()
        return model.to(device).eval()

    def tree_logits(
        self,
        context_ids: Sequence[int],
        parent: Int[np.ndarray, "nodes"],
        token: Int[np.ndarray, "nodes"],
        wanted: Int[np.ndarray, "wanted"],
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        from resources.language_models.tree_attention import why_no_tree

        parent, token, wanted = np.asarray(parent), np.asarray(token), np.asarray(wanted)
        depth = np.zeros(len(parent), np.int64)
        for node in range(1, len(parent)):
            depth[node] = depth[parent[node]] + 1
        self.check_ids(context_ids, token[parent >= 0], int(depth.max()), "shorten the prompt")
        if not self.tree or self.loaded.notes.setdefault("no_tree", why_no_tree(self.loaded.model)):
            yield from self._plain(context_ids, parent, token, wanted, progress)
            return
        done = 0
        prompt = self._prompt(context_ids)
        at_root = np.flatnonzero(wanted == 0)
        if len(at_root):
            done += 1
            yield at_root, _float32(prompt.logits)[None]
        max_rows = max(1, _BLOCK_BYTES // (4 * self.vocab_size))
        try:
            for pack in plan_packs(parent, wanted, self.pack_nodes, max_rows):
                if len(pack.keep):
                    block = self._pack_block(prompt, pack, parent, token)
                    done += len(pack.keep)
                    if progress:
                        progress(done, len(wanted))
                    yield pack.index, block
        except (
            NoTreeMask
        ) as refusal:  # raised by the first pack of a model at most, so nothing is given twice
            self.loaded.notes["no_tree"] = str(refusal)
            rest = np.setdiff1d(np.arange(len(wanted)), at_root)
            for index, logits in self._plain(context_ids, parent, token, wanted[rest], progress):
                yield rest[index], logits

    def _pack_block(self, prompt, pack: Pack, parent, token) -> np.ndarray:
        """Logits of a pack. The first pack of a loaded model is held against a plain forward pass.

        A model that ignores the mask or the positions would answer with other numbers and no error.
        """
        from resources.language_models.tree_attention import pack_logits

        model, notes = self.loaded.model, self.loaded.notes
        if notes.get("tree_verified"):
            return _float32(pack_logits(model, prompt, pack, token))
        row = int(np.argmax(pack.depth[pack.keep]))
        path = _path(parent, token, pack.nodes[pack.keep[row]])
        block = self._verify(lambda: _float32(pack_logits(model, prompt, pack, token)), row, prompt.context_ids, path)
        notes["tree_verified"] = True
        return block

    def _verify(self, compute: Callable[[], np.ndarray], row: int, context_ids, path) -> np.ndarray:
        from resources.language_models.verification import verified

        return verified(compute, self.loaded.model, row, context_ids, path, _AGREES[self.dtype])

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
        longest = max((len(request.ids) for request in requests), default=0) + max(max_new_tokens - 1, 0)
        used = np.array([token for request in requests for token in request.ids], np.int64)
        self.check_ids(context_ids, used, longest, "shorten the prompt or lower max_new_tokens")
        options = dict(stop=stop, batch_rows=batch_rows, progress=progress, where=self.where)
        ends, given = self.tokenization.end_ids, set()
        if not requests or max_new_tokens == 0:
            yield from decode(None, requests, policy, 0, ends, **options)
            return
        from resources.language_models.plain_rows import PlainRows
        from resources.language_models.row_states import RowStates
        from resources.language_models.tree_attention import why_no_tree

        model, order = self.loaded.model, admission_order(requests)
        if self.tree and not self.loaded.notes.setdefault("no_tree", why_no_tree(model)):
            rows = min(batch_rows, len(requests))
            paths = [requests[i].ids[:-1] for i in order]
            verify = None if self.loaded.notes.get("rows_verified") else self._verify
            states = RowStates(model, self._prompt(context_ids), paths, rows, longest, self.pack_nodes, verify)
            try:
                for continuation in decode(states, requests, policy, max_new_tokens, ends, **options):
                    self.loaded.notes["rows_verified"] = True
                    given.add(continuation.index)
                    yield continuation
                return
            except NoTreeMask as refusal:  # raised by the first step at most: what was given came without the batch
                self.loaded.notes["no_tree"] = str(refusal)
        self._warn_plain()
        rest = [i for i in order if i not in given]
        plain = PlainRows(model, context_ids)
        yield from decode(plain, requests, policy, max_new_tokens, ends, indexes=rest, **options)

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
        where, ends = self.where, self.tokenization.end_ids
        check_rollouts(requests, max_new_tokens, entropy_ranks, batch_rows)
        limits = dict(vocab_size=self.vocab_size, max_positions=self.max_positions, max_new_tokens=max_new_tokens)
        check_contexts(distinct_contexts(requests), where, **limits, empty=False)
        if not requests:
            return
        from resources.language_models.context_rows import ContextRows
        from resources.language_models.plain_rows import PlainRows
        from resources.language_models.tree_attention import why_no_tree

        model, notes, given = self.loaded.model, self.loaded.notes, set()
        asked = (requests, policy, max_new_tokens, ends, entropy_ranks)
        options = dict(where=where, batch_rows=batch_rows, progress=progress)
        if self.tree and not notes.setdefault("no_tree", why_no_tree(model)):
            longest = max(len(request.context_ids) for request in requests) + max_new_tokens - 1
            verify = None if notes.get("contexts_verified") else self._verify
            rows = ContextRows(model, min(batch_rows, len(requests)), longest, verify)
            try:
                for rollout in roll_out(rows, *asked, **options):
                    if rows.is_verified:
                        notes["contexts_verified"] = True
                    else:
                        given.add(rollout.index)
                    yield rollout
                return
            except NoTreeMask as refusal:  # before rows are verified: what was given is right without a mask
                notes["no_tree"] = str(refusal)
        self._warn_plain()
        rest = [i for i in range(len(requests)) if i not in given]
        yield from roll_out(PlainRows(model), *asked, indexes=rest, **options)

    def _prompt(self, context_ids):
        """States of the context, kept for the next call: the shards of one cache share it."""
        from resources.language_models.tree_attention import prefill

        prompt = self.loaded.notes.get("prompt")
        if prompt is None or prompt.context_ids != tuple(context_ids):
            prompt = self.loaded.notes["prompt"] = prefill(self.loaded.model, context_ids)
        return prompt

    def _warn_plain(self) -> None:
        if reason := self.loaded.notes.get("no_tree"):
            _log.warning("%s: no tree attention (%s); one forward pass a node", self.settings.name, reason)

    def _plain(self, context_ids, parent, token, wanted, progress) -> Iterator[Block]:
        from resources.language_models.tree_attention import plain_logits

        self._warn_plain()
        paths, done = [_path(parent, token, node) for node in wanted], 0
        for index, logits in plain_logits(self.loaded.model, context_ids, paths):
            done += len(index)
            if progress:
                progress(done, len(wanted))
            yield np.array(index), _float32(logits)


def _float32(logits) -> np.ndarray:
    return logits.float().cpu().numpy()


def _path(parent, token, node) -> list[int]:
    path = []
    while node > 0:
        path.append(int(token[node]))
        node = int(parent[node])
    return path[::-1]

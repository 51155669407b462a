"""Rows of many contexts in one batch: each brings the keys and values of its own context (rollouts).

A context is computed when its first row begins and copied into the place of every row that begins behind it; only the
latest one is held. In the table a row's context and its own tokens are the same: columns from the first on, a token's
column being its position, so rows of any context and length share a forward pass.
"""

import numpy as np
import torch

from calib_assets.decoding.heads import Heads
from resources.language_models.device_heads import leading_on_device
from resources.language_models.row_states import RowTable, Verify, float32
from resources.language_models.tree_attention import PromptStates, prefill

_SPARE = 32  # columns behind the first context, before the table has to grow


class ContextRows(RowTable):
    """The batch of a transformer with plain attention, for rows that share no context.

    Args:
        model: The transformer; :func:`~.tree_attention.why_no_tree` must be None for it.
        rows: Rows at a time, at most.
        longest: Tokens of a row with its context, at most.
        verify: Runs a step, given as a function, and holds one row's logits against another way to them:
            ``verify(step, row, context_ids, path of the row)``. It runs the first step, and the first one of rows of
            different lengths: there the shortest row is right only if the model honours the mask.
    """

    def __init__(self, model, rows: int, longest: int, verify: Verify | None = None):
        super().__init__(model, 0, longest)
        self._rows, self._verify, self._even_verified = rows, verify, False
        self._context: PromptStates | None = None
        self._given: list[tuple[tuple[int, ...], list[int]]] = []

    @property
    def is_verified(self) -> bool:
        """Whether nothing is left to verify."""
        return self._verify is None

    def enter(self, request) -> None:
        if request is None or self._context is None or self._context.context_ids != tuple(request.context_ids):
            self._context = None  # before the next one is computed: only one is held
            if request is not None:
                self._context = prefill(self._model, request.context_ids)

    def context_logits(self) -> np.ndarray:
        return float32(self._context.logits)

    @torch.inference_mode()
    def add(self, ids: tuple[int, ...]) -> None:
        row, context = len(self.lengths), self._context
        n = len(context.context_ids)
        if self._cache is None:
            self._make(context.keys_values, self._rows, min(n + _SPARE, self._longest))
        self._grow(n)
        self.lengths.append(n)
        for layer, (keys, values) in zip(self._cache.layers, context.keys_values, strict=True):
            layer.keys[row, :, :n] = keys[0]
            layer.values[row, :, :n] = values[0]
        if self._verify is not None:
            self._given.append((context.context_ids, []))

    def drop(self, row: int) -> None:
        super().drop(row)
        if self._verify is not None:
            self._given[row] = self._given[-1]
            self._given.pop()

    def step(self, tokens) -> np.ndarray:
        if self._verify is None:
            return float32(self._forward(tokens))
        for (_, own), token in zip(self._given, tokens, strict=True):
            own.append(int(token))
        is_ragged, row = min(self.lengths) < max(self.lengths), int(np.argmin(self.lengths))
        if self._even_verified and not is_ragged:
            return float32(self._forward(tokens))
        block = self._verify(lambda: float32(self._forward(tokens)), row, *self._given[row])
        self._even_verified = True
        if is_ragged:
            self._verify, self._given = None, []
        return block

    def step_heads(self, tokens, ranks: int) -> Heads:
        if self._verify is not None or self._model.device.type == "cpu":
            return super().step_heads(tokens, ranks)
        return leading_on_device(self._forward(tokens), ranks)

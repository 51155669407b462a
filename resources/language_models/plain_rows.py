"""Rows of any architecture: nothing but tokens is remembered (the slow batch of :mod:`.continuation`)."""

import numpy as np

from resources.language_models.continuation import Batch
from resources.language_models.tree_attention import plain_logits


class PlainRows(Batch):
    """A batch that remembers tokens alone and computes every row anew: slow, right for every architecture.

    Args:
        model: The transformer.
        context_ids: What all rows begin behind, unless requests come with contexts of their own.
    """

    def __init__(self, model, context_ids=()):
        self._model, self._context_ids, self._rows = model, tuple(context_ids), []

    def enter(self, request) -> None:
        self._context_ids = getattr(request, "context_ids", self._context_ids)

    def context_logits(self) -> np.ndarray:
        return next(plain_logits(self._model, self._context_ids, [()]))[1][0].float().cpu().numpy()

    def add(self, ids: tuple[int, ...]) -> None:
        self._rows.append([*self._context_ids, *ids])

    def drop(self, row: int) -> None:
        self._rows[row] = self._rows[-1]
        self._rows.pop()

    def step(self, tokens) -> np.ndarray:
        for ids, token in zip(self._rows, tokens, strict=True):
            ids.append(int(token))
        logits = [None] * len(self._rows)
        for index, block in plain_logits(self._model, (), self._rows):
            for row, values in zip(index, block.float().cpu().numpy(), strict=True):
                logits[row] = values
        return np.stack(logits)

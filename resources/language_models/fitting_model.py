"""A model on transformers that goes on with fewer rows when the memory of its device ends.

How many rows are decoded together and how many nodes go through the model at once are circumstance: a token depends on
its own row alone. So what lack of memory interrupts is asked again, with half as many, and nothing that was given is
computed twice. What fits is remembered with the weights, for the assets that follow.
"""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from resources.language_models.base import Block, Continuation, Progress
from resources.language_models.errors import ModelError
from resources.language_models.rollout import Rollout
from resources.language_models.transformers_model import TransformersModel

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found", Continuation, Rollout)
_ROWS, _NODES = "rows_that_fit", "nodes_that_fit"


class FittingModel(TransformersModel):
    """:class:`TransformersModel`, whose batches shrink until they fit. Arguments and numbers are the same.

    Raises:
        ModelError: If the weights alone, one row or one node are too much for the device. The error that torch raised
            is its cause, so that it counts as one that may pass (another process may hold the memory).
    """

    def _load(self, device: str):
        import torch

        try:
            return super()._load(device)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                self.where,
                f"its weights ({self.dtype}) do not fit in the memory of {device}: {_first_line(error)}",
                "free the device, or take a larger one, or `backend: vllm` with tensor_parallel_size in CALIB_VLLM",
            ) from error

    def rollouts(self, requests, policy, max_new_tokens, *, entropy_ranks=100, batch_rows=64, progress=None):
        def run(places: list[int], rows: int, progress: Progress) -> Iterator[Rollout]:
            part = [requests[place] for place in places]
            options = dict(entropy_ranks=entropy_ranks, batch_rows=rows, progress=progress)
            return super(FittingModel, self).rollouts(part, policy, max_new_tokens, **options)

        yield from self._halving(len(requests), batch_rows, progress, run)

    def continuations(
        self, context_ids, requests, policy, max_new_tokens, *, stop=None, batch_rows=64, progress=None
    ):
        def run(places: list[int], rows: int, progress: Progress) -> Iterator[Continuation]:
            part = [requests[place] for place in places]
            options = dict(stop=stop, batch_rows=rows, progress=progress)
            return super(FittingModel, self).continuations(context_ids, part, policy, max_new_tokens, **options)

        yield from self._halving(len(requests), batch_rows, progress, run)

    def _halving(
        self,
        n: int,
        batch_rows: int,
        progress: Progress | None,
        run: Callable[[list[int], int, Progress], Iterator[_Found]],
    ) -> Iterator[_Found]:
        """What ``run(places, rows, progress)`` gives for all ``n`` places."""
        import torch

        places, done = list(range(n)), 0
        say: Progress = lambda finished, _: progress(done + finished, n) if progress else None  # noqa: E731
        while True:
            rows = self._fits(_ROWS, batch_rows)
            given: set[int] = set()
            try:
                for found in run(places, rows, say):
                    given.add(found.index)
                    yield replace(found, index=places[found.index])
                return
            except torch.OutOfMemoryError as error:
                held = min(rows, len(places) - len(given))
                if held <= 1:
                    raise self._too_little("one row", error) from error
            finally:
                self._free()
            # Behind the handler, since the error holds the frames that hold the memory.
            places, done = [place for i, place in enumerate(places) if i not in given], done + len(given)
            self._shrink(_ROWS, "rows", held)

    def tree_logits(self, context_ids: Sequence[int], parent, token, wanted, progress=None) -> Iterator[Block]:
        import torch

        wanted, asked = np.asarray(wanted), self.pack_nodes
        places, done = np.arange(len(wanted)), 0
        say: Progress = lambda finished, _: progress(done + finished, len(wanted)) if progress else None  # noqa: E731
        while True:
            self.pack_nodes = self._fits(_NODES, asked)
            given = np.zeros(len(places), bool)
            try:
                for index, logits in super().tree_logits(context_ids, parent, token, wanted[places], say):
                    given[index] = True
                    yield places[index], logits
                return
            except torch.OutOfMemoryError as error:
                held = min(self.pack_nodes, int((~given).sum()))
                if held <= 1:
                    raise self._too_little("one node", error) from error
            finally:
                self.pack_nodes = asked
            places, done = places[~given], done + int(given.sum())
            self._shrink(_NODES, "nodes", held)

    def _fits(self, name: str, asked: int) -> int:
        """As many as asked for, or as are known to fit if these are fewer."""
        return asked if self._loaded is None else min(asked, self._loaded.notes.get(name, asked))

    def _shrink(self, name: str, what: str, held: int) -> None:
        import torch

        self.loaded.notes[name] = held // 2
        self._free()
        torch.cuda.empty_cache()  # pieces of the size that did not fit are of no use to smaller ones
        _log.warning("%s: memory ended with %d %s at a time; going on with %d", self.where, held, what, held // 2)

    def _free(self) -> None:
        """A batch and its table of keys and values name each other, so only the collector frees them."""
        if self._loaded is not None and self._loaded.model.device.type != "cpu":
            gc.collect()

    def _too_little(self, what: str, error: Exception) -> ModelError:
        remedy = "free the device, lower max_new_tokens, or take a larger one, or `backend: vllm`"
        return ModelError(self.where, f"{what} at a time does not fit in memory: {_first_line(error)}", remedy)


def _first_line(error: Exception) -> str:
    """torch's own advice on its allocator, in the lines that follow, does not apply here."""
    return str(error).partition("\n")[0]

"""Keys and values of rows that are decoded together behind one context (the batch of :mod:`.continuation`).

Every row has its place in one table of keys and values, ``[rows, heads, columns, dim]`` in each layer. A token's
column is its position: the context fills the first columns of every place, computed once and never written again, and
a row's own tokens follow. So rows of any length share a forward pass, the mask of a row says ``column <= position``
(and ``> position - window`` in sliding layers), a row that leaves is overwritten by the last one, and no step copies
what the steps before it wrote. The table grows by doubling.

What the requests give is computed for many of them at once, as the tree of their tokens (:class:`PathStates`), each
common prefix once; a row that begins copies its path.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from resources.language_models.continuation import Batch
from resources.language_models.packing import Pack
from resources.language_models.tree_attention import PromptStates, attention_masks, run_pack

Verify = Callable[[Callable[[], np.ndarray], int, Sequence[int], Sequence[int]], np.ndarray]


def float32(logits: torch.Tensor) -> np.ndarray:
    """Logits on the CPU, half precision widened exactly."""
    return logits.float().cpu().numpy()


class PathStates:
    """Keys and values of the tokens that requests give, by path from the context.

    Args:
        model: The transformer.
        prompt: States of the context.
        paths: Paths in the order in which they will be asked for; sorted ones share the most.
        max_nodes: Nodes of one forward pass, unless a single path is longer.
    """

    def __init__(self, model, prompt: PromptStates, paths: list[tuple[int, ...]], max_nodes: int):
        self._model, self._prompt, self._max_nodes = model, prompt, max_nodes
        self._paths = list(dict.fromkeys(path for path in paths if path))
        self._next = 0
        self._columns: dict[tuple[int, ...], list[int]] = {}
        self._states: list[tuple[torch.Tensor, torch.Tensor]] = []

    def get(self, path: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values ``[heads, len(path), dim]`` of a path's tokens, layer by layer."""
        while path not in self._columns:
            if self._next >= len(self._paths):
                raise ValueError(f"path {list(path)} was not announced; give all paths in the order of their use")
            self._compute()
        columns = torch.tensor(self._columns[path], device=self._model.device)
        return [(keys[0].index_select(1, columns), values[0].index_select(1, columns)) for keys, values in self._states]

    def _compute(self) -> None:
        parent, token, depth, child = [-1], [-1], [0], {}
        ends: dict[tuple[int, ...], list[int]] = {}
        while self._next < len(self._paths):
            path, node, nodes = self._paths[self._next], 0, []
            new = 0
            for at, step in enumerate(path):
                if (node, step) not in child:
                    new = len(path) - at
                    break
                node = child[node, step]
                nodes.append(node - 1)
            if ends and len(token) - 1 + new > self._max_nodes:
                break
            for step in path[len(nodes) :]:
                child[node, step] = len(token)
                parent.append(node)
                depth.append(depth[node] + 1)
                node = len(token)
                token.append(step)
                nodes.append(node - 1)
            ends[path] = nodes
            self._next += 1
        sees = np.eye(len(token), dtype=bool)
        for node in range(1, len(token)):
            if parent[node]:
                sees[node] |= sees[parent[node]]
        n = len(token) - 1
        pack = Pack(np.arange(1, n + 1), np.array(depth[1:]), sees[1:, 1:], np.array([n - 1]), np.array([0]))
        _, cache = run_pack(self._model, self._prompt, pack, np.array(token))
        n_context = len(self._prompt.context_ids)
        self._states = [(layer.keys[:, :, n_context:], layer.values[:, :, n_context:]) for layer in cache.layers]
        self._columns = ends


class _TableLayer(DynamicLayer):
    """One layer's table. ``update`` writes one token of each row at the row's own column."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, table: "RowTable"):
        super().__init__()
        self.keys, self.values, self._table = keys, values, table
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(self, key_states, value_states, *args, **kwargs):
        n, rows, columns, width = self._table.at
        self.keys[rows, :, columns] = key_states[:, :, 0]
        self.values[rows, :, columns] = value_states[:, :, 0]
        return self.keys[:n, :, :width], self.values[:n, :, :width]

    def get_seq_length(self) -> int:
        return self._table.at[3] - 1


class RowTable(Batch):
    """Rows in one table of keys and values, and the forward pass that appends a token to each.

    Args:
        model: The transformer; :func:`~.tree_attention.why_no_tree` must be None for it.
        shared: First columns of every place, which no row writes to.
        longest: Own tokens of a row, at most.
    """

    def __init__(self, model, shared: int, longest: int):
        self._model, self._shared, self._longest = model, shared, longest
        self.lengths: list[int] = []
        """Own tokens of each row so far."""
        self.at: tuple = (0, None, None, shared + 1)  # rows, their numbers, columns, width of this step
        self._cache: Cache | None = None

    def _make(self, states: list[tuple[torch.Tensor, torch.Tensor]], rows: int, columns: int) -> None:
        """An empty table for keys and values like these, layer by layer."""
        layers = []
        for pair in states:
            tables = [like.new_zeros(rows, like.shape[1], columns, like.shape[3]) for like in pair]
            layers.append(_TableLayer(*tables, self))
        self._cache = Cache(layers=layers)

    @torch.inference_mode()
    def drop(self, row: int) -> None:
        last, n = len(self.lengths) - 1, self.lengths[-1]
        if row != last:
            own = slice(self._shared, self._shared + n)
            for layer in self._cache.layers:
                layer.keys[row, :, own] = layer.keys[last, :, own]
                layer.values[row, :, own] = layer.values[last, :, own]
            self.lengths[row] = n
        self.lengths.pop()

    @torch.inference_mode()
    def _forward(self, tokens) -> torch.Tensor:
        lengths, device = np.array(self.lengths), self._model.device
        self._grow(int(lengths.max()) + 1)
        position = self._shared + lengths
        width = int(position.max()) + 1
        columns = torch.as_tensor(position, device=device)
        self.at = (len(lengths), torch.arange(len(lengths), device=device), columns, width)
        distance = position[:, None, None, None] - np.arange(width)
        logits = self._model(
            input_ids=torch.as_tensor(np.asarray(tokens), device=device)[:, None],
            position_ids=columns[:, None],
            attention_mask=attention_masks(self._model, distance >= 0, distance),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        self.lengths = [n + 1 for n in self.lengths]
        return logits

    @torch.inference_mode()
    def _grow(self, own: int) -> None:
        columns = self._cache.layers[0].keys.shape[2]
        if (needed := self._shared + own) <= columns:
            return
        wanted = max(needed, min(self._shared + self._longest, self._shared + 2 * (columns - self._shared)))
        for layer in self._cache.layers:
            for name in ("keys", "values"):
                old = getattr(layer, name)
                table = old.new_zeros(*old.shape[:2], wanted, old.shape[3])
                table[:, :, :columns] = old
                setattr(layer, name, table)


class RowStates(RowTable):
    """The batch of a transformer with plain attention behind one context.

    Args:
        model: The transformer; :func:`~.tree_attention.why_no_tree` must be None for it.
        prompt: States of the context.
        paths: What :meth:`add` will be given, in that order.
        rows: Rows at a time, at most.
        longest: Own tokens of a row, at most.
        max_nodes: Nodes of one forward pass over paths.
        verify: Runs the first step, given as a function, and holds one row's logits against another way to them:
            ``verify(step, row, context_ids, path of the row)``.
    """

    @torch.inference_mode()
    def __init__(
        self,
        model,
        prompt: PromptStates,
        paths: list[tuple[int, ...]],
        rows: int,
        longest: int,
        max_nodes: int = 256,
        verify: Verify | None = None,
    ):
        n_context = len(prompt.context_ids)
        super().__init__(model, n_context, longest)
        self._prompt, self._verify, self._given = prompt, verify, []
        self._paths = PathStates(model, prompt, paths, max_nodes)
        self._make(prompt.keys_values, rows, n_context + min(32, longest))
        for layer, (keys, values) in zip(self._cache.layers, prompt.keys_values, strict=True):
            layer.keys[:, :, :n_context] = keys
            layer.values[:, :, :n_context] = values

    def context_logits(self) -> np.ndarray:
        return float32(self._prompt.logits)

    @torch.inference_mode()
    def add(self, ids: tuple[int, ...]) -> None:
        row, n = len(self.lengths), len(ids)
        self.lengths.append(n)
        if self._verify is not None:
            self._given.append(ids)
        if not n:
            return
        self._grow(n)
        own = slice(self._shared, self._shared + n)
        for layer, (keys, values) in zip(self._cache.layers, self._paths.get(ids), strict=True):
            layer.keys[row, :, own] = keys
            layer.values[row, :, own] = values

    def step(self, tokens) -> np.ndarray:
        if self._verify is None:
            return float32(self._forward(tokens))
        row = int(np.argmax(self.lengths))
        path = (*self._given[row], int(tokens[row]))
        verify, self._verify, self._given = self._verify, None, []
        return verify(lambda: float32(self._forward(tokens)), row, self._prompt.context_ids, path)

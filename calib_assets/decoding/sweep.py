"""Validity and diversity of every configuration of a decoding grid, exactly, from the logits of a trie."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from .grid import DecodingGrid
from .recursion import Recursion, Values
from .rules import TruncationRule, Unrestricted, check_temperature
from .selections import LogitRows, bytes_per_temperature, check_logits, select_everywhere, usable_threads
from .trie import PrefixTrie

_SELECTION_BYTES = 2**30  # retained sets held at a time; more temperatures are evaluated in turns
_RECURSION_BYTES = 16 * 2**20  # values of the widest level held by one thread


@dataclass(frozen=True)
class SweepResult:
    """Exact values of every configuration.

    Attributes:
        points: One row for each configuration: ``rule``, ``parameter`` (null for rules without one),
            ``temperature``; ``validity`` Val in [0, 1] and ``log_validity`` (nats); ``diversity`` Div in [0,
            1], null where no valid sequence can be sampled (judged on the log scale: where only Val
            underflows, Div is still exact); ``sequence_precision`` and ``sequence_recall``, null if the trie
            has open nodes; ``validity_upper``, validity plus the mass of open nodes; ``retained_mean``, the
            mean size of the retained set over contexts.
        steps: One row for each configuration and step 1 .. max_depth: ``alpha`` and ``beta`` of Theorem E.1.
            Their products over steps are Prec_seq and Rec_seq; a factor is null once an earlier one is 0 (its
            condition has probability 0) and in a trie with open nodes.

    >>> trie = PrefixTrie.from_sequences([[0, 0], [1, 0]])
    >>> grid = DecodingGrid(temperatures=(1.0,), rules={"top_k": (1,)})
    >>> result = sweep(trie, np.log([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]), grid)
    >>> result.points.select("rule", "parameter", "sequence_recall").row(0)  # step 2 keeps token 1: no answer is left
    ('top_k', 1.0, 0.0)
    >>> result.steps.select("step", "alpha", "beta").rows()
    [(1, 1.0, 0.5), (2, 0.0, 0.0)]
    """

    points: pl.DataFrame
    steps: pl.DataFrame


def sweep(
    trie: PrefixTrie,
    logits: LogitRows,
    grid: DecodingGrid,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepResult:
    """Evaluate a decoding grid exactly (Paper A, sections 3 to 5; Theorem E.1).

    Every context is sorted once; temperatures and rules are then read off cumulative sums in float64, and
    Val, Div, Prec_seq and Rec_seq follow by recursion over the trie.

    Args:
        trie: The valid set.
        logits: One row of raw logits for each internal node, in the order of ``trie.internal``; a matrix or
            a mapped file. -inf marks tokens outside the support.
        grid: The configurations.
        threads: Worker threads; by default one for each available processor.
        progress: Called as ``progress(done_nodes, total_nodes)`` while contexts are evaluated.

    Returns:
        A row for each configuration, and one for each of its steps; see :class:`SweepResult`.

    Raises:
        ValueError: If the logits do not match the trie, or hold NaN or +inf.

    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> grid = DecodingGrid(temperatures=(1.0,), rules={"unrestricted": (None,), "top_k": (1,)})
    >>> result = sweep(trie, np.log([[0.4, 0.4, 0.2]]), grid)
    >>> result.points["validity"].round(9).to_list(), result.points["diversity"].round(9).to_list()
    ([0.8, 1.0], [1.0, 1.0])
    """
    groups = list(grid.groups())
    values, size = evaluate(
        trie, logits, np.array(grid.temperatures), groups, threads=threads, progress=progress
    )
    rules = [rule for group in groups for rule in group]
    keys = _keys(rules, grid.temperatures)
    validity, upper = _unit(np.exp(values.log_validity)), _unit(np.exp(values.log_validity_upper))
    points = keys.with_columns(
        validity=validity,
        log_validity=values.log_validity,
        diversity=_unit(np.exp(values.entropy) / trie.n_answers),
        sequence_precision=values.sequence_precision,
        sequence_recall=values.sequence_recall,
        validity_upper=upper,
        retained_mean=size,
    )
    n_steps = trie.max_depth
    steps = keys[np.repeat(np.arange(keys.height), n_steps)].with_columns(
        step=np.tile(np.arange(1, n_steps + 1), keys.height),
        alpha=values.alpha.T.ravel(),
        beta=values.beta.T.ravel(),
    )
    nullable = ["diversity", "sequence_precision", "sequence_recall"]
    return SweepResult(
        points.with_columns(pl.col(nullable).fill_nan(None)),
        steps.with_columns(pl.col("alpha", "beta").fill_nan(None)),
    )


def evaluate(
    trie: PrefixTrie,
    logits: LogitRows,
    temperatures: Float[np.ndarray, "temperatures"],
    groups: Sequence[Sequence[TruncationRule]],
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Values, Float[np.ndarray, "c"]]:
    """Values and mean retained set size of every rule setting (outer) at every temperature (inner)."""
    check_logits(trie, logits)
    n_rules = sum(len(group) for group in groups)
    turn = max(1, _SELECTION_BYTES // bytes_per_temperature(trie, n_rules))
    turns = [slice(first, first + turn) for first in range(0, temperatures.size, turn)]
    total, done = trie.internal.size * len(turns), 0

    def on_nodes(n: int) -> None:
        nonlocal done
        done += n
        if progress is not None:
            progress(done // len(turns), total // len(turns))

    parts, sizes = [], []
    for chosen in turns:
        part = temperatures[chosen]
        selections = select_everywhere(trie, logits, part, groups, threads=threads, on_nodes=on_nodes)
        widest = int(np.diff(trie.level_start).max()) * n_rules * 8
        step = max(1, _RECURSION_BYTES // widest)
        pieces = [slice(first, first + step) for first in range(0, part.size, step)]
        with ThreadPoolExecutor(usable_threads(threads)) as pool:
            parts += pool.map(lambda piece, s=selections: Recursion(trie, s, piece).values(), pieces)
        sizes.append(selections.size.mean(axis=0))
    order = np.arange(temperatures.size * n_rules).reshape(temperatures.size, n_rules).T.ravel()
    joined = {
        name: np.concatenate([getattr(p, name) for p in parts], axis=-1) for name in Values.__annotations__
    }
    values = Values(**{name: array[..., order] for name, array in joined.items()})
    return values, np.concatenate(sizes).ravel()[order]


def sequence_log_probabilities(
    trie: PrefixTrie, logits: LogitRows, temperatures: Sequence[float], *, threads: int | None = None
) -> Float[np.ndarray, "temperatures sequences"]:
    """Log-probability (nats) of every valid sequence under temperature alone (Paper A, Figures 5 and 10).

    Args:
        trie: The valid set.
        logits: As :func:`sweep`.
        temperatures: Positive.
        threads: As :func:`sweep`.

    Returns:
        Column ``i`` is the sequence that ends at node ``trie.leaves[i]``; it spells answer
        ``trie.answer[trie.leaves[i]]``.

    Raises:
        ValueError: If a temperature is not positive and finite, or the logits do not match the trie.

    >>> trie = PrefixTrie.from_sequences([[0, 1], [1, 0]])
    >>> found = sequence_log_probabilities(trie, np.log([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]), [1.0])
    >>> np.exp(found).round(9).tolist()  # 0.6 * 0.7, 0.4 * 0.5
    [[0.42, 0.2]]
    """
    check_logits(trie, logits)
    values = np.array([check_temperature(temperature) for temperature in temperatures])
    unrestricted = [[Unrestricted()]]
    selections = select_everywhere(trie, logits, values, unrestricted, threads=threads)
    return Recursion(trie, selections, slice(None)).log_leaves().T


def answer_log_probabilities(
    trie: PrefixTrie, logits: LogitRows, temperatures: Sequence[float], *, threads: int | None = None
) -> Float[np.ndarray, "temperatures answers"]:
    """Log-probability (nats) of every answer, summed over its sequences; -inf if none was found.

    Args:
        trie: The valid set.
        logits: As :func:`sweep`.
        temperatures: Positive.
        threads: As :func:`sweep`.

    Returns:
        Column ``i`` is answer ``i``.

    Raises:
        ValueError: As :func:`sequence_log_probabilities`.

    >>> trie = PrefixTrie.from_sequences([[0, 1], [1, 0]], answers=[0, 0])  # two ways to spell one answer
    >>> found = answer_log_probabilities(trie, np.log([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]]), [1.0])
    >>> np.exp(found).round(9).tolist()
    [[0.62]]
    """
    by_sequence = sequence_log_probabilities(trie, logits, temperatures, threads=threads)
    result = np.full((by_sequence.shape[0], trie.n_answers), -np.inf)
    np.logaddexp.at(result, (slice(None), trie.answer[trie.leaves]), by_sequence)
    return result


def _keys(rules: Sequence[TruncationRule], temperatures: Sequence[float]) -> pl.DataFrame:
    """Columns rule, parameter, temperature; temperature varies fastest."""
    parameters = [None if rule.parameter is None else float(getattr(rule, rule.parameter)) for rule in rules]
    return pl.DataFrame(
        {
            "rule": [rule.name for rule in rules for _ in temperatures],
            "parameter": [parameter for parameter in parameters for _ in temperatures],
            "temperature": list(temperatures) * len(rules),
        },
        schema={"rule": pl.String, "parameter": pl.Float64, "temperature": pl.Float64},
    )


def _unit(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] that rounding put just above 1, put back."""
    return np.where((values > 1) & (values < 1 + 1e-9), 1.0, values)

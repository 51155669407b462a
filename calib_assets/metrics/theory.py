"""Bounds beside measurements: tables behind the theory figures (METHODS §2; Paper A, Appendices E and F)."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from calib_assets.decoding import RULES
from calib_assets.metrics.bounds import (
    diversity_bound_f4,
    diversity_bound_f5,
    diversity_bound_finite_vocabulary,
    recall_bound,
)
from calib_assets.metrics.hardness import recall_ceiling, step_hardness

# 1 − Val carries the rounding of sums over a vocabulary. Rounded down, ε would overstate the bounds (which
# are equalities on one-step geometric tasks), so this much is added.
EPSILON_RESOLUTION = 1e-12
_PRECISION_TOLERANCE = 1e-12
E3_SCHEMA = {
    "eta": pl.Float64,
    "rho": pl.Float64,
    "hard_steps": pl.Int64,
    "delta": pl.Float64,
    "bound": pl.Float64,
    "measured_best_recall": pl.Float64,
    "recall_ceiling": pl.Float64,
}
F4_SCHEMA = {
    "temperature": pl.Float64,
    "validity": pl.Float64,
    "diversity": pl.Float64,
    "epsilon": pl.Float64,
    "bound_f4": pl.Float64,
    "bound_f5": pl.Float64,
    "bound_finite_vocabulary": pl.Float64,
    "branching_length": pl.Int64,
    "assumption_holds": pl.Boolean,
}


def theory_e3(
    trie,
    logits,
    points: pl.DataFrame,
    deltas: Sequence[float] = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5),
    etas: Sequence[float] = (0.01, 0.05, 0.1, 0.2, 0.5),
) -> pl.DataFrame:
    """Theorem E.3 with certified hardness, the certified recall ceiling, and the best measured recall.

    For each (η, δ) the steps' certified ρ_t(η) are sorted; "m steps are (η, ρ)-hard" holds with ρ the m-th
    largest, and the row names the m with the smallest bound (of equal bounds the largest m).

    Args:
        trie: `PrefixTrie` of the valid sequences, fully explored.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        points: Sweep points with rule, sequence_precision, sequence_recall. Only rank rules count as
            measured: hardness is certified over cutoff strategies, which typical-p and the validity oracle
            are not.
        deltas: Sequence precision is at least 1 − δ, each in [0, 1).
        etas: Precision losses η > 0, nats.

    Returns:
        Columns of `E3_SCHEMA`, one row per η and δ. ``rho`` is infinite where no strategy meets η at those
        steps; ``hard_steps`` 0 (and bound 1) where no step is hard; ``measured_best_recall`` null where no
        measured rule reaches the precision. measured <= ceiling and measured <= bound always.

    Raises:
        ValueError: As `step_hardness` and `recall_bound`.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> logits = np.log([[0.5, 0.2, 0.3]])  # the valid tokens 0 and 1 stand at ranks 1 and 3
    >>> points = pl.DataFrame({"rule": ["top_k"] * 2, "sequence_precision": [1.0, 2 / 3],
    ...                        "sequence_recall": [0.5, 1.0]})
    >>> table = theory_e3(trie, logits, points, deltas=[0.0, 0.4], etas=[0.1])
    >>> table.select("delta", "hard_steps", pl.col("bound", "recall_ceiling").round(6), "measured_best_recall").rows()
    [(0.0, 1, 0.5, 0.5, 0.5), (0.4, 1, 1.0, 1.0, 1.0)]
    """
    rank_rules = [name for name, rule in RULES.items() if rule.is_rank_rule]
    measured = points.filter(pl.col("rule").is_in(rank_rules))
    hardness = step_hardness(trie, logits, etas)
    ceilings = recall_ceiling(trie, logits, [1 - delta for delta in deltas])
    rows = []
    for eta, rho in zip(etas, hardness.T, strict=True):
        for delta, ceiling in zip(deltas, ceilings, strict=True):
            bound, hard_steps, forced = _tightest(rho, eta, delta)
            reached = measured.filter(pl.col("sequence_precision") >= 1 - delta - _PRECISION_TOLERANCE)
            best = reached["sequence_recall"].max()
            rows.append((eta, forced, hard_steps, delta, bound, best, ceiling))
    return pl.DataFrame(rows, schema=E3_SCHEMA, orient="row")


def theory_f4(trie, points: pl.DataFrame, vocab: int) -> pl.DataFrame:
    """Theorem F.4, Corollary F.5 and the finite-vocabulary bound at each temperature, no truncation.

    ε = 1 − Val as measured. Where branching varies within a step, the smallest branching of that step is
    used (Δ_v increases with v, so this is the weakest of the bounds that its prefixes suggest), yet the
    theorem does not cover such a task: ``assumption_holds`` is then False. It says nothing about the other
    assumption, geometric conditionals with the valid tokens on top, which no real model meets exactly.

    Args:
        trie: `PrefixTrie` of the valid sequences.
        points: Sweep points with rule, temperature, validity, log_validity, diversity.
        vocab: Vocabulary size.

    Returns:
        Columns of `F4_SCHEMA`, one row per temperature, ascending. ``diversity`` is null where Val is 0.
        ``epsilon`` is rounded up by 1e-12, the safe side: less cannot be told from rounding.

    Raises:
        ValueError: If the trie has open nodes, or ``points`` holds no unrestricted rule.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])  # p = 1/2, 1/4 and a tail: geometric, where the bound is met
    >>> points = pl.DataFrame({"rule": ["unrestricted"], "temperature": [1.0], "validity": [0.75],
    ...                        "log_validity": [np.log(0.75)], "diversity": [0.944941]})
    >>> theory_f4(trie, points, vocab=50).select("epsilon", "bound_f4", "assumption_holds").with_columns(
    ...     pl.col("epsilon", "bound_f4").round(6)).row(0)
    (0.25, 0.944941, True)
    """
    branching, is_invariant = step_branching(trie)
    m = int(np.count_nonzero(branching >= 2))
    temperature_points = points.filter(pl.col("rule") == "unrestricted").sort("temperature")
    if temperature_points.is_empty():
        raise ValueError("points has no rule 'unrestricted' (temperature alone); add it to the grid")
    rows = []
    for point in temperature_points.iter_rows(named=True):
        epsilon = min(1.0, float(-np.expm1(point["log_validity"])) + EPSILON_RESOLUTION)
        rows.append(
            (
                point["temperature"],
                point["validity"],
                point["diversity"],
                epsilon,
                diversity_bound_f4(branching, epsilon),
                diversity_bound_f5(m, epsilon, vocab),
                diversity_bound_finite_vocabulary(branching, epsilon, vocab),
                m,
                is_invariant,
            )
        )
    return pl.DataFrame(rows, schema=F4_SCHEMA, orient="row")


def step_branching(trie) -> tuple[np.ndarray, bool]:
    """Branching of a task, step by step, and whether it is the same after every valid prefix (Assumption 5.1).

    The assumption asks for one length and, at each step, one number of valid tokens after every valid prefix.
    A sequence that ended before a step counts as one choice there. End tokens behind one answer (`terminated`, where
    a model has several) are one choice too: Div is of answers, and the theorem would bound how these tokens are
    chosen. It says nothing of answers with several spellings.

    Args:
        trie: `PrefixTrie` of the valid sequences.

    Returns:
        The smallest number of valid tokens at each step, and whether the assumption holds.

    Raises:
        ValueError: If the trie has open nodes, whose branching is unknown.

    >>> from calib_assets.decoding import PrefixTrie
    >>> smallest, holds = step_branching(PrefixTrie.from_sequences([[0, 1], [0, 2], [1, 0]]))
    >>> smallest.tolist(), holds  # after token 0 two tokens are valid, after 1 only one
    ([2, 1], False)
    """
    if trie.is_open.any():
        raise ValueError(
            f"the trie has {int(trie.is_open.sum())} open nodes of unknown branching; explore it fully"
        )
    above = trie.parent[trie.leaves]
    before_end, _ = np.unique(np.stack([above, trie.answer[trie.leaves]]), axis=1)  # once for each answer ending there
    repeated = np.bincount(above, minlength=trie.n_nodes) - np.bincount(before_end, minlength=trie.n_nodes)
    n_children = np.diff(trie.child_start) - repeated
    smallest, largest, ended = [], [], False
    for step in range(trie.max_depth):
        at_step = n_children[trie.depth == step]
        ended |= bool((at_step == 0).any())
        smallest.append(1 if ended else int(at_step.min()))
        largest.append(int(at_step.max()))
    one_spelling = before_end.size == trie.n_answers
    return np.array(smallest), one_spelling and not ended and smallest == largest


def _tightest(rho, eta, delta):
    """(bound, m, rho): the best statement of Theorem E.3 that the certified hardness supports."""
    best = (1.0, 0, 0.0)
    for hard_steps, forced in enumerate(np.sort(rho[rho > 0])[::-1].tolist(), start=1):
        bound = recall_bound(hard_steps, forced, eta, delta)
        if bound <= best[0]:
            best = (bound, hard_steps, forced)
    return best

"""All that the page holds of one model and task: the trie, its conditionals, the stored sweep."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from calib_assets.decoding import LogitRows, PrefixTrie
from calib_assets.decoding.selections import conditional_at
from calib_assets.explorer.heads import Head, head_of
from calib_assets.explorer.packing import descending_keys, packed

MOST_CONTEXTS = 700
"""Contexts of a task up to which all are in the page, and Val and Div are computed there."""
SHALLOW_CONTEXTS = 250
"""Contexts in the page of a task that has more, the shallow ones first."""
LOGITS = 400_000
"""Logits that the contexts of one task share in the page, in equal parts."""
FEWEST = 128
"""Logits of a context at the least, however many contexts there are; top-H needs 100."""
SHOWN_RANKS = 60
"""Ranks whose tokens are named."""
TOP_ANSWERS = 40
"""Stored answers kept for a task whose answers the page cannot compute."""
MEASURES = ("order_auroc", "average_precision", "last_valid_rank", "shape_divergence", "effective_support")


def task_data(
    trie: PrefixTrie,
    logits: LogitRows,
    texts: Sequence[str],
    answers: Sequence[str],
    calibration: pl.DataFrame,
    points: pl.DataFrame,
    probabilities: pl.DataFrame,
    prompt: str = "",
    *,
    most_contexts: int = MOST_CONTEXTS,
    budget: int = LOGITS,
) -> dict:
    """One task as plain data, for the page.

    Args:
        trie: The valid set.
        logits: One row for each of ``trie.internal``.
        texts: Text of each token id.
        answers: Text of each answer.
        calibration: Table ``conditional_calibration``.
        points: Table ``decoding_sweep``.
        probabilities: Table ``sequence_probabilities``.
        prompt: The context before the trie's root, as text.
        most_contexts: As :data:`MOST_CONTEXTS`.
        budget: As :data:`LOGITS`.

    Raises:
        ValueError: If a table belongs to another trie, or to another grid than it says.
    """
    is_whole = trie.internal.size <= most_contexts
    n_contexts = trie.internal.size if is_whole else min(SHALLOW_CONTEXTS, most_contexts)
    nodes = trie.internal[:n_contexts]
    # Breadth-first order: the children of the first contexts are the first nodes.
    n_nodes = int(trie.child_start[nodes[-1] + 1])
    edges = slice(1, n_nodes)
    most = max(FEWEST, (budget if is_whole else budget // 4) // n_contexts)
    heads, leading = [], []
    edge_logit, lower, higher = np.empty(n_nodes - 1), *np.empty((2, n_nodes - 1), np.int64)
    for row, node in enumerate(nodes):
        conditional = conditional_at(trie, logits, row)
        own = slice(trie.child_start[node] - 1, trie.child_start[node + 1] - 1)
        edge_logit[own] = conditional.tracked_values
        lower[own], higher[own] = conditional.ranks_lower_first, conditional.ranks_higher_first
        heads.append(head_of(conditional, most))
        leading.append(_leading(conditional.logits, min(SHOWN_RANKS, conditional.size)))
    shown = np.concatenate(leading)
    named = np.unique(np.concatenate([shown, trie.token[edges]]))
    wanted = calibration.filter(pl.col("node").is_in(nodes.tolist())).sort("node")
    if wanted["node"].to_list() != nodes.tolist():
        raise ValueError("conditional_calibration lacks contexts of the trie; make it from the same logit cache")
    return {
        "whole": is_whole,
        "contexts": int(trie.internal.size),
        "n_answers": trie.n_answers,
        "open": bool(trie.is_open.any()),
        "vocab": int(heads[0].size) if heads else 0,
        "prompt": prompt,
        "texts": {str(token): texts[token] if token < len(texts) else f"[{token}]" for token in named.tolist()},
        "answers": list(answers) if is_whole else [],
        "trie": {
            "children": packed(np.diff(trie.child_start)[:n_nodes], "u4"),
            "token": packed(trie.token[edges], "u4"),
            "answer": packed(trie.answer[:n_nodes], "i4"),
            "continuations": packed(trie.n_continuations[:n_nodes], "u4"),
            "is_open": packed(trie.is_open[:n_nodes], "u1"),
        },
        "edges": {
            "logit": packed(edge_logit, "f4"),
            "lower": packed(lower, "u4"),
            "higher": packed(higher, "u4"),
        },
        "heads": _packed_heads(heads),
        "shown": {"start": packed(np.cumsum([0, *map(len, leading)]), "u4"), "token": packed(shown, "u4")},
        "measures": {
            name: packed(wanted[name].cast(pl.Float64).fill_null(np.nan).to_numpy(), "f4") for name in MEASURES
        },
        "sweep": _packed_sweep(points),
        "stored_answers": [] if is_whole else _stored_answers(probabilities),
    }


def _leading(logits: np.ndarray, n: int) -> np.ndarray:
    """Ids of the ``n`` most likely tokens by rank; among equal logits the lower id comes first."""
    least = np.partition(logits, logits.size - n)[logits.size - n]
    ids = np.flatnonzero(logits >= least)
    return ids[np.lexsort((ids, -logits[ids]))][:n]


def _packed_heads(heads: Sequence[Head]) -> dict:
    counts = np.concatenate([head.counts for head in heads])
    parts = {
        "start": packed(np.cumsum([0, *(head.values.size for head in heads)]), "u4"),
        "key": packed(np.concatenate([descending_keys(head.values) for head in heads]), "u4"),
        "size": packed(np.array([head.size for head in heads]), "u4"),
        "std": packed(np.array([head.std for head in heads]), "f8"),
        "point_start": packed(np.cumsum([0, *(head.gap.size for head in heads)]), "u4"),
        "gap": packed(np.concatenate([head.gap for head in heads]), "f8"),
        "weight": packed(np.concatenate([head.weight for head in heads]), "f8"),
        "knot_start": packed(np.cumsum([0, *(head.knot.size for head in heads)]), "u4"),
        "knot_rank": packed(np.concatenate([head.knot_rank for head in heads]), "u4"),
        "knot_key": packed(np.concatenate([descending_keys(head.knot) for head in heads]), "u4"),
    }
    return parts if (counts == 1).all() else {**parts, "count": packed(counts, "u4")}


def _packed_sweep(points: pl.DataFrame) -> dict:
    """The stored table: settings (rule, parameter) by temperature; NaN where a value is undefined."""
    ordered = points.sort("rule", "parameter", "temperature")
    settings = ordered.select("rule", "parameter").unique(maintain_order=True)
    temperatures = ordered["temperature"].unique().sort().to_list()
    if ordered.height != settings.height * len(temperatures):
        raise ValueError(
            f"decoding_sweep has {ordered.height} rows for {settings.height} settings at {len(temperatures)} "
            "temperatures; give one for each"
        )
    columns = ("validity", "diversity", "sequence_precision", "sequence_recall")
    return {
        "rule": settings["rule"].to_list(),
        "parameter": settings["parameter"].to_list(),
        "temperature": temperatures,
        **{name: packed(ordered[name].fill_null(np.nan).to_numpy(), "f4") for name in columns},
    }


def _stored_answers(probabilities: pl.DataFrame) -> list[dict]:
    """The likeliest answers at each stored temperature, and the mass of the valid ones together."""
    found = []
    for (temperature,), rows in probabilities.group_by("temperature", maintain_order=True):
        first = rows.sort("probability", descending=True).head(TOP_ANSWERS)
        found.append(
            {
                "temperature": temperature,
                "valid": rows["probability"].sum(),
                "text": first["text"].to_list(),
                "probability": first["probability"].to_list(),
            }
        )
    return found

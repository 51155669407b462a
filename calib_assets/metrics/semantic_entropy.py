"""Relaxed semantic entropy: how many different things the rollouts of a prompt say, by a judge (METHODS §4).

Rollouts that a judge calls similar in both orders are linked, and what is linked in any number of steps is one
meaning. An unknown verdict is not a different meaning: it is carried along as the range of what may be true.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

import numpy as np
import polars as pl

from calib_assets.metrics._prompt_sums import prompt_means, summary_table
from calib_assets.metrics._tables import check_columns, check_unique
from calib_assets.stats import Bootstrap

ENTROPY_SCHEMA = {
    "prompt_id": pl.String,
    "n_rollouts": pl.Int64,
    "n_pairs": pl.Int64,
    "n_missing": pl.Int64,
    "n_clusters": pl.Int64,
    "semantic_entropy": pl.Float64,
    "semantic_entropy_low": pl.Float64,
    "semantic_entropy_high": pl.Float64,
    "normalised": pl.Float64,
}
# A measure of the summary, and its column in the table.
MEASURES = {
    "semantic_entropy": "semantic_entropy",
    "semantic_entropy_normalised": "normalised",
    "n_clusters": "n_clusters",
}


@dataclass(frozen=True)
class SemanticEntropy:
    """Relaxed semantic entropy of the texts of one prompt.

    Attributes:
        n_clusters: Number of meanings; None where missing pairs leave it open.
        value: Entropy of the shares of texts by meaning, nats; None where missing pairs leave it open.
        low: The entropy if every missing pair were similar.
        high: The entropy if none were.
        normalised: ``value`` / ln n, in [0, 1]; None with it.

    >>> found = relaxed_semantic_entropy(4, similar=[(0, 1), (1, 2)], missing=[])  # three texts say one thing
    >>> found.n_clusters, round(found.value, 4) == round(-(0.75 * log(0.75) + 0.25 * log(0.25)), 4)
    (2, True)
    """

    n_clusters: int | None
    value: float | None
    low: float | None
    high: float | None
    normalised: float | None


def relaxed_semantic_entropy(
    n_texts: int, similar: Iterable[tuple[int, int]], missing: Iterable[tuple[int, int]] = ()
) -> SemanticEntropy:
    r"""Entropy :math:`-\sum_c p_c \ln p_c` over meanings, :math:`p_c` the share of texts with meaning c.

    Meanings are the connected components of the graph of similar pairs. Joining two of them lowers the
    entropy, so the missing pairs leave it between the values with all of them similar and with none.

    Args:
        n_texts: Number of texts.
        similar: Pairs of texts, numbered from 0, that were found similar in both orders.
        missing: Pairs of which it is not known.

    Returns:
        The entropy and its range; all None for fewer than two texts, which have nothing to be compared with.

    Raises:
        ValueError: If ``n_texts`` is negative or a pair names no two texts.

    References:
        Farquhar et al. (2024), *Detecting hallucinations using semantic entropy*, Nature 630, whose meanings
        are of entailment in both directions and compare with one member of each; Paper B's released code.

    >>> found = relaxed_semantic_entropy(4, [(0, 1), (1, 2)])  # shares 3/4 and 1/4
    >>> found.n_clusters, round(found.value, 6)
    (2, 0.562335)
    >>> found = relaxed_semantic_entropy(2, [], missing=[(1, 0)])
    >>> found.value, found.low, round(found.high, 6)
    (None, 0.0, 0.693147)
    """
    if n_texts < 0:
        raise ValueError(f"n_texts is {n_texts}; give a number of texts")
    similar, missing = list(similar), list(missing)
    for first, second in [*similar, *missing]:
        if first == second or not (0 <= first < n_texts and 0 <= second < n_texts):
            raise ValueError(f"pair ({first}, {second}) names no two texts of {n_texts}, numbered from 0")
    if n_texts < 2:
        return SemanticEntropy(None, None, None, None, None)
    apart = _component_sizes(n_texts, similar)
    joined = _component_sizes(n_texts, similar + missing)
    low, high = _entropy(joined), _entropy(apart)
    if len(joined) < len(apart):
        return SemanticEntropy(None, None, low, high, None)
    return SemanticEntropy(len(apart), high, high, high, high / log(n_texts))


def semantic_entropy_table(labels: pl.DataFrame, rollouts: pl.DataFrame) -> pl.DataFrame:
    """Relaxed semantic entropy of each prompt's rollouts, from a judge's verdicts on pairs of them.

    A pair is similar if both orders were found similar, not similar if one was found not to be (the other need
    not have been asked), and missing otherwise: not asked, or without a verdict.

    Args:
        labels: prompt_id, first, second (samples of two rollouts, in the order asked), is_similar (null: no
            verdict).
        rollouts: prompt_id, sample: the rollouts that were to be compared.

    Returns:
        Columns of `ENTROPY_SCHEMA`, one row per prompt of ``rollouts`` in its order. ``n_missing`` of the
        ``n_pairs`` pairs are missing. ``n_clusters``, ``semantic_entropy`` and ``normalised`` are null where
        these leave more than one answer, between ``semantic_entropy_low`` and ``semantic_entropy_high``; all
        are null for a prompt with one rollout.

    Raises:
        ValueError: If a column is missing, a rollout or an ordered pair stands twice, or a label names a
            rollout that is not among ``rollouts``, or one rollout twice.

    >>> labels = pl.DataFrame({"prompt_id": ["a", "a"], "first": [4, 7], "second": [7, 4], "is_similar": [True, True]})
    >>> found = semantic_entropy_table(labels, pl.DataFrame({"prompt_id": ["a", "a"], "sample": [4, 7]}))
    >>> found.select("n_pairs", "n_clusters", "semantic_entropy").row(0)
    (1, 1, 0.0)
    """
    check_columns(labels, "labels", ("prompt_id", "first", "second", "is_similar"), "pass verdicts on ordered pairs")
    check_columns(rollouts, "rollouts", ("prompt_id", "sample"), "pass the rollouts that were compared")
    check_unique(labels, "labels", ("prompt_id", "first", "second"), "a judge answers an ordered pair once")
    check_unique(rollouts, "rollouts", ("prompt_id", "sample"), "name each rollout once")
    verdicts: dict[str, dict[tuple[int, int], bool | None]] = {}
    for prompt, first, second, is_similar in labels.select("prompt_id", "first", "second", "is_similar").iter_rows():
        verdicts.setdefault(prompt, {})[first, second] = is_similar
    rows = []
    for (prompt,), group in rollouts.group_by("prompt_id", maintain_order=True):
        place = {sample: number for number, sample in enumerate(group["sample"])}
        similar, missing = _pairs(place, verdicts.pop(prompt, {}), prompt)
        found = relaxed_semantic_entropy(len(place), similar, missing)
        row = (len(place), len(place) * (len(place) - 1) // 2, len(missing))
        rows.append((prompt, *row, found.n_clusters, found.value, found.low, found.high, found.normalised))
    if verdicts:
        raise ValueError(f"labels names the prompt {next(iter(verdicts))!r}, of which rollouts has no rows; pass them")
    return pl.DataFrame(rows, schema=ENTROPY_SCHEMA, orient="row")


def semantic_entropy_summary(
    prompt_semantic_entropy: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()
) -> pl.DataFrame:
    """Semantic entropy of a cell: means over prompts, with intervals.

    Args:
        prompt_semantic_entropy: The table of `semantic_entropy_table`.
        bootstrap: How the intervals are made; all measures share the resampled prompts.

    Returns:
        Columns of `SUMMARY_SCHEMA`; one row each for semantic_entropy, semantic_entropy_normalised and
        n_clusters; no rows for a table without rows. Prompts whose value missing pairs leave open, or that have
        one rollout, are in ``n_left_out``.

    Raises:
        ValueError: If a column is missing.

    >>> table = pl.DataFrame({"semantic_entropy": [0.0, 0.5, None], "normalised": [0.0, 0.4, None],
    ...                       "n_clusters": [1, 2, None]})
    >>> semantic_entropy_summary(table).select("measure", "est", "n_left_out").rows()
    [('semantic_entropy', 0.25, 1), ('semantic_entropy_normalised', 0.2, 1), ('n_clusters', 1.5, 1)]
    """
    table = prompt_semantic_entropy
    check_columns(table, "prompt_semantic_entropy", MEASURES.values(), "pass the table of semantic_entropy_table")
    summary = summary_table(prompt_means(table.select(**MEASURES), tuple(MEASURES)), bootstrap)
    return summary if table.height else summary.clear()


def _pairs(place, verdicts, prompt) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Similar and missing pairs, as numbers of the rollouts in ``place``."""
    for first, second in verdicts:
        if first == second or first not in place or second not in place:
            raise ValueError(
                f"labels names the samples {first} and {second} of prompt {prompt!r}; "
                "give two different ones of those in rollouts"
            )
    similar, missing = [], []
    samples = list(place)
    for number, first in enumerate(samples):
        for second in samples[number + 1 :]:
            both = (verdicts.get((first, second)), verdicts.get((second, first)))
            if False in both:
                continue
            pair = place[first], place[second]
            (missing if None in both else similar).append(pair)
    return similar, missing


def _component_sizes(n_texts: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Texts of each connected component."""
    parent = list(range(n_texts))

    def root(text):
        while parent[text] != text:
            parent[text] = text = parent[parent[text]]
        return text

    for first, second in pairs:
        parent[root(first)] = root(second)
    return np.unique([root(text) for text in range(n_texts)], return_counts=True)[1].tolist()


def _entropy(sizes: list[int]) -> float:
    """Nats; exactly 0 for one component, and the same for the same sizes in any order."""
    shares = np.sort(np.array(sizes)) / sum(sizes)
    return max(0.0, float(-(shares @ np.log(shares))))

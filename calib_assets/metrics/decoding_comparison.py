"""Validity against semantic and lexical diversity of decoding strategies (Paper A, Table 1, App. B.4; METHODS §3.8)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from calib_assets.metrics._tables import check_columns, check_unique, mean_with_interval
from calib_assets.metrics.embedding_diversity import embedding_diversity
from calib_assets.metrics.pareto import FLOOR_TOLERANCE
from calib_assets.metrics.self_bleu import self_bleu
from calib_assets.stats import Bootstrap

ONLY_VALID, ALL = "valid", "all"
SETTING = ("strategy", "parameter", "temperature")
# A measure, and whether its smaller values mean more diverse texts.
MEASURES = {"embedding_diversity": False, "self_bleu": True}
POINT_SCHEMA = {
    "judge": pl.String,
    "strategy": pl.String,
    "parameter": pl.Float64,
    "temperature": pl.Float64,
    "n_samples": pl.Int64,
    "n_judged": pl.Int64,
    "validity": pl.Float64,
    "validity_ci_low": pl.Float64,
    "validity_ci_high": pl.Float64,
    "over": pl.String,
    "embedding_diversity": pl.Float64,
    "embedding_diversity_ci_low": pl.Float64,
    "embedding_diversity_ci_high": pl.Float64,
    "self_bleu": pl.Float64,
    "self_bleu_ci_low": pl.Float64,
    "self_bleu_ci_high": pl.Float64,
    "n_contexts": pl.Int64,
}
BEST_SCHEMA = {
    "judge": pl.String,
    "strategy": pl.String,
    "over": pl.String,
    "floor": pl.Float64,
    "measure": pl.String,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "validity": pl.Float64,
    "parameter": pl.Float64,
    "temperature": pl.Float64,
}


class _Diversity(NamedTuple):
    embedding_diversity: Float[np.ndarray, "contexts"]
    self_bleu: Float[np.ndarray, "contexts"]
    seeds: np.ndarray


def decoding_points(
    samples: pl.DataFrame,
    labels: pl.DataFrame,
    embeddings: Mapping[str, Float[np.ndarray, "dim"]] | Float[np.ndarray, "samples dim"],
    tokenize: str = "whitespace",
    bootstrap: Bootstrap = Bootstrap(),
) -> pl.DataFrame:
    """Validity, embedding diversity and Self-BLEU of every strategy and setting, by judge.

    Diversity is taken within the samples of one seed (one prompt and prefix) and then averaged over the
    seeds with at least two samples: texts that answer different prompts differ for no merit of the
    strategy. It is given over the samples that the judge found valid and over all of them.

    Args:
        samples: seed, strategy, parameter (null: none), temperature, item, text (what the strategy added).
            A sampled text counts as often as it was sampled.
        labels: judge, item, is_valid (null or absent: missing). Where both tables have a column ``finish``, a
            label belongs to item and finish: a judge that is told of it judges a text that was cut apart from
            the same text that ended by itself.
        embeddings: By item, or one row per row of ``samples``.
        tokenize: Tokens of Self-BLEU (NLTK's version, BLEU-4, method1), a name of `TOKENIZERS`.
        bootstrap: How the intervals are made; seeds are resampled.

    Returns:
        Columns of `POINT_SCHEMA`; by judge, strategy, parameter, temperature, over. ``validity`` is the share
        of valid among judged samples, null if none is judged; ``n_contexts`` is the number of seeds that the
        two diversities average over, which are null if it is 0. Intervals are null with one such seed, or where
        all seeds are alike.

    Raises:
        ValueError: If a column is missing, a judge gives an item two labels, an embedding is missing or
            zero, or ``tokenize`` is unknown.

    >>> samples = pl.DataFrame({"seed": [0] * 4, "strategy": ["top_p"] * 4, "parameter": [0.9] * 4,
    ...     "temperature": [0.5, 0.5, 1.0, 1.0], "item": list("uvwx"), "text": ["a b", "a c", "d e", "f g"]})
    >>> labels = pl.DataFrame({"judge": ["j"] * 4, "item": list("uvwx"), "is_valid": [True, True, True, False]})
    >>> vectors = {"u": [1.0, 0.0], "v": [1.0, 0.0], "w": [1.0, 0.0], "x": [0.0, 1.0]}
    >>> points = decoding_points(samples, labels, vectors).filter(over="all")
    >>> points.select("temperature", "validity", "embedding_diversity").rows()  # alike; at right angles
    [(0.5, 1.0, 0.0), (1.0, 0.5, 1.0)]
    """
    wanted = ("seed", *SETTING, "item", "text")
    check_columns(samples, "samples", wanted, "pass the decoding_samples table")
    check_columns(labels, "labels", ("judge", "item", "is_valid"), "pass verdicts by judge and item")
    judged_by = ["item", *({"finish"} & set(samples.columns) & set(labels.columns))]
    verdicts = labels.select("judge", *judged_by, "is_valid").unique()
    check_unique(verdicts, "labels", ("judge", *judged_by), "a judge gives an item one label")
    vectors = _aligned(samples, embeddings)
    placed = samples.select(*wanted, *judged_by[1:]).with_row_index("place")
    judges = [
        (judge, placed.join(verdicts.filter(pl.col("judge") == judge), on=judged_by, how="left", maintain_order="left"))
        for judge in labels["judge"].unique().sort()
    ]
    rows = []
    for key, chosen in placed.group_by(SETTING, maintain_order=True):
        of_all = _diversity(chosen, vectors, tokenize)
        for judge, judged in judges:
            labelled = judged[chosen["place"]]
            known = labelled.drop_nulls("is_valid")
            is_valid = known["is_valid"].to_numpy().astype(float)
            validity = mean_with_interval(is_valid, known["seed"].to_numpy(), bootstrap)
            head = {"judge": judge, **dict(zip(SETTING, key, strict=True))}
            head |= {"n_samples": chosen.height, "n_judged": known.height} | _named("validity", validity)
            of_valid = _diversity(labelled.filter("is_valid"), vectors, tokenize)
            for over, found in ((ALL, of_all), (ONLY_VALID, of_valid)):
                measures = [
                    _named(name, mean_with_interval(getattr(found, name), found.seeds, bootstrap))
                    for name in MEASURES
                ]
                rows.append(head | {"over": over} | measures[0] | measures[1] | {"n_contexts": found.seeds.size})
    return pl.DataFrame(rows, schema=POINT_SCHEMA, orient="row").sort("judge", *SETTING, "over")


def best_decoding(points: pl.DataFrame, floor: float = 0.8) -> pl.DataFrame:
    """Most diverse setting of each strategy among those with validity at or above a floor, by measure.

    Args:
        points: The decoding_points table.
        floor: Validity floor in [0, 1]; the paper uses 0.8. A validity within 1e-12 below it reaches it.

    Returns:
        Columns of `BEST_SCHEMA`; one row per judge, strategy, over and measure. Embedding diversity is best
        when largest, Self-BLEU when smallest; of equal settings the more valid one is named, then that of
        lower temperature and parameter. ``value`` and what follows are null where no setting reaches the
        floor with a defined measure.

    Raises:
        ValueError: If a column is missing or the floor lies outside [0, 1].

    >>> samples = pl.DataFrame({"seed": [0] * 4, "strategy": ["top_p"] * 4, "parameter": [0.9] * 4,
    ...     "temperature": [0.5, 0.5, 1.0, 1.0], "item": list("uvwx"), "text": ["a b", "a c", "d e", "f g"]})
    >>> labels = pl.DataFrame({"judge": ["j"] * 4, "item": list("uvwx"), "is_valid": [True, True, True, False]})
    >>> vectors = {"u": [1.0, 0.0], "v": [1.0, 0.0], "w": [1.0, 0.0], "x": [0.0, 1.0]}
    >>> best = best_decoding(decoding_points(samples, labels, vectors), floor=0.4).filter(over="all")
    >>> best.select("measure", "value", "validity", "temperature").rows()[0]
    ('embedding_diversity', 1.0, 0.5, 1.0)
    """
    check_columns(points, "points", POINT_SCHEMA, "pass the decoding_points table")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor is {floor}; a validity floor lies in [0, 1]")
    group = ["judge", "strategy", "over"]
    reached = points.filter(pl.col("validity") >= floor - FLOOR_TOLERANCE)
    parts = []
    for measure, falling in MEASURES.items():
        named = {"value": measure, "ci_low": f"{measure}_ci_low", "ci_high": f"{measure}_ci_high"}
        best = (
            reached.select(*group, "validity", "parameter", "temperature", **named)
            .drop_nulls("value")
            .sort("value", "validity", "temperature", "parameter", descending=[not falling, True, False, False])
            .unique(group, keep="first", maintain_order=True)
        )
        every = points.select(group).unique().with_columns(measure=pl.lit(measure), floor=pl.lit(float(floor)))
        parts.append(every.join(best, on=group, how="left"))
    return pl.concat(parts).sort(*group, "measure").select(pl.col(k).cast(v) for k, v in BEST_SCHEMA.items())


def _aligned(samples, embeddings) -> Float[np.ndarray, "samples dim"]:
    """One embedding per row of ``samples``."""
    if isinstance(embeddings, Mapping):
        missing = sorted(set(samples["item"]) - set(embeddings))
        if missing:
            raise ValueError(f"embeddings lacks {len(missing)} items, the first {missing[0]!r}; embed every sample")
        return np.array([embeddings[item] for item in samples["item"]])
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or len(embeddings) != samples.height:
        raise ValueError(f"embeddings has shape {embeddings.shape}; give a row for each of {samples.height} samples")
    return embeddings


def _diversity(chosen, vectors, tokenize) -> _Diversity:
    """Both measures of each seed with at least two samples."""
    groups = [
        (seed, group)
        for (seed,), group in chosen.sort("seed", "place").group_by("seed", maintain_order=True)
        if group.height >= 2
    ]
    return _Diversity(
        np.array([embedding_diversity(vectors[group["place"].to_numpy()]) for _, group in groups]),
        np.array([self_bleu(group["text"].to_list(), tokenize) for _, group in groups]),
        np.array([seed for seed, _ in groups]),
    )


def _named(name, numbers) -> dict[str, float | None]:
    return dict(zip((name, f"{name}_ci_low", f"{name}_ci_high"), numbers, strict=True))

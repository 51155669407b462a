"""Agreement tables: judge against judge, judge against human, annotator against annotator (Paper A, App. A.2)."""

from itertools import combinations

import numpy as np
import polars as pl

from calib_assets.metrics._tables import check_columns, check_unique, open_interval
from calib_assets.metrics.agreement import (
    alpha_of_sums,
    binary_agreement,
    coefficients,
    confusion_cells,
    disagreement_terms,
    squared_distances,
    value_counts,
)
from calib_assets.stats import Bootstrap, from_draws, resampled_sums

MAJORITY = "annotators (majority)"
"""Name of the judge that stands for the annotators' majority."""
COEFFICIENTS = ("accuracy", "precision", "recall", "f1", "kappa")
PAIR_SCHEMA = {
    "judge_a": pl.String,
    "judge_b": pl.String,
    "n": pl.Int64,
    "n_valid_a": pl.Int64,
    "n_valid_b": pl.Int64,
    "n_resampled": pl.Int64,
    **{name + end: pl.Float64 for name in COEFFICIENTS for end in ("", "_ci_low", "_ci_high")},
}
ANNOTATOR_SCHEMA = {
    "measure": pl.String,
    "level": pl.String,
    "n_items": pl.Int64,
    "n_annotators": pl.Int64,
    "n_resampled": pl.Int64,
    "alpha": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
SCORES = ("grammar", "semantic", "overall")
MEASURES = (("overall", "interval"), ("semantic", "interval"), ("grammar", "interval"), ("valid", "nominal"))


def judge_pairs(labels: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()) -> pl.DataFrame:
    """Agreement of each two judges on the items that both have labelled, with intervals.

    Args:
        labels: judge, item, is_valid (null: missing); an item may recur with the same label (one answer
            reached by two paths). A human consensus is a judge named `MAJORITY`. A column ``cluster`` (a string)
            names what the item comes from, such as its prompt; without it, or where it is null, an item stands
            alone.
        bootstrap: How the intervals are made; clusters are resampled, since answers to one prompt share what
            makes them hard to judge.

    Returns:
        Columns of `PAIR_SCHEMA`; one row per pair. ``judge_b`` is taken as the truth: `MAJORITY` where it is
        one of the two, else the judge that comes later in ``labels``. Null where undefined
        (`binary_agreement`); intervals leave undefined draws out, and are null with one cluster or where all
        draws are alike. ``n_resampled`` is the number of clusters.

    Raises:
        ValueError: If a column is missing, a judge gives an item two labels, or an item is of two clusters.

    >>> labels = pl.DataFrame({"judge": ["a", "a", "b", "b"], "item": ["x", "y"] * 2,
    ...                        "is_valid": [True, False, True, True]})
    >>> judge_pairs(labels).select("judge_a", "judge_b", "n", "accuracy", "precision", "recall").rows()
    [('a', 'b', 2, 0.5, 1.0, 0.5)]
    """
    check_columns(labels, "labels", ("judge", "item", "is_valid"), "pass verdicts by judge and item")
    known = labels.select("judge", "item", "is_valid").drop_nulls("is_valid").unique(maintain_order=True)
    check_unique(known, "labels", ("judge", "item"), "a judge gives an item one label")
    cluster_of = _clusters(labels, "labels")
    judges = labels["judge"].unique(maintain_order=True).to_list()
    judges.sort(key=lambda judge: judge == MAJORITY)  # stable: the consensus last, hence always the truth
    rows = []
    for judge_a, judge_b in combinations(judges, 2):
        sides = (known.filter(pl.col("judge") == judge).drop("judge") for judge in (judge_a, judge_b))
        both = next(sides).join(next(sides), on="item", suffix="_b").join(cluster_of, on="item").sort("item")
        a, b, clusters = (both[name].to_numpy() for name in ("is_valid", "is_valid_b", "cluster"))
        found = binary_agreement(a, b)._asdict() | {"n_resampled": both["cluster"].n_unique()}
        rows.append({"judge_a": judge_a, "judge_b": judge_b} | found | _pair_intervals(a, b, clusters, bootstrap))
    return pl.DataFrame(rows, schema=PAIR_SCHEMA, orient="row")


def annotator_agreement(
    annotations: pl.DataFrame, threshold: float = 99, bootstrap: Bootstrap = Bootstrap()
) -> pl.DataFrame:
    """Krippendorff's alpha of the annotators' scores and of the validity that follows from them.

    Args:
        annotations: item, annotator, grammar, semantic, overall (0–100; null: not given), perhaps ``cluster``
            as in `judge_pairs`.
        threshold: All three scores must reach it for a valid item; the paper uses 99.
        bootstrap: How the intervals are made; clusters are resampled, the distances between values are kept.

    Returns:
        Columns of `ANNOTATOR_SCHEMA`; one row each for overall, semantic and grammar (interval level) and
        valid (nominal). ``n_items`` have at least two values, ``n_annotators`` gave at least one. Null where
        alpha is undefined.

    Raises:
        ValueError: If a column is missing, an annotator has two rows for an item, or an item is of two clusters.

    >>> annotations = pl.DataFrame({"item": ["x", "x", "y", "y"], "annotator": ["p", "q", "p", "q"],
    ...     "grammar": [100, 100, 0, 100], "semantic": [100, 100, 0, 0], "overall": [100, 100, 0, 0]})
    >>> annotator_agreement(annotations).select("measure", "n_items", "alpha").rows()  # grammar: as by chance
    [('overall', 2, 1.0), ('semantic', 2, 1.0), ('grammar', 2, 0.0), ('valid', 2, 1.0)]
    """
    scored = _with_validity(annotations, threshold).drop("cluster", strict=False)
    scored = scored.join(_clusters(annotations, "annotations"), on="item")
    rows = []
    for measure, level in MEASURES:
        given = scored.select("item", "annotator", "cluster", value=pl.col(measure).cast(pl.Float64))
        given = given.drop_nulls("value").sort("item", "annotator")
        rows.append({"measure": measure, "level": level} | _alpha_row(given, level, bootstrap))
    return pl.DataFrame(rows, schema=ANNOTATOR_SCHEMA, orient="row")


def majority(annotations: pl.DataFrame, threshold: float = 99) -> pl.DataFrame:
    """The annotators' majority on each item's validity.

    Args:
        annotations: As `annotator_agreement`.
        threshold: As `annotator_agreement`.

    Returns:
        item, is_valid, n_valid, n_invalid; by item. ``is_valid`` is null in a tie (``n_valid`` equal to
        ``n_invalid``, perhaps both 0): nobody is asked to break it.

    Raises:
        ValueError: As `annotator_agreement`.

    >>> annotations = pl.DataFrame({"item": ["x", "x", "y"], "annotator": ["p", "q", "p"],
    ...     "grammar": [99, 100, 99], "semantic": [99, 90, 99], "overall": [99, 99, 100]})
    >>> majority(annotations).rows()
    [('x', None, 1, 1), ('y', True, 1, 0)]
    """
    votes = (
        _with_validity(annotations, threshold)
        .group_by("item")
        .agg(
            n_valid=pl.col("valid").sum().cast(pl.Int64),
            n_invalid=(~pl.col("valid")).sum().cast(pl.Int64),
        )
    )
    lead = pl.col("n_valid") - pl.col("n_invalid")
    decided = pl.when(lead != 0).then(lead > 0)
    return votes.with_columns(is_valid=decided).select("item", "is_valid", "n_valid", "n_invalid").sort("item")


def _with_validity(annotations, threshold) -> pl.DataFrame:
    """Annotations with column valid: all three scores reach the threshold.

    One score below it settles the matter; otherwise a missing score leaves the validity missing.
    """
    columns = ("item", "annotator", *SCORES)
    check_columns(annotations, "annotations", columns, "give one row per item and annotator")
    check_unique(annotations, "annotations", ("item", "annotator"), "an annotator scores an item once")
    return annotations.with_columns(valid=pl.all_horizontal(pl.col(score) >= threshold for score in SCORES))


def _clusters(table, name) -> pl.DataFrame:
    """item, cluster of each item of a table: the cluster that it names, else the item itself."""
    named = pl.col("cluster") if "cluster" in table.columns else pl.lit(None, pl.String)
    given = table.select("item", cluster=named.cast(pl.String)).unique(maintain_order=True)
    known = given.drop_nulls("cluster")
    check_unique(known, name, ("item",), "an item comes from one cluster")
    # An item is set apart from a cluster of the same name.
    alone = given.select("item").unique().join(known, on="item", how="anti").with_columns(
        cluster=pl.lit("item ") + pl.col("item").cast(pl.String)
    )
    return pl.concat([known.with_columns(cluster=pl.lit("cluster ") + pl.col("cluster")), alone])


def _alpha_row(given, level, bootstrap) -> dict:
    """Numbers of one measure; alpha is a function of sums over the items, hence over the clusters."""
    n_annotators = given["annotator"].n_unique()
    items, item = np.unique(given["item"].to_numpy(), return_inverse=True)
    people, person = np.unique(given["annotator"].to_numpy(), return_inverse=True)
    values = np.full((people.size, items.size), np.nan)
    values[person, item] = given["value"].to_numpy()
    domain, counts = value_counts(values)
    observed, members = disagreement_terms(domain, counts, level)
    paired = members.any(axis=1)
    n_items = int(paired.sum())
    clusters = given.unique("item", keep="first", maintain_order=True)["cluster"].to_numpy()[paired]
    row = {"n_items": n_items, "n_annotators": n_annotators, "n_resampled": len(set(clusters))}
    row |= {"alpha": None, "ci_low": None, "ci_high": None}
    if n_items == 0:
        return row
    columns = np.column_stack([observed, members])[paired]
    distances = squared_distances(domain, members.sum(axis=0), level)
    est = alpha_of_sums(columns[:, 0].sum(), columns[:, 1:].sum(axis=0), distances)
    draws = None
    if row["n_resampled"] > 1:
        sums = resampled_sums(columns, clusters, bootstrap.n_boot, bootstrap.rng())
        draws = alpha_of_sums(sums[:, 0], sums[:, 1:], distances)
    estimate = from_draws(est, draws, row["n_resampled"], bootstrap.level)
    alpha = None if np.isnan(est) else estimate.est
    low, high = open_interval(estimate.ci_low, estimate.ci_high)
    return row | {"alpha": alpha, "ci_low": low, "ci_high": high}


def _pair_intervals(a, b, clusters, bootstrap) -> dict[str, float | None]:
    """Ends of the intervals of all five coefficients, by column name."""
    ends = {name + end: None for name in COEFFICIENTS for end in ("_ci_low", "_ci_high")}
    n_clusters = len(set(clusters))
    if n_clusters < 2:
        return ends
    cells = confusion_cells(a, b)
    draws = coefficients(resampled_sums(cells, clusters, bootstrap.n_boot, bootstrap.rng())).T
    estimate = from_draws(coefficients(cells.sum(axis=0)), draws, n_clusters, bootstrap.level)
    for name, est, low, high in zip(COEFFICIENTS, estimate.est, estimate.ci_low, estimate.ci_high, strict=True):
        if not np.isnan([est, low, high]).any():
            low, high = open_interval(float(low), float(high))
            ends |= {f"{name}_ci_low": low, f"{name}_ci_high": high}
    return ends

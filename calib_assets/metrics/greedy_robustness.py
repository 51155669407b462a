"""Do labels from one greedy continuation differ from labels of several sampled ones? (Paper A, App. A.3, Figure 7.)

Both sides are reduced to the leaves that both have labelled, so a difference between their curves is one
of continuations, never of candidates.
"""

from collections.abc import Sequence

import polars as pl

from calib_assets.metrics._tables import check_columns, check_unique
from calib_assets.metrics.depth_summary import RECALL_GRID, depth_frontiers, depth_summaries
from calib_assets.metrics.node_frontiers import node_curves, node_summaries
from calib_assets.metrics.token_validity import token_validity
from calib_assets.stats import Bootstrap

GREEDY, SAMPLED = "greedy", "sampled"
SCHEMA = {
    "judge": pl.String,
    "seed": pl.Int64,
    "node": pl.Int64,
    "n_greedy_valid": pl.Int64,
    "n_sampled": pl.Int64,
    "n_sampled_judged": pl.Int64,
    "n_sampled_valid": pl.Int64,
    "greedy_valid": pl.Boolean,
    "sampled_valid": pl.Boolean,
}
_LEAF = ["judge", "seed", "node"]


def greedy_robustness(greedy: pl.DataFrame, sampled: pl.DataFrame) -> pl.DataFrame:
    """Verdict on each leaf's greedy continuation beside those on its sampled continuations.

    Args:
        greedy: Verdicts on greedy continuations: judge, seed, node, is_valid (null: missing), one row each.
        sampled: The same columns, one row per sampled continuation.

    Returns:
        Columns of `SCHEMA`; one row per judge and leaf with sampled continuations, by judge, seed, node.
        ``sampled_valid`` is whether any of them is valid, null if none is judged; ``greedy_valid`` is null if
        there is no verdict, and ``n_greedy_valid`` is 1 where it is true.

    Raises:
        ValueError: If a column is missing or a leaf has two greedy verdicts of a judge.

    >>> greedy = pl.DataFrame({"judge": ["j"], "seed": [0], "node": [5], "is_valid": [False]})
    >>> sampled = pl.DataFrame({"judge": ["j"] * 3, "seed": [0] * 3, "node": [5] * 3,
    ...                         "is_valid": [True, None, False]})
    >>> greedy_robustness(greedy, sampled).rows()
    [('j', 0, 5, 0, 3, 2, 1, False, True)]
    """
    columns = (*_LEAF, "is_valid")
    check_columns(greedy, "greedy", columns, "pass the verdicts on the greedy completions")
    check_columns(sampled, "sampled", columns, "pass the verdicts on the sampled completions")
    check_unique(greedy, "greedy", _LEAF, "a leaf has one greedy completion")
    counts = sampled.group_by(_LEAF).agg(
        n_sampled=pl.len(),
        n_sampled_judged=pl.col("is_valid").count(),
        n_sampled_valid=pl.col("is_valid").sum(),
        sampled_valid=pl.col("is_valid").drop_nulls().any(),
    )
    return (
        counts.join(greedy.select(*_LEAF, greedy_valid="is_valid"), on=_LEAF, how="left")
        .with_columns(
            n_greedy_valid=pl.col("greedy_valid").fill_null(False),
            sampled_valid=pl.when(pl.col("n_sampled_judged") > 0).then("sampled_valid"),
        )
        .sort(_LEAF)
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    )


def robustness_frontiers(
    tree: pl.DataFrame,
    robustness: pl.DataFrame,
    grid: Sequence[float] = RECALL_GRID,
    bootstrap: Bootstrap = Bootstrap(),
) -> pl.DataFrame:
    """`depth_frontiers` from greedy labels and from sampled ones, under each other.

    Args:
        tree: Sweep trees, as `token_validity` takes them.
        robustness: The greedy_robustness table; leaves without a label on either side are left out of both.
        grid: As `depth_frontiers`.
        bootstrap: As `depth_frontiers`.

    Returns:
        The columns of `depth_frontiers` behind a first column continuation, "greedy" or "sampled".

    Raises:
        ValueError: As `token_validity` and `depth_frontiers`.

    >>> tree = pl.DataFrame({"seed": [0] * 3, "node": [0, 1, 2], "parent": [-1, 0, 0], "depth": [0, 1, 1],
    ...     "rank": [0, 1, 2], "token": [-1, 7, 8], "text": ["", "a", "b"], "log_probability": [0.0, -1.0, -2.0],
    ...     "is_leaf": [False, True, True]})
    >>> robustness = pl.DataFrame({"judge": ["j"] * 2, "seed": [0] * 2, "node": [1, 2], "n_greedy_valid": [0, 1],
    ...     "n_sampled": [2] * 2, "n_sampled_judged": [2] * 2, "n_sampled_valid": [1, 1],
    ...     "greedy_valid": [False, True], "sampled_valid": [True, True]})
    >>> table = robustness_frontiers(tree, robustness, grid=[1.0]).filter(weighting="token")
    >>> table.select("continuation", "recall", "mean").rows()  # greedy: the first of two is invalid
    [('greedy', 1.0, 0.5), ('sampled', 1.0, 1.0)]
    """
    return _both(
        tree, robustness, lambda validity: depth_frontiers(node_curves(validity), grid=grid, bootstrap=bootstrap)
    )


def robustness_summaries(
    tree: pl.DataFrame, robustness: pl.DataFrame, p0: float = 0.8, bootstrap: Bootstrap = Bootstrap()
) -> pl.DataFrame:
    """`depth_summaries` from greedy labels and from sampled ones, under each other.

    Args:
        tree: Sweep trees, as `token_validity` takes them.
        robustness: The greedy_robustness table; leaves without a label on either side are left out of both.
        p0: As `node_summaries`.
        bootstrap: As `depth_summaries`.

    Returns:
        The columns of `depth_summaries` behind a first column continuation, "greedy" or "sampled".

    Raises:
        ValueError: As `token_validity` and `node_summaries`.

    >>> tree = pl.DataFrame({"seed": [0] * 3, "node": [0, 1, 2], "parent": [-1, 0, 0], "depth": [0, 1, 1],
    ...     "rank": [0, 1, 2], "token": [-1, 7, 8], "text": ["", "a", "b"], "log_probability": [0.0, -1.0, -2.0],
    ...     "is_leaf": [False, True, True]})
    >>> robustness = pl.DataFrame({"judge": ["j"] * 2, "seed": [0] * 2, "node": [1, 2], "n_greedy_valid": [0, 1],
    ...     "n_sampled": [2] * 2, "n_sampled_judged": [2] * 2, "n_sampled_valid": [1, 1],
    ...     "greedy_valid": [False, True], "sampled_valid": [True, True]})
    >>> table = robustness_summaries(tree, robustness).filter(weighting="token")
    >>> table.select("continuation", "auc", "recall_at_precision").rows()
    [('greedy', 0.5, 0.0), ('sampled', 1.0, 1.0)]
    """
    return _both(tree, robustness, lambda validity: depth_summaries(node_summaries(validity, p0), bootstrap))


def _both(tree, robustness, table_of) -> pl.DataFrame:
    check_columns(robustness, "robustness", SCHEMA, "pass the greedy_robustness table")
    paired = robustness.drop_nulls(["greedy_valid", "sampled_valid"])
    parts = []
    for continuation, label in ((GREEDY, "greedy_valid"), (SAMPLED, "sampled_valid")):
        validity = token_validity(tree, paired.select(*_LEAF, is_valid=label))
        parts.append(table_of(validity).select(pl.lit(continuation).alias("continuation"), pl.all()))
    return pl.concat(parts)

r"""pass@k: the probability that at least one of k sampled programs passes."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from calib_assets.metrics._tables import check_columns, check_unique, mean_over_problems
from calib_assets.stats import Bootstrap

PASS_SCHEMA = {"problem_id": pl.String, "k": pl.Int64, "pass_at_k": pl.Float64}
SUMMARY_SCHEMA = {
    "k": pl.Int64,
    "est": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n_problems": pl.Int64,
    "n_undefined": pl.Int64,
}


def pass_at_k(n: int, c: int, k: int) -> float | None:
    r"""The unbiased estimate :math:`1 - \binom{n-c}{k} / \binom{n}{k}` from n samples of which c passed.

    The share of the k-subsets of the samples that hold a passing one. As :math:`1 - \prod_{j<k} (1 - c/(n-j))`, in
    logarithms, so that no binomial is computed and a small value keeps its digits.

    Args:
        n: Samples with a verdict.
        c: Of these, passed.
        k: Programs that may be tried.

    Returns:
        A probability; None where k exceeds n: no unbiased estimate exists.

    Raises:
        ValueError: If not 0 ≤ c ≤ n, or k < 1.

    References:
        Chen et al. (2021), *Evaluating Large Language Models Trained on Code*, arXiv:2107.03374, equation 1.

    >>> pass_at_k(5, 2, 1), pass_at_k(5, 2, 4), pass_at_k(5, 2, 6)
    (0.4, 1.0, None)
    """
    if not 0 <= c <= n or k < 1:
        raise ValueError(f"n = {n}, c = {c}, k = {k}; pass@k needs 0 <= c <= n and k >= 1")
    if k > n:
        return None
    if n - c < k:
        return 1.0
    if k == 1:
        return c / n
    return float(-np.expm1(np.log1p(-c / (n - np.arange(k))).sum()))


def pass_rates(counts: pl.DataFrame, ks: Sequence[int]) -> pl.DataFrame:
    """pass@k of each problem.

    Args:
        counts: problem_id, n_tested, n_passed; one row for each problem.
        ks: Values of k.

    Returns:
        Columns of `PASS_SCHEMA`; null where k exceeds the problem's samples.

    >>> counts = pl.DataFrame({"problem_id": ["a", "b"], "n_tested": [4, 2], "n_passed": [1, 1]})
    >>> rates = pass_rates(counts, [1, 3])  # 3 of the 4 triples of a hold the passing sample; b has no triples
    >>> rates.with_columns(pl.col("pass_at_k").round(9)).rows()
    [('a', 1, 0.25), ('a', 3, 0.75), ('b', 1, 0.5), ('b', 3, None)]
    """
    check_columns(counts, "counts", ("problem_id", "n_tested", "n_passed"), "pass one row for each problem")
    check_unique(counts, "counts", ["problem_id"], "pass one row for each problem")
    rows = [
        (problem, k, pass_at_k(n, c, k))
        for problem, n, c in counts.select("problem_id", "n_tested", "n_passed").iter_rows()
        for k in ks
    ]
    return pl.DataFrame(rows, schema=PASS_SCHEMA, orient="row")


def pass_summary(rates: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()) -> pl.DataFrame:
    """Mean pass@k over the problems in which it is defined, with intervals over resampled problems.

    Args:
        rates: The table of :func:`pass_rates`.
        bootstrap: How the intervals are made.

    Returns:
        Columns of `SUMMARY_SCHEMA`; ``est`` is null where no problem has k samples, the interval where fewer than two
        problems have, or all have the same value.

    >>> counts = pl.DataFrame({"problem_id": ["a", "b"], "n_tested": [4, 2], "n_passed": [1, 1]})
    >>> pass_summary(pass_rates(counts, [1, 3])).select("k", pl.col("est").round(9), "n_problems", "n_undefined").rows()
    [(1, 0.375, 2, 0), (3, 0.75, 1, 1)]
    """
    rows = []
    for k in rates["k"].unique(maintain_order=True):
        own = rates.filter(pl.col("k") == k)
        known = own.drop_nulls("pass_at_k")
        means = mean_over_problems(known, "pass_at_k", bootstrap)
        rows.append((k, *means, known.height, own.height - known.height))
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")

"""Cluster bootstrap: whole clusters (seeds, prompts, items) are drawn with replacement (METHODS §5).

Rows of one cluster share a prompt and a prefix, so they are no independent evidence; resampling them one by
one would give intervals that are too narrow.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

# Draws are taken in blocks of at most this many indexes, so memory does not grow with draws x clusters.
BLOCK_ENTRIES = 4_000_000


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: number of draws, seed of their generator, level.

    >>> Bootstrap()
    Bootstrap(n_boot=2000, seed=42, level=0.95)
    """

    n_boot: int = 2000
    seed: int = 42
    level: float = 0.95

    def __post_init__(self):
        if self.n_boot < 2:
            raise ValueError(f"n_boot is {self.n_boot}; an interval needs at least 2 draws, 2000 is usual")
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}; a confidence level lies in (0, 1), 0.95 is usual")

    def rng(self) -> np.random.Generator:
        """A fresh generator: two estimates from equally many clusters use the same resampled clusters."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap standard error and percentile interval.

    Floats for a scalar statistic, arrays ``[columns]`` for a vector. ``se``, ``ci_low`` and ``ci_high`` are
    None where a single cluster leaves nothing to resample: an interval of width 0 would claim certainty.
    A column of which fewer than two draws are defined has NaN there (None for a scalar).

    >>> cluster_bootstrap(np.array([1.0, 3.0]), np.array(["a", "a"]))  # one cluster: no interval
    Estimate(est=2.0, se=None, ci_low=None, ci_high=None, n_clusters=1, n_undefined=0)
    """

    est: float | Float[np.ndarray, "columns"]
    se: float | Float[np.ndarray, "columns"] | None
    ci_low: float | Float[np.ndarray, "columns"] | None
    ci_high: float | Float[np.ndarray, "columns"] | None
    n_clusters: int
    n_undefined: int = 0


def cluster_bootstrap(
    values: Float[np.ndarray, "rows *columns"],
    clusters: Shaped[np.ndarray, "rows"],
    statistic: Literal["mean"] | Callable[[np.ndarray], float | np.ndarray] = "mean",
    n_boot: int = 2000,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
) -> Estimate:
    """A statistic of all rows and its uncertainty under resampling of whole clusters.

    One draw takes as many clusters as there are, with replacement, and all rows of each, once per time it was
    drawn; the statistic is taken of these rows together (each row one vote, not each cluster). The standard
    error is the draws' standard deviation (ddof 1), the interval runs between their ``(1 ∓ level) / 2``
    quantiles (linear). Means need no rows: sums per cluster, weighted by how often each was drawn.

    Percentile intervals of few clusters are too narrow: 95 % intervals of the mean of normal values hold the truth in
    50 % of studies of 2 clusters, 75 % of 3, 84 % of 5, 91 % of 10, 94 % of 20.

    Args:
        values: One row per observation; a matrix gives one statistic per column under the same draws. For a
            callable also any array whose first axis is the rows.
        clusters: Cluster of each row, ``[rows]``: numbers or strings.
        statistic: "mean", or a function of the drawn rows to a float or a vector. NaN marks a draw in which
            it is undefined; such draws are left out and counted in ``n_undefined``.
        n_boot: Number of draws.
        rng: Generator of the draws; ``numpy.random.default_rng(42)`` by default.
        level: Confidence level in (0, 1).

    Returns:
        The estimate. A single cluster gives ``se``, ``ci_low`` and ``ci_high`` None.

    Raises:
        ValueError: If there are no rows, ``clusters`` has another length, a value is NaN or infinite under
            "mean" (drop missing values first, and say how many), or a setting is out of range.

    References:
        Davison and Hinkley (1997), *Bootstrap Methods and their Application*, section 3.8.

    >>> estimate = cluster_bootstrap(np.array([0.0, 0.0, 1.0, 1.0]), np.array([1, 1, 2, 2]))
    >>> estimate.est, estimate.ci_low, estimate.ci_high
    (0.5, 0.0, 1.0)
    >>> cluster_bootstrap(np.array([0.2, 0.4]), np.array(["a", "a"])).ci_low is None
    True
    """
    Bootstrap(n_boot=n_boot, level=level)  # checks both
    rng = np.random.default_rng(42) if rng is None else rng
    values, members = np.asarray(values), _members(values, clusters)
    n_clusters = int(members.max()) + 1
    if callable(statistic):
        est = np.asarray(statistic(values), dtype=np.float64)
        if n_clusters == 1:
            return from_draws(est, None, n_clusters, level)
        by_cluster = np.split(np.argsort(members, kind="stable"), np.cumsum(np.bincount(members))[:-1])
        draws = [
            statistic(values[np.concatenate([by_cluster[cluster] for cluster in drawn])])
            for block in _drawn_clusters(n_clusters, n_boot, rng)
            for drawn in block
        ]
        return from_draws(est, np.asarray(draws, dtype=np.float64), n_clusters, level)
    if statistic != "mean":
        raise ValueError(f"statistic is {statistic!r}; give 'mean' or a function of the drawn rows")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"values holds {np.count_nonzero(~np.isfinite(values))} NaN or infinite of {values.size} entries; "
            "drop missing rows before the bootstrap and report their number"
        )
    est = values.mean(axis=0)
    if n_clusters == 1:
        return from_draws(est, None, n_clusters, level)
    columns = np.column_stack([values, np.ones(len(values))])
    sums = resampled_sums(columns, members, n_boot, rng)
    return from_draws(est, (sums[:, :-1] / sums[:, -1:]).reshape(n_boot, *est.shape), n_clusters, level)


def resampled_sums(
    values: Float[np.ndarray, "rows columns"],
    clusters: Shaped[np.ndarray, "rows"],
    n_boot: int = 2000,
    rng: np.random.Generator | None = None,
) -> Float[np.ndarray, "n_boot columns"]:
    """Column sums over the rows of each draw: all that a statistic built from sums needs.

    Args:
        values: One row per observation, finite.
        clusters: Cluster of each row, ``[rows]``.
        n_boot: Number of draws.
        rng: Generator of the draws; ``numpy.random.default_rng(42)`` by default. Equal generators give the
            draws of `cluster_bootstrap`.

    Returns:
        ``[n_boot, columns]``; row b sums the b-th draw's rows.

    Raises:
        ValueError: If there are no rows or ``clusters`` has another length.

    >>> resampled_sums(np.array([[2.0], [3.0]]), np.array([7, 7]), n_boot=3)
    array([[5.],
           [5.],
           [5.]])
    """
    rng = np.random.default_rng(42) if rng is None else rng
    values = np.asarray(values, dtype=np.float64)
    members = _members(values, clusters)
    n_clusters = int(members.max()) + 1
    sums = np.column_stack([np.bincount(members, column, n_clusters) for column in values.T])
    blocks = []
    for drawn in _drawn_clusters(n_clusters, n_boot, rng):
        place = drawn + n_clusters * np.arange(len(drawn))[:, None]
        times = np.bincount(place.ravel(), minlength=drawn.size).reshape(drawn.shape)
        blocks.append(times.astype(np.float64) @ sums)
    return np.concatenate(blocks)


def from_draws(est, draws: Float[np.ndarray, "n_boot *columns"] | None, n_clusters: int, level: float) -> Estimate:
    """Estimate whose spread is that of ``draws``; None for draws says that nothing could be resampled.

    Args:
        est: The statistic of all rows: a number, or ``[columns]``.
        draws: Its value in each draw, NaN where undefined.
        n_clusters: Number of clusters that were resampled.
        level: Confidence level in (0, 1).

    Returns:
        The estimate; draws with a NaN are left out of their column and counted once in ``n_undefined``.

    >>> from_draws(0.5, np.array([0.0, np.nan, 1.0]), n_clusters=2, level=0.5)
    Estimate(est=0.5, se=0.7071067811865476, ci_low=0.25, ci_high=0.75, n_clusters=2, n_undefined=1)
    """
    est = np.asarray(est, dtype=np.float64)
    if draws is None:
        return Estimate(_plain(est), None, None, None, n_clusters)
    undefined = np.isnan(draws)
    n_undefined = int(undefined.reshape(len(draws), -1).any(axis=1).sum())
    enough = np.count_nonzero(~undefined, axis=0) >= 2
    # The columns without two defined draws are set aside first: numpy warns of empty slices.
    usable = np.where(enough, draws, 0.0)
    low, high = percentile_interval(usable, level)
    parts = [np.where(enough, part, np.nan) for part in (np.nanstd(usable, axis=0, ddof=1), low, high)]
    if est.ndim == 0 and not enough:
        return Estimate(_plain(est), None, None, None, n_clusters, n_undefined)
    return Estimate(_plain(est), *map(_plain, parts), n_clusters, n_undefined)


def percentile_interval(draws: Float[np.ndarray, "n_boot *columns"], level: float):
    """The ``(1 - level) / 2`` and ``(1 + level) / 2`` quantiles (linear) of each column, NaN left out.

    Args:
        draws: Bootstrap values of a statistic.
        level: Confidence level in (0, 1).

    Returns:
        Low and high end, each ``[columns]``.

    >>> low, high = percentile_interval(np.arange(101.0), 0.5)
    >>> float(low), float(high)
    (25.0, 75.0)
    """
    tail = (1 - level) / 2
    if np.isnan(draws).any():
        return tuple(np.nanquantile(draws, [tail, 1 - tail], axis=0))
    return tuple(np.quantile(draws, [tail, 1 - tail], axis=0))


def _drawn_clusters(n_clusters: int, n_boot: int, rng) -> Iterator[Int[np.ndarray, "draws clusters"]]:
    """Index blocks of all draws; joined they are ``rng.integers(n_clusters, size=(n_boot, n_clusters))``."""
    block = max(1, BLOCK_ENTRIES // n_clusters)
    for start in range(0, n_boot, block):
        yield rng.integers(n_clusters, size=(min(block, n_boot - start), n_clusters))


def _members(values, clusters) -> Int[np.ndarray, "rows"]:
    """Place of each row's cluster among the sorted distinct clusters."""
    clusters = np.asarray(clusters)
    if len(values) == 0:
        raise ValueError("values has no rows: there is nothing to resample")
    if clusters.shape != (len(values),):
        raise ValueError(f"clusters has shape {clusters.shape}; give one cluster for each of {len(values)} rows")
    return np.unique(clusters, return_inverse=True)[1]


def _plain(value):
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else value

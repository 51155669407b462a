"""Piecewise logit fits of a trie's conditionals, as tables (Paper A, Figures 13 to 15)."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from calib_assets.metrics._prefixes import TextOf, check_rows, chosen_nodes, prefix_text
from calib_assets.metrics.logit_fit import fit_piecewise_logits

FIT_SCHEMA = {
    "node": pl.Int64,
    "depth": pl.Int64,
    "prefix": pl.String,
    "m": pl.Float64,
    "b": pl.Float64,
    "c": pl.Int64,
    "A": pl.Float64,
    "B": pl.Float64,
    "C": pl.Float64,
    "mse": pl.Float64,
    "r2": pl.Float64,
    "head_r2": pl.Float64,
    "tail_r2": pl.Float64,
    "geometric_rate": pl.Float64,
    "zipf_exponent": pl.Float64,
}
CURVE_SCHEMA = {
    "node": pl.Int64,
    "prefix": pl.String,
    "rank": pl.Int64,
    "logit": pl.Float64,
    "fitted": pl.Float64,
}


def logit_fits(
    trie, logits, nodes: Iterable[int] | None = None, text_of: TextOf | None = None, n_points: int = 200
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fit the sorted logits of chosen conditionals; one table of parameters, one of thinned curves.

    Tokens with logit -inf (masked out by the model) have no place on the curve and are left out.

    Args:
        trie: `PrefixTrie` of the valid sequences.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        nodes: Internal nodes to fit; all by default.
        text_of: Decodes a list of token ids for the column ``prefix``; the ids themselves by default.
        n_points: Ranks kept per curve: log-spaced, with the first, the last and both sides of c.

    Returns:
        ``(fits, curves)`` with the columns of `FIT_SCHEMA` and `CURVE_SCHEMA`; rows follow ``nodes``.

    Raises:
        ValueError: If the rows do not match the trie, a node has no conditional, or a row cannot be fitted.

    >>> from calib_assets.decoding import PrefixTrie
    >>> rank = np.arange(1, 41)
    >>> row = np.where(rank <= 5, 10.0 - rank, 8 - 2 * np.log(rank))  # a line, then a logarithm
    >>> fits, curves = logit_fits(PrefixTrie.from_sequences([[0], [1]]), [row], n_points=3)
    >>> fits.select("c", pl.col("m", "B").round(3)).row(0), curves["rank"].to_list()
    ((5, -1.0, -2.0), [1, 5, 6, 40])
    """
    check_rows(trie, logits)
    fits, curves = [], [pl.DataFrame(schema=CURVE_SCHEMA)]
    for node in chosen_nodes(trie, nodes):
        row = np.asarray(logits[int(trie.row_of[node])], dtype=np.float64)
        by_rank = np.sort(row[~np.isneginf(row)])[::-1]
        fit = fit_piecewise_logits(by_rank)
        names = {"node": node, "prefix": prefix_text(trie.path(node), text_of)}
        values = {name: getattr(fit, name) for name in FIT_SCHEMA if hasattr(fit, name)}
        fits.append({**names, "depth": int(trie.depth[node]), **values})
        rank = thinned_ranks(fit.n, fit.c, n_points)
        curve = {"rank": rank, "logit": by_rank[rank - 1], "fitted": fit.fitted[rank - 1]}
        repeated = {name: [value] * rank.size for name, value in names.items()}
        curves.append(pl.DataFrame(repeated | curve, schema=CURVE_SCHEMA))
    return pl.DataFrame(fits, schema=FIT_SCHEMA), pl.concat(curves)


def thinned_ranks(n: int, c: int, n_points: int) -> np.ndarray:
    """At most about ``n_points`` log-spaced ranks of 1 .. n, always with 1, c, c + 1 and n.

    >>> thinned_ranks(1000, 7, 4).tolist()
    [1, 7, 8, 10, 100, 1000]
    """
    spaced = np.rint(np.geomspace(1, n, n_points)).astype(np.int64)
    return np.unique(np.concatenate([spaced, [1, c, min(c + 1, n), n]]))

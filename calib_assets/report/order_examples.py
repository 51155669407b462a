"""Example rows of a swept tree (Paper A, Table 2): a few valid and invalid leaves, chosen by a seeded draw."""

import numpy as np
import polars as pl

from calib_assets.figures.layout import require
from calib_assets.figures.order_parts import pick
from calib_assets.readable import readable
from calib_assets.report.contract import Column
from calib_assets.report.shape_tables import Shown

_BREAKS = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍"})


def plain(text: str, limit: int = 160) -> str:
    r"""Text for a table cell: line breaks and control characters shown, blanks at the ends too, cut at ``limit``.

    >>> plain(" the\nend"), plain("x\x00\u202e"), plain("abcdef", 4)
    ('␣the↵end', 'x\\x00\\u202e', 'abc…')
    """
    text = text[: limit + 1]
    lead = len(text) - len(text.lstrip(" "))
    trail = len(text) - len(text.rstrip(" ")) if lead < len(text) else 0
    shown = "␣" * lead + readable(text[lead : len(text) - trail].translate(_BREAKS)) + "␣" * trail
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def examples(
    prefixes: pl.DataFrame,
    tree: pl.DataFrame,
    completions: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    judge: str | None = None,
    count: int = 6,
    missing: int = 2,
) -> Shown:
    """At most ``count`` valid and as many invalid leaves, and ``missing`` without a verdict, in tree order.

    The draw is ``numpy.random.default_rng(42)`` over the leaves in order of seed and node, so that the rows
    are neither picked by hand nor different from one drawing of the page to the next.

    Args:
        prefixes: Columns ``seed, prefix``.
        tree: Columns ``seed, node, parent, depth, rank, text`` of the swept tree, roots included.
        completions: Columns ``seed, node, prompt, completion``, a row a leaf.
        labels: Columns ``judge, seed, node, status, grammar, semantic, overall, is_valid``.
        judge: Whose verdicts; default the first in ``labels``.
    """
    require(prefixes, ("seed", "prefix"), "prefixes")
    require(tree, ("seed", "node", "parent", "depth", "rank", "text"), "sweep_tree")
    require(completions, ("seed", "node", "prompt", "completion"), "completions")
    scores = ("grammar", "semantic", "overall")
    require(labels, ("judge", "seed", "node", "status", *scores, "is_valid"), "judge_labels")
    own = pick(labels, "judge_labels", judge=judge).sort("seed", "node")
    rng = np.random.default_rng(42)
    chosen = []
    for kind, most in ((True, count), (False, count), (None, missing)):
        group = own.filter(pl.col("is_valid").eq_missing(kind))
        places = np.sort(rng.choice(group.height, min(most, group.height), replace=False))
        chosen.append(group[places.tolist()])
    rows = pl.concat(chosen)
    key = ["seed", "node"]
    frame = (
        rows.select(*key, *scores, "is_valid", "status")
        .join(completions.select(*key, "prompt", "completion"), on=key, how="left", maintain_order="left")
        .join(prefixes.select("seed", "prefix"), on="seed", how="left", maintain_order="left")
        .join(_paths(tree, rows.select(key)), on=key, how="left", maintain_order="left")
        .with_columns(pl.col("prompt", "prefix", "completion").map_elements(plain, return_dtype=pl.String))
        .with_columns(pl.col("prefix", "completion").replace("", "(nothing)"))
        .with_columns(
            pl.when(pl.col("is_valid").is_null())
            .then("status")
            .otherwise(pl.when("is_valid").then(pl.lit("valid")).otherwise(pl.lit("invalid")))
            .alias("verdict")
        )
    )
    return frame, {
        "seed": Column("Seed", "count"),
        "prompt": Column("Prompt"),
        "prefix": Column("Prefix", help="what the model had answered before the sweep"),
        "path": Column("Swept tokens (rank)"),
        "completion": Column("Greedy completion"),
        **{name: Column(name.capitalize(), "count", "no verdict") for name in scores},
        "verdict": Column("Verdict"),
    }


def _paths(tree: pl.DataFrame, leaves: pl.DataFrame) -> pl.DataFrame:
    """``seed, node, path``: the swept tokens from the root to each leaf with their ranks."""
    nodes = tree.join(leaves.select("seed").unique(), on="seed", how="semi")
    known = {(row["seed"], row["node"]): row for row in nodes.iter_rows(named=True)}
    paths = []
    for seed, node in leaves.iter_rows():
        words, place = [], known.get((seed, node))
        while place is not None and place["depth"] > 0:
            words.append(f"{plain(place['text'], 24)} ({place['rank']:,})")
            place = known.get((seed, place["parent"]))
        paths.append(" · ".join(reversed(words)))
    return leaves.with_columns(pl.Series("path", paths, dtype=pl.String))

"""Paper A, Figure 1 (left): one next-token distribution by rank, valid and invalid tokens told apart."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from calib_assets.figures.layout import LabelPlacer, empty_figure, footnote, log_axis, require
from calib_assets.figures.style import GROUP_COLOURS, HALF, INK, MUTED, PAPER, themed
from calib_assets.figures.text import prefix_label, share, visible
from calib_assets.metrics.conditional_mass import frequent_valid

COLUMNS = ("node", "prefix", "rank", "text", "logit", "probability", "is_valid")
_SIZES = {"valid, frequent": 34.0, "valid, rare": 30.0, "invalid": 11.0}
_MARKERS = {"valid, frequent": "o", "valid, rare": "D", "invalid": "o"}


@themed
def token_distribution(
    conditional_ranks: pl.DataFrame, *, node: int | None = None, frequent_share: float = 0.9, labels: int = 14
) -> Figure:
    """Probability by rank at one context, both axes logarithmic, tokens coloured by what they lead to.

    Args:
        conditional_ranks: Columns ``node, prefix, rank, text, logit, probability, is_valid``; a column
            ``group`` with the names of ``GROUP_COLOURS``, when present, takes the place of
            ``frequent_share``. Every valid token must be there, any selection of invalid ones may be.
        node: The context to draw; default the first in the table.
        frequent_share: The fewest valid tokens that hold this share of the valid mass are the *frequent* ones
            (see :func:`calib_assets.metrics.conditional_mass.frequent_valid`), the others *rare*.
        labels: Most token texts to write: the head first, then valid tokens down the tail.

    Returns:
        A figure with one axes; tokens of probability 0 are left out and counted in its footnote.
    """
    require(conditional_ranks, COLUMNS, "conditional_ranks")
    if conditional_ranks.is_empty():
        return empty_figure("No ranked tokens in this table.")
    node = conditional_ranks["node"][0] if node is None else node
    tokens = conditional_ranks.filter(pl.col("node") == node).sort("rank")
    if tokens.is_empty():
        raise ValueError(
            f"conditional_ranks has no node {node}; it has {sorted(set(conditional_ranks['node']))[:20]}"
        )
    if "group" not in tokens.columns:
        tokens = tokens.with_columns(_groups(tokens, frequent_share))
    drawn = tokens.filter(pl.col("probability") > 0)
    figure = Figure(figsize=(HALF, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="Rank of the token", ylabel="Probability")
    for group in ("invalid", "valid, rare", "valid, frequent"):
        part = drawn.filter(pl.col("group") == group)
        all_of_it = tokens.filter(pl.col("group") == group)
        axes.scatter(
            part["rank"].to_numpy(),
            part["probability"].to_numpy(),
            s=_SIZES[group],
            marker=_MARKERS[group],
            color=GROUP_COLOURS[group],
            edgecolors="none" if group == "invalid" else PAPER,
            linewidths=0.5,
            alpha=0.55 if group == "invalid" else 1.0,
            zorder=2 if group == "invalid" else 3,
            gid=f"group-{group}",
            label=f"{group} ({all_of_it.height:,}; {share(float(all_of_it['probability'].sum()))})",
            rasterized=part.height > 400,
        )
    if not drawn.is_empty():
        low, high = float(drawn["probability"].min()), float(drawn["probability"].max())
        axes.set(xlim=(0.8, 1.6 * float(drawn["rank"].max()) + 1), ylim=(low / 3, 12 * high))
    log_axis(axes.xaxis)
    log_axis(axes.yaxis)
    _label_tokens(LabelPlacer(axes, angle=40), drawn, labels)
    axes.set_title(f"Next token {prefix_label(tokens['prefix'][0])}")
    axes.legend(
        loc="lower left", title="group (tokens in the table; their mass)", handletextpad=0.3, alignment="left"
    )
    hidden = tokens.height - drawn.height
    rest = 1 - float(tokens["probability"].sum())
    footnote(
        figure,
        [
            f"Invalid tokens that are not in the table hold {share(rest)} of the mass." if rest > 5e-5 else "",
            f"Tokens of probability 0, not drawn: {hidden:,}." if hidden else "",
        ],
    )
    return figure


def _groups(tokens: pl.DataFrame, frequent_share: float) -> pl.Series:
    is_valid = tokens["is_valid"].to_numpy()
    if not is_valid.any():
        return pl.Series("group", ["invalid"] * len(is_valid))
    frequent = frequent_valid(tokens["logit"].to_numpy(), is_valid, frequent_share)
    return pl.Series(
        "group", np.where(~is_valid, "invalid", np.where(frequent, "valid, frequent", "valid, rare"))
    )


def _label_tokens(placer: LabelPlacer, drawn: pl.DataFrame, labels: int) -> None:
    """Head ranks first; then valid tokens at even steps down the ranking, the last valid one included."""
    head = drawn.head(max(labels // 2, 1))
    valid = drawn.filter("is_valid")
    step = max(1, valid.height // max(labels, 1))
    tail = pl.concat([valid.tail(1), valid[::step]])
    written: set[int] = set()
    for row in pl.concat([head, tail]).iter_rows(named=True):
        if len(written) >= labels or row["rank"] in written:
            continue
        if placer.place(
            row["rank"], row["probability"], visible(row["text"], 16), INK if row["is_valid"] else MUTED
        ):
            written.add(row["rank"])

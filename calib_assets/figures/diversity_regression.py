"""Paper B, §5.2: semantic diversity against entropy rate, with the regression's mean for each variant."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib_assets.figures.canopy_parts import order_variants, rule_of, variant_style, wrapped_footnote
from calib_assets.figures.layout import empty_figure, grid_of_axes, require
from calib_assets.figures.style import INK, PAPER, themed
from calib_assets.figures.text import visible

COLUMNS = ("task", "prompt_uid", "model", "variant", "D", "R_bar")
FITTED = ("prompt_uid", "model", "task", "mu_population")
KEY = ("prompt_uid", "model", "task")
BINS, FEWEST = 12, 4
POINTS = 400
"""At most so many points of a variant are drawn in a panel, a sample with a fixed seed of what is there."""


@themed
def diversity_regression(beta_panel: pl.DataFrame, predictions: pl.DataFrame) -> Figure:
    """A panel a task: diversity of every prompt and model by its entropy rate, and the fitted mean of each variant.

    The line joins means of neighbouring rows, of the entropy rate and of the fitted diversity of a prompt and a
    model without random effects, so that it stays where the data are and includes how long those rollouts were.

    Args:
        beta_panel: Columns ``task, prompt_uid, model, variant, D, R_bar``; a row a prompt and model.
        predictions: Columns ``prompt_uid, model, task, mu_population``; a table without rows draws no lines.

    Returns:
        A figure with one axes a task; rows without a fitted mean are counted in its footnote.
    """
    require(beta_panel, COLUMNS, "beta_panel")
    require(predictions, FITTED, "predictions")
    rows = beta_panel.drop_nulls(["D", "R_bar"])
    if rows.is_empty():
        return empty_figure("No prompt has both a diversity and an entropy rate.")
    fitted = predictions.select(FITTED).unique(KEY, keep="first", maintain_order=True)
    joined = rows.join(fitted, on=list(KEY), how="left", maintain_order="left").with_columns(
        pl.col("variant").fill_null("")
    )
    tasks = rule_of(joined, "task")
    columns = 2 if len(tasks) in (2, 4) else 3
    size = (5.6, 3.9) if len(tasks) == 1 else (4.9 if columns == 2 else 3.8, 3.4)
    figure, axes = grid_of_axes(len(tasks), columns, size, sharey=True)
    variants = order_variants(joined["variant"])
    for place, (task, ax) in enumerate(zip(tasks, axes, strict=True)):
        own = joined.filter(pl.col("task") == task)
        for variant in variants:
            _variant(ax, own.filter(pl.col("variant") == variant), task, variant)
        ax.set_title(visible(str(task), 40), fontsize=10)
        ax.set_xlabel("Entropy rate (nats a token)" if place + columns >= len(tasks) else "")
        ax.set_ylabel("Embedding diversity" if place % columns == 0 else "")
    axes[0].set_ylim(bottom=min(0.0, float(joined["D"].min())))  # shared, so when all panels have their points
    styles = [(name, variant_style(name)) for name in variants]
    points = [
        Line2D([], [], color=style.colour, marker=style.marker, linestyle="none", markersize=5, alpha=0.7,
               label=visible(name, 30) or "rows")
        for name, style in styles
    ]  # fmt: skip
    some = joined["mu_population"].null_count() < joined.height
    line = [Line2D([], [], color=INK, linewidth=2.2, label="fitted mean")] if some else []
    figure.legend(handles=[*points, *line], loc="outside upper left", ncols=6)
    many = joined.group_by("task", "variant").len()["len"].max() > POINTS
    lost = joined["mu_population"].null_count()
    wrapped_footnote(
        figure,
        [
            "Lines: fitted means of up to 12 groups of neighbouring rows, without random effects; a dark mark for one "
            "group." if some else
            "No fitted means: there is no fit.",
            f"Points: a random {POINTS} of each variant's rows, where it has more." if many else "",
            f"Rows without a fitted mean: {lost:,}." if some and lost else "",
        ],
    )  # fmt: skip
    return figure


def _variant(axes: Axes, rows: pl.DataFrame, task: str, variant: str) -> None:
    if rows.is_empty():
        return
    style, key = variant_style(variant), f"{task}-{variant}"
    drawn = rows.sample(min(POINTS, rows.height), seed=0)
    axes.scatter(drawn["R_bar"].to_numpy(), drawn["D"].to_numpy(), s=12 if rows.height > 150 else 24,
                 color=style.colour, marker=style.marker, alpha=0.42, linewidths=0, rasterized=True,
                 gid=f"rows-{key}")  # fmt: skip
    known = rows.drop_nulls("mu_population").sort("R_bar")
    if known.is_empty():
        return
    x, mean = binned(known["R_bar"].to_numpy(), known["mu_population"].to_numpy())
    axes.plot(x, mean, color=PAPER, linewidth=4.2, zorder=4, alpha=0.9)
    axes.plot(x, mean, color=style.colour, linestyle=style.dashes, linewidth=2.2, zorder=5, gid=f"fitted-{key}",
              marker=style.marker if len(x) == 1 else None)  # fmt: skip


def binned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of both in groups of neighbours: at most 12 groups of almost equally many, 4 or more if there are.

    >>> binned(np.arange(8.0), np.arange(8.0) * 2)
    (array([1.5, 5.5]), array([ 3., 11.]))
    """
    groups = np.array_split(np.arange(len(x)), max(1, min(BINS, len(x) // FEWEST)))
    return np.array([x[group].mean() for group in groups]), np.array([y[group].mean() for group in groups])

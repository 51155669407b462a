"""Paper A, Figures 4 and 8: area under the frontier, and recall at a precision, against model size."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from calib_assets.figures.layout import LabelPlacer, empty_figure, footnote, log_axis, require, share_axis
from calib_assets.figures.order_parts import STAGES, error_bars, no_interval, numbers, pick
from calib_assets.figures.style import FULL, MUTED, PAPER, SERIES, themed
from calib_assets.figures.text import visible

MEASURES = (("auc", "auc"), ("recall_at_precision", "recall"))
COLUMNS = (
    *("model", "family", "size", "stage", "sweep", "judge", "weighting", "depth", "p0"),
    *(name for column, short in MEASURES for name in (column, f"{short}_ci_low", f"{short}_ci_high")),
)
_NO_FAMILY = "no family named"


@themed
def model_scaling(
    model_scaling: pl.DataFrame, *, judge: str | None = None, weighting: str = "token", depth: int = 0
) -> Figure:
    """Mean AUC (top) and mean recall at precision p0 (bottom) by size, a column a sweep.

    Colour is the family, the marker the training stage; models of one family and stage are joined in order of
    size. Models of unknown size have a lane of their own at the right.

    Args:
        model_scaling: Columns ``model, family, size`` (billions of parameters, null if unknown), ``stage,
            sweep, judge, weighting, depth, auc, recall_at_precision, p0`` and their intervals.
        judge: Whose labels; default the first in the table.
        weighting: ``"token"`` or ``"continuation"`` recall.
        depth: Depth of the nodes that are averaged; 0 for all of them.

    Returns:
        A figure with two axes a sweep, four where a sweep has models of unknown size; models without a value
        (no node with a valid candidate) are counted in its footnote.
    """
    require(model_scaling, COLUMNS, "model_scaling")
    rows = pick(model_scaling, "model_scaling", judge=judge, weighting=weighting, depth=depth)
    if rows.is_empty():
        return empty_figure("No model has been swept.")
    rows = rows.with_columns(pl.col("family").fill_null("").replace("", _NO_FAMILY))
    families = rows["family"].unique(maintain_order=True).to_list()
    colours = {family: SERIES[index % len(SERIES)] for index, family in enumerate(families)}
    sweeps = rows["sweep"].unique(maintain_order=True).to_list()
    width = {1: 7.4, 2: 9.6}.get(len(sweeps), FULL)
    figure = Figure(figsize=(width, 5.6), layout="constrained")
    tall = figure.subfigures(1, len(sweeps), squeeze=False)[0]
    precisions = rows["p0"].unique().to_list()
    wanted = f"{precisions[0]:g}" if len(precisions) == 1 else "p0"
    labels = ("Mean AUC", f"Mean recall at\nprecision {wanted}")
    for place, (sweep, part) in enumerate(zip(sweeps, tall, strict=True)):
        own = rows.filter(pl.col("sweep") == sweep)
        known, unknown = own.drop_nulls("size"), own.filter(pl.col("size").is_null())
        ratios = [r for r, there in ((5, known.height), (0.6 + 0.5 * unknown.height, unknown.height)) if there]
        grid = part.subplots(2, len(ratios), squeeze=False, sharey="row", width_ratios=ratios, sharex="col")
        for row, ((column, short), label) in enumerate(zip(MEASURES, labels, strict=True)):
            lanes = list(grid[row])
            if known.height:
                _sizes(lanes.pop(0), known, column, short, colours)
            if unknown.height:
                _lane(lanes.pop(0), unknown, column, short, colours)
            share_axis(grid[row][0], "y")
            grid[row][0].set_ylabel(label if place == 0 else "")
        if known.height:
            _size_axis(grid[1][0], known)
        if known.height and unknown.height:
            for ax in grid[:, 1]:
                ax.tick_params(axis="y", left=False)
        remark = f" (p0 = {own['p0'][0]:g})" if len(precisions) > 1 else ""
        part.suptitle(f"  {visible(str(sweep), 40)}{remark}", x=0.0, ha="left")
    stages = [stage for stage in STAGES if stage in rows["stage"].to_list()]
    figure.legend(
        handles=[
            *(Line2D([], [], color=c, linewidth=2.4, label=visible(str(f), 30)) for f, c in colours.items()),
            *(Line2D([], [], color=MUTED, marker=STAGES[s], linestyle="none", label=s) for s in stages),
        ],
        loc="outside upper left",
        ncols=6,
        handlelength=1.6,
        columnspacing=1.4,
    )
    lost = rows["auc"].null_count()
    scope = "all depths" if depth == 0 else f"depth {depth}"
    footnote(
        figure,
        [
            f"Judge: {visible(str(rows['judge'][0]), 40)}; {weighting} recall, {scope}. "
            + no_interval(rows, "auc_ci_low"),
            f"Models without a value, as no node has a valid candidate: {lost}." if lost else "",
        ],
    )
    return figure


def _sizes(axes: Axes, rows: pl.DataFrame, column: str, short: str, colours: dict[str, str]) -> None:
    """Points on a logarithmic axis of sizes, a line through those of one family and stage."""
    axes.set_xscale("log")
    for (family, stage), part in rows.group_by("family", "stage", maintain_order=True):
        part = part.sort("size")
        joined = part["size"].n_unique() == part.height > 1
        error_bars(
            axes,
            part["size"].to_numpy(),
            numbers(part, column),
            numbers(part, f"{short}_ci_low"),
            numbers(part, f"{short}_ci_high"),
            color=colours[family],
            **_marker(stage),
            linestyle=("-" if stage == "post-trained" else (0, (4, 2))) if joined else "none",
            linewidth=1.3,
            gid=f"{column}-{family}-{stage}",
            transform=axes.transData + _aside(axes, stage),
        )
    low, high = float(rows["size"].min()), float(rows["size"].max())
    room = 1.6 if high / low < 10 else (high / low) ** 0.1  # one size or few must not fill the axis
    axes.set_xlim(low / room, high * room * 1.15)
    if rows.height <= 8:
        share_axis(axes, "y")
        placer = LabelPlacer(axes, size=7.5)
        for row in rows.drop_nulls(column).sort("size", column).iter_rows(named=True):
            label = visible(str(row["model"]), 22, keep="both")
            for offset in ((8.0, 4.0), (8.0, -11.0), (8.0, -22.0)):
                if placer.place(row["size"], row[column], label, MUTED, offset):
                    break


def _aside(axes: Axes, stage: str) -> ScaledTranslation:
    """A few points to the side, so that the two stages of one size do not cover each other; data stay as they are."""
    return ScaledTranslation((-3 if stage == "pre-trained" else 3) / 72, 0, axes.get_figure(root=True).dpi_scale_trans)


def _size_axis(axes: Axes, rows: pl.DataFrame) -> None:
    """Ticks at the sizes themselves while there are few of them."""
    sizes = rows["size"].unique().sort().to_list()
    if len(sizes) <= 5 and all(b / a > 1.35 for a, b in zip(sizes, sizes[1:], strict=False)):
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
    else:
        log_axis(axes.xaxis)
    axes.set_xlabel("Parameters (billions)")


def _lane(axes: Axes, rows: pl.DataFrame, column: str, short: str, colours: dict[str, str]) -> None:
    """Models of unknown size side by side, named under the axis."""
    rows = rows.sort("model")
    for place, row in enumerate(rows.iter_rows(named=True)):
        one = rows[place]
        error_bars(
            axes,
            [place],
            numbers(one, column),
            numbers(one, f"{short}_ci_low"),
            numbers(one, f"{short}_ci_high"),
            color=colours[row["family"]],
            **_marker(row["stage"]),
            linestyle="none",
            gid=f"{column}-unknown-{row['model']}",
        )
    names = [visible(model, 22, keep="both") for model in rows["model"]]
    axes.set_xticks(range(rows.height), names, rotation=90 if rows.height > 1 else 0, fontsize=8)
    axes.set(xlim=(-0.7, rows.height - 0.3))
    if column == "recall_at_precision":
        axes.set_xlabel("size unknown")
    axes.set_facecolor(PAPER)


def _marker(stage: str) -> dict:
    return {"marker": STAGES.get(stage, "s"), "markersize": 6.5, "markeredgecolor": PAPER, "markeredgewidth": 0.6}

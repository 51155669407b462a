"""Paper A, §4.2 and Theorem E.1: precision and recall of whole sequences, and the factors of each step."""

import polars as pl
from matplotlib.figure import Figure

from calib_assets.figures.layout import (
    empty_figure,
    footnote,
    practical,
    require,
    rule_legend,
    rule_line,
    share_axis,
)
from calib_assets.figures.style import FULL, order_rules, rule_label, themed
from calib_assets.figures.validity_diversity_frontier import pareto

COLUMNS = ("rule", "parameter", "temperature", "sequence_precision", "sequence_recall")
STEP_COLUMNS = ("rule", "parameter", "temperature", "step", "alpha", "beta")
CONFIGURATION = ("rule", "parameter", "temperature")


@themed
def sequence_precision_recall(points: pl.DataFrame) -> Figure:
    """Pareto frontier of (Rec_seq, Prec_seq) for each rule, over its parameters and temperatures.

    Args:
        points: Columns ``rule, parameter, temperature, sequence_precision, sequence_recall``; the frontier is
            taken here, because neither value depends on probabilities beyond which tokens a rule retains.

    Returns:
        A figure with one axes; read a staircase as the best recall at a floor on precision. The precision
        axis is logarithmic where no practical rule reaches a tenth.
    """
    require(points, COLUMNS, "sequence_precision_recall")
    rows = points.drop_nulls(["sequence_precision", "sequence_recall"])
    if rows.is_empty():
        return empty_figure("No configurations in this table.")
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    share_axis(axes, "x")
    share_axis(axes, "y", practical(rows, "sequence_precision"))
    axes.set(xlabel="Sequence recall", ylabel="Sequence precision")
    axes.set_title("Sequence precision and recall")
    names = order_rules(rows["rule"])
    for name in names:
        part = rows.filter(pl.col("rule") == name)
        recall, precision = part["sequence_recall"].to_numpy(), part["sequence_precision"].to_numpy()
        keep = pareto(recall, precision)
        order = recall[keep].argsort(kind="stable")
        rule_line(axes, name, recall[keep][order], precision[keep][order], steps="steps-pre")
    rule_legend(figure, names)
    return figure


def choose_configurations(points: pl.DataFrame, precision_floor: float = 0.8) -> pl.DataFrame:
    """Of each rule, the configuration with the largest Rec_seq among those with Prec_seq ≥ the floor.

    Ties go to the temperature nearest to 1, then to the smaller parameter. Rules that never reach the floor
    have no row.
    """
    require(points, COLUMNS, "sequence_precision_recall")
    return (
        points.filter(pl.col("sequence_precision") >= precision_floor)
        .sort(
            pl.col("rule"),
            -pl.col("sequence_recall"),
            (pl.col("temperature") - 1).abs(),
            pl.col("parameter"),
            maintain_order=True,
            nulls_last=True,
        )
        .unique("rule", keep="first", maintain_order=True)
    )


@themed
def step_factors(steps: pl.DataFrame, points: pl.DataFrame, *, precision_floor: float = 0.8) -> Figure:
    """The E.1 factors α_t (precision) and β_t (recall) by step, of each rule's best configuration at a floor.

    Prec_seq = Π α_t and Rec_seq = Π β_t: a step far below 1 is where a rule loses its validity or its recall.

    Args:
        steps: Columns ``rule, parameter, temperature, step, alpha, beta``.
        points: The table of :func:`sequence_precision_recall`, from which configurations are chosen.
        precision_floor: See :func:`choose_configurations`.

    Returns:
        A figure with two axes; rules that do not reach the floor are named in its footnote.
    """
    require(steps, STEP_COLUMNS, "sequence_precision_recall steps")
    chosen = choose_configurations(points, precision_floor)
    rows = steps.join(chosen.select(CONFIGURATION), on=CONFIGURATION, how="semi", nulls_equal=True)
    if rows.is_empty():
        return empty_figure(f"No rule reaches a sequence precision of {precision_floor:g}.")
    figure = Figure(figsize=(FULL - 1.4, 3.9), layout="constrained")
    names = order_rules(rows["rule"])
    panels = (("alpha", "Step precision α"), ("beta", "Step recall β"))
    for ax, (column, label) in zip(figure.subplots(1, 2), panels, strict=True):
        for name in names:
            part = rows.filter(pl.col("rule") == name).sort("step")
            rule_line(ax, name, part["step"].to_numpy(), part[column].to_numpy(), markers=40)
        share_axis(ax, "y")
        last = int(rows["step"].max())
        every = max(1, last // 12)
        ax.set_xticks(range(1, last + 1, every))
        ax.set(xlabel="Step (token of the answer)", ylabel=label, xlim=(0.7, last + 0.3))
    figure.axes[0].set_title(f"Factors of Theorem E.1 at Prec ≥ {precision_floor:g}")
    rule_legend(figure, names)
    left_out = order_rules(set(points["rule"]) - set(names))
    footnote(
        figure,
        [
            "Below the floor in every configuration: " + ", ".join(rule_label(name) for name in left_out)
            if left_out
            else ""
        ],
    )
    return figure

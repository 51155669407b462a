"""Paper A, Figure 5 (left): validity against diversity when temperature is the only thing that changes."""

import polars as pl
from matplotlib.figure import Figure

from calib_assets.figures.layout import LabelPlacer, empty_figure, footnote, require, share_axis
from calib_assets.figures.style import INK, MUTED, PAPER, series_style, themed
from calib_assets.figures.text import visible

COLUMNS = ("rule", "temperature", "validity", "diversity")


@themed
def temperature_tradeoff(
    decoding_sweep: pl.DataFrame, *, by: str = "task", annotate: tuple[float, ...] = (0.5, 0.7, 1.0, 1.5, 2.0)
) -> Figure:
    """One curve a task, a point a temperature, of the unrestricted rule.

    Args:
        decoding_sweep: Columns ``rule, temperature, validity, diversity`` and, to tell curves apart, the
            column ``by``; rows of other rules are ignored.
        by: Column that names the curves; without it in the table there is one curve.
        annotate: Temperatures to write beside their points, where the table has them and there is room.

    Returns:
        A figure with one axes; points without diversity (validity 0) are counted in its footnote.
    """
    require(decoding_sweep, COLUMNS, "decoding_sweep")
    rows = decoding_sweep.filter(pl.col("rule") == "unrestricted").sort("temperature")
    if rows.is_empty():
        return empty_figure("No configuration samples under temperature alone.")
    names = rows[by].unique(maintain_order=True).to_list() if by in rows.columns else [None]
    names = sorted(names, key=str)
    figure = Figure(figsize=(7.4 if len(names) > 1 else 5.6, 4.3), layout="constrained")
    axes = figure.subplots()
    share_axis(axes, "x", rows.drop_nulls("diversity")["validity"].to_numpy())
    share_axis(axes, "y")
    axes.set(xlabel="Validity", ylabel="Diversity")
    axes.set_title("Temperature alone")
    axes.plot(
        [1],
        [1],
        marker="+",
        markersize=11,
        markeredgewidth=2.2,
        color=MUTED,
        linestyle="none",
        clip_on=False,
        label="ideal (1, 1)",
    )
    placer = LabelPlacer(axes)
    undefined = 0
    curves = []
    for index, name in enumerate(names):
        curve = rows if name is None else rows.filter(pl.col(by) == name)
        known = curve.drop_nulls("diversity")
        undefined += curve.height - known.height
        style = series_style(index)
        axes.plot(
            known["validity"].to_numpy(),
            known["diversity"].to_numpy(),
            **style,
            markeredgecolor=PAPER,
            markeredgewidth=0.5,
            label="temperature sweep" if name is None else visible(str(name), 32),
            zorder=3,
            gid=f"series-{name}",
        )
        curves.append((known, style["color"]))
    for known, colour in curves:
        for row in known.filter(pl.col("temperature").is_in(list(annotate))).iter_rows(named=True):
            one = abs(row["temperature"] - 1.0) < 1e-9
            if one:
                axes.plot(
                    row["validity"], row["diversity"], "o", ms=10, mfc="none", mec=colour, mew=1.2, zorder=4
                )
            placer.place(
                row["validity"],
                row["diversity"],
                f"T={row['temperature']:g}",
                INK if one else MUTED,
                (6.0, 5.0),
            )
    if len(names) > 1:
        figure.legend(loc="outside right upper", handlelength=2.4)
    footnote(
        figure, [f"Points of validity 0, where diversity is undefined: {undefined}." if undefined else ""]
    )
    return figure

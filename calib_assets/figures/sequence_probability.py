"""Paper A, Figure 5 (right) and Figure 10: every valid sequence by probability, beside the invalid mass."""

import math

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from calib_assets.figures.layout import empty_figure, footnote, require
from calib_assets.figures.plotted import drawn_from
from calib_assets.figures.style import HALF, MUTED, temperature_colours, themed
from calib_assets.figures.text import power_of_ten, share

COLUMNS = ("temperature", "rank", "answer", "probability", "log_probability")


@themed
def sequence_probability(
    sequence_probabilities: pl.DataFrame, *, decades: int = 12, temperatures: tuple[float, ...] | None = None
) -> Figure:
    """Sequences by falling probability, a line a temperature, and a bar for the invalid mass of each.

    Heights are drawn from the log-probabilities, so values that underflow are still placed.

    Args:
        sequence_probabilities: Columns ``temperature, rank, answer, probability, log_probability`` (nats);
            the row with ``answer = -1`` of a temperature holds its invalid mass, whose logarithm may be null
            where it is 0.
        decades: Powers of ten shown below the largest value; the footnote counts what lies under them.
        temperatures: Those to draw; default at most six, spread over the table's.

    Returns:
        A figure with two axes on one logarithmic scale: the sequences, and the bars labelled "invalid".
    """
    require(sequence_probabilities, COLUMNS, "sequence_probabilities")
    if sequence_probabilities.is_empty():
        return empty_figure("No sequences in this table.")
    found = sequence_probabilities["temperature"].unique().sort().to_list()
    chosen = _spread(found, 6) if temperatures is None else [t for t in found if t in temperatures]
    if not chosen:
        raise ValueError(f"no row has a temperature in {temperatures}; the table has {found}")
    rows = sequence_probabilities.filter(pl.col("temperature").is_in(chosen)).with_columns(
        (pl.col("log_probability") / math.log(10)).alias("height")
    )
    finite = rows.filter(pl.col("height").is_finite())["height"]
    top = float(finite.max()) if len(finite) else 0.0
    bottom = max(float(finite.min()) - 0.3 if len(finite) else -1.0, top - decades, -300.0)
    figure = Figure(figsize=(HALF, 3.9), layout="constrained")
    axes, tail = figure.subplots(1, 2, sharey=True, width_ratios=(5, 0.5 + 0.32 * len(chosen)))
    colours = temperature_colours(chosen)
    for place, temperature in enumerate(chosen):
        part = rows.filter(pl.col("temperature") == temperature)
        valid = part.filter(pl.col("answer") >= 0).sort("rank")
        height = np.where(np.isfinite(valid["height"].to_numpy()), valid["height"].to_numpy(), np.nan)
        axes.plot(
            valid["rank"].to_numpy(),
            height,
            color=colours[temperature],
            linewidth=1.7,
            marker="o" if valid.height <= 60 else None,
            markersize=3,
            label=f"T = {temperature:g}",
            gid=f"temperature-{temperature:g}",
        )
        invalid = part.filter(pl.col("answer") == -1)
        mass = invalid["height"][0] if invalid.height else None
        if mass is not None and math.isfinite(mass):  # null or -inf where every output is valid
            mass = max(mass, bottom)
            tail.bar(place, mass - bottom, bottom=bottom, width=0.75, color=colours[temperature], alpha=0.85)
            tail.annotate(
                share(float(invalid["probability"][0])),
                (place, mass),
                xytext=(0, 3),
                fontsize=7.5,
                ha="center",
                textcoords="offset points",
                rotation=90 if len(chosen) > 2 else 0,
                va="bottom",
            )
    n_sequences = int(rows["rank"].max() or 1)
    axes.set(xlim=(1 - 0.02 * n_sequences, 1.02 * n_sequences + 0.5))
    decade = max(1, math.ceil((top - bottom) / 7))
    axes.set_yticks(range(0, math.ceil(bottom) - 1, -decade))
    axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
    for panel in (axes, tail):
        drawn_from(panel.yaxis, lambda height: 10.0**height)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,.0f}"))
    axes.set(xlabel="Valid sequence, by falling probability", ylabel="Probability")
    tail.set(xlabel="invalid", xlim=(-0.7, len(chosen) - 0.3))
    tail.set_xticks(
        range(len(chosen)), [f"T={t:g}" for t in chosen], rotation=90, fontsize=8
    )  # the legend of both
    tail.grid(visible=False)
    tail.tick_params(axis="both", left=False, bottom=False)
    tail.set_ylim(bottom, max(top, 0.0) + (0.17 if len(chosen) > 2 else 0.06) * (max(top, 0.0) - bottom))
    axes.set_title("Sequence probabilities")
    axes.axhline(-math.log10(n_sequences), color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        "uniform over V",
        (n_sequences, -math.log10(n_sequences)),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=MUTED,
    )
    below = rows.filter((pl.col("answer") >= 0) & ~(pl.col("height") >= bottom)).height
    skipped = len(found) - len(chosen)
    footnote(
        figure,
        [
            f"{below:,} of {rows.filter(pl.col('answer') >= 0).height:,} points lie below the axis."
            if below
            else "",
            f"Temperatures of the table that are not drawn: {skipped}." if skipped else "",
        ],
    )
    return figure


def _spread(values: list[float], count: int) -> list[float]:
    """At most ``count`` of the values, the ends and the one nearest to 1 among them."""
    if len(values) <= count:
        return values
    places = {round(i * (len(values) - 1) / (count - 1)) for i in range(count)}
    nearest = min(range(len(values)), key=lambda i: abs(values[i] - 1.0))
    if nearest not in places:
        inner = sorted(places - {0, len(values) - 1})
        places -= {min(inner, key=lambda i: abs(i - nearest))}
        places |= {nearest}
    return [values[i] for i in sorted(places)]

"""Pieces that the canopy study's figures share: names of measures, how variants look, panels, thinned axes."""

import hashlib
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from calib_assets.figures.layout import footnote
from calib_assets.figures.style import INK, MARKERS, PAPER, SERIES
from calib_assets.figures.text import visible


@dataclass(frozen=True)
class Measure:
    """A measure of the study for people: ``label``, and its ``unit`` if it has one."""

    label: str
    unit: str = ""

    @property
    def axis(self) -> str:
        """Label of an axis.

        >>> Measure("Mean length", "tokens").axis, Measure("GenPPL").axis
        ('Mean length (tokens)', 'GenPPL')
        """
        return f"{self.label} ({self.unit})" if self.unit else self.label


MEASURES = {
    "canopy_entropy": Measure("Canopy entropy", "nats"),
    "gen_ppl": Measure("Generation perplexity"),
    "branching_factor": Measure("Branching factor"),
    "mean_length": Measure("Mean length", "tokens"),
    "mean_entropy_rate": Measure("Entropy rate", "nats a token"),
    "truncation_rate": Measure("Truncation rate"),
    "length_driven": Measure("Length times rate", "nats"),
    "covariance_part": Measure("Covariance part", "nats"),
    "bias_bound": Measure("Bound on the truncation bias", "nats"),
    "pearson": Measure("Pearson correlation"),
    "spearman": Measure("Spearman correlation"),
    "kendall": Measure("Kendall's τ-b"),
    "covariance": Measure("Covariance", "nats"),
    "embedding_diversity": Measure("Embedding diversity"),
    "vendi_score": Measure("Vendi score"),
    "semantic_entropy": Measure("Semantic entropy", "nats"),
    "semantic_entropy_normalised": Measure("Semantic entropy ÷ ln n"),
    "n_clusters": Measure("Meanings"),
}
"""Every measure of a model and task, in the order of the report."""

SIZE = ("canopy_entropy", "gen_ppl", "branching_factor")
CORRELATIONS = ("pearson", "spearman", "kendall")
SEMANTIC = ("embedding_diversity", "vendi_score")


def measure_label(name: str) -> str:
    """Name of a measure for people; one that is not listed is shown as it is.

    >>> measure_label("gen_ppl"), measure_label("new_measure")
    ('Generation perplexity', 'new_measure')
    """
    return MEASURES[name].label if name in MEASURES else visible(name, 40)


@dataclass(frozen=True)
class VariantStyle:
    """How a variant of a model is drawn: colour, marker and dashes all say the same."""

    colour: str
    marker: str
    dashes: Any = "-"


_VARIANTS = {
    "": VariantStyle(SERIES[0], "o"),
    "base": VariantStyle(SERIES[0], "o"),
    "instruct": VariantStyle(SERIES[1], "s", (0, (6, 1.5))),
    "sft": VariantStyle(SERIES[2], "^", (0, (5, 1, 1, 1))),
    "dpo": VariantStyle(SERIES[3], "D", (0, (3, 1.5))),
    "rl": VariantStyle(SERIES[4], "v", (0, (1, 1.2))),
    "think": VariantStyle(SERIES[5], "P", (0, (5, 1, 1, 1, 1, 1))),
}


def variant_style(variant: str | None) -> VariantStyle:
    """Style of a variant; an unknown one gets a colour and a marker derived from its name alone.

    >>> variant_style("base") == variant_style(None), variant_style("x") == variant_style("x")
    (True, True)
    """
    if (variant or "") in _VARIANTS:
        return _VARIANTS[variant or ""]
    digest = hashlib.sha256(variant.encode()).digest()
    return VariantStyle(SERIES[digest[0] % len(SERIES)], MARKERS[digest[1] % len(MARKERS)], (0, (4, 2)))


def order_variants(names: pl.Series) -> list[str]:
    """Distinct variants, ``base`` first, then in the order of appearance."""
    found = [name or "" for name in names.unique(maintain_order=True).to_list()]
    return sorted(dict.fromkeys(found), key=lambda name: name != "base")


def variant_handles(names: list[str], *, markers: bool = False) -> list[Line2D]:
    """Legend entries of variants, as lines or as markers."""
    handles = []
    for name in names:
        style = variant_style(name)
        drawn = {"marker": style.marker, "linestyle": "none", "markeredgecolor": PAPER} if markers else {}
        drawn = drawn or {"linestyle": style.dashes, "linewidth": 2.0}
        handles.append(Line2D([], [], color=style.colour, label=visible(name, 30) if name else "rollouts", **drawn))
    return handles


def with_places(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the columns ``panel``, ``model`` and ``variant``; those that it lacks are empty strings.

    >>> with_places(pl.DataFrame({"n": [1]})).row(0)
    (1, '', '', '')
    """
    names = ("panel", "model", "variant")
    return frame.with_columns(
        (pl.col(name).fill_null("") if name in frame.columns else pl.lit("")).alias(name) for name in names
    )


def lines_of(rows: pl.DataFrame) -> list[tuple[str, str, pl.DataFrame]]:
    """(model, variant, rows) of one panel, base first."""
    parts = rows.partition_by("model", "variant", maintain_order=True, as_dict=True)
    return sorted(((*key, part) for key, part in parts.items()), key=lambda line: line[1] != "base")


def panel_title(panel: str) -> str:
    """A panel's name as its title: a pair of models on two lines.

    >>> panel_title("a-base → a-instruct"), panel_title("a")
    ('a-base\\n→ a-instruct', 'a')
    """
    return "\n→ ".join(visible(name, 40) for name in panel.split(" → ", 1))


def key_of(panel: str, model: str) -> str:
    """Last part of an artist's id: the panel and the model whose rows it draws."""
    return "-".join(part for part in (panel, model) if part) or "all"


def thinned(rows: pl.DataFrame, points: int, *, logarithmic: bool = False) -> tuple[pl.DataFrame, int]:
    """At most ``points`` rows of an entropy trajectory, and the largest number of positions that one stands for.

    Neighbouring positions are pooled: their mean, weighted by active rollouts, is the mean over all steps in
    them. The ends of intervals are averaged in the same way, which never makes an interval too narrow.

    Args:
        rows: Columns ``position, mean, ci_low, ci_high, active, active_share``, positions ascending.
        logarithmic: Pool groups of equal width on a logarithmic axis.

    >>> table = pl.DataFrame({"position": [1, 2], "mean": [1.0, 4.0], "ci_low": [1.0, None], "ci_high": [1.0, None],
    ...                       "active": [2, 1], "active_share": [1.0, 0.5]})
    >>> thinned(table, 1)[0].row(0)
    (1.5, 2.0, 1.0, 1.0, 1.5, 0.75)
    """
    names = ("position", "mean", "ci_low", "ci_high", "active", "active_share")
    if rows.height <= points:
        return rows.select(names), 1
    place, last = pl.col("position"), float(rows["position"].max())
    reach = (place.log() / math.log(last)) if logarithmic else (place - 1) / last
    group = (reach * points).floor().clip(0, points - 1).cast(pl.Int64)

    def pooled(name: str) -> pl.Expr:
        known = pl.col("active").filter(pl.col(name).is_not_null())
        total = (pl.col(name) * pl.col("active")).sum() / known.sum()
        return pl.when(known.sum() > 0).then(total).alias(name)

    found = rows.group_by(group.alias("group"), maintain_order=True).agg(
        place.mean(),
        *(pooled(name) for name in names[1:4]),
        *(pl.col(name).mean() for name in names[4:]),
        pl.len().alias("width"),
    )
    return found.select(names), int(found["width"].max())


def rule_of(frame: pl.DataFrame, column: str) -> list[str]:
    """Distinct values of a text column in the order of appearance, null as the empty string."""
    return [value or "" for value in frame[column].unique(maintain_order=True).to_list()]


def wrapped_footnote(figure: Figure, sentences: Sequence[str]) -> None:
    """A footnote whose lines are no longer than the figure is wide; narrow figures have long remarks too."""
    limit = round(15.5 * figure.get_figwidth())
    footnote(figure, [line for sentence in sentences for line in textwrap.wrap(sentence, limit)])


def zero_line(axes: Axes, which: str = "x") -> None:
    """The line of no change or no correlation."""
    draw = axes.axvline if which == "x" else axes.axhline
    draw(0.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1.5)

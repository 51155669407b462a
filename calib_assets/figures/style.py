"""The look of every figure: one seaborn theme, one fixed palette, and nothing global.

What belongs here: colours, line styles, the order and the names of decoding rules. What must not: data. A
figure function runs under :func:`themed`, which sets matplotlib's parameters for the length of the call and
puts them back; no figure is registered with pyplot, so nothing leaks between figures and nothing needs
closing.

Colours are those of Okabe and Ito, which stay apart under the common colour-vision deficiencies, and no
information is carried by colour alone: every rule also has a marker, and oracles have their own line style.
"""

import colorsys
import functools
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.figure import Figure

from calib_assets.decoding import RULES
from calib_assets.figures.text import visible

INK, MUTED, GRID, PAPER = "#1f2328", "#5d6771", "#dde2e7", "#ffffff"
"""Text, secondary text, grid and ground: the colours that the report swaps for its light and dark ones."""

HALF, FULL = 5.6, 11.4
"""Figure widths in inches: two ``HALF`` figures fill a row of the report, one ``FULL`` figure does."""

GROUP_COLOURS = {"valid, frequent": "#0072b2", "valid, rare": "#56b4e9", "invalid": "#d55e00"}
"""The three kinds of token in the counterpart of Paper A's Figure 1."""

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#7b4fb5", "#56b4e9", "#9a6324")
"""Colours of series that are not rules (tasks, say), in order; beyond eight, markers and dashes differ."""

HEAT = ("#2a78b8", "#7766cc", "#ad55b2", "#cf4f7a", "#d65f2c", "#bf8613")
"""From cold to hot, each about as bright as the others: legible on the white ground of a page and on its dark one."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "p", "<", ">", "d")


@dataclass(frozen=True)
class RuleStyle:
    """How one decoding rule is drawn: ``label`` for people, ``dashes`` as a matplotlib line style."""

    label: str
    colour: str
    marker: str
    dashes: Any = "-"
    width: float = 1.6
    size: float = 4.5
    zorder: float = 3.0


# Oracles in ink, dashed and dotted, above the practical rules.
_FIXED = {
    "unrestricted": dict(colour="#7f8790", marker="o"),
    "top_k": dict(colour="#0072b2", marker="s"),
    "top_p": dict(colour="#d55e00", marker="^"),
    "min_p": dict(colour="#009e73", marker="D", size=4.0),
    "typical_p": dict(colour="#cc79a7", marker="v"),
    "epsilon": dict(colour="#56b4e9", marker="P"),
    "eta": dict(colour="#e69f00", marker="X"),
    "top_n_sigma": dict(colour="#9a6324", marker="h"),
    "top_h": dict(colour="#7b4fb5", marker="p"),
    "oracle_cutoff": dict(colour=INK, marker="*", dashes=(0, (5, 2)), width=2.0, size=7.5, zorder=5.0),
    "validity_oracle": dict(colour=INK, marker="d", dashes=(0, (1, 1.5)), width=2.0, size=6.5, zorder=4.0),
}


def rule_label(name: str) -> str:
    """Name of a rule for people: the registered rule's ``label``, or ``name`` if it is not registered."""
    label = getattr(RULES.get(name), "label", None)
    return visible(label if isinstance(label, str) else name, 40)


def is_oracle(name: str) -> bool:
    """Whether the registered rule knows the valid set; an unregistered rule counts as practical."""
    return bool(getattr(RULES.get(name), "uses_valid_set", False))


def rule_style(name: str) -> RuleStyle:
    """Style of a rule; one that the palette does not list gets a colour and a marker derived from its name.

    The derived style depends on nothing but the name, so a new rule looks the same in every figure, whatever
    other rules stand beside it.

    >>> rule_style("a_new_rule") == rule_style("a_new_rule")
    True
    >>> rule_style("a_new_rule").colour != rule_style("another_rule").colour
    True
    """
    if name in _FIXED:
        return RuleStyle(label=rule_label(name), **_FIXED[name])
    digest = hashlib.sha256(name.encode()).digest()
    red, green, blue = colorsys.hls_to_rgb(digest[0] / 256, 0.42 + digest[1] / 256 * 0.16, 0.55)
    colour = "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
    return RuleStyle(rule_label(name), colour, MARKERS[digest[2] % len(MARKERS)], dashes=(0, (4, 1, 1, 1)))


def order_rules(names: Iterable[str]) -> list[str]:
    """Distinct rule names in legend order: those of the palette, then others by name, oracles last."""
    places = {name: index for index, name in enumerate(_FIXED)}

    def key(name: str) -> tuple[bool, int, str]:
        return is_oracle(name), places.get(name, len(places)), name

    return sorted(set(names), key=key)


def series_style(index: int) -> dict[str, Any]:
    """Arguments of matplotlib's ``plot`` for the ``index``-th of several series that are not rules."""
    dashes = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))[index // len(SERIES) % 4]
    return {
        "color": SERIES[index % len(SERIES)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": dashes,
        "markersize": 4.5,
        "linewidth": 1.6,
    }


def temperature_colours(temperatures: Iterable[float]) -> dict[float, str]:
    """One colour a temperature, ordered from cold to hot; one temperature gets the middle of the scale."""
    ordered = sorted(set(temperatures))
    shades = matplotlib.colors.LinearSegmentedColormap.from_list("heat", HEAT)
    places = [0.45] if len(ordered) == 1 else [i / (len(ordered) - 1) for i in range(len(ordered))]
    return {t: matplotlib.colors.to_hex(shades(place)) for t, place in zip(ordered, places, strict=True)}


def theme() -> dict[str, Any]:
    """Matplotlib parameters of every figure: seaborn's ``whitegrid``, quiet axes, fonts readable in print."""
    return {
        **sns.axes_style("whitegrid"),
        **sns.plotting_context("paper"),
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same picture on every machine
        "font.size": 10.0,
        "axes.labelsize": 10.0,
        "axes.titlesize": 10.5,
        "figure.titlesize": 11.5,
        "xtick.labelsize": 9.0,
        "ytick.labelsize": 9.0,
        "legend.fontsize": 9.0,
        "legend.title_fontsize": 9.0,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "figure.titleweight": "bold",
        "axes.titlepad": 8.0,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": PAPER,
        "figure.facecolor": PAPER,
        "grid.color": GRID,
        "grid.linewidth": 0.7,
        "xtick.bottom": True,
        "ytick.left": True,
        "xtick.major.size": 3.0,
        "ytick.major.size": 3.0,
        "xtick.minor.size": 0.0,
        "ytick.minor.size": 0.0,
        "legend.frameon": False,
        "lines.solid_capstyle": "round",
        "axes.axisbelow": True,
        "axes.formatter.use_mathtext": False,
        "mathtext.fontset": "dejavusans",
        "axes.unicode_minus": True,
        "figure.dpi": 100.0,
        "savefig.dpi": 150.0,
        "path.simplify": True,
        "path.simplify_threshold": 1 / 9,
    }


def themed(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a figure function under :func:`theme`, leaving matplotlib's own parameters as they were."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        with matplotlib.rc_context(theme()):
            return draw(*args, **kwargs)

    return wrapped

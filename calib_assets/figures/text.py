"""Text inside figures: tokens, prefixes and names that come from models and users, made safe and legible.

A token may hold a space, a line break, half of a character or a script that the figure's font does not have,
and a name may hold a dollar sign, which matplotlib reads as mathematics. Everything drawn that is not a
constant of this package passes through :func:`visible`.
"""

import functools
import math

import polars as pl
from matplotlib.font_manager import FontProperties, findfont, get_font

_SHOWN = {"\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "⍽"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@functools.cache
def _drawable() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def visible(text: str, limit: int = 28, *, keep: str = "start") -> str:
    r"""Text as it can be drawn: outer blanks and control characters shown, length limited, ``$`` literal.

    Args:
        text: Anything; a character that the font lacks is drawn as its code point.
        limit: Longest result in characters; the cut is marked by an ellipsis.
        keep: ``"start"`` cuts the end; ``"end"`` cuts the start, for prefixes, whose ends tell them apart; ``"both"``
            cuts the middle, for names, which often differ at their ends alone.

    >>> visible("deepseek-distill-llama-70b", 16, keep="both")
    'deepsee…lama-70b'
    >>> visible(" Ohio"), visible("a\nb"), visible("North Carolina", 8), visible("3, 1, 4,", 5, keep="end")
    ('␣Ohio', 'a↵b', 'North C…', '…, 4,')
    >>> visible("x\x00"), visible("\u6570"), visible("cost: $5")
    ('x\\x00', '\\u6570', 'cost: \\$5')
    """
    body = text.strip(" ")
    lead = len(text) - len(text.lstrip(" ")) if body else len(text)
    trail = len(text) - len(text.rstrip(" ")) if body else 0
    shown = "␣" * lead + "".join(_character(c) for c in body) + "␣" * trail
    if len(shown) > limit:
        tail = {"start": 0, "end": limit - 1, "both": limit // 2}[keep]
        shown = shown[: limit - 1 - tail].rstrip() + "…" + shown[len(shown) - tail :]
    return shown.replace("$", r"\$")


def _character(character: str) -> str:
    if character in _SHOWN:
        return _SHOWN[character]
    if ord(character) in _drawable() and (character.isprintable() or character == " "):
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def prefix_label(prefix: str, limit: int = 28) -> str:
    """A context by its answer prefix: the end of it, or ``at the start`` for the empty one.

    >>> prefix_label(""), prefix_label("3, 1,")
    ('at the start', 'after “3, 1,”')
    """
    return (
        "at the start"
        if prefix == ""
        else f"after “{visible(prefix.strip(' ') or prefix, limit, keep='end')}”"
    )


def power_of_ten(exponent: float, _position: object = None) -> str:
    """Tick label of ``10 ** exponent`` without mathematics mode, so that an SVG keeps it as plain text.

    >>> power_of_ten(-3), power_of_ten(0), power_of_ten(-0.5)
    ('10⁻³', '1', '')
    """
    if abs(exponent - round(exponent)) > 1e-9:
        return ""
    return "1" if round(exponent) == 0 else "10" + str(round(exponent)).translate(_SUPERSCRIPT)


def log_tick(value: float, _position: object = None) -> str:
    """Tick label on a log axis: ``1``, ``10``, ``100``, then powers of ten; nothing between powers.

    >>> [log_tick(v) for v in (1, 10, 100, 1e4, 1e-3, 20)]
    ['1', '10', '100', '10⁴', '10⁻³', '']
    """
    if value <= 0:
        return ""
    exponent = math.log10(value)
    if abs(exponent - round(exponent)) > 1e-9:
        return ""
    return f"{round(value)}" if 0 <= round(exponent) <= 2 else power_of_ten(exponent)


def short(value: float | None, digits: int = 3) -> str:
    """A number in few characters for annotations; ``—`` for a missing one.

    >>> short(0.123456), short(None), short(1.0), short(3.2e-7), short(0.0)
    ('0.123', '—', '1', '3.2×10⁻⁷', '0')
    """
    if value is None:
        return "—"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return (
            f"{value:.{digits}g}".replace("-", "−")
            if abs(value) < 1000
            else f"{value:,.0f}".replace("-", "−")
        )
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.replace('-', '−')}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def share(value: float | None, digits: int = 2) -> str:
    """A share of 1 in few digits, never rounded to 0 or 1 unless it is (to 1e-12, the rounding of sums).

    >>> share(0.42), share(0.9997), share(1.0), share(0.00041), share(0.0), share(None)
    ('0.42', '1−3×10⁻⁴', '1', '4.1×10⁻⁴', '0', '—')
    """
    if value is not None and 1 - 0.5 * 10.0**-digits <= value < 1 - 1e-12:
        mantissa, exponent = f"{1 - value:.0e}".split("e")
        return f"1−{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return short(1.0 if value is not None and 1 - 1e-12 <= value < 1 else value, digits)


def name_rows(
    frame: pl.DataFrame, columns: tuple[str, ...] = ("model", "task"), limit: int = 40
) -> list[str]:
    """One label a row from the partition columns that the table has, such as ``smollm2 · digits-3``."""
    present = [column for column in columns if column in frame.columns]
    return [
        " · ".join(visible(str(value), limit, keep="both") for value in row)
        for row in frame.select(present).iter_rows()
    ]

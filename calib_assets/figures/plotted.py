"""What a figure shows, as a table: every mark in the coordinates of its axes, in full precision.

The table is read off the finished figure, so it is what was drawn, whatever drew it; a reader can draw it again.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator

SCHEMA = {
    "panel": pl.Int64, "panel_title": pl.String, "x_axis": pl.String, "y_axis": pl.String, "series": pl.String,
    "mark": pl.String, "x": pl.Float64, "y": pl.Float64, "x_end": pl.Float64, "y_end": pl.Float64,
    "x_name": pl.String, "y_name": pl.String, "text": pl.String,
}  # fmt: skip
Point = tuple[float | None, float | None, float | None, float | None]


def plotted_data(figure: Figure) -> pl.DataFrame:
    """Every line, point, bar, band, step, segment and text of a figure, a row for each point of it.

    Returns:
        Columns ``panel`` (1-based, in drawing order), ``panel_title``, ``x_axis``, ``y_axis`` (labels of the axes),
        ``series`` (the mark's label, or what the legend says of its colour, or its number in the panel), ``mark``
        (line, point, bar, band, step, segment, text), ``x, y``, ``x_end, y_end`` (the other end of a bar, step or
        segment, and the upper edge of a band), ``x_name, y_name`` (where the axis names its places), ``text``.
        A coordinate that runs across the whole panel, as that of a reference line, is null. Points that are not
        drawn (NaN) are left out. Where an axis is drawn in something else than what its label and ticks say
        (:func:`drawn_from`), coordinates are those of the label.

    >>> figure = Figure()
    >>> _ = figure.subplots().plot([1, 2], [0.25, 0.5], label="a")
    >>> plotted_data(figure).select("series", "mark", "x", "y").rows()
    [('a', 'line', 1.0, 0.25), ('a', 'line', 2.0, 0.5)]
    """
    shared = _legend_names(figure.legends)
    rows = []
    for number, axes in enumerate(figure.axes, start=1):
        names = shared | _legend_names([axes.get_legend()] if axes.get_legend() else [])
        x_names, y_names = _place_names(axes, "x"), _place_names(axes, "y")
        head = (number, axes.get_title() or axes.get_title("left"), axes.get_xlabel(), axes.get_ylabel())
        for mark, series, points, text in _marks(axes, names):
            for x, y, x_end, y_end in points:
                places = _name_at(x, x_end, x_names, mark), _name_at(y, y_end, y_names, mark)
                x, x_end = (_quantity(axes.xaxis, value) for value in (x, x_end))
                y, y_end = (_quantity(axes.yaxis, value) for value in (y, y_end))
                rows.append((*head, series, mark, x, y, x_end, y_end, *places, text))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def drawn_from(axis: Axis, quantity: Callable[[float], float]) -> None:
    """Note that an axis is drawn in other coordinates than its label and ticks say, and how to come back to these.

    >>> axes = Figure().subplots()
    >>> _ = axes.plot([1, 2], [-1, -2])
    >>> drawn_from(axes.yaxis, lambda exponent: 10.0**exponent)
    >>> plotted_data(axes.figure)["y"].to_list()
    [0.1, 0.01]
    """
    axis.drawn_from = quantity


def _quantity(axis: Axis, value: float | None) -> float | None:
    return value if value is None else float(getattr(axis, "drawn_from", float)(value))


def _marks(axes: Axes, names: dict[str, str]) -> Iterator[tuple[str, str, list[Point], str]]:
    containers = {id(bar): box.get_label() for box in axes.containers for bar in box}
    count = 0
    for artist in axes.get_children():
        mark, points = _points(artist, axes)
        if mark and points and artist.get_visible():
            count += 1
            yield mark, _series(artist, containers.get(id(artist), ""), names, count), points, ""
    for label in axes.texts:
        at = label.xy if isinstance(label, Annotation) else label.get_position()
        points = _kept(axes, label, [(*at, None, None)]) if label.get_text().strip() else []
        if points:
            yield "text", "", points, label.get_text()


def _points(artist: Artist, axes: Axes) -> tuple[str, list[Point]]:
    """Kind of mark and its points in data coordinates; no kind for what is no mark."""
    if isinstance(artist, Line2D):
        return "line", _kept(axes, artist, [(x, y, None, None) for x, y in zip(*_floats(*artist.get_data(orig=False)))])
    if isinstance(artist, PathCollection):
        offsets = np.ma.filled(np.ma.asarray(artist.get_offsets(), dtype=float), np.nan)
        return "point", [(float(x), float(y), None, None) for x, y in offsets if np.isfinite([x, y]).all()]
    if isinstance(artist, LineCollection):
        return "segment", _kept(axes, artist, [(*part[0], *part[-1]) for part in artist.get_segments() if len(part)])
    if isinstance(artist, PolyCollection):
        return "band", [point for path in artist.get_paths() for point in _band(path.vertices)]
    if isinstance(artist, StepPatch):
        values, edges, _ = artist.get_data()
        flat = artist.orientation == "vertical"
        steps = zip(edges[:-1], edges[1:], values, strict=True)
        places = [(low, at, high, None) if flat else (at, low, None, high) for low, high, at in steps]
        return "step", _kept(axes, artist, places)
    if isinstance(artist, Rectangle) and artist is not axes.patch:
        (x, y), width, height = artist.get_xy(), artist.get_width(), artist.get_height()
        return "bar", _kept(axes, artist, [(x, y, x + width, y + height)])
    return "", []


def _kept(axes: Axes, artist: Artist, points: list[Point]) -> list[Point]:
    """Points with the coordinates that are those of the data; without repeats where one of them is not."""
    across, up = artist.get_transform().contains_branch_seperately(axes.transData)  # (matplotlib's spelling)
    if isinstance(artist, Annotation):
        across = up = artist.xycoords == "data"  # its own transform is that of its text
    if not (across or up):
        return []
    found = [
        tuple(None if value is None or not known else float(value) for value, known in zip(point, (across, up) * 2))
        for point in points
    ]
    found = [point for point in found if all(value is None or np.isfinite(value) for value in point)]
    return found if across and up else list(dict.fromkeys(found))


def _band(vertices: np.ndarray) -> list[Point]:
    """Lower and upper edge of what ``fill_between`` drew: its outline runs along one edge and back on the other."""
    n = (len(vertices) - 3) // 2
    one, other = vertices[1 : n + 1], vertices[n + 2 : 2 * n + 2][::-1]
    if n < 1 or len(one) != len(other) or not np.array_equal(one[:, 0], other[:, 0]):
        return [(float(x), float(y), None, None) for x, y in vertices]
    return [(float(x), float(low), None, float(high)) for (x, low), high in zip(one, other[:, 1])]


def _floats(x: object, y: object) -> tuple[list[float], list[float]]:
    return tuple(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).tolist() for values in (x, y))


def _series(artist: Artist, container: str, names: dict[str, str], count: int) -> str:
    for label in (container, str(artist.get_label() or ""), str(artist.get_gid() or "")):
        if label and not label.startswith("_"):
            return label
    return names.get(_colour(artist), f"series {count}")


def _colour(artist: Artist) -> str:
    """The colour that tells a mark from others, as hexadecimal; nothing where it has several or none."""
    for read in ("get_facecolor", "get_color", "get_edgecolor"):
        if hasattr(artist, read):
            found = np.atleast_2d(np.asarray(getattr(artist, read)(), dtype=object))
            if len(found) == 1 and (found.size == 1 or float(found[0][-1]) > 0):
                return to_hex(found[0][0] if found.size == 1 else tuple(map(float, found[0][:3])))
    return ""


def _legend_names(legends: list) -> dict[str, str]:
    """Colour -> what a legend says of it, where only one entry has that colour."""
    found: dict[str, set[str]] = {}
    for legend in legends:
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=False):
            found.setdefault(_colour(handle) if handle is not None else "", set()).add(text.get_text())
    return {colour: next(iter(texts)) for colour, texts in found.items() if colour and len(texts) == 1}


def _place_names(axes: Axes, which: str) -> dict[float, str]:
    axis = axes.xaxis if which == "x" else axes.yaxis
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return {}
    places = axis.get_majorticklocs()
    labels = axis.get_major_formatter().format_ticks(places)
    return {float(at): label for at, label in zip(places, labels, strict=True) if label and not _is_number(label)}


def _is_number(text: str) -> bool:
    try:
        float(text.replace("−", "-").rstrip(" %"))
    except ValueError:
        return False
    return True


def _name_at(start: float | None, end: float | None, names: dict[float, str], mark: str) -> str | None:
    """Name of the place of a mark: of a bar that of its middle."""
    if not names or start is None:
        return None
    at = (start + end) / 2 if mark == "bar" and end is not None else start
    near = min(names, key=lambda place: abs(place - at))
    return names[near] if abs(near - at) < 1e-6 else None

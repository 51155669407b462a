"""What a drawn figure holds, for tests: artists by their id, points of lines, words."""

import matplotlib
import numpy as np

from calib_assets.figures.style import theme


def artists(figure, gid: str) -> list:
    found = [artist for ax in figure.axes for artist in ax.get_children() if artist.get_gid() == gid]
    assert found, f"no artist {gid} in the figure"
    return found


def xy(line) -> np.ndarray:
    return np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)])


def words(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def footnote(figure) -> str:
    return figure.get_supxlabel()


def misplaced(figure, tolerance: float = 1.5) -> list[str]:
    """Texts that the figure's edge cuts, and pairs of level texts that cover each other; tick labels are left out.

    In pixels at the figure's own resolution; the legend's texts, titles, labels of axes, notes and annotations count.
    """
    with matplotlib.rc_context(theme()):
        figure.draw_without_rendering()
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in figure.axes:
        texts += [*ax.texts, ax.title, ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label]
        texts += ax.get_legend().get_texts() if ax.get_legend() else []
    shown = [text for text in texts if text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(), text.get_rotation()) for text in shown]
    right, top = figure.bbox.x1 + tolerance, figure.bbox.y1 + tolerance
    found = []
    for place, (words, box, turn) in enumerate(boxes):
        if min(box.x0, box.y0) < -tolerance or box.x1 > right or box.y1 > top:
            found.append(f"cut: {words!r}")
        for other_words, other, other_turn in boxes[place + 1 :]:
            wide = min(box.x1, other.x1) - max(box.x0, other.x0)
            tall = min(box.y1, other.y1) - max(box.y0, other.y0)
            if min(wide, tall) > tolerance and turn % 90 == other_turn % 90 == 0:
                found.append(f"covered: {words!r} and {other_words!r}")
    return found

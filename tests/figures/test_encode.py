"""Bytes of figures: deterministic across processes, safe inside a page, small in an event log."""

import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from calib_assets import figures
from calib_assets.figures.style import GRID, INK, PAPER, themed


@themed
def small(label: str = "x") -> Figure:
    figure = Figure(figsize=(3, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], gid="line", label=label)
    axes.plot([0, 1], [1, 0], gid="line")
    axes.set(xlabel=label)
    axes.legend()
    return figure


@themed
def noisy() -> Figure:
    figure = Figure(figsize=(10, 8), layout="constrained")
    for ax in figure.subplots(3, 3).ravel():
        ax.imshow(np.random.default_rng(0).random((300, 300)), cmap="viridis")
    return figure


def test_png_size_follows_dpi_and_holds_no_metadata():
    image = Image.open(io.BytesIO(figures.png(small(), dpi=100)))
    assert image.size == (300, 200)
    assert set(image.info) <= {"dpi"}


def test_bytes_are_the_same_in_another_process():
    code = (
        "import hashlib\nfrom matplotlib.figure import Figure\nfrom calib_assets import figures\n"
        "f = Figure(figsize=(3, 2)); f.subplots().plot([0, 1], [0, 1])\n"
        "print(hashlib.sha256(figures.png(f) + figures.svg(f).encode()).hexdigest())"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1 and len(outputs.pop().strip()) == 64


def test_svg_keeps_text_as_text_and_no_date():
    text = figures.svg(small("Validity"))
    root = ElementTree.fromstring(text)
    assert "Validity" in {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert not re.search(r"\d{4}-\d\d-\d\dT", text)


def test_inline_svg_has_its_own_unrepeated_ids_and_resolves_its_references():
    first, second = (figures.inline_svg(small(), prefix=prefix, label="a line") for prefix in ("a", "b"))
    ids = [re.findall(r' id="([^"]*)"', text) for text in (first, second)]
    assert not set(ids[0]) & set(ids[1])
    assert len(set(ids[0])) == len(ids[0])
    references = set(re.findall(r'href="#([^"]*)"', first)) | set(re.findall(r"url\(#([^)]*)\)", first))
    assert references and references <= set(ids[0])
    assert "http" not in first and "<!--" not in first and "xmlns" not in first
    ElementTree.fromstring(first)


def test_inline_svg_takes_the_neutral_colours_from_the_page_and_leaves_data_colours():
    text = figures.inline_svg(small(), prefix="a", label="a line")
    for colour, variable in ((INK, "--figure-ink"), (GRID, "--figure-grid"), (PAPER, "--figure-paper")):
        assert f"var({variable}, {colour})" in text
        assert not re.search(rf"(?<!, ){colour}", text)
    assert "#4c72b0" in text or "#1f77b4" in text


def test_hostile_text_stays_text():
    hostile = '<script>alert(1)</script> "\' & id="a" url(#b)'
    text = figures.inline_svg(small(hostile), prefix="a", label=hostile)
    assert "<script" not in text.lower()
    root = ElementTree.fromstring(text)
    assert hostile in {element.text for element in root.iter("text")}
    assert root.attrib["aria-label"] == hostile
    with pytest.raises(ValueError, match="prefix"):
        figures.inline_svg(small(), prefix='"><script>', label="x")


def test_thumbnail_gives_up_sharpness_before_size_and_refuses_the_impossible():
    figure = noisy()
    assert len(figures.png(figure, dpi=100)) > 45_000
    bytes_ = figures.thumbnail(figure)
    assert len(bytes_) <= 45_000
    assert 0 < Image.open(io.BytesIO(bytes_)).width < 1100
    assert Image.open(io.BytesIO(figures.thumbnail(small()))).width == 330
    with pytest.raises(ValueError, match="over the limit of 200"):
        figures.thumbnail(figure, limit=200)

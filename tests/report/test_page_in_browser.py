"""The page in a browser without network: its buttons save what is on the page, and it reads on paper and phones."""

import xml.etree.ElementTree as ElementTree
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from chromium import PHONE, quiet_visit
from matplotlib.figure import Figure
from playwright.sync_api import expect

from calib_assets.report import Finding, Provenance, ReportFigure, ReportSection, ReportTable, build_report
from calib_assets.report.contract import Column

HOSTILE = '=1+1"</script><script>document.title="run"</script>'


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot([1, 2], [1 / 3, 0.1], label=HOSTILE)
    axes.set_xlabel("steps")
    columns = (Column("Name"), Column("Value, nats", "number"), Column("n", "count"))
    rows = ((HOSTILE, 1 / 3, 12345), ("a, b", None, 2))
    items = (
        ReportFigure.draw(figure, id="picture", title="A picture", alt="a line"),
        ReportTable(id="numbers", title="Numbers", columns=columns, rows=rows),
    )
    words = tuple(Column(f"correlations {n}", "number") for n in range(16))
    values = ReportTable("wide", "Wide", words, ((123.4567,) * 16,))
    place, hashes, libraries = f"{'model-' * 6}|{'task-' * 6}", ("f" * 16, "d" * 16, "c" * 16), {"numpy": "2.4.6"}
    records = [Provenance(f"an_asset_of_a_long_name_{n}", place, *hashes, libraries) for n in range(5)]
    finding = Finding("A sentence.", tuple(record.id for record in records))
    path = folder / "report.html"
    page = build_report(
        [ReportSection("s", "Section", (*items, values))], records, f"name: {'x' * 200}", "Title", findings=[finding]
    )
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    """The report; a refusal of the content policy would be an error, and a download is no request."""
    with quiet_visit(browser) as visit:
        visit.page.goto(address)
        yield visit.page


def saved(page, label: str, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_label(label, exact=True).press("Enter")  # by keyboard
    assert download.value.suggested_filename == name
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_what_a_figure_draws_is_saved_in_full_precision(page):
    text = saved(page, "Download A picture as CSV", "picture.csv")
    data = pl.read_csv(StringIO(text))
    assert data.select("x", "y").rows() == [(1.0, 1 / 3), (2.0, 0.1)]
    assert data["x_axis"].to_list() == ["steps"] * 2 and data["series"].to_list() == ["'" + HOSTILE] * 2


def test_a_saved_picture_stands_alone(page):
    text = saved(page, "Download A picture as SVG", "picture.svg")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in text and "steps" in "".join(root.itertext())


def test_a_table_is_saved_in_full_precision(page):
    data = pl.read_csv(StringIO(saved(page, "Download Numbers as CSV", "numbers.csv")))
    assert data.columns == ["Name", "Value, nats", "n"]
    assert data.rows() == [("'" + HOSTILE, 1 / 3, 12345), ("a, b", None, 2)]


def test_nothing_ran_and_nothing_was_refused(page):
    assert page.title() == "Title"  # and the visit ends without a message, as each does here


@pytest.mark.parametrize("settings", [PHONE | {"viewport": {"width": 360, "height": 800}}, {}], ids=["phone", "desk"])
def test_the_page_is_no_wider_than_the_window(browser, address, settings):
    with quiet_visit(browser, **settings) as visit:
        visit.page.goto(address)
        width = visit.page.viewport_size["width"]
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        heights = visit.page.locator("th button").evaluate_all("(found) => found.map((e) => e.offsetHeight)")
        assert len(heights) > 20 and all(height >= 24 for height in heights if height)
        # Long texts (checks, the papers' index, provenance) are read on a phone without scrolling to the side.
        rights = "(found) => found.map((e) => e.getBoundingClientRect().right)"
        ends = visit.page.locator(".stack td").evaluate_all(rights)
        assert len(ends) == 5 * 7 and (max(ends) <= width or not settings)


A4 = 184 * 96 / 25.4
"""Width in CSS pixels that the page's margins leave on A4. What is wider makes a browser print everything smaller."""


@pytest.fixture
def paper(page):
    """The page as it is printed from a dark screen."""
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": int(A4), "height": 1000})
    return page


def test_nothing_is_wider_than_the_paper(paper):
    assert paper.evaluate("document.documentElement.scrollWidth") <= A4


def test_what_is_folded_is_printed_and_what_is_pressed_is_not(page):
    folded, save = page.locator("details.sources a.source"), page.locator(".save")
    assert folded.count() == 5 and not any(item.is_visible() for item in folded.all())
    expect(save.first).to_be_visible()
    page.emulate_media(media="print")
    assert all(item.is_visible() for item in folded.all())
    assert page.locator(".save, summary, nav.contents").count() >= 3
    assert not any(item.is_visible() for item in page.locator(".save, summary, nav.contents").all())


def test_paper_is_white_and_headers_are_printed_on_each_page(paper):
    assert paper.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    style = "(found, name) => [...new Set(found.map((element) => getComputedStyle(element)[name]))]"
    ink = paper.locator("p, td, th, figcaption, h1, h2, a").evaluate_all(style, "color")
    assert set(ink) <= {"rgb(0, 0, 0)", "rgb(68, 68, 68)"}
    # A button that is a box is printed on a table's first page only.
    assert paper.locator("th button").evaluate_all(style, "display") == ["contents"]

"""Whatever a model, a judge or a data set says is text on the page: in a browser, nothing of it runs or is fetched."""

import pytest
from chromium import quiet_visit
from matplotlib.figure import Figure

from calib_assets.assets.materialization import _cell
from calib_assets.figures.text import visible
from calib_assets.report import (
    Check,
    Finding,
    LeftOut,
    Missing,
    ReportFigure,
    ReportSection,
    ReportTable,
    build_report,
    order_section,
)
from calib_assets.report.contract import Column

TEXTS = [
    "<script>document.title='ran'</script>",
    "\"><img src=x onerror=\"document.title='ran'\">",
    "</script><script>document.title='ran'</script>",
    "</td></tr></table></style></svg><iframe srcdoc=\"<script>parent.document.title='ran'</script>\">",
    "javascript:document.title='ran'",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "a\u2028b\u2029c",
    "\x00\x1b[31mred\x1b[0m\x07",
    "\u202egnp.exe",
    "[x](javascript:document.title='ran') `a` | b | <!-- -->",
    "=cmd|' /C calc'!A0",
    "&lt;b&gt; &amp; <b>bold</b>",
    "http://example.org/beacon.png",
    "x' onmouseover='document.title=1' y=\"",
    "]]><script>document.title='ran'</script><![CDATA[",
    "$\\alpha$ \\frac{1}{0} $",
]


@pytest.fixture(scope="module")
def html(order_study):
    attack = next(key for key in order_study.cells if "script" in key[0])
    sections = [order_section(*attack, order_study.cells[attack], order_study.provenance[attack])]
    for number, text in enumerate(TEXTS):
        drawn = Figure(figsize=(4, 3))
        axes = drawn.subplots()
        axes.plot([1, 2], [1, 2], label=visible(text, 200))
        axes.set_title(visible(text, 200))
        columns = (Column(text, help=text), Column("Value", "number"))
        items = (
            ReportFigure.draw(drawn, id=f"f{number}", title=text, alt=text, caption=text),
            ReportTable(id=f"t{number}", title=text, columns=columns, rows=((text, 1.0),), caption=text),
            Missing("asset", text, text),
        )
        sections.append(ReportSection(f"s{number}", text, items, intro=text))
    joined = " ".join(TEXTS)
    return build_report(
        sections,
        list(order_study.provenance[attack].values()),
        f"title: {joined}",
        joined,
        summary=joined,
        checks=[Check(joined, joined, joined, False, joined)],
        findings=[Finding(joined)],
        left_out=[LeftOut(joined, joined), LeftOut(joined)],
    )


@pytest.fixture
def page(browser, html, tmp_path):
    """The page; a refusal of the content policy would stand in the console: nothing got so far."""
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    with quiet_visit(browser) as visit:
        visit.page.goto((tmp_path / "report.html").as_uri())
        yield visit.page


def test_no_script_ran_and_nothing_was_asked_of_anybody(page):
    assert page.title() != "ran" and page.title().startswith("<script>document.title='ran'</script>")
    page.evaluate(
        "document.querySelectorAll('*').forEach(e => ['mouseover','focus','error'].forEach(n => e.dispatchEvent(new Event(n))))"
    )
    assert page.title().startswith("<script>")


def test_no_element_comes_from_a_text(page):
    count = "(selector) => document.querySelectorAll(selector).length"
    assert page.evaluate(count, "iframe, object, embed, form, base, b b") == 0
    assert page.evaluate(count, "img:not([src^='data:'])") == 0
    handlers = "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length"
    assert page.evaluate(handlers) == 0
    addresses = "[...document.querySelectorAll('[href], [src]')].map(e => e.getAttribute('href') || e.getAttribute('src'))"
    assert all(address.startswith(("#", "data:image/png")) for address in page.evaluate(addresses))


def test_texts_are_shown_as_they_are(page):
    cells = page.evaluate("[...document.querySelectorAll('figure.table td')].map(e => e.textContent.trim())")
    printable = [text for text in TEXTS if text.isprintable()]
    assert len(printable) > 10 and not [text for text in printable if text not in cells]
    whole = page.evaluate("document.documentElement.textContent")
    assert not set(whole) & {"\x00", "\x1b", "\x07", "\u202e"} and r"\x1b" in whole and r"\u202e" in whole


def test_texts_are_cells_of_tables_in_dagsters_metadata():
    """The UI reads Markdown in some metadata and none in tables: texts stand in tables only, and as they are."""
    import dagster as dg

    for text in TEXTS:
        record = dg.TableRecord({"text": _cell(text)})
        assert record.data["text"] == text[:160]

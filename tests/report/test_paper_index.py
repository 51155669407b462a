"""The index of the papers' figures and tables: complete, true to the page, with a reason for each that is not there."""

from pathlib import Path

import pytest

from calib_assets.report import Missing, ReportSection, ReportTable, StudyPart, study_report
from calib_assets.report.contract import Column
from calib_assets.report.paper_index import ITEMS, named_items, paper_index


def table(identifier: str, paper: str) -> ReportTable:
    return ReportTable(id=identifier, title=f"T {identifier}", columns=(Column("a"),), rows=(("x",),), paper=paper)


def test_every_numbered_item_of_both_papers_is_listed_once():
    named = [(item.paper, item.name) for item in ITEMS]
    assert len(named) == len(set(named))
    wanted = {("A", f"Figure {n}") for n in range(1, 16)} | {("A", f"Table {n}") for n in range(1, 4)}
    wanted |= {("B", f"Figure {n}") for n in range(1, 7)} | {("B", f"Table {n}") for n in range(1, 10)}
    assert set(named) == wanted


def test_links_go_to_the_item_of_the_right_paper_and_others_say_why_not():
    sections = (ReportSection("s", "Section", (table("one", "Counterpart of Table 1"), Missing("asset", None))),)
    canopy = paper_index([("canopy", sections)])
    found = {(place.item.paper, place.item.name): place.links for place in canopy}
    assert found["B", "Table 1"] == (("one", "T one", "Section"),) and found["A", "Table 1"] == ()
    page = study_report([StudyPart("canopy", "x", sections)], "c", "t")
    assert '<a href="#one">T one (Section)</a>' in page
    assert "none: no sweep asks for `decoding`" in page


def test_a_link_names_chapter_and_section():
    inner = ReportSection("inner", "task", (table("one", "Figure 1"),))
    index = paper_index([("shape", [ReportSection("c", "model", (), (inner,))])])
    (place,) = (place for place in index if place.links and place.item.part == "shape")
    assert place.links == (("one", "T one", "model, task"),)


def test_long_lists_are_cut_and_counted():
    sections = (ReportSection("s", "S", tuple(table(f"i{n}", "Figure 9") for n in range(20))),)
    place = next(place for place in paper_index([("shape", sections)]) if place.item.name == "Figure 9")
    assert len(place.links) + place.more == 20 and place.more > 0


@pytest.mark.parametrize(
    "item",
    [item for item in ITEMS if item.part in ("shape", "order", "canopy", "cases")],
    ids=lambda i: f"{i.paper} {i.name}",
)
def test_the_code_makes_a_counterpart_of_each(item):
    """Some item of the part's own modules names it, so that a study that has the data has the link."""
    modules = {"shape": "shape_*.py", "order": "order_*.py", "canopy": "canopy_*.py", "cases": "cases_*.py"}
    folder = Path(__file__).parents[2] / "calib_assets" / "report"
    lines = [line for path in folder.glob(modules[item.part]) for line in path.read_text().splitlines()]
    assert any(item.name in named_items(line) for line in lines if "Counterpart" in line)

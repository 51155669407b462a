"""The report and the explorer side by side: from a sentence to its contexts and back, and what a lone page says."""

import numpy as np
import polars as pl
import pytest
from chromium import at_rest
from explored import explored
from playwright.sync_api import expect

from calib_assets.decoding import PrefixTrie
from calib_assets.explorer import explorer_files, script_json, sweep_data
from calib_assets.report import Finding, Provenance, ReportSection, ReportTable, StudyPart, study_report
from calib_assets.report.contract import Column

MODELS = ("alpha", "b&t a=\"#\u00e9</p>'")  # a name is part of an address


def record(model, task="digits"):
    return Provenance("decoding_sweep", f"{model}|{task}", "f", "d", "c")


def swept():
    """A sweep of a root and one valid leaf."""
    tree = pl.DataFrame({"seed": [0, 0], "node": [0, 1], "parent": [-1, 0], "rank": [0, 1], "log_probability": [0.0, -0.5], "is_end": [False, False], "text": ["", "x"]})  # fmt: skip
    completions = pl.DataFrame({"seed": [0], "node": [1], "completion": ["x"], "finish": ["stop"]})
    labels = pl.DataFrame({"judge": ["j"], "seed": [0], "node": [1], "status": ["ok"], "reason": [""]})
    validity = pl.DataFrame({"judge": ["j"] * 2, "seed": [0, 0], "node": [0, 1], "is_valid": [True] * 2, "is_uncertain": [False] * 2, "n_leaves": [1, 1], "n_judged": [1, 1], "n_valid": [1, 1]})  # fmt: skip
    return script_json(sweep_data(tree, completions, labels, validity, pl.DataFrame({"seed": [0], "prompt": ["p"], "prefix": [""]})))  # fmt: skip


def section(model):
    table = ReportTable(f"t{MODELS.index(model)}", "Table", (Column("x", "count"),), ((1,),), provenance=(record(model).id,))
    return ReportSection(f"s{MODELS.index(model)}", "digits", (table,))


@pytest.fixture(scope="module")
def pages():
    """File -> text of both pages; the second task is in the explorer only, ``gone`` in the report only."""
    trie = PrefixTrie.from_sequences([[a, 9, b] for a in range(3) for b in range(3)])
    logits = np.random.default_rng(6).normal(0, 2, size=(trie.internal.size, 40)).astype(np.float32)
    task = explored(trie, logits).text
    tasks = {(MODELS[0], "digits"): task, (MODELS[1], "digits"): task, (MODELS[1], "words"): task}
    gone, many = record(MODELS[0], "gone"), [record(MODELS[0], f"task-{n}") for n in range(7)]
    findings = (Finding("One.", (record(MODELS[1]).id,)), Finding("Both.", tuple(record(m).id for m in MODELS)), Finding("Gone.", (gone.id,)), Finding("All.", tuple(item.id for item in many)))  # fmt: skip
    chapters = (ReportSection("c", "Chapter", children=tuple(map(section, MODELS))),)
    part = StudyPart("shape", "2 models", chapters, (*map(record, MODELS), gone, *many), findings=findings)
    # A sweep has the name of a task: they are told apart.
    tree = Provenance("sweep_tree", "alpha|digits", "f", "d", "c")
    lines = ReportTable("l", "Lines", (Column("x", "count"),), ((1,),), provenance=(tree.id,))
    order = StudyPart("order", "1 model", (ReportSection("o", "Order", (lines,)),), (tree,))
    report = study_report([part, order], "title: x", "Study", explorer="explorer.html")
    sweeps = {(MODELS[0], "digits"): swept()}
    return {"report.html": report, **explorer_files("Study", tasks, sweeps, report="report.html")}


@pytest.fixture
def folder(pages, tmp_path):
    for name, text in pages.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def chosen(page):
    """Model and task that the explorer shows."""
    at_rest(page)
    return [page.get_by_label(label, exact=True).input_value() for label in ("Model", "Task")]


def test_from_a_sentence_to_its_contexts_and_back_to_its_section(visit, folder):
    page = visit.page
    page.goto((folder / "report.html").as_uri())
    links = page.locator("ul.findings li")
    assert links.nth(0).locator("a.walk").all_inner_texts() == ["digits"]
    assert links.nth(1).locator("a.walk").all_inner_texts() == [f"{model}, digits" for model in MODELS]
    expect(links.nth(3).locator("a.walk")).to_have_count(0)  # it is about everything
    links.nth(1).locator("a.walk").nth(1).click()
    page.wait_for_url("**/explorer.html#*")
    assert chosen(page) == [MODELS[1], "digits"]
    page.locator("#panel-tasks button.token").first.click()
    at_rest(page)
    page.get_by_role("link", name="in the report").click()
    page.wait_for_url("**/report.html#*")
    heading = page.locator("#s1")
    expect(heading).to_be_focused()
    expect(heading).to_be_in_viewport()
    page.locator("section", has=heading).get_by_role("link", name="Walk its contexts in the explorer").last.click()
    page.wait_for_url("**/explorer.html#*")
    assert chosen(page) == [MODELS[1], "digits"]


def test_a_sweep_of_the_same_name_leads_to_its_tree_and_back(visit, folder):
    page = visit.page
    page.goto((folder / "report.html").as_uri())
    page.get_by_role("link", name="Walk its trees in the explorer").press("Enter")
    page.wait_for_url("**/explorer.html#*sweep=digits*")
    expect(page.locator("#panel-sweeps tbody tr")).to_have_count(1)
    expect(page.locator("#panel-tasks")).to_be_hidden()
    page.get_by_role("link", name="in the report").click()
    page.wait_for_url("**/report.html#*")
    expect(page.locator("#o")).to_be_focused()


def test_an_address_names_the_context_that_is_shown(visit, folder):
    page, crumbs = visit.page, visit.page.locator("#panel-tasks .crumbs button")
    page.goto((folder / "explorer.html").as_uri())
    at_rest(page)
    page.get_by_label("Model", exact=True).select_option(label=MODELS[1])
    at_rest(page)
    page.locator("#panel-tasks button.token").first.click()
    at_rest(page)
    where, address = crumbs.all_inner_texts(), page.url
    assert len(where) == 2
    page.goto("about:blank")
    page.goto(address)
    assert chosen(page) == [MODELS[1], "digits"]
    expect(crumbs).to_have_text(where)


def test_a_place_that_the_other_page_has_not_is_said(visit, folder):
    page = visit.page
    page.goto((folder / "report.html").as_uri())
    page.locator("ul.findings li").nth(2).locator("a.walk").click()
    page.wait_for_url("**/explorer.html#*")
    expect(page.locator("p.beside")).to_have_text("This page has no task gone of model alpha; it shows what it has.")
    assert chosen(page) == ["alpha", "digits"]
    page.get_by_label("Model", exact=True).select_option(label=MODELS[1])
    at_rest(page)
    page.get_by_label("Task", exact=True).select_option(label="words")
    at_rest(page)
    page.get_by_role("link", name="in the report").click()
    page.wait_for_url("**/report.html#*")
    expect(page.locator("p.beside")).to_contain_text(f"no section on the task words of the model {MODELS[1]}")


@pytest.mark.parametrize(("page_", "other", "link"), [("report", "explorer", "digits"), ("explorer", "report", "in the report")])  # fmt: skip
def test_a_page_that_was_moved_alone_says_so_and_stays(visit, folder, page_, other, link):
    page = visit.page
    page.goto((folder / f"{page_}.html").as_uri())
    at_rest(page)
    (folder / f"{other}.html").rename(folder / "kept.html")
    page.locator("a[data-beside]", has_text=link).first.click()
    notice = page.locator("p.beside")
    expect(notice).to_contain_text(f"{other}.html is not in the folder of this page")
    expect(notice).to_be_in_viewport()
    assert page.url.split("#")[0].endswith(f"/{page_}.html")
    (folder / "kept.html").rename(folder / f"{other}.html")
    page.locator("a[data-beside]", has_text=link).first.click()
    page.wait_for_url(f"**/{other}.html#*")

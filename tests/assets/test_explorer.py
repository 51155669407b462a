"""The explorer of a whole study: every cell is in it, and what it holds are the study's stored results."""

import html
import json
import re
from urllib.parse import parse_qs

import numpy as np
import polars as pl
from explored import unpacked

from calib_assets.explorer import script_json
from calib_assets.staleness.pages import side_by_side


def blocks(page: str) -> dict[tuple[str, str], dict]:
    """(model, task or sweep) -> the data that the page holds of it."""
    texts = dict(re.findall(r'<script type="application/json" id="([^"]*)">(.*?)</script>', page, re.S))
    cells = json.loads(texts["index"])["cells"]
    return {(cell["model"], cell["name"]): json.loads(texts[cell["id"]]) for cell in cells}


def test_the_page_holds_every_cell_with_its_stored_results(finished):
    view = finished[0].view()
    page = view.store.read("explorer", (), "explorer.html").decode()
    found = blocks(page)
    names = {"task": ("digits", "colours"), "sweep": ("letters", "one-step")}
    assert set(found) == {(model, name) for model in ("alpha", "beta") for kind in names for name in names[kind]}
    assert "<title>Two chains: explorer</title>" in page and "not in this page" not in page
    for model in ("alpha", "beta"):
        for task in names["task"]:
            stored = view.store.table("decoding_sweep", (model, task), "decoding_sweep").sort(
                "rule", "parameter", "temperature"
            )
            sweep = found[model, task]["sweep"]
            np.testing.assert_allclose(unpacked(sweep["validity"]), stored["validity"], atol=1e-7)
            np.testing.assert_allclose(unpacked(sweep["diversity"]), stored["diversity"].fill_null(np.nan), atol=1e-7)
            answers = view.store.table("exact_logit_cache", (model, task), "answers")
            assert found[model, task]["answers"] == answers["text"].to_list()
        for sweep in names["sweep"]:
            tree = view.store.table("sweep_tree", (model, sweep), "sweep_tree")
            completions = view.store.table("completions", (model, sweep), "completions")
            for repetition in found[model, sweep]["repetitions"]:
                mine = completions.filter(pl.col("seed") == repetition["seed"])
                assert (
                    repetition["text"]
                    == tree.filter(pl.col("seed") == repetition["seed"]).sort("node")["text"].to_list()
                )
                shown = {int(node): text for node, (text, _) in repetition["completion"].items()}
                assert shown == dict(mine.select("node", "completion").rows())
    assert page.count("</script>") == page.count("<script")
    assert script_json(found["alpha", "digits"]) in page


def test_report_and_explorer_lie_side_by_side_and_every_link_between_them_leads_somewhere(finished):
    store = finished[0].view().store
    folder = store.root / "pages"  # put there by the runs that made the pages
    for asset in ("report", "explorer"):
        assert (folder / f"{asset}.html").read_bytes() == store.read(asset, (), f"{asset}.html")
    assert side_by_side(store) == {asset: folder / f"{asset}.html" for asset in ("report", "explorer")}
    report, found = (folder / "report.html").read_text(), blocks((folder / "explorer.html").read_text())
    links = [parse_qs(html.unescape(part)) for part in re.findall(r'href="explorer\.html#([^"]*)"', report)]
    cells = {(link["model"][0], (link.get("task") or link["sweep"])[0]) for link in links}
    assert cells == set(found) and len(links) > len(cells)  # each has a section, and findings link as well
    sections = re.findall(r'<section [^>]*data-model="([^"]*)" data-(?:task|sweep)="([^"]*)"', report)
    assert sorted(sections) == sorted(found)

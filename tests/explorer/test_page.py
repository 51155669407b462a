"""The page as a reader meets it: by mouse, by keyboard, on a phone, with hostile texts, with parts missing."""

import json
import re

import numpy as np
import polars as pl
import pytest
from chromium import PHONE, all_texts, at_rest, quiet_visit
from explored import explored
from playwright.sync_api import expect

from calib_assets.decoding import PrefixTrie, TopP
from calib_assets.explorer import explorer_files, explorer_page, script_json, sweep_data
from calib_assets.metrics.validity_diversity import validity_diversity

HOSTILE = ["</script><script>document.title='owned'</script>", "<img src=x onerror=\"document.title='owned'\">", "a\u2028b\u202ec\x00\"'&amp;", "\ud800 "]  # fmt: skip

TEXTS = [*HOSTILE[:3], "plain"]  # a table refuses half a character, a list of token texts may hold one


@pytest.fixture(scope="module")
def task():
    """Two digits out of three, on a vocabulary of hostile tokens."""
    trie = PrefixTrie.from_sequences([[a, 9, b] for a in range(3) for b in range(3)])
    logits = np.random.default_rng(6).normal(0, 2, size=(trie.internal.size, 300)).astype(np.float32)
    for row, node in enumerate(trie.internal):
        logits[row, trie.valid_tokens(int(node))] += 6
    texts = [*"012", *HOSTILE, " ", "\n", ",", *(f"w{i}" for i in range(10, 300))]
    return explored(trie, logits, texts, [f"{a},{b} {HOSTILE[0]}" for a in range(3) for b in range(3)])


@pytest.fixture(scope="module")
def sweep():
    """Root with three candidates: an inner one over a valid and an unjudged leaf, a valid leaf, an invalid one."""
    tree = pl.DataFrame(
        {"seed": [0] * 6, "node": range(6), "parent": [-1, 0, 0, 0, 1, 1], "rank": [0, 1, 2, 3, 1, 5],
         "log_probability": [0.0, -0.5, -1.5, -4.0, -0.1, -3.0], "is_end": [False, False, True, False, False, False],
         "text": ["", HOSTILE[0], "two", "three", "x", "y"]}
    )  # fmt: skip
    leaves = [2, 3, 4, 5]
    completions = pl.DataFrame(
        {"seed": [0] * 4, "node": leaves, "completion": TEXTS, "finish": ["stop", "length", "stop", "stop"]}
    )
    valid = {0: True, 1: True, 2: True, 3: False, 4: True, 5: None}
    validity = pl.DataFrame(
        {"judge": ["j"] * 6, "seed": [0] * 6, "node": range(6), "is_valid": list(valid.values()), "is_uncertain": [False] * 6,
         "n_leaves": [4, 2, 1, 1, 1, 1], "n_judged": [3, 1, 1, 1, 1, 0], "n_valid": [2, 1, 1, 0, 1, 0]}
    )  # fmt: skip
    labels = pl.DataFrame(
        {"judge": ["j"] * 4, "seed": [0] * 4, "node": leaves, "status": ["ok", "ok", "ok", "refused"], "reason": TEXTS}
    )
    prefixes = pl.DataFrame({"seed": [0], "prompt": [HOSTILE[0]], "prefix": [HOSTILE[1]]})
    return script_json(sweep_data(tree, completions, labels, validity, prefixes))


@pytest.fixture(scope="module")
def address(task, sweep, tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "explorer.html"
    parts = {("alpha", "digits"): task.text, ("beta", "digits"): task.text}
    left_out = [("decoding_sweep[gamma|digits]", f"ValueError: {HOSTILE[1]}"), ("shape_explorer[delta|digits]", "")]
    page.write_text(
        explorer_page(f"Study {HOSTILE[0]}", parts, {("alpha", "words"): sweep}, left_out), encoding="utf-8"
    )
    return page.as_uri()


@pytest.fixture
def page(visit, address):
    """The explorer, opened and drawn."""
    return opened(visit, address)


@pytest.fixture
def phone(browser, address):
    """The same on a phone."""
    with quiet_visit(browser, **PHONE) as visit:
        yield opened(visit, address)


def opened(visit, address):
    visit.page.goto(address)
    expect(visit.page.locator(".card .value")).to_have_count(4)
    at_rest(visit.page)
    return visit.page


def value(page, measure):
    """What a card shows."""
    return page.locator(f"[data-measure={measure}] .value")


def choose(page, label, option):
    """Another option of a list that a label names."""
    page.get_by_label(label, exact=True).select_option(label=option)
    at_rest(page)


def enter(page, name, text):
    """A number into its box, left with the tabulator."""
    box = page.get_by_label(name, exact=True)
    box.fill(text)
    box.press("Tab")
    at_rest(page)


def press(page, locator, *keys):
    """Keys on an element, one after the other."""
    for key in keys:
        locator.press(key)
        at_rest(page)


def to_sweeps(page):
    page.locator("#tab-sweeps").click()
    at_rest(page)
    expect(page.locator("#panel-sweeps tbody tr")).to_have_count(3)


def test_hostile_texts_are_texts(page):
    assert page.title().startswith("Study </script>") and "owned" not in page.title().replace(HOSTILE[0], "")
    to_sweeps(page)
    shown = page.locator("body").inner_text()
    for text in HOSTILE[:2]:
        assert text in shown
    assert "\u202e" not in shown and "\\u{202e}" in shown and "\x00" not in shown
    assert page.locator("img").count() == 0
    assert page.locator(".prompt").first.inner_text() == f"Prompt {HOSTILE[0]}"


def test_failed_and_missing_parts_are_named(page):
    notices = all_texts(page.locator("header .notice"))
    assert "decoding_sweep[gamma|digits]" in notices[0] and "ValueError: <img" in notices[0]
    assert "shape_explorer[delta|digits]" in notices[1]


def test_a_rule_and_a_temperature_change_the_values_live(page, task):
    choose(page, "Rule", "top-p")
    enter(page, "p, as a number", "0.8")
    enter(page, "Temperature, as a number", "1.37")
    expected = validity_diversity(task.trie, task.logits, TopP(0.8), 1.37)
    expect(page.locator("#panel-tasks .said")).to_contain_text("T = 1.37")
    for measure, exact in (("validity", expected.validity), ("diversity", expected.diversity), ("sequencePrecision", expected.sequence_precision)):  # fmt: skip
        text = value(page, measure).inner_text()
        shown = float(text.replace("·10⁻⁴", "e-4").replace("·10⁻⁵", "e-5").replace("·10⁻⁶", "e-6"))
        assert shown == pytest.approx(exact, rel=0.06 if "·" in text else 1e-3)
    assert page.locator("[data-measure=validity] .how").inner_text() == "computed"


def test_a_parameter_out_of_range_is_brought_into_it(page):
    choose(page, "Rule", "top-k")
    enter(page, "k, as a number", "0")
    expect(page.get_by_label("k, as a number")).to_have_value("1")
    expect(value(page, "sequenceRecall")).to_have_text(re.compile("^(0.1111|0)$"))


def test_sliders_answer_to_arrow_keys(page):
    before = value(page, "diversity").inner_text()
    press(page, page.locator('input[type=range][aria-label="Temperature"]'), *["ArrowRight"] * 6)
    expect(value(page, "diversity")).not_to_have_text(before)
    expect(page.get_by_label("Temperature, as a number")).to_have_value("1.3")
    cutoff = page.get_by_label("Cutoff: keep the first k ranks")
    press(page, cutoff, "Home", "ArrowRight", "ArrowRight")
    expect(page.locator("output").first).to_contain_text("k = 3 ")
    expect(cutoff).to_be_focused()
    expect(cutoff).to_have_attribute("aria-valuetext", re.compile("precision"))
    expect(page.locator("tr.inside")).to_have_count(3)


def test_the_cutoff_is_dragged_in_the_figure(page):
    chart, chosen = page.locator("svg.pick"), page.locator("output strong").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    left, right, middle = box["x"] + box["width"] / 4, box["x"] + 3 * box["width"] / 4, box["y"] + box["height"] / 2
    page.mouse.move(left, middle)
    page.mouse.down()
    at_rest(page)
    first = chosen.inner_text()
    # The figure is drawn anew while it is dragged: the pointer goes on over its place.
    page.mouse.move(right, middle)
    page.mouse.up()
    expect(chosen).not_to_have_text(first)
    assert int(first.removeprefix("k = ")) < 20 < int(chosen.inner_text().removeprefix("k = "))


def test_the_trie_is_walked_and_another_model_keeps_the_place(page):
    token, crumbs = page.locator("#panel-tasks button.token").first, page.locator("#panel-tasks .crumbs button")
    name = token.inner_text().split(" ")[0]
    press(page, token, "Enter")
    expect(crumbs).to_have_text(["start", name])
    expect(crumbs.nth(1)).to_be_focused()
    expect(crumbs.nth(1)).to_have_attribute("aria-current", "location")
    choose(page, "Model", "beta")
    expect(crumbs).to_have_text(["start", name])
    crumbs.first.click()
    expect(crumbs).to_have_text(["start"])


def test_answers_stand_beside_the_invalid_mass(page):
    rows = all_texts(page.locator('[aria-label="Answers"] tbody tr'))
    assert len(rows) == 10 and "everything else, invalid" in rows[0] and HOSTILE[0] in rows[1]


def test_a_sweep_tree_is_walked_with_completions_on_hover_and_on_focus(page):
    to_sweeps(page)
    panel = page.locator("#panel-sweeps")
    words, tokens = panel.locator("tbody .word"), panel.locator("tbody button.token")
    completion = panel.locator(".completion")
    expect(words).to_have_text(["valid", "valid", "invalid"])
    page.locator("h1").hover()
    tokens.nth(2).focus()
    expect(completion).to_contain_text("of three")
    expect(completion).to_contain_text("cut at the limit")
    tokens.nth(1).hover()
    expect(completion).to_contain_text("of two")
    expect(completion).to_contain_text(HOSTILE[0])
    tokens.first.click()
    expect(words).to_have_text(["valid", "missing"])
    expect(completion).to_contain_text("refused")
    expect(panel.locator("output")).to_contain_text("first 1 of 1 judged candidates")


def test_tabs_follow_the_arrow_keys(page):
    press(page, page.locator("#tab-tasks"), "ArrowRight")
    expect(page.locator("#tab-sweeps")).to_be_focused()
    expect(page.locator("#panel-sweeps")).to_be_visible()
    expect(page.locator("#panel-tasks")).to_be_hidden()


def test_every_control_has_a_name_and_every_picture_a_text(page):
    to_sweeps(page)
    unnamed = page.evaluate(
        """[...document.querySelectorAll('input,select,button')].filter((control) =>
          !(control.getAttribute('aria-label') || control.textContent.trim() || (control.labels && [...control.labels].some((l) => l.textContent.trim()))))
          .map((control) => control.outerHTML)"""
    )
    assert unnamed == []
    assert page.evaluate("[...document.querySelectorAll('svg')].filter((s) => !s.getAttribute('aria-label') && s.getAttribute('aria-hidden') !== 'true').length") == 0  # fmt: skip
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def contrast(first, second):
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(first), light(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    colours = page.evaluate(
        "() => { const s = getComputedStyle(document.documentElement); return Object.fromEntries(['ink','muted','ground','panel','valid','invalid','link','warn','warn-ground'].map((n) => [n, s.getPropertyValue('--' + n).trim()])) }"
    )
    assert (colours["ground"] == "#ffffff") == (scheme == "light")
    for ground in ("ground", "panel"):
        assert all(contrast(colours[name], colours[ground]) >= 4.5 for name in ("ink", "muted", "link"))
        assert all(contrast(colours[name], colours[ground]) >= 3 for name in ("valid", "invalid"))
    assert (
        contrast(colours["warn"], colours["ground"]) >= 4.5 and contrast(colours["ink"], colours["warn-ground"]) >= 4.5
    )


def test_a_phone_scrolls_in_one_direction_only(phone):
    for tab in ("tab-tasks", "tab-sweeps"):
        phone.locator(f"#{tab}").tap()
        at_rest(phone)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    # A tap on a leaf brings its completion into sight, a tap in the figure moves the cutoff.
    phone.locator("#panel-sweeps button.token").nth(1).tap()
    expect(phone.locator(".completion")).to_contain_text("of two")
    expect(phone.locator(".completion")).to_be_in_viewport()
    phone.locator("#tab-tasks").tap()
    at_rest(phone)
    chart, chosen = phone.locator("svg.pick"), phone.locator("output strong").first
    before, width = chosen.inner_text(), chart.bounding_box()["width"]
    chart.tap(position={"x": 0.8 * width, "y": 140})
    expect(chosen).not_to_have_text(before)
    small = phone.evaluate("[...document.querySelectorAll('button,select,input')].filter((c) => c.offsetParent && c.getBoundingClientRect().height < 24).length")  # fmt: skip
    assert small == 0


def test_the_data_of_a_large_study_lie_in_files_beside_the_page(visit, task, sweep, tmp_path):
    files = explorer_files(
        "Large", {("a.1", "digits"): task.text, ("b", "digits"): task.text}, {("b", "words"): sweep}, largest=1000
    )
    assert set(files) == {"explorer.html", "explorer-a.1.js", "explorer-b.js"} and len(files["explorer.html"]) < 150_000
    for name, text in files.items():
        if name != "explorer-a.1.js":
            (tmp_path / name).write_text(text, encoding="utf-8")
    page = visit.page
    page.goto((tmp_path / "explorer.html").as_uri())
    expect(page.get_by_role("alert")).to_contain_text("explorer-a.1.js is not beside this page")
    assert visit.errors == ["Failed to load resource: net::ERR_FILE_NOT_FOUND"]  # the browser says so as well
    visit.errors.clear()
    (tmp_path / "explorer-a.1.js").write_text(files["explorer-a.1.js"], encoding="utf-8")
    page.reload()
    expect(value(page, "validity")).not_to_be_empty()
    choose(page, "Model", "b")
    assert page.evaluate("Object.keys(window.ExplorerData).length") == 3
    to_sweeps(page)


def test_an_empty_study_says_so(visit, tmp_path):
    (tmp_path / "empty.html").write_text(explorer_page("Nothing", {}, {}))
    visit.page.goto((tmp_path / "empty.html").as_uri())
    assert "nothing to explore yet" in visit.page.locator("main").inner_text()


def test_damaged_data_are_reported_on_the_page(visit, task, tmp_path):
    data = json.loads(task.text)
    data["heads"]["std"]["data"] = data["heads"]["std"]["data"][:-8]
    (tmp_path / "damaged.html").write_text(explorer_page("Damaged", {("a", "b"): script_json(data)}, {}))
    visit.page.goto((tmp_path / "damaged.html").as_uri())
    expect(visit.page.get_by_role("alert")).to_contain_text("Something in this page failed")

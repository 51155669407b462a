"""The page as a reader meets it: by mouse, by keyboard, on a phone, with hostile texts, with parts missing."""

import json
import time

import numpy as np
import polars as pl
import pytest
from explored import explored
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

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
def page(browser, address):
    browser.get(address)
    WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".card .value"))
    return browser


def value(page, measure):
    """What a card shows; in one step, since the cards are drawn anew at any time."""
    return page.execute_script(
        "return document.querySelector(arguments[0]).textContent", f"[data-measure={measure}] .value"
    )


def settled(page, condition):
    moving = [StaleElementReferenceException]
    WebDriverWait(page, 20, poll_frequency=0.05, ignored_exceptions=moving).until(condition)


def labelled(page, text):
    """The control that a label names."""
    label = next(item for item in page.find_elements(By.TAG_NAME, "label") if item.text == text and item.is_displayed())
    return page.find_element(By.ID, label.get_attribute("for"))


def to_sweeps(page):
    page.find_element(By.ID, "tab-sweeps").click()
    settled(page, lambda b: b.find_elements(By.CSS_SELECTOR, "#panel-sweeps tbody tr"))


def tap(page, selector, nth=0, share=0.5):
    """A finger on an element, at a share of its width; found and measured in one step, as the page redraws at any time."""
    box = page.execute_script(
        """const element = document.querySelectorAll(arguments[0])[arguments[1]];
        element.scrollIntoView({ block: 'center' });
        const r = element.getBoundingClientRect();
        return [r.left, r.top, r.width, r.height];""",
        selector,
        nth,
    )
    point = {"x": box[0] + share * box[2], "y": box[1] + box[3] / 2}
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_hostile_texts_are_texts(page):
    assert page.title.startswith("Study </script>") and "owned" not in page.title.replace(HOSTILE[0], "")
    to_sweeps(page)
    shown = page.find_element(By.TAG_NAME, "body").text
    for text in HOSTILE[:2]:
        assert text in shown
    assert "\u202e" not in shown and "\\u{202e}" in shown and "\x00" not in shown
    assert page.execute_script("return document.querySelectorAll('img').length") == 0
    assert page.find_element(By.CSS_SELECTOR, ".prompt").text == f"Prompt {HOSTILE[0]}"


def test_failed_and_missing_parts_are_named(page):
    notices = [item.text for item in page.find_elements(By.CSS_SELECTOR, "header .notice")]
    assert "decoding_sweep[gamma|digits]" in notices[0] and "ValueError: <img" in notices[0]
    assert "shape_explorer[delta|digits]" in notices[1]


def test_a_rule_and_a_temperature_change_the_values_live(page, task):
    Select(labelled(page, "Rule")).select_by_visible_text("top-p")
    number = page.find_element(By.CSS_SELECTOR, '[aria-label="p, as a number"]')
    number.clear()
    number.send_keys("0.8", Keys.TAB)
    temperature = page.find_element(By.CSS_SELECTOR, '[aria-label="Temperature, as a number"]')
    temperature.clear()
    temperature.send_keys("1.37", Keys.TAB)
    expected = validity_diversity(task.trie, task.logits, TopP(0.8), 1.37)
    settled(page, lambda b: value(b, "validity") != "")
    settled(page, lambda b: "T = 1.37" in b.find_element(By.CSS_SELECTOR, "#panel-tasks .said").text)
    for measure, exact in (("validity", expected.validity), ("diversity", expected.diversity), ("sequencePrecision", expected.sequence_precision)):  # fmt: skip
        text = value(page, measure)
        shown = float(text.replace("·10⁻⁴", "e-4").replace("·10⁻⁵", "e-5").replace("·10⁻⁶", "e-6"))
        assert shown == pytest.approx(exact, rel=0.06 if "·" in text else 1e-3)
    assert page.find_element(By.CSS_SELECTOR, "[data-measure=validity] .how").text == "computed"


def test_a_parameter_out_of_range_is_brought_into_it(page):
    Select(labelled(page, "Rule")).select_by_visible_text("top-k")
    number = page.find_element(By.CSS_SELECTOR, '[aria-label="k, as a number"]')
    number.clear()
    number.send_keys("0", Keys.TAB)
    settled(
        page, lambda b: b.find_element(By.CSS_SELECTOR, '[aria-label="k, as a number"]').get_attribute("value") == "1"
    )
    settled(page, lambda b: value(b, "sequenceRecall") in ("0.1111", "0"))


def test_sliders_answer_to_arrow_keys(page):
    before = value(page, "diversity")
    slider = page.find_element(By.CSS_SELECTOR, 'input[type=range][aria-label="Temperature"]')
    slider.send_keys(*[Keys.ARROW_RIGHT] * 6)
    settled(page, lambda b: value(b, "diversity") != before)
    assert page.find_element(By.CSS_SELECTOR, '[aria-label="Temperature, as a number"]').get_attribute("value") == "1.3"
    cutoff = labelled(page, "Cutoff: keep the first k ranks")
    cutoff.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    settled(page, lambda b: "k = 3 " in b.find_element(By.CSS_SELECTOR, "output").text)
    assert cutoff == page.switch_to.active_element and "precision" in cutoff.get_attribute("aria-valuetext")
    assert len(page.find_elements(By.CSS_SELECTOR, "tr.inside")) == 3


def test_the_cutoff_is_dragged_in_the_figure(page):
    chart = page.find_element(By.CSS_SELECTOR, "svg.pick")
    width = chart.size["width"]
    ActionChains(page).move_to_element_with_offset(chart, -width // 4, 0).click_and_hold().perform()
    first = page.find_element(By.CSS_SELECTOR, "output strong").text
    # The figure is drawn anew while it is dragged: the pointer goes on over its place.
    ActionChains(page).move_by_offset(width // 2, 0).release().perform()
    settled(page, lambda b: b.find_element(By.CSS_SELECTOR, "output strong").text != first)
    assert int(page.find_element(By.CSS_SELECTOR, "output strong").text.removeprefix("k = ")) > 20


def test_the_trie_is_walked_and_another_model_keeps_the_place(page):
    valid = page.find_elements(By.CSS_SELECTOR, "#panel-tasks button.token")
    assert len(valid) >= 1
    name = valid[0].text.split(" ")[0]
    valid[0].send_keys(Keys.ENTER)
    crumbs = lambda b: [item.text for item in b.find_elements(By.CSS_SELECTOR, "#panel-tasks .crumbs button")]  # noqa: E731
    settled(page, lambda b: crumbs(b) == ["start", name])
    assert (
        page.switch_to.active_element.text == name
        and page.switch_to.active_element.get_attribute("aria-current") == "location"
    )
    Select(labelled(page, "Model")).select_by_visible_text("beta")
    settled(page, lambda b: crumbs(b) == ["start", name])
    page.find_element(By.CSS_SELECTOR, ".crumbs button").click()
    settled(page, lambda b: crumbs(b) == ["start"])


def test_answers_stand_beside_the_invalid_mass(page):
    rows = page.find_elements(By.CSS_SELECTOR, '[aria-label="Answers"] tbody tr')
    assert len(rows) == 10 and "everything else, invalid" in rows[0].text and HOSTILE[0] in rows[1].text


def test_a_sweep_tree_is_walked_with_completions_on_hover_and_on_focus(page):
    to_sweeps(page)
    panel = page.find_element(By.ID, "panel-sweeps")
    words = [
        row.find_element(By.CSS_SELECTOR, ".word").text for row in panel.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    assert words == ["valid", "valid", "invalid"]
    tokens = panel.find_elements(By.CSS_SELECTOR, "button.token")
    ActionChains(page).move_to_element(page.find_element(By.TAG_NAME, "h1")).perform()
    page.execute_script("arguments[0].focus()", tokens[2])
    completion = panel.find_element(By.CSS_SELECTOR, ".completion")
    settled(page, lambda b: "of three" in completion.text and "cut at the limit" in completion.text)
    ActionChains(page).move_to_element(tokens[1]).perform()
    settled(page, lambda b: "of two" in completion.text and HOSTILE[0] in completion.text)
    tokens[0].click()
    settled(
        page, lambda b: [i.text for i in panel.find_elements(By.CSS_SELECTOR, "tbody .word")] == ["valid", "missing"]
    )
    assert "refused" in completion.text
    assert "first 1 of 1 judged candidates" in panel.find_element(By.CSS_SELECTOR, "output").text


def test_tabs_follow_the_arrow_keys(page):
    page.find_element(By.ID, "tab-tasks").send_keys(Keys.ARROW_RIGHT)
    assert page.switch_to.active_element.get_attribute("id") == "tab-sweeps"
    assert (
        page.find_element(By.ID, "panel-sweeps").is_displayed()
        and not page.find_element(By.ID, "panel-tasks").is_displayed()
    )


def test_every_control_has_a_name_and_every_picture_a_text(page):
    to_sweeps(page)
    unnamed = page.execute_script(
        """return [...document.querySelectorAll('input,select,button')].filter((control) =>
          !(control.getAttribute('aria-label') || control.textContent.trim() || (control.labels && [...control.labels].some((l) => l.textContent.trim()))))
          .map((control) => control.outerHTML);"""
    )
    assert unnamed == []
    assert page.execute_script("return [...document.querySelectorAll('svg')].filter((s) => !s.getAttribute('aria-label') && s.getAttribute('aria-hidden') !== 'true').length") == 0  # fmt: skip
    ids = page.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
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
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    colours = page.execute_script(
        "const s = getComputedStyle(document.documentElement); return Object.fromEntries(['ink','muted','ground','panel','valid','invalid','link','warn','warn-ground'].map((n) => [n, s.getPropertyValue('--' + n).trim()]))"
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert (colours["ground"] == "#ffffff") == (scheme == "light")
    for ground in ("ground", "panel"):
        assert all(contrast(colours[name], colours[ground]) >= 4.5 for name in ("ink", "muted", "link"))
        assert all(contrast(colours[name], colours[ground]) >= 3 for name in ("valid", "invalid"))
    assert (
        contrast(colours["warn"], colours["ground"]) >= 4.5 and contrast(colours["ink"], colours["warn-ground"]) >= 4.5
    )


def text_of(browser, selector: str) -> str:
    """Shown text of the first such element, read in one step."""
    return browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def test_a_phone_scrolls_in_one_direction_only(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        time.sleep(0.3)
        for tab in ("tab-tasks", "tab-sweeps"):
            page.find_element(By.ID, tab).click()
            settled(page, lambda b: b.execute_script("return document.documentElement.scrollWidth") <= 390)
        # A tap on a leaf brings its completion into sight, a tap in the figure moves the cutoff.
        tap(page, "#panel-sweeps button.token", nth=1)
        # The page draws its parts anew, so an element that was found may be gone: each question finds its own.
        settled(page, lambda b: "of two" in text_of(b, ".completion"))
        settled(page, lambda b: b.execute_script("const r = document.querySelector('.completion').getBoundingClientRect(); return r.top < innerHeight && r.bottom > 0"))
        page.find_element(By.ID, "tab-tasks").click()
        before = text_of(page, "output strong")
        tap(page, "svg.pick", share=0.8)
        settled(page, lambda b: text_of(b, "output strong") != before)
        small = page.execute_script("return [...document.querySelectorAll('button,select,input')].filter((c) => c.offsetParent && c.getBoundingClientRect().height < 24).length")  # fmt: skip
        assert small == 0
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_data_of_a_large_study_lie_in_files_beside_the_page(browser, task, sweep, tmp_path):
    files = explorer_files(
        "Large", {("a.1", "digits"): task.text, ("b", "digits"): task.text}, {("b", "words"): sweep}, largest=1000
    )
    assert set(files) == {"explorer.html", "explorer-a.1.js", "explorer-b.js"} and len(files["explorer.html"]) < 150_000
    for name, text in files.items():
        if name != "explorer-a.1.js":
            (tmp_path / name).write_text(text, encoding="utf-8")
    browser.get((tmp_path / "explorer.html").as_uri())
    settled(
        browser,
        lambda b: "explorer-a.1.js is not beside this page" in b.find_element(By.CSS_SELECTOR, "[role=alert]").text,
    )
    browser.get_log("browser")  # the browser says so as well
    (tmp_path / "explorer-a.1.js").write_text(files["explorer-a.1.js"], encoding="utf-8")
    browser.refresh()
    settled(browser, lambda b: value(b, "validity"))
    Select(labelled(browser, "Model")).select_by_visible_text("b")
    settled(browser, lambda b: b.execute_script("return Object.keys(window.ExplorerData).length") == 3)
    to_sweeps(browser)


def test_an_empty_study_says_so(browser, tmp_path):
    (tmp_path / "empty.html").write_text(explorer_page("Nothing", {}, {}))
    browser.get((tmp_path / "empty.html").as_uri())
    assert "nothing to explore yet" in browser.find_element(By.TAG_NAME, "main").text


def test_damaged_data_are_reported_on_the_page(browser, task, tmp_path):
    data = json.loads(task.text)
    data["heads"]["std"]["data"] = data["heads"]["std"]["data"][:-8]
    (tmp_path / "damaged.html").write_text(explorer_page("Damaged", {("a", "b"): script_json(data)}, {}))
    browser.get((tmp_path / "damaged.html").as_uri())
    settled(browser, lambda b: "Something in this page failed" in b.find_element(By.CSS_SELECTOR, "[role=alert]").text)

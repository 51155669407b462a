"""The page in a browser without network: its buttons save what is on the page, and it reads on paper and phones."""

import shutil
import time
import xml.etree.ElementTree as ElementTree
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from matplotlib.figure import Figure
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from calib_assets.report import ReportFigure, ReportSection, ReportTable, build_report
from calib_assets.report.contract import Column

HOSTILE = '=1+1"</script><script>document.title="run"</script>'


@pytest.fixture(scope="module")
def page(tmp_path_factory):
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
    path = folder / "report.html"
    path.write_text(build_report([ReportSection("s", "Section", items)], [], "name: x", "Title"), encoding="utf-8")
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1200,900",
        "--disable-dev-shm-usage",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    browser.execute_cdp_cmd("Network.enable", {})
    browser.get(path.as_uri())
    yield browser, folder
    browser.quit()


def saved(page, label: str, name: str) -> str:
    browser, folder = page
    button = browser.find_element(By.CSS_SELECTOR, f'button[aria-label="{label}"]')
    button.send_keys("\n")  # by keyboard
    deadline = time.monotonic() + 30
    while not (folder / name).exists():
        assert time.monotonic() < deadline, f"{name} was not saved"
        time.sleep(0.05)
    return Path(folder / name).read_text(encoding="utf-8")


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
    browser, _ = page
    assert browser.title == "Title"
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_is_no_wider_than_the_window(page, width):
    browser, _ = page
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_buttons_are_not_printed(page):
    browser, _ = page
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = browser.execute_script("return getComputedStyle(document.querySelector('.save')).display")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert shown == "none"
    assert browser.execute_script("return getComputedStyle(document.querySelector('.save')).display") == "flex"

"""One browser for the explorer's pages, which are opened from files as a reader opens them."""

import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def quiet(request):
    """A test that uses the browser leaves no error in its console, and its pages asked nobody for anything."""
    yield
    if "browser" in request.fixturenames:
        driver = request.getfixturevalue("browser")
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
        asked = [
            entry["message"]
            for entry in driver.get_log("performance")
            if "Network.requestWillBeSent" in entry["message"]
        ]
        assert not [message for message in asked if '"url":"http' in message or '"url":"ws' in message]

"""The real thing: Dagster's daemon, code server and web UI on a small study, and its page in headless Chromium."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TOKENS = [*"0123456789", ",", " ", ":", *"redgnblu"]


def write_chain(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = len(TOKENS)
    chain = {
        "tokens": TOKENS,
        "transition": rng.dirichlet(np.full(size, 0.5), size=size).tolist(),
        "initial": [1 / size] * size,
    }
    path.write_text(json.dumps(chain))


def model(name: str) -> dict:
    return {"name": name, "source": {"markov": f"{name}.json"}, "variant": "base"}


class Deployment:
    """A study, a store and ``dagster dev`` in one folder."""

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / "study.yaml"
        write_chain(folder / "alpha.json", 0)
        self.file.write_text(
            yaml.safe_dump(
                {
                    "name": "small",
                    "title": "Small",
                    "models": [model("alpha")],
                    "tasks": [
                        {
                            "name": "colours",
                            "kind": "list",
                            "answers": ["red", "green"],
                            "prompt": "p",
                            "completion": "r:",
                        }
                    ],
                    "decoding": {
                        "temperatures": [1.0, 2.0],
                        "rules": {"unrestricted": "default", "oracle_cutoff": "default"},
                    },
                    "logit_fits": {"conditionals": 1},
                }
            )
        )
        home = folder / "home"
        home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", home)
        self.environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "CALIB_STUDY": str(self.file),
            "CALIB_STORE": str(folder / "store"),
            "PYTHONWARNINGS": "ignore",
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [BIN / "dagster", "dev", "--workspace", "workspace.yaml", "--port", str(self.port)]
        self.log = (self.folder / "dev.log").open("wb")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def stop(self) -> None:
        """End the server and its children: they are asked first, and killed where that takes too long."""
        for sign, patience in ((signal.SIGTERM, 40), (signal.SIGKILL, 20)):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self.log.close()

    def ask(self, query: str, **variables):
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def wait(self, condition, seconds: float = 240):
        """Poll until the condition gives something; its last error is shown if it never does."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            assert self.process.poll() is None, (self.folder / "dev.log").read_text()[-3000:]
            try:
                found = condition()
                if found:
                    return found
            except (OSError, AssertionError) as error:
                last = error
            time.sleep(1)
        raise AssertionError(f"not within {seconds} s: {last}\n{(self.folder / 'dev.log').read_text()[-3000:]}")

    def partitions(self, key: str) -> dict:
        query = """query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { groupName opVersion
          partitionStats { numPartitions numMaterialized numFailed } staleStatusByPartition partitionKeys } }"""
        (node,) = self.ask(query, keys=[{"path": [key]}])["assetNodes"]
        return node


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    place = Deployment(tmp_path_factory.mktemp("ui"))
    command = [BIN / "calib-assets", "refresh"]
    done = subprocess.run(command, cwd=ROOT, env=place.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    place.start()
    try:
        place.wait(lambda: place.ask("{ assetNodes { assetKey { path } } }")["assetNodes"])
        yield place
    finally:
        place.stop()


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        "--window-size=1600,1100",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def text_of(browser) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def test_results_made_by_the_command_line_are_fresh_in_the_ui(deployment):
    node = deployment.partitions("decoding_sweep")
    assert node["groupName"] == "shape"
    assert node["partitionStats"] == {"numPartitions": 1, "numMaterialized": 1, "numFailed": 0}
    assert node["partitionKeys"] == ["alpha|colours"]


def test_lineage_page_shows_the_graph_and_asks_no_other_host(deployment, browser):
    browser.get(f"{deployment.url}/assets/decoding_sweep?view=lineage&lineageScope=neighbors")
    WebDriverWait(browser, 120).until(lambda page: "theory_bounds" in text_of(page))
    shown = text_of(browser)
    for name in ("exact_logit_cache", "grid_spec", "decoding_sweep", "calibration_gap", "theory_bounds"):
        assert name in shown
    hosts = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if url.startswith(("http:", "https:", "ws:")):
                hosts.add(url.split("/")[2])
    assert hosts == {f"127.0.0.1:{deployment.port}"}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_partition_page_shows_key_numbers_and_the_fingerprint(deployment, browser):
    browser.get(f"{deployment.url}/assets/decoding_sweep?view=partitions&partition=alpha%7Ccolours")
    WebDriverWait(browser, 120).until(lambda page: "fingerprint" in text_of(page))
    shown = text_of(browser)
    manifest = json.loads(
        (deployment.folder / "store" / "decoding_sweep" / "alpha" / "colours" / "current.json").read_text()
    )
    assert manifest["fingerprint"] in shown
    assert "validity there" in shown


@pytest.mark.timeout(420)
def test_sensor_computes_a_new_model_and_nothing_else(deployment):
    write_chain(deployment.folder / "beta.json", 1)
    study = yaml.safe_load(deployment.file.read_text())
    study["models"].append(model("beta"))
    deployment.file.write_text(yaml.safe_dump(study))
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "calib_assets",
        "sensorName": "refresh_stale",
    }
    started = deployment.ask(
        "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }", s=selector
    )
    assert started["startSensor"]["__typename"] == "Sensor"

    def report_is_made():
        node = deployment.partitions("shape_section")
        materialized = node["partitionStats"]["numMaterialized"] == 2
        command = [BIN / "calib-assets", "status"]
        return (
            materialized
            and subprocess.run(
                command, cwd=ROOT, env=deployment.environment, capture_output=True, check=False
            ).returncode
            == 0
        )

    deployment.wait(report_is_made, seconds=280)
    query = """{ runsOrError(filter: {statuses: [SUCCESS, FAILURE]}) { ... on Runs { results { status jobName
      tags { key value } } } } }"""
    runs = deployment.ask(query)["runsOrError"]["results"]
    by_sensor = [run for run in runs if {"key": "dagster/sensor_name", "value": "refresh_stale"} in run["tags"]]
    partitions = [tag["value"] for run in by_sensor for tag in run["tags"] if tag["key"] == "dagster/partition"]
    assert partitions == ["beta|colours"]
    assert {run["status"] for run in by_sensor} == {"SUCCESS"}
    assert sorted(run["jobName"] for run in by_sensor) == ["cells_model_task", "cells_whole_study"]

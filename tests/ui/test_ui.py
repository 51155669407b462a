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
from chromium import visit
from playwright.sync_api import TimeoutError as NotInTime
from playwright.sync_api import expect

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
    pages = dict(line.split(": ", 1) for line in done.stdout.splitlines()[-2:])
    assert list(pages) == ["report", "explorer"] and all(Path(page).stat().st_size for page in pages.values())
    assert {Path(page).parent for page in pages.values()} == {place.folder / "store" / "pages"}
    place.start()
    try:
        place.wait(lambda: place.ask("{ assetNodes { assetKey { path } } }")["assetNodes"])
        yield place
    finally:
        place.stop()


@pytest.fixture
def page(browser, deployment):
    """A page that asked no other host, nor did one that it opened, and reported no error, when the test is over."""
    with visit(browser, viewport={"width": 2200, "height": 1700}) as found:
        yield found.page
        assert found.hosts == {f"127.0.0.1:{deployment.port}"}
        assert found.errors == []


def see(page, *texts: str, seconds: float = 120) -> str:
    """Wait until the page shows all of these texts; what it shows then."""
    lacking = "(texts) => texts.filter((text) => !(document.body?.innerText ?? '').includes(text))"
    try:
        page.wait_for_function(f"(texts) => !({lacking})(texts).length", arg=list(texts), timeout=1000 * seconds)
    except NotInTime:
        shown = page.locator("body").inner_text()
        raise AssertionError(f"{page.url} lacks {page.evaluate(lacking, list(texts))}; it shows:\n{shown}") from None
    return page.locator("body").inner_text()


def click(page, path: str) -> None:
    """Click on the first that is there, as soon as it is shown, enabled and at rest."""
    page.locator(f"xpath={path}").first.click()


def run_is_over(deployment, run_id: str) -> dict:
    """The run, once it has ended."""
    query = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"""

    def ended():
        run = deployment.ask(query, id=run_id)["runOrError"]
        return run if run.get("status") in {"SUCCESS", "FAILURE", "CANCELED"} else None

    return deployment.wait(ended, seconds=150)


def open_tags(page, deployment, run_id: str) -> None:
    """A run's page with the dialog of its tags."""
    page.goto(f"{deployment.url}/runs/{run_id}")
    click(page, "//button[.//*[text()='View tags and config'] or text()='View tags and config']")


def newest_runs(deployment, count: int) -> list[str]:
    """Ids of the newest runs."""
    query = "query($n: Int!) { runsOrError(limit: $n) { ... on Runs { results { runId } } } }"
    return [run["runId"] for run in deployment.ask(query, n=count)["runsOrError"]["results"]]


PARTITION = "partition=alpha%7Ccolours"


def test_results_made_by_the_command_line_are_fresh_in_the_ui(deployment):
    node = deployment.partitions("decoding_sweep")
    assert node["groupName"] == "shape"
    assert node["partitionStats"] == {"numPartitions": 1, "numMaterialized": 1, "numFailed": 0}
    assert node["partitionKeys"] == ["alpha|colours"]


def test_lineage_page_shows_the_graph_with_groups_kinds_and_checks(deployment, page):
    page.goto(f"{deployment.url}/assets/decoding_sweep?view=lineage&lineageScope=neighbors")
    names = ("exact_logit_cache", "grid_spec", "decoding_sweep", "calibration_gap", "theory_bounds")
    see(page, *names, "shape", "specs", "Polars", "Passed", "100% filled")


def test_asset_page_explains_the_table_and_its_columns(deployment, page):
    page.goto(f"{deployment.url}/assets/decoding_sweep")
    see(
        page,
        "Exact Val, Div, Prec_seq and Rec_seq",
        "Val: probability of a valid output, in [0, 1].",
        "Natural log of Val, nats.",
        "evaluation",
        "calib/work: cpu",
        "Source code",
    )
    for file in ("assets/shape/decoding_sweep.py", "decoding/sweep.py"):
        assert page.locator(f"a[href*='{file}']").count(), file


def test_partition_page_shows_figure_key_numbers_and_the_fingerprint(deployment, page):
    page.goto(f"{deployment.url}/assets/decoding_sweep?view=partitions&{PARTITION}")
    shown = see(page, "fingerprint", "validity there", "first rows of decoding_sweep", "made from")
    store = deployment.folder / "store" / "decoding_sweep" / "alpha" / "colours"
    manifest = json.loads((store / "current.json").read_text())
    assert manifest["fingerprint"] in shown
    assert str(manifest["numbers"]["diversity there"])[:8] in shown
    click(page, "//tr[td[normalize-space()='figure']]//*[text()='[Show Markdown]']")
    image = page.locator("img[alt=decoding_sweep]")
    expect(image).to_be_visible()
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("(drawn) => drawn.naturalWidth") > 200


def test_a_link_leads_from_the_figure_to_the_samples_behind_it(deployment, page):
    page.goto(f"{deployment.url}/assets/validity_diversity_frontier?view=partitions&{PARTITION}")
    see(page, "samples behind it")
    click(page, "//tr[td[normalize-space()='samples behind it']]//a[text()='exact_logit_cache']")
    see(page, "first rows of vocabulary", "valid answers", "alpha|colours")
    assert page.url.endswith(f"/assets/exact_logit_cache?view=partitions&{PARTITION}")


def test_check_results_are_shown_with_their_numbers(deployment, page):
    page.goto(f"{deployment.url}/assets/decoding_sweep?view=checks&checkDetail=values_in_unit_interval")
    see(page, "values_in_unit_interval", "Passed", "detail", "alpha|colours")


@pytest.mark.timeout(500)
def test_what_is_stale_is_shown_and_one_model_is_refreshed_from_the_launchpad(deployment, page):
    study = yaml.safe_load(deployment.file.read_text())
    study["decoding"]["validity_floors"] = [0.25]
    deployment.file.write_text(yaml.safe_dump(study))
    before = newest_runs(deployment, 1)
    page.goto(f"{deployment.url}/assets/what_is_stale")
    click(page, "//button[.//*[text()='Observe']]")
    (observed,) = deployment.wait(lambda: [run for run in newest_runs(deployment, 1) if [run] != before])
    assert run_is_over(deployment, observed)["status"] == "SUCCESS"
    page.goto(f"{deployment.url}/assets/what_is_stale")
    why = "floors_spec.validity_floors: "
    see(page, why, "→ [0.25]", "calibration_gap", "1 of 1", "none", seconds=150)
    page.goto(f"{deployment.url}/assets/calibration_gap?view=checks&checkDetail=up_to_date")
    see(page, why, "1 of 1 stale", "alpha|colours", "none")

    page.goto(f"{deployment.url}/locations/calib_assets/jobs/refresh_model")
    click(page, "//*[@role='tab' and .//text()='Launchpad']")
    config = json.dumps({"ops": {"refresh_model_waves": {"config": {"model": "alpha"}}}})
    page.locator(".CodeMirror").evaluate("(editor, text) => editor.CodeMirror.setValue(text)", config)
    click(page, "//button[.//*[text()='Launch Run'] and not(@disabled)]")
    page.wait_for_url("**/runs/**", wait_until="commit")
    launched = page.url.rpartition("/runs/")[2].partition("?")[0]
    assert run_is_over(deployment, launched)["status"] == "SUCCESS"
    see(page, "Success")
    _, part = newest_runs(deployment, 2)  # that of the comparisons came after that of the model and task
    open_tags(page, deployment, part)
    see(page, "calib/study: small", "calib/fingerprint: ", "calib/why: ", "alpha|colours")
    page.goto(f"{deployment.url}/assets/calibration_gap?view=checks&checkDetail=up_to_date")
    see(page, "all 1 up to date", "Passed")


@pytest.mark.timeout(400)
def test_an_asset_is_materialized_by_clicking_and_its_run_names_study_and_fingerprint(deployment, page):
    page.goto(f"{deployment.url}/assets/report")
    before = newest_runs(deployment, 1)
    click(page, "//button[.//*[text()='Materialize']]")
    see(page, "Are you sure?")  # the other studies have no cell here, which Dagster takes for results that lack
    click(page, "//button[.//*[text()='Confirm']]")
    (run_id,) = deployment.wait(lambda: [run for run in newest_runs(deployment, 1) if [run] != before])
    assert run_is_over(deployment, run_id)["status"] == "SUCCESS"
    manifest = json.loads((deployment.folder / "store" / "report" / "current.json").read_text())
    open_tags(page, deployment, run_id)
    see(page, "calib/study: small", f"calib/fingerprint: {manifest['fingerprint']}")


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

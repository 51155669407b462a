"""A study on a cluster of real components, started by what deploy/ holds, gives the bytes that one machine gives."""

import os
import subprocess
import threading
import time

import dagster as dg
import pytest
from cluster import BIN, ROOT, cluster, dagster_processes
from s3_server import new_bucket
from workplace import Workplace

from calib_assets.assets import GRAPH
from calib_assets.staleness.planner import plan

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]
LONGEST_S = 2400


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(workplace on the cluster, its events, the same study on one machine), computed by the sensor and Ray's jobs."""
    folder = tmp_path_factory.mktemp("cluster")
    alone = Workplace(folder / "study")
    alone.edit(lambda study: study.update({rows: study[rows][:1] for rows in ("tasks", "sweeps", "rollouts")}))
    with dg.DagsterInstance.ephemeral() as instance:
        summary, _ = alone.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks)
    with pytest.MonkeyPatch.context() as patch, cluster(folder) as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        url = new_bucket()
        environment |= {"CALIB_STUDY": str(alone.file), "CALIB_STORE": url}
        patch.setenv("CALIB_CACHE", str(folder / "watcher"))  # this process is another machine than the workers
        together = Workplace(folder / "study", new=False, store=url)
        with dagster_processes(folder, environment) as environment:
            patch.setenv("DAGSTER_HOME", environment["DAGSTER_HOME"])
            _start_sensor(environment)
            _wait_until_fresh(together, folder)
            with dg.DagsterInstance.get() as instance:
                _wait_until_idle(instance)
                yield together, _computed(instance), instance.get_runs(), alone


def _start_sensor(environment):
    command = [BIN / "dagster", "sensor", "start", "refresh_stale", "-w", ROOT / "deploy" / "workspace.yaml"]
    started = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert started.returncode == 0, started.stderr


def _wait_until_fresh(place, folder):
    end = time.monotonic() + LONGEST_S
    while stale := plan(place.view()):
        failed = [item for item in stale if item.failures]
        if failed or time.monotonic() > end:
            log = (folder / "dagster.log").read_text(errors="replace")
            failures = [item.failures for item in failed]
            pytest.fail(f"{len(stale)} cells are stale: {stale[:2]} {failures}\n{log[-6000:]}")
        threading.Event().wait(5)


def _wait_until_idle(instance):
    end = time.monotonic() + 300
    while [run for run in instance.get_runs() if not run.is_finished] and time.monotonic() < end:
        threading.Event().wait(2)


def _computed(instance):
    """(asset, cell) of every materialization that was computed, as often as it was."""
    found = []
    for run in instance.get_runs():
        for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            made = event.asset_materialization
            if made.tags["calib/cache"] == "computed":
                cell = tuple(made.partition.split("|")) if made.partition else ()
                found.append((made.asset_key.to_user_string(), cell))
    return found


def test_every_cell_was_computed_once_and_every_run_succeeded(finished):
    together, computed, runs, _ = finished
    cells = [(key, cell) for key in GRAPH.nodes for cell in GRAPH.cells(key, together.study.load())]
    assert sorted(computed) == sorted(cells)
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert all(run.tags["calib/study"] == "chains" for run in runs)


def test_the_bytes_are_those_of_one_machine(finished):
    together, _, _, alone = finished
    remote, local, compared = together.store.open(), alone.store.open(), 0
    for key in GRAPH.nodes:
        for cell in GRAPH.cells(key, alone.study.load()):
            there, here = remote.current(key, cell), local.current(key, cell)
            assert (there.fingerprint, there.data_version) == (here.fingerprint, here.data_version), (key, cell)
            folder = local.folder(key, cell, here.fingerprint)
            assert there.files.keys() == here.files.keys()
            for name in here.files:
                assert remote.read(key, cell, name) == (folder / name).read_bytes(), (key, cell, name)
                compared += 1
    assert compared > 100


def test_nothing_was_left_half_done_and_no_one_waits(finished):
    remote = finished[0].store.open()
    assert remote.objects.list("unfinished") == {} and remote.records(".failed") == {}
    assert all(b'"released": true' in remote.objects.get(f"leases/{name}") for name in remote.objects.list("leases"))
    assert os.environ["CALIB_CACHE"].endswith("watcher")

"""The real daemon: edits of the study file are noticed, computed once, and nothing else is."""

import subprocess
import time
from collections import Counter

import dagster as dg
import pytest
from daemon import BIN, ROOT, Daemon
from workplace import Workplace, model_row, write_chain, write_useless_chain

from calib_assets.assets import GRAPH
from calib_assets.staleness.failure import read_failures
from calib_assets.staleness.planner import plan
from calib_assets.staleness.run import materialize
from calib_assets.staleness.store import ArtifactStore

UNFINISHED = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)


def small(study):
    """One model, one task, a small grid."""
    for field in ("sweeps", "rollouts", "external", "prompt_sets", "judges", "regression", "embedder"):
        study.pop(field)
    study["models"] = study["models"][:1]
    study["tasks"] = study["tasks"][:1]


class Watched:
    """A workplace under a daemon: what it executed between two edits, from the event log."""

    def __init__(self, folder):
        self.place = Workplace(folder / "place")
        self.place.edit(small)
        self.store = self.place.store.open()
        self.daemon = Daemon(folder, self.place.file, self.store.root)
        self.seen, self.folder = 0, folder

    def settled(self) -> bool:
        """Nothing is left but what failed, and no run is under way."""
        with self.daemon.instance() as instance:
            if instance.get_runs_count(dg.RunsFilter(statuses=list(UNFINISHED))):
                return False
        return all(item.failures for item in plan(self.place.view(), tolerant=True))

    def executed(self) -> Counter:
        """(asset, cell, fingerprint) -> how often it was computed or restored since the last call."""
        found, last = Counter(), self.seen
        with self.daemon.instance() as instance:
            for key in GRAPH.nodes:
                records = instance.fetch_materializations(dg.AssetKey(key), limit=500).records
                for record in records:
                    last = max(last, record.storage_id)
                    tags = record.asset_materialization.tags
                    if record.storage_id > self.seen and tags["calib/cache"] != "hit":
                        found[key, record.partition_key or "", tags["calib/fingerprint"]] += 1
        self.seen = last
        return found

    def before(self) -> dict:
        """(asset, cell) -> inputs of the result in use, of whatever is in the store."""
        found = {}
        for key in GRAPH.nodes:
            for path in (self.store.root / key).rglob("current.json"):
                cell = path.parent.relative_to(self.store.root / key).parts
                found[key, cell] = self.store.current(key, cell).inputs
        return found

    def minimum(self, before: dict) -> set:
        """Cells that must be executed: those whose inputs, in a store that is made from nothing in the order of the
        graph without any planner, are not those of the result that was in use."""
        view = self.place.view()
        fresh = type(view)(
            view.graph, view.study, ArtifactStore(self.folder / f"fresh-{time.monotonic_ns()}"), view.slicer, view.tools
        )
        needed = set()
        for key in GRAPH.nodes:
            for cell in GRAPH.cells(key, view.study):
                try:
                    manifest = materialize(fresh, key, cell, log=lambda line: None).manifest
                except Exception:  # it fails in a store that is made from nothing as well
                    continue
                if before.get((key, cell)) != manifest.inputs:
                    needed.add((key, "|".join(cell)))
        return needed

    def edit(self, change, label: str, seconds: float = 300) -> float:
        """Save an edit; wait until it is done; check what was executed. Seconds from saving to the first request."""
        before = self.before()
        with self.daemon.instance() as instance:
            known = {run.run_id for run in instance.get_runs()}
        saved = time.time()
        change()

        def first_run():
            with self.daemon.instance() as instance:
                new = [record for record in instance.get_run_records() if record.dagster_run.run_id not in known]
            return min((record.create_timestamp.timestamp() for record in new), default=None)

        requested = self.daemon.wait(first_run, 90, every=0.5)
        self.daemon.wait(self.settled, seconds)
        executed = self.executed()
        minimum = self.minimum(before)
        wave = sum(executed.values())
        print(f"{label}: first run {requested - saved:.1f} s after saving; {wave} steps, minimum {len(minimum)}")
        assert {(key, cell) for key, cell, _ in executed} == minimum, label
        assert set(executed.values()) == {1}, label
        return requested - saved


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_edits_are_computed_once_and_nothing_else_is(tmp_path):
    watched = Watched(tmp_path)
    place, daemon = watched.place, watched.daemon
    daemon.start()
    try:
        daemon.wait(watched.settled, 300)
        assert {(key, cell) for key, cell, _ in watched.executed()} == watched.minimum({})
        latencies = []

        def add(*names):
            place.edit(lambda study: study["models"].extend(model_row(name) for name in names))

        write_chain(place.folder / "gamma.json", 5)
        write_useless_chain(place.folder, "mute")
        latencies.append(watched.edit(lambda: add("gamma", "mute"), "a new model, and one that fails"))
        assert [key for key, _ in read_failures(watched.store)] == ["exact_logit_cache"]
        assert "mute|digits" in watched.store.read("report", (), "report.html").decode()
        latencies.append(watched.edit(lambda: write_chain(place.folder / "alpha.json", 9), "another revision"))
        grid = {"temperatures": [0.5, 1.0, 3.0]}
        latencies.append(watched.edit(lambda: place.edit(lambda study: study["decoding"].update(grid)), "another grid"))

        def without_gamma(study):
            study["models"] = [row for row in study["models"] if row["name"] != "gamma"]

        latencies.append(watched.edit(lambda: place.edit(without_gamma), "a removed model"))
        with daemon.instance() as instance:
            assert sorted(instance.get_dynamic_partitions("model")) == ["alpha", "mute"]
        print(f"latency: {min(latencies):.1f} to {max(latencies):.1f} s")
        assert max(latencies) < 40  # an interval of 10 s, a plan, a run's submission; this machine may be busy
        # What failed is not launched again, also by a daemon that has just started.
        daemon.stop()
        with daemon.instance() as instance:
            runs = instance.get_runs_count()
        daemon.start()
        time.sleep(60)
        with daemon.instance() as instance:
            assert instance.get_runs_count() == runs
        assert [failure.attempts for failure in read_failures(watched.store).values()] == [1]
        # The schedule, at every minute now, tries it again.
        daemon.stop()
        daemon.environment["CALIB_NIGHTLY"] = "* * * * *"
        daemon.start()

        def tried_again():
            return [failure.attempts for failure in read_failures(watched.store).values()] >= [2]

        daemon.wait(tried_again, 240)
        with daemon.instance() as instance:
            nightly = [run for run in instance.get_runs() if run.tags.get("dagster/schedule_name") == "refresh_nightly"]
        assert nightly and nightly[0].job_name == "refresh"
        assert watched.executed() == Counter()
    finally:
        if daemon.process is not None:
            daemon.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_refresh_can_queue_its_runs_for_the_daemon(tmp_path):
    """With CALIB_LAUNCH=queue the command line plans, and the daemon computes."""
    watched = Watched(tmp_path)
    daemon = watched.daemon
    daemon.environment |= {"CALIB_AUTOMATION": "off", "CALIB_LAUNCH": "queue"}
    daemon.start()
    try:
        done = subprocess.run(
            [BIN / "calib-assets", "refresh"],
            cwd=ROOT,
            env=daemon.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "queued " in done.stdout and "alpha|digits" in done.stdout and plan(watched.place.view()) == []
        assert {(key, cell) for key, cell, _ in watched.executed()} == watched.minimum({})
        with daemon.instance() as instance:
            runs = instance.get_runs()
            checks = [
                record
                for run in runs
                for record in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
            ]
        assert {run.job_name for run in runs} == {"cells_model_task", "cells_whole_study"} and checks
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    finally:
        daemon.stop()

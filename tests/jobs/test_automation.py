"""Ticks of the sensor, evaluated as the daemon does, on a study that has no results yet."""

import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from workplace import Workplace, model_row

from calib_assets.assets import GRAPH
from calib_assets.staleness.failure import record_failure
from calib_assets.staleness.identity import Snapshot
from calib_assets.staleness.planner import plan
from jobs import automation
from jobs.launch import launches


def shape_only(study):
    """Two models on two tasks."""
    for field in ("sweeps", "rollouts", "external", "prompt_sets", "judges", "regression", "embedder"):
        study.pop(field)


class Ticks:
    """A sensor with its cursor; a tick's partitions, observations and runs are done as the daemon does them."""

    def __init__(self, place, instance):
        self.place, self.instance, self.cursor = place, instance, None

    def __call__(self):
        repository = self.place.definitions().get_repository_def()
        sensor = repository.get_sensor_def("refresh_stale")
        resources = {name: repository.get_top_level_resources()[name] for name in sensor.required_resource_keys}
        with dg.build_sensor_context(
            instance_ref=self.instance.get_ref(), cursor=self.cursor, repository_def=repository, resources=resources
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in data.dynamic_partitions_requests:
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition(request.partitions_def_name, key)
        return data

    def ended(self, request, status, begun: bool = True) -> None:
        """A run of this request, however it ended; one that has not begun was never launched."""
        job = self.place.definitions().resolve_job_def(request.job_name)
        tags = {**request.tags, "dagster/run_key": request.run_key}
        if status != dg.DagsterRunStatus.FAILURE:
            self.instance.create_run_for_job(job, status=status, tags=tags)
            return
        run = self.instance.create_run_for_job(job, tags=tags)
        if begun:
            self.begin(run)
        self.instance.report_run_failed(run, "lost")

    def begin(self, run) -> None:
        """What a worker reports when its run begins."""
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
        self.instance.report_dagster_event(event, run.run_id)


@pytest.fixture
def ticks(tmp_path):
    place = Workplace(tmp_path / "place")
    place.edit(shape_only)
    with dg.instance_for_test() as instance:
        yield Ticks(place, instance)


def places(data):
    return sorted(request.partition_key for request in data.run_requests)


def test_a_new_row_becomes_a_partition_and_a_run_in_one_tick(ticks):
    first = ticks()
    assert places(first) == ["alpha|colours", "alpha|digits", "beta|colours", "beta|digits"]
    assert sorted(ticks.instance.get_dynamic_partitions("model")) == ["alpha", "beta"]
    (why,) = {request.tags["calib/why"].partition(";")[0] for request in first.run_requests}
    assert why == "exact_logit_cache: missing" and first.run_requests[0].tags["calib/study"] == "chains"
    ticks.place.write_chain("gamma", seed=7)
    ticks.place.edit(lambda study: study["models"].append(model_row("gamma")))
    second = ticks()
    new = {request.run_key for request in second.run_requests} - {request.run_key for request in first.run_requests}
    assert len(new) == 2 and "gamma" in ticks.instance.get_dynamic_partitions("model")


def of_specs(data) -> list:
    """A tick's observations of spec assets (others say what is stale)."""
    return [event for event in data.asset_events if event.asset_key.to_user_string() in GRAPH.specs]


def test_observations_are_for_changes_and_the_cursor_is_short(ticks):
    view = ticks.place.view()
    every = {(spec, "|".join(cell)) for spec in GRAPH.specs for cell in GRAPH.cells(spec, view.study)}
    first = of_specs(ticks())
    assert {(event.asset_key.to_user_string(), event.partition or "") for event in first} == every
    version = Snapshot(view).slice_version("model_spec", ("alpha",))
    own = next(
        event for event in first if (event.asset_key.path, event.partition) == (["model_spec"], "alpha")
    )
    assert own.tags == {"dagster/data_version": version}
    assert of_specs(ticks()) == [] and len(ticks.cursor) == 16
    ticks.place.edit(lambda study: study["decoding"].update(validity_floors=[0.5]))
    changed = {event.asset_key.to_user_string() for event in of_specs(ticks())}
    assert changed == {"floors_spec", "report_spec"}
    assert of_specs(ticks()) == []


def test_a_wrong_or_missing_study_file_changes_nothing_and_says_why(ticks):
    ticks()
    kept, cursor = ticks.place.file.read_text(), ticks.cursor
    ticks.place.file.write_text("models: [")
    data = ticks()
    assert "study.yaml" in data.skip_message and not data.run_requests and not data.dynamic_partitions_requests
    ticks.place.file.unlink()
    assert "name an existing study file" in ticks().skip_message
    assert sorted(ticks.instance.get_dynamic_partitions("model")) == ["alpha", "beta"] and ticks.cursor == cursor
    ticks.place.file.write_text(kept)
    assert len(ticks().run_requests) == 4


def test_a_removed_row_leaves_the_partitions(ticks):
    ticks()
    ticks.place.edit(lambda study: study["models"].pop())
    data = ticks()
    assert ticks.instance.get_dynamic_partitions("model") == ["alpha"]
    assert places(data) == ["alpha|colours", "alpha|digits"]


def test_a_model_whose_file_is_gone_holds_up_no_other(ticks):
    (ticks.place.folder / "beta.json").unlink()
    assert places(ticks()) == ["alpha|colours", "alpha|digits"]


def test_a_cell_with_an_unfinished_run_is_not_requested_again(ticks):
    request = next(request for request in ticks().run_requests if request.partition_key == "alpha|digits")
    ticks.ended(request, dg.DagsterRunStatus.STARTED)
    assert places(ticks()) == ["alpha|colours", "beta|colours", "beta|digits"]


def asked(data, place: str = "alpha|digits"):
    """The request of one cell, or None."""
    return next((request for request in data.run_requests if request.partition_key == place), None)


def test_lost_runs_are_asked_for_again_a_few_times_and_then_seldom(ticks, monkeypatch):
    keys = []
    for _ in range(automation.ATTEMPTS):
        request = asked(ticks())
        keys.append(request.run_key)
        ticks.ended(request, dg.DagsterRunStatus.FAILURE)
    assert asked(ticks()) is None
    monkeypatch.setattr(automation, "LATER_SECONDS", 0.0)
    keys.append(asked(ticks()).run_key)
    assert len(set(keys)) == automation.ATTEMPTS + 1  # the daemon drops a key that it has seen


def test_what_could_not_be_launched_is_asked_for_until_it_can(ticks, monkeypatch):
    ticks.ended(asked(ticks()), dg.DagsterRunStatus.FAILURE, begun=False)
    assert asked(ticks()) is None  # not at once
    monkeypatch.setattr(automation, "PAUSE_SECONDS", 0.0)
    keys = set()
    for _ in range(automation.ATTEMPTS + 1):
        request = asked(ticks())
        keys.add(request.run_key)
        ticks.ended(request, dg.DagsterRunStatus.FAILURE, begun=False)
    assert len(keys) == automation.ATTEMPTS + 1 and asked(ticks()) is not None


def test_a_cancelled_run_is_not_asked_for_again(ticks):
    ticks.ended(asked(ticks(), "beta|digits"), dg.DagsterRunStatus.CANCELED)
    assert places(ticks()) == ["alpha|colours", "alpha|digits", "beta|colours"]


def test_a_started_run_whose_worker_is_gone_is_ended_and_asked_for_again(ticks):
    request = asked(ticks())
    job = ticks.place.definitions().resolve_job_def(request.job_name)
    tags = {**request.tags, "dagster/partition": "alpha|digits"}
    run = ticks.instance.create_run_for_job(job, tags=tags)
    ticks.begin(run)
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    # What Dagster's worker reports when it begins.
    ticks.instance.report_engine_event(
        f"Started process for run (pid: {worker.pid}).", run, EngineEventData.in_process(worker.pid)
    )
    assert asked(ticks()) is None and not ticks.instance.get_run_by_id(run.run_id).is_finished
    worker.kill()
    worker.wait()
    assert asked(ticks()) is not None
    assert ticks.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_failed_cell_is_left_alone_whatever_dagster_remembers(ticks):
    view = ticks.place.view()
    cell = ("alpha", "digits")
    mark = Snapshot(view).expected("exact_logit_cache", cell)
    record_failure(view.store, "exact_logit_cache", cell, mark, ValueError("no"), "")
    assert places(ticks()) == ["alpha|colours", "beta|colours", "beta|digits"]
    ticks.place.edit(lambda study: study["tasks"][0].update(length=1))
    assert "alpha|digits" in places(ticks())


def test_a_tick_asks_for_no_more_than_a_bounded_number_of_runs(ticks, monkeypatch):
    monkeypatch.setattr(automation, "QUEUED", 3)
    request = ticks().run_requests[0]
    assert len(ticks().run_requests) == 3
    ticks.ended(request, dg.DagsterRunStatus.STARTED)
    assert len(ticks().run_requests) == 2


def test_a_setting_that_is_switched_there_and_back_has_a_key_of_its_own(ticks):
    """The daemon skips keys that it has seen; the run that made the present result tells two equal states apart."""
    from dataclasses import replace

    view = ticks.place.view()
    stale = plan(view)
    later = [replace(item, recorded_run="another") for item in stale]
    one, other = launches(stale, GRAPH)[0], launches(later, GRAPH)[0]
    assert one.state == other.state and one.run_key != other.run_key

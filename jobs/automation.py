"""The sensor and the nightly schedule: new rows and changed slices of the study are computed without anybody asking.

Both plan as the command line does. The sensor adds partitions in one tick and launches in the next, since
a run needs its partition to exist.
"""

import json
from collections.abc import Callable

import dagster as dg

from calib_assets.assets.partitions import DYNAMIC
from calib_assets.staleness.graph import axis_values, cell_name
from calib_assets.staleness.identity import Context, spec_version
from calib_assets.staleness.planner import plan
from jobs.launch import Launch, launches

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def due(view: Context, instance: dg.DagsterInstance) -> list[Launch]:
    """Launches that are ready and whose cell has no unfinished run."""
    busy = {
        (run.job_name, run.tags.get("dagster/partition"))
        for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    }
    ready = launches(plan(view), view.graph, view.study)
    return [launch for launch in ready if (launch.job, launch.partition_key) not in busy]


def missing_partitions(view: Context, instance: dg.DagsterInstance) -> list:
    """Requests that add the study's rows to Dagster's partitions, where they are missing."""
    requests, values = [], axis_values(view.study)
    for definition in DYNAMIC:
        have = set(instance.get_dynamic_partitions(definition.name))
        new = [key for key in values[definition.name] if key not in have]
        if new:
            requests.append(definition.build_add_request(new))
    return requests


def observations(view: Context, cursor: str | None) -> tuple[list[dg.AssetObservation], str]:
    """One observation for each spec slice that changed since the cursor, and the new cursor."""
    seen, now, events = json.loads(cursor or "{}"), {}, []
    for spec in view.graph.specs:
        for cell in view.graph.cells(spec, view.study):
            name, version = f"{spec}|{cell_name(cell)}", spec_version(view, spec, cell)
            now[name] = version
            if seen.get(name) != version:
                tags = {"dagster/data_version": version}
                events.append(dg.AssetObservation(spec, partition=cell_name(cell) or None, tags=tags))
    return events, json.dumps(now)


def run_request(launch: Launch) -> dg.RunRequest:
    """A launch as Dagster wants it."""
    return dg.RunRequest(
        run_key=launch.run_key,
        job_name=launch.job,
        partition_key=launch.partition_key,
        asset_selection=[dg.AssetKey(key) for key in launch.assets],
        tags={"calib/why": "stale", "calib/assets": str(len(launch.assets))},
    )


def build_automation(jobs: list, everything, view: Callable[..., Context]) -> tuple[list, list]:
    """The sensor over the refresh jobs of single cells, the schedule over the job that refreshes everything.

    Args:
        jobs: One refresh job for each kind of cell.
        everything: The job that brings the whole study up to date.
        view: Makes the planner's view from the services of the deployment.

    Returns:
        (sensors, schedules)
    """
    services = {"study", "store", "language_models"}

    @dg.sensor(
        name="refresh_stale",
        jobs=jobs,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.STOPPED,
        required_resource_keys=services,
        description="Adds new rows, reports changed slices, launches what is stale.",
    )
    def refresh_stale(context: dg.SensorEvaluationContext):
        now = view(**{name: getattr(context.resources, name) for name in services})
        new = missing_partitions(now, context.instance)
        if new:
            return dg.SensorResult(dynamic_partitions_requests=new, cursor=context.cursor)
        events, cursor = observations(now, context.cursor)
        requests = [run_request(launch) for launch in due(now, context.instance)]
        return dg.SensorResult(run_requests=requests, asset_events=events, cursor=cursor)

    nightly = dg.ScheduleDefinition(
        name="refresh_nightly",
        job=everything,
        cron_schedule="0 2 * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Brings the whole study up to date once a night, so that a missed or failed cell gets another "
        "chance.",
    )
    return [refresh_stale], [nightly]

"""The sensor and the nightly schedule: new rows and changed slices of the study are computed without anybody asking.

Both plan as the command line does. Partitions are added and runs requested in one tick. What has failed is left to the
schedule and to people; a run that ended without having computed (killed, lost) is asked for again, a few times.
"""

import os
import time
from collections.abc import Callable, Sequence

import dagster as dg

from calib_assets.assets.checks import check_keys
from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import cell_name
from calib_assets.staleness.identity import Context, Snapshot
from calib_assets.staleness.planner import Stale, plan
from calib_assets.study import StudyError
from jobs.launch import FINGERPRINT_TAG, Launch, launches
from jobs.lost_runs import bury_dead_runs
from jobs.runner import partition_changes
from jobs.staleness_view import is_due, reports

INTERVAL_SECONDS = 10
NIGHTLY = "0 2 * * *"
NIGHTLY_VARIABLE, RUNNING_VARIABLE = "CALIB_NIGHTLY", "CALIB_AUTOMATION"
QUEUED = 100  # unfinished runs, at the most: the rest of a large study is asked for as these end
ATTEMPTS = 4  # runs of one state that end without a result and without a failure, one after the other
LATER_SECONDS = 3600.0  # before another of these
PAUSE_SECONDS = 30.0  # after a run that could not be launched
VERSION_TAG = "dagster/data_version"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def due(stale: Sequence[Stale], view: Context, instance: dg.DagsterInstance) -> list[tuple[Launch, str]]:
    """(launch, run key) of what is ready in the plan, has no unfinished run, and may end otherwise than before."""
    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    busy = {(run.job_name, run.tags.get("dagster/partition")) for run in unfinished}
    found = launches(stale, view.graph)
    ready = [launch for launch in found if (launch.job, launch.partition_key) not in busy]
    wanted = []
    for launch in ready:
        if len(unfinished) + len(wanted) >= QUEUED:
            break
        number = _attempt(launch, instance)
        if number is not None:
            wanted.append((launch, f"{launch.run_key}/{number}"))
    return wanted


def _attempt(launch: Launch, instance: dg.DagsterInstance) -> int | None:
    """How often runs of this state were lost; None where another makes no sense now: cancelled, or lost just before.

    A failure of a body changes the state (its cell is left out), so what is counted here are runs that never got so
    far: killed processes, machines that went away. One that kills its own process (out of memory) must not do so for
    ever: after :data:`ATTEMPTS` it is asked for once in :data:`LATER_SECONDS`. One that never began says nothing of its
    cell, only that nothing could be launched.
    """
    wanted = dg.RunsFilter(job_name=launch.job, tags={FINGERPRINT_TAG: launch.state})
    runs = instance.get_run_records(wanted)
    if not runs or runs[0].dagster_run.status == dg.DagsterRunStatus.CANCELED:
        return None if runs else 0
    lost = [run for run in runs if run.dagster_run.status == dg.DagsterRunStatus.FAILURE]
    if not lost:
        return 0
    since = time.time() - (lost[0].end_time or lost[0].create_timestamp.timestamp())
    begun = sum(run.start_time is not None for run in lost)
    if since < (LATER_SECONDS if begun >= ATTEMPTS else 0 if lost[0].start_time else PAUSE_SECONDS):
        return None
    return len(lost)


def observations(view: Context, instance: dg.DagsterInstance, cursor: str | None) -> tuple[list, str]:
    """One observation for each spec slice that changed since the last one, and the new cursor.

    The cursor is one hash of all slices; which of them changed is asked of Dagster's own records, and only then.
    """
    snapshot = Snapshot(view)
    versions = {
        spec: {
            cell_name(cell): snapshot.slice_version(spec, cell)
            for cell in snapshot.cells(spec)
            if (spec, cell) not in snapshot.unreadable
        }
        for spec in view.graph.specs
    }
    now = digest(versions)
    if cursor == now:
        return [], now
    events = []
    for spec, by_cell in versions.items():
        seen = _observed(instance, spec, [*by_cell])
        events += [
            dg.AssetObservation(spec, partition=name or None, tags={VERSION_TAG: version})
            for name, version in by_cell.items()
            if seen.get(name) != version
        ]
    return events, now


def _observed(instance: dg.DagsterInstance, spec: str, names: list[str]) -> dict[str, str | None]:
    """Cell name -> data version that was last reported for it."""
    key = dg.AssetKey(spec)
    if names == [""]:
        records = instance.fetch_observations(key, limit=1).records
        return {"": records[0].asset_observation.tags.get(VERSION_TAG)} if records else {}
    found = instance.event_log_storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_OBSERVATION, [VERSION_TAG], names
    )
    return {name: tags.get(VERSION_TAG) for name, tags in found.items()}


def run_request(launch: Launch, run_key: str, study: str) -> dg.RunRequest:
    """A launch as Dagster wants it."""
    return dg.RunRequest(
        run_key=run_key,
        job_name=launch.job,
        partition_key=launch.partition_key,
        asset_selection=[dg.AssetKey(key) for key in launch.assets],
        asset_check_keys=check_keys(launch.assets),
        tags=launch.tags(study),
    )


def build_automation(jobs: list, everything, view: Callable[..., Context]) -> tuple[list, list]:
    """The sensor over the refresh jobs of single cells, the schedule over the job that refreshes everything.

    Args:
        jobs: One refresh job for each kind of cell.
        everything: The job that brings the whole study up to date.
        view: Makes the planner's view from the services of the deployment.

    Returns:
        (sensors, schedules); they are off until somebody switches them on, or ``CALIB_AUTOMATION=on`` does. The
        schedule's cron line is ``CALIB_NIGHTLY``.
    """
    services = {"study", "store", "language_models"}
    on = os.environ.get(RUNNING_VARIABLE) == "on"

    @dg.sensor(
        name="refresh_stale",
        jobs=jobs,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys=services,
        description="Adds and removes rows, reports changed slices, launches what is stale.",
    )
    def refresh_stale(context: dg.SensorEvaluationContext):
        try:
            now = view(**{name: getattr(context.resources, name) for name in services})
            bury_dead_runs(context.instance, context.log.info, workers=True)
            events, cursor = observations(now, context.instance, context.cursor)
            stale = plan(now, tolerant=True)
            wanted = due(stale, now, context.instance)
            is_busy = context.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)) > 0
            if events or is_due(context.instance, is_busy):
                events += reports(stale, now, context.instance)
        except StudyError as error:
            # A file that somebody is editing: nothing is removed or launched on its word; the next tick looks again.
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        changes = partition_changes(now, context.instance)
        return dg.SensorResult(
            run_requests=[run_request(launch, run_key, now.study.name) for launch, run_key in wanted],
            asset_events=events,
            dynamic_partitions_requests=[
                *(definition.build_add_request(new) for definition, new, _ in changes if new),
                *(definition.build_delete_request(gone) for definition, _, gone in changes if gone),
            ],
            cursor=cursor,
        )

    nightly = dg.ScheduleDefinition(
        name="refresh_nightly",
        job=everything,
        cron_schedule=os.environ.get(NIGHTLY_VARIABLE) or NIGHTLY,
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description="Brings the whole study up to date once a night; what failed gets another chance.",
    )
    return [refresh_stale], [nightly]

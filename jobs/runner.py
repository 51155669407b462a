"""Bring the whole study up to date in this process: plan, run what is ready, plan again, until nothing is stale.

The command line and the job ``refresh`` both do this. Each launch is an ordinary Dagster run, with its history, logs
and checks in the UI; in one process, so a model loads once however many runs need it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._serdes import ConfigurableClassData

from calib_assets.assets.checks import check_keys
from calib_assets.assets.partitions import DYNAMIC
from calib_assets.staleness.graph import Graph, axis_values
from calib_assets.staleness.identity import Context, Pair
from calib_assets.staleness.planner import plan
from calib_assets.staleness.selection import Selection
from jobs.launch import Launch, launches
from jobs.lost_runs import PROCESS_TAG, bury_dead_runs, this_process
from jobs.queueing import Queue
from jobs.staleness_view import report
from jobs.summary import Summary

EVERYTHING = Selection()
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Untried:
    """Wanted cells that this refresh has not launched yet: those that failed before get another chance."""

    def __init__(self, selection: Selection, graph: Graph):
        self.selection, self.graph, self.tried = selection, graph, set()

    def __contains__(self, pair: Pair) -> bool:
        return pair not in self.tried and self.selection.includes(self.graph, pair)


def refresh(
    view: Context,
    get_job: Callable[[str], dg.JobDefinition],
    instance: dg.DagsterInstance,
    echo: Callable[[str], None],
    selection: Selection = EVERYTHING,
    queue: Queue | None = None,
) -> Summary:
    """Run waves until the plan is empty or nothing more can run.

    Args:
        view: The planner's view.
        get_job: Name -> refresh job.
        instance: Where runs are recorded.
        echo: Called with one line for each thing that happens.
        selection: What to refresh.
        queue: Where runs are submitted to; None runs them in this process, so that a model loads once for all of them.

    Returns:
        The summary; a failed launch does not stop the others, only what depends on it.

    Raises:
        SelectionError: If the selection names what there is not.
    """
    selection.check(view.graph, view.study)
    started = time.monotonic()
    summary, attempted, untried = Summary(), set(), Untried(selection, view.graph)
    sync_partitions(view, instance)
    bury_dead_runs(instance, echo)
    while True:
        stale = selection.of(plan(view, again=untried, tolerant=True), view.graph)
        found = launches(stale, view.graph, patient=not selection.report_only)
        ready = [launch for launch in found if launch.state not in attempted]
        if not ready:
            summary.left = stale
            report(plan(view, tolerant=True), view, instance)
            return summary
        attempted.update(launch.state for launch in ready)
        untried.tried.update((item.key, item.cell) for launch in ready for item in launch.items)
        if queue is not None:
            queue.run(ready, get_job, instance, summary, view.study.name, echo)
            view.store.refresh()  # other machines have written to it
            continue
        for number, launch in enumerate(ready, start=1):
            place = f"run {number}/{len(ready)} ({_clock(time.monotonic() - started)})"
            echo(f"{place}: {launch.partition_key or 'comparisons and report'}: {_named(launch.assets)}")
            _run_here(launch, get_job(launch.job), instance, summary, view.study.name)
            if launch.label in summary.failed:
                echo(f"  failed: {summary.failed[launch.label]}")


def _clock(seconds: float) -> str:
    """Minutes and seconds since the refresh began.

    >>> _clock(75.4)
    '1:15'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _named(assets: tuple[str, ...], most: int = 4) -> str:
    """The first few; the run's page in the UI lists all.

    >>> _named(("a", "b", "c", "d", "e", "f"))
    'a, b, c, d and 2 more'
    """
    return ", ".join(assets[:most]) + (f" and {len(assets) - most} more" if len(assets) > most else "")


def sync_partitions(view: Context, instance: dg.DagsterInstance) -> None:
    """Make Dagster's dynamic partitions the study's rows; results of rows that left stay in the store."""
    for definition, new, gone in partition_changes(view, instance):
        if new:
            instance.add_dynamic_partitions(definition.name, new)
        for key in gone:
            instance.delete_dynamic_partition(definition.name, key)


def partition_changes(
    view: Context, instance: dg.DagsterInstance
) -> list[tuple[dg.DynamicPartitionsDefinition, list[str], list[str]]]:
    """(definition, rows that it lacks, keys that are no row any more) for each kind of partitions."""
    values, found = axis_values(view.study), []
    for definition in DYNAMIC:
        wanted, have = values[definition.name], instance.get_dynamic_partitions(definition.name)
        known, rows = set(have), set(wanted)
        new, gone = [key for key in wanted if key not in known], [key for key in have if key not in rows]
        found.append((definition, new, gone))
    return found


def _run_here(
    launch: Launch, job: dg.JobDefinition, instance: dg.DagsterInstance, summary: Summary, study: str
) -> None:
    chosen = job.get_subset(
        asset_selection={dg.AssetKey(key) for key in launch.assets},
        asset_check_selection=set(check_keys(launch.assets)),
    )
    result = chosen.execute_in_process(
        instance=instance,
        partition_key=launch.partition_key,
        raise_on_error=False,
        run_config=QUIET,
        tags={**launch.tags(study), PROCESS_TAG: this_process()},
    )
    summary.add(launch, result.all_events, result.success)


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's instance, that of ``DAGSTER_HOME``, for runs in this process.

    Dagster mirrors what a step prints through four processes of each step, which an interrupted terminal hits as well;
    they die with a traceback each. In this process prints go to the terminal as they are, so nothing is mirrored.
    """
    with dg.DagsterInstance.get() as instance:
        if not isinstance(instance.compute_log_manager, LocalComputeLogManager):
            yield instance
            return
        reference = instance.get_ref()
    quiet = ConfigurableClassData(NoOpComputeLogManager.__module__, NoOpComputeLogManager.__name__, "{}")
    with dg.DagsterInstance.from_ref(reference._replace(compute_logs_data=quiet)) as instance:
        yield instance

"""Runs whose process is gone: they are ended, so that their cells can be asked for again.

Dagster's own launcher of processes cannot tell whether a run is alive. Its code server ends the runs of workers that
die before it, but a run that outlives its code server and is then killed stays *started* for ever, and its place in the
pools with it.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psutil
from dagster import DefaultRunLauncher

PROCESS_TAG = "calib/process"
STARTED_BY_LAUNCHER = "Started process for run"
CLOCK_SECONDS = 5.0  # between the start of a process and its first event, by a boot time of whole seconds


def bury_dead_runs(instance: dg.DagsterInstance, echo: Callable[[str], None], workers: bool = False) -> None:
    """End runs whose process was killed, and free their pool slots.

    Args:
        instance: Whose runs.
        echo: Called with one line for each.
        workers: Also look for the processes that a code server on this machine started. Only code that runs in that
            server may say so: on another machine there is no process of that number, alive or not.
    """
    workers = workers and isinstance(instance.run_launcher, DefaultRunLauncher)
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        own = PROCESS_TAG in run.tags
        if (own and _process_is_gone(run)) or (not own and workers and _worker_is_gone(run, instance)):
            echo(f"run {run.run_id} was killed; its place in the pools is free again")
            instance.report_run_failed(run, message="the process of this run is gone")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def this_process() -> str:
    """Name of this process among all that were and will be: machine, number, start."""
    return f"{socket.gethostname()}/{os.getpid()}/{_start_of(os.getpid())}"


def _process_is_gone(run: dg.DagsterRun) -> bool:
    host, _, process = run.tags[PROCESS_TAG].partition("/")
    number, _, start = process.partition("/")
    return host == socket.gethostname() and bool(start) and _start_of(int(number)) != start


def _worker_is_gone(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Whether the last process that was started for a run is no more (its number may be another's by now)."""
    for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        if entry.message.startswith(STARTED_BY_LAUNCHER):
            number = int(entry.dagster_event.engine_event_data.metadata["pid"].value)
            try:
                process = psutil.Process(number)
                return process.status() == psutil.STATUS_ZOMBIE or (
                    process.create_time() > entry.timestamp + CLOCK_SECONDS
                )
            except psutil.NoSuchProcess:
                return True
    return False


def _start_of(process: int) -> str:
    """When a process began, so that a number given to another process is not taken for it; empty if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""

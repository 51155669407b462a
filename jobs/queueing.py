"""Launches as queued runs: the daemon starts them where the deployment says (a process, a Ray job), many at a time.

A refresh that plans here and computes elsewhere: it submits a wave, waits until its runs have ended, and plans again.
Needs a running daemon; the launches are those of a refresh in one process.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from jobs.launch import Launch
from jobs.summary import Summary

LAUNCH_VARIABLE = "CALIB_LAUNCH"
POLL_SECONDS = 2.0


class QueueError(RuntimeError):
    """Runs cannot be queued as things are; names the remedy."""


@dataclass(frozen=True)
class Queue:
    """Submits runs of one code location.

    Attributes:
        remote, code: Origins of some job of the location, as Dagster stores them with a run.
        inside: Whether the refresh is a run itself, which takes one of the places for runs.
    """

    remote: object
    code: object
    inside: bool = False

    def run(
        self,
        launches: Sequence[Launch],
        get_job: Callable[[str], dg.JobDefinition],
        instance: dg.DagsterInstance,
        summary: Summary,
        study: str,
        echo: Callable[[str], None],
    ) -> None:
        """Submit these, and wait until all have ended; an interruption leaves them running.

        Raises:
            QueueError: If they would never start.
        """
        limit = instance.get_concurrency_config().run_queue_config
        if self.inside and limit is not None and limit.max_concurrent_runs == 1:
            raise QueueError(
                "this run takes the only place for runs, so those that it queues would never start; set "
                "concurrency.runs.max_concurrent_runs in dagster.yaml to 2 or more, or run `calib-assets refresh`"
            )
        waiting = {}
        for launch in launches:
            run_id = self._submit(launch, get_job(launch.job), instance, study)
            echo(f"queued {run_id[:8]}: {launch.partition_key or 'study'}: {', '.join(launch.assets)}")
            waiting[run_id] = launch
        while waiting:
            for run_id in [name for name in waiting if instance.get_run_by_id(name).is_finished]:
                launch, run = waiting.pop(run_id), instance.get_run_by_id(run_id)
                events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event is not None]
                summary.add(launch, events, run.is_success)
                echo(
                    f"ended {run_id[:8]}: {launch.partition_key or 'study'}: {summary.failed.get(launch.label, 'well')}"
                )
            time.sleep(POLL_SECONDS if waiting else 0)

    def _submit(self, launch: Launch, job: dg.JobDefinition, instance: dg.DagsterInstance, study: str) -> str:
        tags = dict(launch.tags(study))
        keys = [dg.AssetKey(key) for key in launch.assets]
        if launch.partition_key:
            tags |= job.get_tags_for_partition_key(launch.partition_key, selected_asset_keys=keys)
        run = instance.create_run_for_job(
            job,
            tags=tags,
            asset_selection=set(keys),
            remote_job_origin=self.remote.repository_origin.get_job_origin(job.name),
            job_code_origin=self.code._replace(job_name=job.name),
        )
        # The coordinator only writes that the run waits; the daemon finds the code by the names in its origin.
        instance.submit_run(run.run_id, None)
        return run.run_id


def is_wanted() -> bool:
    """Whether this deployment queues runs: ``CALIB_LAUNCH=queue``."""
    return os.environ.get(LAUNCH_VARIABLE) == "queue"


def queue_of(run: dg.DagsterRun) -> Queue:
    """The queue of the code location that a run belongs to."""
    if run.remote_job_origin is None or run.job_code_origin is None:
        raise QueueError("this run was not submitted through a code location; launch the job in the UI instead")
    return Queue(run.remote_job_origin, run.job_code_origin, inside=True)


def queue_of_workspace(path: str = "workspace.yaml") -> Queue:
    """The queue of the one code location that a workspace file names.

    Raises:
        QueueError: If there is no such file, or it names another number of locations.
    """
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
    from dagster._core.remote_origin import RemoteRepositoryOrigin
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    if not Path(path).exists():
        raise QueueError(f"there is no {path} here, so nobody knows who would run them; start where it is")
    origins = location_origins_from_yaml_paths([path])
    if len(origins) != 1:
        raise QueueError(f"{path} names {len(origins)} code locations; keep the one of this project")
    target = origins[0].loadable_target_origin
    pointer = ModuleCodePointer(target.module_name, target.attribute or "defs", target.working_directory or os.getcwd())
    python = RepositoryPythonOrigin(
        target.executable_path or sys.executable, pointer, entry_point=DEFAULT_DAGSTER_ENTRY_POINT
    )
    remote = RemoteRepositoryOrigin(origins[0], "__repository__").get_job_origin("refresh")
    return Queue(remote, JobPythonOrigin("refresh", python))

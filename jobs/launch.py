"""What to launch: stale cells grouped into runs, for the sensor, the schedule and the command line alike.

One run holds one cell (a model and a task, a model, or the whole study) with every stale asset of it, so that a model
loads once per run. A group waits while something it reads in another cell is stale, since identical content there may
end the wave (early cut-off).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import Cell, Graph, cell_name
from calib_assets.staleness.planner import Stale
from calib_assets.study import Study

JOB_OF_AXES = {
    ("model", "task"): "refresh_model_task",
    ("model",): "refresh_model",
    ("task",): "refresh_task",
    ("model", "sweep"): "refresh_model_sweep",
    ("sweep",): "refresh_sweep",
    ("model", "rollout"): "refresh_model_rollout",
    ("rollout",): "refresh_rollout",
    ("external",): "refresh_external",
    ("collapse", "speaker"): "refresh_collapse_speaker",
    ("collapse",): "refresh_collapse",
    ("coding", "speaker"): "refresh_coding_speaker",
    ("coding",): "refresh_coding",
    ("speaker",): "refresh_speaker",
    (): "refresh_study",
}


@dataclass(frozen=True)
class Launch:
    """One run to submit.

    Attributes:
        job: Name of the job.
        cell: The partition; empty for the whole study.
        assets: Keys of the stale assets of this cell, upstream first.
        run_key: Changes whenever a new attempt is due, and only then.
        items: The stale entries behind it.
    """

    job: str
    cell: Cell
    assets: tuple[str, ...]
    run_key: str
    items: tuple[Stale, ...]

    @property
    def partition_key(self) -> str | None:
        """Dagster's partition key, or None."""
        return cell_name(self.cell) or None


def launches(stale: Iterable[Stale], graph: Graph, study: Study) -> list[Launch]:
    """Groups that can run now, in an order that keeps each model's cells together.

    Args:
        stale: The plan.

    Returns:
        One launch for each cell whose waits, if any, are all within that cell.
    """
    by_pair = {(item.key, item.cell): item for item in stale}
    groups: dict[tuple[tuple[str, ...], Cell], list[Stale]] = {}
    for item in by_pair.values():
        groups.setdefault((graph.axes(item.key), item.cell), []).append(item)
    ready = []
    for (axes, cell), items in groups.items():
        outside = any(
            pair in by_pair and (graph.axes(pair[0]), pair[1]) != (axes, cell)
            for item in items
            for pair in graph.upstream(item.key, item.cell, study)
        )
        if not outside:
            # The recorded run is salt: a setting switched there and back must launch again, and a key seen before
            # would be skipped for ever.
            state = [[item.key, item.fingerprint, item.recorded_run] for item in items]
            ready.append(
                Launch(
                    job=JOB_OF_AXES[axes],
                    cell=cell,
                    assets=tuple(item.key for item in items),
                    run_key=digest([JOB_OF_AXES[axes], list(cell), sorted(state)]),
                    items=tuple(items),
                )
            )
    return ready

"""What to launch: stale cells grouped into runs, for the sensor, the schedule and the command line alike.

One run holds one cell (a model and a task, a model, or the whole study) with every stale asset of it, so that a model
loads once per run. A group waits while something it reads in another cell is stale, since identical content there may
end the wave (early cut-off).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import Cell, Graph, cell_name
from calib_assets.staleness.identity import Pair
from calib_assets.staleness.planner import Stale
from jobs.placement import placement_tags

STUDY_TAG, FINGERPRINT_TAG = "calib/study", "calib/fingerprint"
LONGEST_WHY = 200


def cell_job(axes: tuple[str, ...]) -> str:
    """Name of the job that refreshes one cell with these axes.

    >>> cell_job(("model", "task")), cell_job(())
    ('cells_model_task', 'cells_whole_study')
    """
    return "_".join(("cells", *(axes or ("whole_study",))))


@dataclass(frozen=True)
class Launch:
    """One run to submit.

    Attributes:
        job: Name of the job.
        cell: The partition; empty for the whole study.
        assets: Keys of the stale assets of this cell, upstream first.
        state: Hash of the inputs that the assets have; equal states are one attempt.
        run_key: As the state, and new after each result: a setting that is switched there and back is due again.
        items: The stale entries behind it.
    """

    job: str
    cell: Cell
    assets: tuple[str, ...]
    state: str
    run_key: str
    items: tuple[Stale, ...]

    @property
    def partition_key(self) -> str | None:
        """Dagster's partition key, or None."""
        return cell_name(self.cell) or None

    @property
    def label(self) -> str:
        """``job[partition]``, for people."""
        return f"{self.job}[{self.partition_key or ''}]"

    def tags(self, study: str) -> dict[str, str]:
        """What people look for in the list of runs, and what the run needs of a cluster."""
        reasons = dict.fromkeys(f"{item.key}: {item.reasons[0]}" for item in self.items if item.reasons)
        why = "; ".join(reasons)
        short = why if len(why) <= LONGEST_WHY else why[: LONGEST_WHY - 1] + "…"
        tags = {STUDY_TAG: study, FINGERPRINT_TAG: self.state, "calib/why": short, "calib/assets": str(len(self.items))}
        return tags | placement_tags(self.items)


def launches(stale: Iterable[Stale], graph: Graph, patient: bool = True) -> list[Launch]:
    """Groups that can run now, in an order that keeps each model's cells together.

    Args:
        stale: The plan, or a selection of it. Cells behind a failure are never launched.
        patient: Whether to wait for stale cells that are not among these.

    Returns:
        One launch for each cell whose waits, if any, are all within that cell.
    """
    known: dict[Pair, Stale] = {(item.key, item.cell): item for item in stale}
    groups: dict[tuple[tuple[str, ...], Cell], list[Stale]] = {}
    for item in known.values():
        if not item.failures:
            groups.setdefault((graph.axes(item.key), item.cell), []).append(item)
    return [
        _launch(axes, cell, items)
        for (axes, cell), items in groups.items()
        if not any(
            (graph.axes(key), upstream) != (axes, cell) and (patient or (key, upstream) in known)
            for item in items
            for key, upstream in item.waits
        )
    ]


def _launch(axes: tuple[str, ...], cell: Cell, items: list[Stale]) -> Launch:
    job = cell_job(axes)
    state = sorted([item.key, item.fingerprint] for item in items)
    results = sorted([item.key, item.recorded_run] for item in items)
    return Launch(
        job=job,
        cell=cell,
        assets=tuple(item.key for item in items),
        state=digest([job, list(cell), state]),
        run_key=digest([job, list(cell), state, results]),
        items=tuple(items),
    )

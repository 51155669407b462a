"""How a refresh ended: what was computed, what failed, what is left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from calib_assets.staleness.planner import Stale
from jobs.launch import Launch

INTERRUPTED = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


@dataclass
class Summary:
    """How a refresh ended.

    Attributes:
        runs: Dagster runs that were made.
        computed: Names of the (asset, cell)s that were computed or restored.
        failed: Launch -> first error, for each that failed.
        failed_checks: "asset[cell]: check" for each check that did not pass.
        left: What is still stale (behind a failure).
    """

    runs: int = 0
    computed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    left: list[Stale] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when nothing failed and nothing is left."""
        return not (self.failed or self.failed_checks or self.left)

    def add(self, launch: Launch, events: Sequence[dg.DagsterEvent], success: bool) -> None:
        """What one finished run did.

        Raises:
            KeyboardInterrupt: If it was interrupted: Dagster turns signals into step failures, and a refresh must stop.
        """
        self.runs += 1
        for event in events:
            if event.is_step_materialization:
                self._add_materialization(event.step_materialization_data.materialization)
            elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                check = event.asset_check_evaluation_data
                if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                    place = f"[{launch.partition_key}]" if launch.partition_key else ""
                    self.failed_checks.append(f"{check.asset_key.to_user_string()}{place}: {check.check_name}")
        if not success:
            if any(INTERRUPTED.intersection(_kinds(event)) for event in events):
                raise KeyboardInterrupt
            error = _first_error(events)
            self.failed[launch.label] = error.message.strip() if error else "the run failed; see its log in the UI"

    def _add_materialization(self, found: dg.AssetMaterialization) -> None:
        if (found.tags or {}).get("calib/cache") != "hit":
            key = found.asset_key.to_user_string()
            self.computed.append(f"{key}[{found.partition}]" if found.partition else key)


def _kinds(event: dg.DagsterEvent) -> Iterator[str]:
    """Types of the error of a failed step or run, and of what is behind it."""
    error = getattr(event.event_specific_data, "error", None) if event.is_failure else None
    while error is not None:
        yield error.cls_name or ""
        error = error.cause


def _first_error(events: Sequence[dg.DagsterEvent]):
    """The innermost error of the first failed step, or of the run where no step began."""
    for event in events:
        if event.is_step_failure or event.is_job_failure:
            error = getattr(event.event_specific_data, "error", None)
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                return error
    return None

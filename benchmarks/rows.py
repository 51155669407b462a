"""What a benchmark reports: times of both sides, and whether they found the same."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """What the harness gives to a benchmark.

    Attributes:
        threads: Threads that both sides may use; those of numpy, polars and torch are set already.
        cache_dir: Converted weights, kept between runs.
        folder: An empty folder that is deleted afterwards.
    """

    threads: int
    cache_dir: Path
    folder: Path


@dataclass(frozen=True)
class Check:
    """A number that must not exceed its limit; NaN does.

    Attributes:
        what: What the number is, with its unit.
        error: The number found.
        limit: The largest that is accepted.
    """

    what: str
    error: float
    limit: float

    @property
    def holds(self) -> bool:
        return self.error <= self.limit


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What is measured.
        size: How much work, such as ``"200 prompts × 100 rollouts"``; with ``what`` and ``baseline`` it names the row.
        baseline: What it is compared with, with its version.
        ours_s: Seconds of this project; None where nothing is timed.
        baseline_s: Seconds of the baseline for the same work; None where it is not timed.
        checks: What must hold. Where none applies, ``unchecked`` says why.
        unchecked: The reason for no check.
        target: The least ratio that was asked for. A ratio below it is marked, and is no failure: it depends on the
            machine and on what else runs there.
        scaled: What was scaled from a sample, and how large that was; empty where everything was run.
        clock: Which seconds: ``"wall"`` or ``"CPU"``.

    Raises:
        ValueError: Neither a check nor a reason for none, or both.
    """

    what: str
    size: str
    baseline: str
    ours_s: float | None = None
    baseline_s: float | None = None
    checks: tuple[Check, ...] = ()
    unchecked: str = ""
    target: float | None = None
    scaled: str = ""
    clock: str = "wall"

    def __post_init__(self):
        if bool(self.checks) == bool(self.unchecked):
            raise ValueError(f"row {self.what!r} needs checks, or `unchecked` with the reason for none, and not both")

    @property
    def ratio(self) -> float | None:
        """How many times longer the baseline takes; None unless both were timed."""
        return self.baseline_s / self.ours_s if self.ours_s and self.baseline_s is not None else None

    @property
    def missed(self) -> bool:
        """Whether the ratio is below its target."""
        return self.target is not None and self.ratio is not None and not self.ratio >= self.target

    @property
    def broken(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.checks if not check.holds]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Row":
        return cls(**{**values, "checks": tuple(Check(**check) for check in values["checks"])})


class NotHere(Exception):
    """A baseline that this machine lacks; the message is what to install. The benchmark's rows stay as they are."""

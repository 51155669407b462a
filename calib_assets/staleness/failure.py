"""Failure records: what went wrong with a cell the last time, kept until it succeeds.

A cell whose record bears its present fingerprint has *failed*: comparisons leave it out instead of waiting for ever,
and only somebody who asks for it (the nightly schedule, a refresh) tries it again. Once its inputs change, the record
says nothing of them any more. All records lie in one folder, so looking for them is one listing however large a study
is::

    <root>/.failed/<asset>+<cell>.json
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from calib_assets.staleness.graph import Cell, cell_name
from calib_assets.staleness.store import ArtifactStore

FOLDER = ".failed"
LONGEST = 2000  # characters of an error that are kept


@dataclass(frozen=True)
class Failure:
    """One failed computation.

    Attributes:
        asset, cell: Of what.
        fingerprint: Of the inputs that it had.
        kind: Type of the exception.
        error: Its text.
        run_id: Dagster run of the last attempt, or "".
        since: ISO time (UTC) of the first attempt on these inputs.
        last: ISO time (UTC) of the last one.
        attempts: How many there were.
    """

    asset: str
    cell: Cell
    fingerprint: str
    kind: str
    error: str
    run_id: str = ""
    since: str = ""
    last: str = ""
    attempts: int = 1

    @property
    def name(self) -> str:
        """``asset[model|task]``, or the bare asset name."""
        return f"{self.asset}[{cell_name(self.cell)}]" if self.cell else self.asset

    @property
    def summary(self) -> str:
        """Kind and first line of the error."""
        first = next(iter(self.error.strip().splitlines()), "")
        return f"{self.kind}: {first}" if first else self.kind

    @property
    def history(self) -> str:
        """How often it failed, and since when."""
        return f"{'once, at' if self.attempts == 1 else f'{self.attempts} times since'} {self.since}"


def read_failures(store: ArtifactStore) -> dict[tuple[str, Cell], Failure]:
    """Every record of a store; one that cannot be read counts as none."""
    found = {}
    for _, data in sorted(store.records(FOLDER).items()):
        if (failure := _parsed(data)) is not None:
            found[failure.asset, failure.cell] = failure
    return found


def record_failure(
    store: ArtifactStore, asset: str, cell: Cell, fingerprint: str, error: Exception, run_id: str
) -> Failure:
    """Keep a failure; call it only while holding the cell's lock."""
    name, now = _name(asset, cell), datetime.now(UTC).isoformat(timespec="seconds")
    kept = _parsed(store.record(FOLDER, name))
    before = kept if kept is not None and kept.fingerprint == fingerprint else None
    failure = Failure(
        asset=asset,
        cell=cell,
        fingerprint=fingerprint,
        kind=type(error).__name__,
        error=str(error)[:LONGEST],
        run_id=run_id,
        since=before.since if before is not None else now,
        last=now,
        attempts=before.attempts + 1 if before is not None else 1,
    )
    data = json.dumps(asdict(failure), indent=1, sort_keys=True, ensure_ascii=False).encode()
    store.write_record(FOLDER, name, data)
    return failure


def clear_failure(store: ArtifactStore, asset: str, cell: Cell) -> None:
    """Forget a cell's failure: it has a result again."""
    store.delete_record(FOLDER, _name(asset, cell))


def _name(asset: str, cell: Cell) -> str:
    return f"{'+'.join((asset, *cell))}.json"


def _parsed(data: bytes | None) -> Failure | None:
    try:
        raw = json.loads(data or b"")
        return Failure(**{**raw, "cell": tuple(raw["cell"])})
    except (KeyError, TypeError, ValueError):
        return None

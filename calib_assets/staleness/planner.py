"""The planner: which (asset, cell) is stale, why, and what it will cost; before anything runs."""

from collections.abc import Container
from dataclasses import dataclass

from calib_assets.staleness.differences import differences
from calib_assets.staleness.failure import Failure
from calib_assets.staleness.graph import Cell, Work, cell_name
from calib_assets.staleness.identity import Context, Pair, Snapshot


@dataclass(frozen=True)
class Stale:
    """One (asset, cell) whose expected fingerprint is not the recorded one.

    Attributes:
        reasons: In words, most specific first; never empty.
        waits: Stale upstream cells that must be computed before it.
        failures: Why it will not be computed unless somebody asks: its own failure, or those of what it needs.
            Fan-ins leave it out; it blocks nothing else.
        restorable: A whole result with the expected fingerprint is in the store: no work, only a switch.
        work: Expected model work, or None where no model is needed.
        recorded_run: Run that made the recorded result (salt for run keys), or "".
    """

    key: str
    cell: Cell
    reasons: tuple[str, ...]
    fingerprint: str
    waits: tuple[Pair, ...] = ()
    failures: tuple[Failure, ...] = ()
    restorable: bool = False
    work: Work | None = None
    recorded_run: str = ""

    @property
    def blocked(self) -> bool:
        """It waits for a stale upstream, and may turn out fresh when that yields identical content."""
        return bool(self.waits)

    @property
    def has_failed(self) -> bool:
        """It failed itself, on the inputs that it has now."""
        return any((failure.asset, failure.cell) == (self.key, self.cell) for failure in self.failures)

    @property
    def name(self) -> str:
        """``asset[model|task]``, or the bare asset name."""
        return f"{self.key}[{cell_name(self.cell)}]" if self.cell else self.key


def plan(
    context: Context, verify: bool = False, again: Container[Pair] = (), tolerant: bool = False
) -> list[Stale]:
    """Every stale (asset, cell) of the study, upstream first.

    Args:
        tolerant: Treat cells whose slice cannot be cut (a model's file is gone) as failed, instead of raising.
        verify: Read every stored file and compare its checksum, not only its size.
        again: Failed cells that are about to be tried once more, so that what follows waits for them.

    A cell is stale when it has no result, when its inputs differ from those of the result in use, when a file of that
    result is missing or has another size, or when something upstream is stale (then it is ``blocked``). A stale cell
    that has failed, and what needs it on shared axes, is left out by fan-ins instead of blocking them.

    Returns:
        Empty when everything is up to date.

    Raises:
        Exception: What cutting a slice raised, if not ``tolerant``.
    """
    stale: dict[Pair, Stale] = {}
    with context.store.snapshot():
        snapshot = Snapshot(context)
        if not tolerant:
            for error in snapshot.unreadable.values():
                raise error
        for key in context.graph.nodes:
            for cell in snapshot.cells(key):
                found = _check(snapshot, key, cell, stale, verify, again)
                if found is not None:
                    stale[key, cell] = found
    return list(stale.values())


def _check(
    snapshot: Snapshot, key: str, cell: Cell, stale: dict[Pair, Stale], verify: bool, again: Container[Pair]
) -> Stale | None:
    store, node = snapshot.context.store, snapshot.graph.nodes[key]
    waits, behind = _waits(snapshot, key, cell, stale)
    manifest = snapshot.manifest(key, cell)
    if unread := snapshot.unread(key, cell):
        reasons = tuple(f"{failure.name} cannot be read: {failure.summary}" for failure in unread)
        return Stale(key, cell, reasons, "", waits=tuple(waits), failures=unread)
    expected = snapshot.expected(key, cell)
    if manifest is None:
        reasons = ["missing"]
    elif manifest.fingerprint != expected:
        reasons = differences(manifest.inputs, snapshot.inputs(key, cell))
    elif (damage := store.damage(manifest, full=verify)) is not None:
        reasons = [damage]
    elif waits:
        reasons = []
    else:
        return None
    own = None if waits or (key, cell) in again else snapshot.failure(key, cell)
    if own is not None:
        reasons.append(f"failed {own.history}: {own.summary}")
    reasons += [f"waits for {stale[pair].name}" for pair in waits[:3]]
    if len(waits) > 3:
        reasons.append(f"and for {len(waits) - 3} more")
    restorable = not waits and store.complete(key, cell, expected) is not None
    return Stale(
        key,
        cell,
        tuple(reasons),
        expected,
        waits=tuple(waits),
        failures=(own,) if own is not None else behind,
        restorable=restorable,
        work=node.work(snapshot.context, cell) if node.work is not None and not restorable else None,
        recorded_run=manifest.run_id if manifest is not None else "",
    )


def _waits(
    snapshot: Snapshot, key: str, cell: Cell, stale: dict[Pair, Stale]
) -> tuple[list[Pair], tuple[Failure, ...]]:
    """Stale upstream cells that this one waits for, and the failures that are behind them."""
    waits, behind = [], {}
    for pair in snapshot.upstream(key, cell):
        item = stale.get(pair)
        if item is None or (item.failures and snapshot.graph.fans_in(key, pair[0])):
            continue
        waits.append(pair)
        behind |= dict.fromkeys(item.failures)
    return waits, tuple(behind)

"""Compute one (asset, cell), or find that nothing needs computing. No Dagster here: its layer only calls this."""

import io
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import polars as pl

from calib_assets.staleness.content import artifact_digest, bytes_digest, table_digest
from calib_assets.staleness.failure import Failure, clear_failure, record_failure
from calib_assets.staleness.graph import Cell, cell_name
from calib_assets.staleness.identity import Context, Snapshot, library_version
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.pieces import Pieces
from calib_assets.staleness.store import parquet_bytes
from resources.artifacts.atomic import StorageError, write_bytes
from resources.artifacts.leases import LeaseLost

PREVIEW = "preview.png"
PARTS = "parts"
PROVENANCE_LIBRARIES = ("calib-assets", "dagster", "numpy", "polars", "scipy", "torch", "transformers")


class UpstreamMissing(RuntimeError):
    """An asset was launched before what it reads; the text names the upstream and the remedy."""


class UpstreamChanged(RuntimeError):
    """Another run changed what this one was reading; its result would be filed under inputs that it did not have."""


@dataclass
class Result:
    """What an asset's body returns.

    Attributes:
        tables: Name -> table; stored as ``<name>.parquet``.
        files: File name -> bytes (figures, pages).
        written: File name -> {"bytes", "sha256"} of files that the body itself wrote into its folder.
        written_digest: Content digest of those files (required when ``written`` is not empty).
        numbers: Key numbers for people: shown in the UI and in the report, never identity.
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    written: dict[str, dict] = field(default_factory=dict)
    written_digest: str = ""
    numbers: dict[str, float | int | str | None] = field(default_factory=dict)


@dataclass
class Run:
    """What an asset's body is given.

    Attributes:
        context: Graph, study, store.
        key, cell: What is being computed.
        folder: Where a body may write large files itself; the same folder after an interruption.
        fingerprint: Of this computation; a resumable cache keys its parts with it.
        log: Called with one line of progress.
    """

    context: Context
    key: str
    cell: Cell
    folder: Path
    fingerprint: str
    log: Callable[[str], None]

    def slice(self, spec: str) -> dict:
        """One slice of the study: the one that belongs to this cell.

        Raises:
            LookupError: If the asset does not depend on that spec asset: what a body reads without saying so would
                be missing from its identity.
        """
        self._require(spec)
        (cell,) = self.upstream_cells(spec)
        return self.context.slicer(self.context.study, spec, cell)

    def row(self, axis: str) -> object:
        """The study's row of this cell on one axis (needs ``<axis>_spec`` as a dependency)."""
        self._require(f"{axis}_spec")
        return getattr(self.context.study, axis)(self.coordinates[axis])

    def _require(self, spec: str) -> None:
        if spec not in self.context.graph.nodes[self.key].deps:
            raise LookupError(f"{self.key} reads {spec} without depending on it; add {spec!r} to its deps")

    @property
    def tools(self) -> dict[str, object]:
        """Services by name (``language_models``), which tests and deployments swap."""
        return self.context.tools

    @property
    def coordinates(self) -> dict[str, str]:
        """Axis -> value of this cell."""
        return dict(zip(self.context.graph.axes(self.key), self.cell, strict=True))

    @property
    def model(self) -> str:
        """Name of the model of this cell."""
        return self.coordinates["model"]

    @property
    def task(self) -> str:
        """Name of the task of this cell."""
        return self.coordinates["task"]

    @property
    def sweep(self) -> str:
        """Name of the sweep of this cell."""
        return self.coordinates["sweep"]

    @property
    def rollout(self) -> str:
        """Name of the rollouts row of this cell."""
        return self.coordinates["rollout"]

    @property
    def external(self) -> str:
        """Name of the external data of this cell."""
        return self.coordinates["external"]

    def pieces(self, *ignoring: str) -> Pieces:
        """Parts of the result that outlive it, whatever the dependencies ``ignoring`` say."""
        for dep in ignoring:
            self._require(dep)
        return Pieces(self.context, self.key, self.cell, ignoring)

    def part(self, name: str, compute: Callable[[], dict[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
        """A part of a long computation, kept from the moment it is done: a run that was killed goes on behind it.

        Args:
            name: Of the part, unique in this computation.
            compute: Makes its tables; called where the part is not there yet.
        """
        folder = self.folder / PARTS
        done = folder / f"{name}.json"  # written last: a part is whole or it is made anew
        if done.exists():
            names = json.loads(done.read_text())
            return {table: pl.read_parquet(io.BytesIO((folder / f"{name}.{table}").read_bytes())) for table in names}
        tables = compute()
        folder.mkdir(parents=True, exist_ok=True)
        for table, frame in tables.items():
            write_bytes(folder / f"{name}.{table}", parquet_bytes(frame))
        write_bytes(done, json.dumps(list(tables)).encode())
        return tables

    def upstream_cells(self, dep: str) -> list[Cell]:
        """Cells of one upstream asset that this cell reads: one, or a fan-in in the study's order.

        A fan-in leaves out cells that have failed, or have no result yet: this result is then stale as soon as they
        have one.
        """
        return self.snapshot.reads(self.key, self.cell, dep)

    @property
    def failures(self) -> list[Failure]:
        """Failures behind the cells that are left out of what this one reads; part of the node's identity.

        Raises:
            LookupError: If the node does not say that it names failures.
        """
        if not self.context.graph.nodes[self.key].names_failures:
            raise LookupError(f"{self.key} names failures without saying so; give its node names_failures=True")
        return self.snapshot.failures_above(self.key, self.cell)

    @property
    def uncomputed(self) -> list[tuple[str, Cell]]:
        """(dep, cell) that fan-ins of this cell leave out because there is no result yet."""
        snapshot, nodes = self.snapshot, self.context.graph.nodes
        return [
            pair
            for pair in snapshot.upstream(self.key, self.cell)
            if pair[0] in nodes and snapshot.data_version(*pair) is None and not snapshot.left_out(*pair)
        ]

    @cached_property
    def snapshot(self) -> Snapshot:
        """What this cell reads, as it is now."""
        return Snapshot(self.context)

    def table(self, dep: str, name: str | None = None) -> pl.DataFrame:
        """A table of an upstream asset (named as the asset unless given).

        A fan-in is stacked, with the names of its axes (``model``, ``task``, …) as columns in front; over no cell at
        all it is a table without columns.
        """
        cells, own = self.upstream_cells(dep), self.context.graph.axes(self.key)
        extra = [axis for axis in self.context.graph.axes(dep) if axis not in own]
        tables = []
        for cell in cells:
            table = self.context.store.table(dep, cell, name or dep)
            labels = dict(zip(self.context.graph.axes(dep), cell, strict=True))
            front = [pl.lit(labels[axis]).alias(axis) for axis in extra]
            tables.append(table.select(*front, *(c for c in table.columns if c not in extra)) if front else table)
        return pl.concat(tables, how="vertical_relaxed") if tables else pl.DataFrame()

    def scan(self, dep: str, name: str | None = None) -> pl.LazyFrame:
        """A table of the one upstream cell, left in its file (named as the asset unless given)."""
        (cell,) = self.upstream_cells(dep)
        return self.context.store.scan(dep, cell, name or dep)

    def read(self, dep: str, cell: Cell, name: str) -> bytes:
        """One file of an upstream result."""
        return self.context.store.read(dep, cell, name)

    def upstream_folder(self, dep: str) -> Path:
        """Folder of the upstream result in use (for memory-mapped files)."""
        (cell,) = self.upstream_cells(dep)
        return self.context.store.files(self.context.store.require(dep, cell))


@dataclass(frozen=True)
class Outcome:
    """How a launch ended: ``hit`` (nothing done), ``restored`` (an earlier result is in use again), ``computed``."""

    status: str
    manifest: Manifest


def materialize(
    context: Context,
    key: str,
    cell: Cell,
    *,
    log: Callable[[str], None],
    run_id: str = "",
    force: bool = False,
    tried_again: Callable[[Exception], bool] = lambda error: False,
) -> Outcome:
    """Bring one (asset, cell) up to date, doing no work that has been done.

    Args:
        log: Called with one line of progress.
        run_id: Dagster run, for provenance.
        force: Compute even if a result with this fingerprint exists.
        tried_again: Whether the caller tries again after an error, which then counts as no failure yet.

    Raises:
        UpstreamMissing: If an upstream asset has no result.
        UpstreamChanged: If one got another result while this was computed.
        Exception: What the body raised; it is recorded, so that comparisons do not wait for this cell.
    """
    found = None if force else _stored(context, key, cell)
    if found is not None:
        return found
    with context.store.lock(key, cell, waiting=log):
        # Another run may have computed it while this one waited.
        found = None if force else _stored(context, key, cell)
        if found is not None:
            return found
        snapshot = Snapshot(context)
        _require_upstream(snapshot, key, cell)
        try:
            return _compute(snapshot, key, cell, log, run_id)
        except (UpstreamChanged, LeaseLost):  # another run has it
            raise
        except Exception as error:
            if not tried_again(error):
                _keep_failure(snapshot, key, cell, error, run_id, log)
            raise


def _stored(context: Context, key: str, cell: Cell) -> Outcome | None:
    expected = Snapshot(context).expected(key, cell)
    current = context.store.current(key, cell)
    if current is not None and current.fingerprint == expected and context.store.damage(current) is None:
        return Outcome("hit", current)
    earlier = context.store.complete(key, cell, expected)
    if earlier is None:
        return None
    context.store.publish(earlier)
    clear_failure(context.store, key, cell)
    return Outcome("restored", earlier)


def _require_upstream(snapshot: Snapshot, key: str, cell: Cell) -> None:
    graph = snapshot.graph
    missing = [
        f"{dep}[{cell_name(dep_cell)}]" if dep_cell else dep
        for dep, dep_cell in snapshot.upstream(key, cell)
        if dep in graph.nodes and not graph.fans_in(key, dep) and snapshot.data_version(dep, dep_cell) is None
    ]
    if missing:
        raise UpstreamMissing(
            f"{key}[{cell_name(cell)}] reads {', '.join(missing[:5])}, which has no result; "
            "materialize it first, or run `calib-assets refresh`, which goes upstream first"
        )


def _keep_failure(
    snapshot: Snapshot, key: str, cell: Cell, error: Exception, run_id: str, log: Callable[[str], None]
) -> None:
    try:
        record_failure(snapshot.context.store, key, cell, snapshot.expected(key, cell), error, run_id)
    except (OSError, StorageError) as second:  # a disk that is full or read-only must not hide what went wrong first
        log(f"the failure of {key}[{cell_name(cell)}] could not be recorded: {second}")


def _compute(snapshot: Snapshot, key: str, cell: Cell, log: Callable[[str], None], run_id: str) -> Outcome:
    context, inputs, mark = snapshot.context, snapshot.inputs(key, cell), snapshot.expected(key, cell)
    started = time.monotonic()
    node = context.graph.nodes[key]
    with context.store.working(key, cell, mark, log) as folder:
        run = Run(context, key, cell, folder, mark, log)
        run.snapshot = snapshot
        result = node.body(run)
    seconds = time.monotonic() - started
    context.store.refresh()
    if Snapshot(context).expected(key, cell) != mark:
        raise UpstreamChanged(
            f"{key}[{cell_name(cell)}]: what it reads changed while it was computed (another run, or new weights); "
            "nothing was stored; refresh again"
        )
    payload = {f"{name}.parquet": parquet_bytes(table) for name, table in result.tables.items()} | result.files
    if node.preview is not None:
        payload[PREVIEW] = node.preview(result)
    files = context.store.write_files(key, cell, mark, payload) | result.written
    parts = {f"{name}.parquet": table_digest(table) for name, table in result.tables.items()}
    parts |= {name: bytes_digest(data) for name, data in result.files.items()}
    if result.written:
        parts["written"] = result.written_digest
    manifest = Manifest(
        asset=key,
        cell=cell,
        fingerprint=mark,
        data_version=artifact_digest(parts),
        inputs=inputs,
        files=files,
        numbers={f"{name} rows": table.height for name, table in result.tables.items()} | result.numbers,
        run_id=run_id,
        produced_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        libraries={name: library_version(name) for name in PROVENANCE_LIBRARIES},
    )
    context.store.publish(manifest)
    clear_failure(context.store, key, cell)
    shutil.rmtree(folder / PARTS, ignore_errors=True)  # the result holds what they held
    context.store.clear_unfinished(key, cell, keep=mark)
    return Outcome("computed", manifest)

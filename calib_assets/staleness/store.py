"""The artifact store: one folder for each result, addressed by asset, cell and fingerprint.

Layout, under one root that a user can browse and delete::

    <root>/<asset>/<model>/<task>/current.json            manifest of the result in use
    <root>/<asset>/<model>/<task>/<fingerprint>/...       its files
    <root>/<asset>/<model>/<task>/<fingerprint>/manifest.json

A result is complete when its own ``manifest.json`` exists, which is written after all its files; ``current.json`` is
switched after that. Results of earlier fingerprints stay (``keep_previous`` of them), so a setting that is switched
back is a hit. Every write goes to a temporary name, is flushed to the disk and renamed.
"""

import errno
import fnmatch
import hashlib
import io
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from calib_assets.staleness.graph import Cell
from calib_assets.staleness.manifest import Manifest
from resources.artifacts.atomic import StorageError, explain_full_disk, write_bytes

MANIFEST, CURRENT = "manifest.json", "current.json"


class ResultError(StorageError):
    """A stored result that is missing or damaged; the text names it and the remedy."""


class ArtifactStore:
    """Results on a local or shared disk; :class:`~calib_assets.staleness.remote_store.RemoteStore` is for elsewhere.

    Args:
        root: Folder; it is made when first written to.
        keep_previous: How many results of earlier fingerprints to keep for each cell.
    """

    def __init__(self, root: str | Path, keep_previous: int = 1):
        self.root, self.keep_previous = Path(root), keep_previous

    @property
    def location(self) -> str:
        """Where the results are, for people."""
        return str(self.root)

    def address(self, manifest: Manifest) -> str:
        """Where one result is, for people."""
        return str(self.folder(manifest.asset, manifest.cell, manifest.fingerprint))

    def files(self, manifest: Manifest, names: Iterable[str] | None = None) -> Path:
        """Folder on this machine that holds these files of a result, or all (to map them, or to show them)."""
        self._bring(manifest, manifest.files if names is None else [name for name in names if name in manifest.files])
        return self.folder(manifest.asset, manifest.cell, manifest.fingerprint)

    def folder(self, asset: str, cell: Cell, fingerprint: str | None = None) -> Path:
        """Folder of a cell, or of one of its results."""
        folder = self.root.joinpath(asset, *cell)
        return folder / fingerprint if fingerprint else folder

    def current(self, asset: str, cell: Cell) -> Manifest | None:
        """Manifest of the result in use; None if there is none or it cannot be read (a result is then made anew)."""
        return _read(self.folder(asset, cell) / CURRENT)

    def complete(self, asset: str, cell: Cell, fingerprint: str) -> Manifest | None:
        """Manifest of the result with this fingerprint, if it is whole, in use or not."""
        manifest = _read(self.folder(asset, cell, fingerprint) / MANIFEST)
        return manifest if manifest is not None and self.damage(manifest) is None else None

    def damage(self, manifest: Manifest, full: bool = False) -> str | None:
        """What is wrong with a result's files, or None.

        Args:
            manifest: Of the result.
            full: Also read every file and compare its checksum; otherwise existence and size only.
        """
        folder = self.folder(manifest.asset, manifest.cell, manifest.fingerprint)
        for name, stored in manifest.files.items():
            path = folder / name
            if not path.is_file():
                return f"file {name} is missing"
            if path.stat().st_size != stored["bytes"]:
                return f"file {name} has {path.stat().st_size} bytes, stored {stored['bytes']}"
            if full and stored.get("sha256") and file_sha256(path) != stored["sha256"]:
                return f"checksum of file {name} differs from the stored one"
        return None

    def write_files(self, asset: str, cell: Cell, fingerprint: str, files: dict[str, bytes]) -> dict[str, dict]:
        """Write a result's files; returns the ``files`` entry of its manifest."""
        folder, entries = self.folder(asset, cell, fingerprint), {}
        with self._writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            with self._writing(folder / name):
                write_bytes(folder / name, data)
            entries[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return entries

    def publish(self, manifest: Manifest) -> None:
        """Make a result whose files are in place the one in use, then drop the oldest results beyond the limit."""
        data, folder = manifest.to_bytes(), self.folder(manifest.asset, manifest.cell)
        with self._writing(folder):
            write_bytes(folder / manifest.fingerprint / MANIFEST, data)
            write_bytes(folder / CURRENT, data)
        self._prune(manifest)

    def drop(self, manifest: Manifest) -> None:
        """Forget a result: its manifests go, so it is made anew; files that are whole may be used again then."""
        folder = self.folder(manifest.asset, manifest.cell)
        (folder / manifest.fingerprint / MANIFEST).unlink(missing_ok=True)
        if (current := self.current(manifest.asset, manifest.cell)) and current.fingerprint == manifest.fingerprint:
            (folder / CURRENT).unlink(missing_ok=True)

    def clear_unfinished(self, asset: str, cell: Cell, keep: str) -> None:
        """Remove half-done results of other fingerprints; call it only while holding the cell's lock."""
        for path in self.folder(asset, cell).iterdir():
            if path.is_dir() and path.name != keep and not (path / MANIFEST).exists():
                shutil.rmtree(path, ignore_errors=True)

    # -- small records beside results, all of a kind in one folder ---------------------------------------------

    def records(self, folder: str) -> dict[str, bytes]:
        """Name -> content of every record of a folder."""
        place = self.root / folder
        names = [path.name for path in place.iterdir()] if place.is_dir() else []
        found = {name: self.record(folder, name) for name in names if not name.startswith(".")}
        return {name: data for name, data in found.items() if data is not None}

    def record(self, folder: str, name: str) -> bytes | None:
        """One record, if it is there."""
        try:
            return (self.root / folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write_record(self, folder: str, name: str, data: bytes) -> None:
        """Keep a record, in place of an earlier one of that name."""
        with self._writing(self.root / folder):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            write_bytes(self.root / folder / name, data)

    def delete_record(self, folder: str, name: str) -> None:
        """Delete a record, if it is there."""
        with self._writing(self.root / folder):
            (self.root / folder / name).unlink(missing_ok=True)

    def table(self, asset: str, cell: Cell, name: str) -> pl.DataFrame:
        """One table of the result in use, in one file or in parts.

        Raises:
            ResultError: If there is no such result or table, or its file is damaged.
        """
        manifest = self.require(asset, cell)  # of all parts: another run may switch the result between two of them
        files = _parts(manifest, name)
        return pl.concat([pl.read_parquet(io.BytesIO(self._read(manifest, file))) for file in files])

    def scan(self, asset: str, cell: Cell, name: str) -> pl.LazyFrame:
        """One table of the result in use, left in its file: for tables that are larger than memory.

        Raises:
            ResultError: As :meth:`table`; the checksum is compared once, block by block.
        """
        manifest = self.require(asset, cell)
        folder, paths = self.folder(asset, cell, manifest.fingerprint), []
        files = _parts(manifest, name)
        self._bring(manifest, [file for file in files if file in manifest.files])
        for file in files:
            path = folder / file
            if file not in manifest.files:
                self._read(manifest, file)  # says what there is
            if not path.is_file() or file_sha256(path) != manifest.files[file]["sha256"]:
                place = f"{asset}[{'|'.join(cell)}]"
                raise ResultError(f"{path} is missing or damaged; delete it and refresh {place}")
            paths.append(path)
        return pl.scan_parquet(paths)

    def require(self, asset: str, cell: Cell) -> Manifest:
        """Manifest of the result in use.

        Raises:
            ResultError: If there is none, with the remedy.
        """
        manifest = self.current(asset, cell)
        if manifest is None:
            place = f"{asset}[{'|'.join(cell)}]" if cell else asset
            raise ResultError(
                f"{place} has no result in {self.location}; materialize it first (`calib-assets refresh`)"
            )
        return manifest

    def read(self, asset: str, cell: Cell, name: str) -> bytes:
        """One file of the result in use, its checksum compared.

        Raises:
            ResultError: As :meth:`table`.
        """
        return self._read(self.require(asset, cell), name)

    def _read(self, manifest: Manifest, name: str) -> bytes:
        place = f"{manifest.asset}[{'|'.join(manifest.cell)}]"
        if name not in manifest.files:
            raise ResultError(f"{place} has no file {name!r}; it has {', '.join(sorted(manifest.files))}")
        path = self.folder(manifest.asset, manifest.cell, manifest.fingerprint) / name
        self._bring(manifest, [name])
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ResultError(f"{path}: {error.strerror}; refresh {place} to make it anew") from error
        found, stored = hashlib.sha256(data).hexdigest(), manifest.files[name]["sha256"]
        if found != stored:
            raise ResultError(
                f"{path}: checksum is {found[:12]}…, stored {stored[:12]}…, so the file was damaged after it was "
                f"written; delete it and refresh {place}"
            )
        return data

    @contextmanager
    def lock(self, asset: str, cell: Cell, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold one cell, so that two launches never compute it twice. The lock ends with the process.

        It is the kernel's lock on a file (``flock``), which a shared disk must support between machines, as NFS 4 does.

        Raises:
            StorageError: If the store cannot be written to, with the remedy.
        """
        self.require_writable()
        with self._file_lock(asset, cell, waiting):
            yield

    @contextmanager
    def _file_lock(self, asset: str, cell: Cell, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        path, told = self.root / ".locks" / f"{'+'.join((asset, *cell))}.lock", False
        with self._writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(path))
        while True:
            try:
                with self._writing(path):
                    lock.acquire(timeout=1.0)
                break
            except Timeout:
                if waiting is not None and not told:
                    waiting(f"{asset}[{'|'.join(cell)}] is being computed by another run; waiting for it")
                    told = True
        try:
            yield
        finally:
            lock.release()

    def require_writable(self) -> None:
        """Raise before any work if nothing can be written here.

        Raises:
            StorageError: Names the folder, what happened and the remedy.
            DiskSpaceError: If the disk has no room even for an empty file.
        """
        folder = self.root / ".locks"
        with self._writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"x")

    @contextmanager
    def _writing(self, place: Path) -> Iterator[None]:
        try:
            with explain_full_disk(place):
                yield
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            raise StorageError(
                f"{self.root}: results cannot be written here ({error.strerror}); reading works, computing does not. "
                "Mount it for writing or correct its permissions, or name another store with CALIB_STORE"
            ) from error

    # -- what other machines see (nothing to do on one disk) ---------------------------------------------------

    def refresh(self) -> None:
        """Forget what is remembered of the store's content: what follows sees what others have stored."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the manifests of many cells as they are at one moment, in few requests."""
        yield

    @contextmanager
    def working(self, asset: str, cell: Cell, fingerprint: str, log: Callable[[str], None]) -> Iterator[Path]:
        """Folder in which a result is made, holding what an interrupted run has left there."""
        yield self.folder(asset, cell, fingerprint)

    def pull(self, folder: Path) -> None:
        """Bring what other machines have put into a folder of the store."""

    def push(self, *files: Path) -> None:
        """Show files of the store to other machines, in this order."""

    def keep_newest(self, parent: Path, folder: Path, others: int) -> None:
        """Of the folders in ``parent``, keep ``folder`` and the newest ``others``."""
        found = [path for path in parent.iterdir() if path.is_dir() and path != folder]
        for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[others:]:
            shutil.rmtree(path, ignore_errors=True)

    def _bring(self, manifest: Manifest, names: Iterable[str]) -> None:
        """Have files of a result on this machine, or do nothing where there are none."""

    def _prune(self, manifest: Manifest) -> None:
        folder = self.folder(manifest.asset, manifest.cell)
        # A folder without a manifest may be another run's half-done work: it is only dropped once it is old.
        others = [
            (_age(path), path)
            for path in folder.iterdir()
            if path.is_dir() and path.name != manifest.fingerprint and (path / MANIFEST).exists()
        ]
        for _, path in sorted(others)[self.keep_previous :]:
            shutil.rmtree(path, ignore_errors=True)


def _parts(manifest: Manifest, name: str) -> list[str]:
    """Files of a table, in order; the name of its one file where the result has neither: reading it says so."""
    parts = sorted(fnmatch.filter(manifest.files, part_name(name, "[0-9]*")))
    return parts or [f"{name}.parquet"]


def part_name(name: str, number: int | str) -> str:
    """File of one part of a table that is written in parts."""
    return f"{name}-{number:05d}.parquet" if isinstance(number, int) else f"{name}-{number}.parquet"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parquet_bytes(table: pl.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def _age(path: Path) -> float:
    return time.time() - (path / MANIFEST).stat().st_mtime


def _read(path: Path) -> Manifest | None:
    try:
        return Manifest.from_bytes(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None

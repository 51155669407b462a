"""The artifact store: one folder for each result, addressed by asset, cell and fingerprint.

Layout, under one root that a user can browse and delete::

    <root>/<asset>/<model>/<task>/current.json            manifest of the result in use
    <root>/<asset>/<model>/<task>/<fingerprint>/...       its files
    <root>/<asset>/<model>/<task>/<fingerprint>/manifest.json

A result is complete when its own ``manifest.json`` exists, which is written after all its files; ``current.json`` is
switched after that. Results of earlier fingerprints stay (``keep_previous`` of them), so a setting that is switched
back is a hit. Every write goes to a temporary name, is flushed to the disk and renamed.
"""

import fnmatch
import hashlib
import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from calib_assets.staleness.graph import Cell
from calib_assets.staleness.manifest import Manifest
from resources.artifacts.atomic import write_bytes

MANIFEST, CURRENT = "manifest.json", "current.json"


class ResultError(RuntimeError):
    """A stored result that is missing or damaged; the text names it and the remedy."""


class ArtifactStore:
    """Results on a local or shared disk.

    Args:
        root: Folder; it is made when first written to.
        keep_previous: How many results of earlier fingerprints to keep for each cell.
    """

    def __init__(self, root: str | Path, keep_previous: int = 1):
        self.root, self.keep_previous = Path(root), keep_previous

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
        folder = self.folder(asset, cell, fingerprint)
        folder.mkdir(parents=True, exist_ok=True)
        entries = {}
        for name, data in files.items():
            write_bytes(folder / name, data)
            entries[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        return entries

    def publish(self, manifest: Manifest) -> None:
        """Make a result whose files are in place the one in use, then drop the oldest results beyond the limit."""
        data, folder = manifest.to_bytes(), self.folder(manifest.asset, manifest.cell)
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

    def table(self, asset: str, cell: Cell, name: str) -> pl.DataFrame:
        """One table of the result in use, in one file or in parts.

        Raises:
            ResultError: If there is no such result or table, or its file is damaged.
        """
        files = self._files(asset, cell, name)
        return pl.concat([pl.read_parquet(io.BytesIO(self.read(asset, cell, file))) for file in files])

    def scan(self, asset: str, cell: Cell, name: str) -> pl.LazyFrame:
        """One table of the result in use, left in its file: for tables that are larger than memory.

        Raises:
            ResultError: As :meth:`table`; the checksum is compared once, block by block.
        """
        manifest = self.require(asset, cell)
        folder, paths = self.folder(asset, cell, manifest.fingerprint), []
        for file in self._files(asset, cell, name):
            path = folder / file
            if file not in manifest.files:
                self.read(asset, cell, file)  # says what there is
            if not path.is_file() or file_sha256(path) != manifest.files[file]["sha256"]:
                place = f"{asset}[{'|'.join(cell)}]"
                raise ResultError(f"{path} is missing or damaged; delete it and refresh {place}")
            paths.append(path)
        return pl.scan_parquet(paths)

    def _files(self, asset: str, cell: Cell, name: str) -> list[str]:
        """Files of a table, in order; the name of its one file where the result has neither: reading it says so."""
        parts = sorted(fnmatch.filter(self.require(asset, cell).files, part_name(name, "[0-9]*")))
        return parts or [f"{name}.parquet"]

    def require(self, asset: str, cell: Cell) -> Manifest:
        """Manifest of the result in use.

        Raises:
            ResultError: If there is none, with the remedy.
        """
        manifest = self.current(asset, cell)
        if manifest is None:
            place = f"{asset}[{'|'.join(cell)}]" if cell else asset
            raise ResultError(f"{place} has no result in {self.root}; materialize it first (`calib-assets refresh`)")
        return manifest

    def read(self, asset: str, cell: Cell, name: str) -> bytes:
        """One file of the result in use, its checksum compared.

        Raises:
            ResultError: As :meth:`table`.
        """
        manifest = self.require(asset, cell)
        place = f"{asset}[{'|'.join(cell)}]"
        if name not in manifest.files:
            raise ResultError(f"{place} has no file {name!r}; it has {', '.join(sorted(manifest.files))}")
        path = self.folder(asset, cell, manifest.fingerprint) / name
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
    def lock(self, asset: str, cell: Cell, waiting=None) -> Iterator[None]:
        """Hold one cell, so that two launches never compute it twice. The lock ends with the process."""
        path = self.root / ".locks" / f"{'+'.join((asset, *cell))}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(path))
        told = False
        while True:
            try:
                with lock.acquire(timeout=1.0):
                    yield
                return
            except Timeout:
                if waiting is not None and not told:
                    waiting(f"{asset}[{'|'.join(cell)}] is being computed by another run; waiting for it")
                    told = True

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

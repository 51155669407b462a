"""Pieces: parts of dear results that outlive them, so that asking for more computes only what is missing.

A result is filed under everything that it depends on; a piece leaves out of that what only says *how many* (of which
prompts, how many rollouts). So results with other numbers share the pieces that they have in common. Layout::

    <root>/.pieces/<asset>/<cell>/<key>/<name>.parquet
    <root>/.pieces/<asset>/<cell>/<key>/<name>.sha256     written last: a piece is whole or it is not there
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.identity import Context, identity
from calib_assets.staleness.store import parquet_bytes
from resources.artifacts.atomic import file_sha256, write_bytes

FOLDER = ".pieces"
KEPT = 2  # keys of one cell: the one in use, and the one before it


class Pieces:
    """Pieces of one (asset, cell) under one key.

    Args:
        context: Of the run.
        key, cell: Whose pieces.
        ignoring: Dependencies that do not make a piece another one.
    """

    def __init__(self, context: Context, key: str, cell: Sequence[str], ignoring: Sequence[str]):
        inputs = identity(context, key, tuple(cell))
        kept = {
            part: {name: value for name, value in inputs[part].items() if name not in ignoring}
            for part in ("slices", "upstream")
        }
        self._store, self._cell = context.store, context.store.root.joinpath(FOLDER, key, *cell)
        self.folder = self._cell / digest([key, list(cell), {**inputs, **kept}])
        self._store.pull(self.folder)

    def path(self, name: str) -> Path:
        """Where a piece is, or would be."""
        return self.folder / f"{name}.parquet"

    def names(self) -> list[str]:
        """Names of the whole pieces that are there, sorted; damaged ones are not (they will be made anew)."""
        return sorted(path.stem for path in self.folder.glob("*.sha256") if self.is_whole(path.stem))

    def is_whole(self, name: str) -> bool:
        """Whether a piece is there as it was written."""
        path, seal = self.path(name), self.folder / f"{name}.sha256"
        return path.is_file() and seal.is_file() and file_sha256(path) == seal.read_text()

    def write(self, name: str, table: pl.DataFrame) -> None:
        """Keep a piece."""
        self.folder.mkdir(parents=True, exist_ok=True)
        data = parquet_bytes(table)
        write_bytes(self.path(name), data)
        seal = self.folder / f"{name}.sha256"
        write_bytes(seal, hashlib.sha256(data).hexdigest().encode())
        self._store.push(self.path(name), seal)

    def get(self, name: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """A piece, computed where it is not there."""
        if self.is_whole(name):
            return pl.read_parquet(self.path(name))
        table = compute()
        self.write(name, table)
        return table

    def prune(self) -> None:
        """Drop the pieces of older keys of this cell; call it when a result has been made of these."""
        self._store.keep_newest(self._cell, self.folder, KEPT - 1)

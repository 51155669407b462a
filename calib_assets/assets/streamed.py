"""Tables that are larger than memory: put together from pieces on the disk, and known by the content of their parts."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from calib_assets.staleness.content import artifact_digest, table_digest
from calib_assets.staleness.run import Result, Run
from calib_assets.staleness.store import file_sha256


def streamed(run: Run, name: str, frames: Sequence[pl.LazyFrame], heights: Iterable[int], schema: dict) -> Result:
    """A result whose one large table never is in memory: a prompt's rows at a time.

    Args:
        name: Of the table; ``<name>.parquet`` is its file.
        frames: Its parts in order, with the columns of ``schema``; each fits into memory.
        heights: Rows of each part.
        schema: Of the table; alone where there are no parts.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    path = run.folder / f"{name}.parquet"
    draft = path.with_suffix(".draft")
    parts = [frame.select(pl.col(column).cast(kind) for column, kind in schema.items()) for frame in frames]
    pl.concat([pl.LazyFrame(schema=schema), *parts]).sink_parquet(draft, maintain_order=True)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, path)
    entry = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    return Result(written={path.name: entry}, written_digest=_digest(path, heights))


def _digest(path: Path, heights: Iterable[int]) -> str:
    """Of the rows of each part: independent of how they were written, or of which pieces they came from."""
    table, first, parts = pl.scan_parquet(path), 0, {}
    for number, height in enumerate(heights):
        parts[f"{number:09d}"] = table_digest(table.slice(first, height).collect())
        first += height
    return artifact_digest(parts)

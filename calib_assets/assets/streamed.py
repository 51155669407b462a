"""Tables that are larger than memory: written part by part, and known by the content of their parts."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from calib_assets.staleness.content import artifact_digest, table_digest
from calib_assets.staleness.run import Result, Run
from calib_assets.staleness.store import parquet_bytes, part_name

# Rows of one file, unless a single frame has more: a few hundred rollouts of thousands of steps fit into memory.
PART_ROWS = 500


def streamed(run: Run, name: str, frames: Iterable[pl.LazyFrame], schema: dict) -> Result:
    """A result whose one large table never is in memory: a frame (the rows of a prompt, say) at a time.

    Args:
        name: Of the table; its files are ``<name>-00000.parquet`` and so on, which the store reads as one table.
        frames: Its parts in order, with the columns of ``schema``; each fits into memory.
        schema: Of the table.
    """
    parts, digests, held = [], {}, []

    def write() -> None:
        files = {part_name(name, len(parts)): parquet_bytes(pl.concat(held))}
        parts.append(run.context.store.write_files(run.key, run.cell, run.fingerprint, files))
        held.clear()

    for number, frame in enumerate(frames):
        table = frame.select(pl.col(column).cast(kind) for column, kind in schema.items()).collect()
        digests[f"{number:09d}"] = table_digest(table)
        held.append(table)
        if sum(part.height for part in held) >= PART_ROWS:
            write()
    if held or not parts:
        held.append(pl.DataFrame(schema=schema))
        write()
    written = {file: entry for part in parts for file, entry in part.items()}
    return Result(written=written, written_digest=artifact_digest(digests))


def scan_parts(folder: Path, name: str) -> pl.LazyFrame:
    """The table that :func:`streamed` has written into a folder."""
    return pl.scan_parquet(sorted(folder.glob(part_name(name, "*"))))

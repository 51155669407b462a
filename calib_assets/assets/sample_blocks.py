"""Samples of one question, kept in blocks: which are there, which are lacking. Asking for more makes only these."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from calib_assets.staleness.pieces import Pieces

BLOCK = 32  # samples of one piece: what a killed run loses, at the most


@dataclass(frozen=True)
class SampleBlock:
    """Consecutive samples of one question, named by the key of what it says."""

    key: int
    first: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.key:016x}-{self.first:06d}-{self.count}"

    @property
    def samples(self) -> range:
        return range(self.first, self.first + self.count)


def missing(key: int, count: int, pieces: Pieces) -> Iterator[SampleBlock]:
    """Blocks of the first ``count`` samples that no piece has."""
    there = {sample for block in blocks(key, pieces) for sample in block.samples}
    lacking = [sample for sample in range(count) if sample not in there]
    while lacking:
        size = 1
        while size < min(BLOCK, len(lacking)) and lacking[size] == lacking[0] + size:
            size += 1
        yield SampleBlock(key, lacking[0], size)
        lacking = lacking[size:]


def held(key: int, count: int, pieces: Pieces) -> pl.DataFrame:
    """The first ``count`` samples, in order; all of them are there."""
    found = [pl.read_parquet(pieces.path(block.name)) for block in blocks(key, pieces)]
    return pl.concat(found).filter(pl.col("sample") < count).sort("sample")


def blocks(key: int, pieces: Pieces) -> list[SampleBlock]:
    """Blocks of one question that are there, in the order of their samples."""
    names = [path.stem.split("-") for path in pieces.folder.glob(f"{key:016x}-*.sha256")]
    found = [SampleBlock(key, int(first), int(count)) for _, first, count in names]
    return sorted((block for block in found if pieces.is_whole(block.name)), key=lambda block: block.first)

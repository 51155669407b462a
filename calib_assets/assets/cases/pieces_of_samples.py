"""Samples of one question in pieces: which are there, which are lacking. Asking for more samples makes only these."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from calib_assets.staleness.pieces import Pieces

BLOCK = 32  # samples of one piece: what a killed run loses, at the most


@dataclass(frozen=True)
class Wanted:
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


def missing(key: int, count: int, pieces: Pieces) -> Iterator[Wanted]:
    """Blocks of the first ``count`` samples that no piece has."""
    there = {sample for block in _there(key, pieces) for sample in block.samples}
    lacking = [sample for sample in range(count) if sample not in there]
    while lacking:
        size = 1
        while size < min(BLOCK, len(lacking)) and lacking[size] == lacking[0] + size:
            size += 1
        yield Wanted(key, lacking[0], size)
        lacking = lacking[size:]


def held(key: int, count: int, pieces: Pieces) -> pl.DataFrame:
    """The first ``count`` samples, in order; all of them are there."""
    found = [pl.read_parquet(pieces.path(block.name)) for block in _there(key, pieces)]
    return pl.concat(found).filter(pl.col("sample") < count).sort("sample")


def _there(key: int, pieces: Pieces) -> list[Wanted]:
    found = [path.stem.split("-") for path in pieces.folder.glob(f"{key:016x}-*.sha256")]
    blocks = [Wanted(key, int(first), int(count)) for _, first, count in found]
    return sorted((block for block in blocks if pieces.is_whole(block.name)), key=lambda block: block.first)

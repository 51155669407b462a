"""What a check is: a plain function of finished tables. The rules themselves are in the modules beside this one."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Reader:
    """Tables of a cell's assets, by (asset, table).

    Attributes:
        table: Reads a table.
        scan: Leaves a table in its file: for those that are larger than memory.
    """

    table: Callable[[str, str], pl.DataFrame]
    scan: Callable[[str, str], pl.LazyFrame] | None = None

    def __call__(self, asset: str, name: str) -> pl.DataFrame:
        """A table."""
        return self.table(asset, name)


@dataclass(frozen=True)
class Verdict:
    """Whether something holds, and the numbers that say so."""

    passed: bool
    detail: str


@dataclass(frozen=True)
class Rule:
    """One thing that must hold.

    Attributes:
        asset: Asset that is checked.
        name: Name of the check.
        description: What must hold, with the paper's statement.
        holds: Reader -> verdict.
        reads: Other assets whose tables it reads.
    """

    asset: str
    name: str
    description: str
    holds: Callable[[Reader], Verdict]
    reads: tuple[str, ...] = ()

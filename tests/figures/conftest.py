"""The synthetic tables that figures are drawn from, of all studies."""

from types import SimpleNamespace

import canopy_tables
import code_tables
import collapse_tables
import order_tables
import polars as pl
import pytest
import shape_tables


@pytest.fixture(scope="session")
def tables() -> dict[str, pl.DataFrame]:
    return shape_tables.all_tables()


@pytest.fixture(scope="session")
def order() -> SimpleNamespace:
    """Generators of the order study, and ``tables``: those of one model and sweep and of the comparison."""
    generators = {name: value for name, value in vars(order_tables).items() if callable(value)}
    return SimpleNamespace(
        **generators,
        tables=order_tables.all_tables(),
        thresholds=order_tables.THRESHOLDS,
        p0=order_tables.P0,
        floor=order_tables.FLOOR,
    )


@pytest.fixture(scope="session")
def canopy() -> SimpleNamespace:
    """Generators of the canopy study, ``every`` cell's tables, ``overall``, and ``tables`` of a cell and the study."""
    every = canopy_tables.cells()
    overall = canopy_tables.overall(every)
    generators = {name: value for name, value in vars(canopy_tables).items() if callable(value)}
    generators |= dict(PAIRS=canopy_tables.PAIRS)
    tables = every["llama-base", "math"] | overall
    return SimpleNamespace(**generators | {"every": every, "overall": overall, "tables": tables})


@pytest.fixture(scope="session")
def collapse() -> dict[str, pl.DataFrame]:
    """Tables of answer collapse."""
    return collapse_tables.all_tables()


@pytest.fixture(scope="session")
def every_table(tables, order, canopy, collapse) -> dict[str, pl.DataFrame]:
    """The tables of all studies by name."""
    parts = (tables, order.tables, canopy.tables, collapse, code_tables.all_tables())
    together = {name: table for part in parts for name, table in part.items()}
    assert len(together) == sum(map(len, parts))
    return together

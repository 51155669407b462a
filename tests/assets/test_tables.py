"""Every column of every result table is described, and what the UI shows of a result is true."""

import re
from pathlib import Path

import polars as pl
import pytest

from calib_assets.assets import GRAPH
from calib_assets.assets.tables import HELD, TABLES, about_column
from calib_assets.assets.tables.shared import COLUMNS

# Panels made elsewhere have their rows in another kind of external data; the tables are those of beta_panel.
ELSEWHERE = {"panel"}


@pytest.fixture(scope="module")
def computed(finished, asked, coding):
    """asset -> table -> its columns, of every cell of the workplaces, read from the files themselves."""
    found = {}
    for place in (finished[0], asked[0], coding):
        store, study = place.store.open(), place.study.load()
        for key in GRAPH.nodes:
            for cell in GRAPH.cells(key, study):
                manifest = store.current(key, cell)
                for name in manifest.files:
                    if name.endswith(".parquet") and "/" not in name:
                        table = re.sub(r"(-\d{5})?\.parquet$", "", name)
                        path = Path(store.folder(key, cell, manifest.fingerprint)) / name
                        found.setdefault(key, {}).setdefault(table, set()).update(pl.read_parquet_schema(path))
    return found


def test_registry_lists_the_tables_of_every_asset(computed):
    assert {key: set(tables) for key, tables in computed.items()} == {key: set(names) for key, names in HELD.items()}


def test_every_table_and_column_is_described(computed):
    tables = [(name, columns) for held in computed.values() for name, columns in held.items()]
    assert [name for name, _ in tables if not TABLES[name].about] == []
    lacking = {f"{name}.{column}" for name, columns in tables for column in columns if not about_column(name, column)}
    assert sorted(lacking) == []


def test_no_description_is_of_a_column_that_is_gone(computed):
    columns = {}
    for held in computed.values():
        for name, found in held.items():
            columns.setdefault(name, set()).update(found)
    described = {name: set(table.columns) for name, table in TABLES.items() if name not in ELSEWHERE}
    own = {f"{name}.{column}" for name, found in described.items() for column in found - columns[name]}
    assert sorted(own) == []
    assert sorted(set(COLUMNS) - set().union(*columns.values())) == []


def test_entropies_and_probabilities_on_log_scale_say_nats():
    named = {*COLUMNS, *(column for table in TABLES.values() for column in table.columns)}
    in_nats = [name for name in named if re.match(r"(log_probability|log_validity|path_log_probability|entropy)", name)]
    assert in_nats
    for name in in_nats:
        texts = [about_column(table, name) for table in TABLES if name in TABLES[table].columns] + [COLUMNS.get(name)]
        assert all("nats" in text for text in texts if text), name

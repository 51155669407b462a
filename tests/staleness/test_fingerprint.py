"""Fingerprints and data versions: equal exactly when the meaning is equal; doubtful values are refused."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.staleness.content import artifact_digest, table_digest
from calib_assets.staleness.fingerprint import canonical_json, digest

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(plain, plain)
def test_digests_are_equal_exactly_when_the_canonical_forms_are(one, other):
    assert (digest(one) == digest(other)) == (canonical_json(one) == canonical_json(other))


@given(st.dictionaries(st.text(), plain, min_size=2, max_size=4))
def test_key_order_does_not_matter(mapping):
    assert digest(mapping) == digest(dict(reversed(mapping.items())))


@pytest.mark.parametrize("value", [Path("x"), {1, 2}, object(), {1: "a"}, b"bytes", np.float64, np.int64(3)])
def test_refuses_what_has_no_canonical_form(value):
    with pytest.raises(TypeError, match=r"value\.grid\[1\]"):
        digest({"grid": [0, value]})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_refuses_numbers_that_json_cannot_hold(value):
    with pytest.raises(ValueError, match="no canonical form"):
        digest([value])


TABLE = {
    "rule": ["a", None, "ü"],
    "k": [1, 2, None],
    "x": [0.5, None, -0.0],
    "ok": [True, None, False],
    "list": [[1.0, 2.0], None, []],
}


def test_table_digest_is_a_known_value_so_a_library_upgrade_cannot_move_it_unseen():
    # Made by this function with polars 2.1.0 on 2026-11-22; a change means that every stored result becomes stale.
    assert table_digest(pl.DataFrame({"k": [1, 2, None], "rule": ["a", None, "ü"]})) == GOLDEN


GOLDEN = "e47139e9362177dc"


@pytest.mark.parametrize("column", list(TABLE))
def test_every_cell_matters(column):
    table = pl.DataFrame(TABLE)
    seen = {table_digest(table)}
    for row in range(table.height):
        values = list(TABLE[column])
        values[row] = None if values[row] is not None else next(v for v in values if v is not None)
        seen.add(table_digest(table.with_columns(pl.Series(column, values, dtype=table.schema[column]))))
    assert len(seen) == table.height + 1


def test_names_types_and_row_order_matter_and_chunks_do_not():
    table = pl.DataFrame(TABLE)
    assert table_digest(table) != table_digest(table.rename({"k": "n"}))
    assert table_digest(table) != table_digest(table.cast({"k": pl.Float64}))
    assert table_digest(table) != table_digest(table.reverse())
    chunked = pl.concat([table[:1], table[1:]], rechunk=False)
    assert table_digest(table) == table_digest(chunked)


def test_zero_has_one_sign_and_nan_one_meaning():
    assert table_digest(pl.DataFrame({"x": [0.0]})) == table_digest(pl.DataFrame({"x": [-0.0]}))
    assert table_digest(pl.DataFrame({"x": [float("nan")]})) != table_digest(pl.DataFrame({"x": [0.0]}))


def test_text_is_length_prefixed():
    assert table_digest(pl.DataFrame({"t": ["ab", "c"]})) != table_digest(pl.DataFrame({"t": ["a", "bc"]}))


def test_unknown_column_type_is_refused():
    with pytest.raises(TypeError, match="column 'd'"):
        table_digest(pl.DataFrame({"d": [object()]}, schema={"d": pl.Object}))


def test_artifact_digest_ignores_the_order_of_parts():
    assert artifact_digest({"a": "1", "b": "2"}) == artifact_digest({"b": "2", "a": "1"})
    assert artifact_digest({"a": "1"}) != artifact_digest({"b": "1"})

"""Reading whole prompts: nothing lost, nothing split, never much at once."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics._prompt_rows import whole_prompts


def table_of(sizes):
    ids = [f"p{number}" for number, size in enumerate(sizes) for _ in range(size)]
    schema = {"prompt_id": pl.String, "value": pl.Int64}
    return pl.DataFrame({"prompt_id": ids, "value": range(len(ids))}, schema=schema)


@given(st.lists(st.integers(1, 6), max_size=8), st.integers(1, 9))
def test_parts_hold_whole_prompts_and_all_rows(sizes, batch_rows):
    table = table_of(sizes)
    for source in (table, table.lazy()):
        parts = list(whole_prompts(source, "rollouts", ["value"], batch_rows))
        assert all(part.height for part in parts)
        rows = [row for part in parts for row in part.iter_rows()]
        assert rows == table.rows()
        homes = [prompt for part in parts for prompt in part["prompt_id"].unique()]
        assert len(homes) == len(set(homes)) == len(sizes)


@given(st.lists(st.integers(1, 6), max_size=30), st.integers(1, 9))
def test_no_part_of_a_lazy_table_is_much_larger_than_a_batch(sizes, batch_rows):
    parts = whole_prompts(table_of(sizes).lazy(), "rollouts", ["value"], batch_rows)
    assert all(part.height < batch_rows + max(sizes) for part in parts)


def test_batches_come_from_a_file(tmp_path):
    table = table_of([7] * 100)
    table.write_parquet(tmp_path / "rollouts.parquet", row_group_size=50)
    parts = list(whole_prompts(pl.scan_parquet(tmp_path / "rollouts.parquet"), "rollouts", ["value"], 40))
    assert pl.concat(parts).equals(table)
    assert len(parts) > 10


def test_columns_that_are_not_asked_for_are_not_read():
    def explode(_):
        raise AssertionError("read")

    lazy = table_of([2, 1]).lazy().with_columns(text=pl.col("value").map_batches(explode, return_dtype=pl.Int64))
    parts = list(whole_prompts(lazy, "rollouts", ["value"]))
    assert pl.concat(parts).equals(table_of([2, 1]))


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_a_prompt_in_separate_places_is_refused(batch_rows):
    table = pl.DataFrame({"prompt_id": ["a", "b", "b", "a"], "value": [1, 2, 3, 4]})
    for source in (table, table.lazy()):
        with pytest.raises(ValueError, match="rollouts holds rows of prompt 'a' in separate places; sort by prompt_id"):
            list(whole_prompts(source, "rollouts", ["value"], batch_rows))


def test_a_missing_column_and_a_missing_id_are_refused():
    with pytest.raises(ValueError, match=r"embeddings lacks the columns \['other'\]"):
        list(whole_prompts(table_of([1]).lazy(), "embeddings", ["value", "other"]))
    with pytest.raises(ValueError, match="1 rows whose prompt_id is null"):
        list(whole_prompts(pl.DataFrame({"prompt_id": ["a", None], "value": [1, 2]}), "rollouts", ["value"]))


def test_numbers_of_prompts_become_names():
    part, = whole_prompts(pl.DataFrame({"prompt_id": [3, 3], "value": [1, 2]}), "rollouts", ["value"])
    assert part["prompt_id"].to_list() == ["3", "3"]

"""Data from elsewhere: what is read, what is filled in, and what every wrong file says."""

import math

import polars as pl
import pytest

from calib_assets.study.external import ExternalProblem, external_digest, read_external
from calib_assets.study.rollouts import ExternalData

ROWS = pl.DataFrame(
    {
        "task": ["math"] * 4,
        "model_name": ["m"] * 4,
        "variant": ["base", "base", "instruct", "instruct"],
        "prompt_id": ["a", "a", "a", "a"],
        "length": [3, 2, 4, 1],
        "step_entropy": [[0.1, 0.2, 0.3], [1.0, 2.0], [0.0] * 4, [0.5]],
        "text": ["x", "y", "", None],
    }
)
PANEL = pl.DataFrame(
    {
        "task": ["math", "math"],
        "model_name": ["m", "m"],
        "model_variant": ["base", "instruct"],
        "prompt_id": [1, 1],
        "D": [0.2, None],
        "R_bar": [1.0, 0.5],
        "N_bar": [10.0, 20.0],
    }
)


def row(path, **fields) -> ExternalData:
    return ExternalData(**{"name": "x", "kind": "rollouts", "file": str(path), **fields})


def written(folder, table, name="data.parquet"):
    path = folder / name
    table.write_parquet(path) if path.suffix == ".parquet" else table.write_csv(path)
    return path


def test_what_a_file_leaves_out_is_filled_in(tmp_path):
    found = read_external(row(written(tmp_path, ROWS))).collect()
    assert found["model"].to_list() == ["m-base"] * 2 + ["m-instruct"] * 2
    assert found["sample"].to_list() == [0, 1, 0, 1]
    assert found["sequence_entropy"].to_list() == pytest.approx([0.6, 3.0, 0.0, 0.5])
    assert found["truncated"].to_list() == [None] * 4  # nobody says where they would have been cut
    limited = read_external(row(written(tmp_path, ROWS), max_new_tokens=4)).collect()
    assert limited.select("length", "truncated").rows() == [(3, False), (2, False), (4, True), (1, False)]
    said = read_external(row(written(tmp_path, ROWS.with_columns(truncated=False)), max_new_tokens=4)).collect()
    assert said["truncated"].to_list() == [False] * 4


def test_a_cell_may_lack_what_another_has(tmp_path):
    table = ROWS.drop("step_entropy").with_columns(
        sequence_entropy=pl.Series([None, None, 0.0, 0.5]), truncated=pl.Series([True, False, None, None])
    )
    found = read_external(row(written(tmp_path, table))).collect()
    assert found.select("sequence_entropy", "truncated").rows() == table.select("sequence_entropy", "truncated").rows()


def test_a_csv_has_sums_instead_of_steps(tmp_path):
    table = ROWS.drop("step_entropy").with_columns(sequence_entropy=pl.Series([0.6, 3.0, 0.0, 0.5]))
    found = read_external(row(written(tmp_path, table, "data.csv"))).collect()
    assert found["sequence_entropy"].to_list() == [0.6, 3.0, 0.0, 0.5]
    assert "step_entropy" not in found.columns


def test_rows_of_a_prompt_are_brought_together(tmp_path):
    path = written(tmp_path, ROWS.with_columns(sample=pl.Series([5, 4, 1, 0])).sample(fraction=1, shuffle=True, seed=1))
    found = read_external(row(path)).collect()
    assert found.select("variant", "sample").rows() == [("base", 4), ("base", 5), ("instruct", 0), ("instruct", 1)]


def test_columns_are_renamed(tmp_path):
    path = written(tmp_path, PANEL, "panel.csv")
    found = read_external(row(path, kind="panel", columns={"variant": "model_variant"})).collect()
    assert found["prompt_id"].to_list() == ["1", "1"]
    assert found["D"].to_list() == [0.2, None]
    assert found["M"].null_count() == 2


def change(**columns):
    return lambda table: table.with_columns(**columns)


@pytest.mark.parametrize(
    ("edit", "fields", "message"),
    [
        (lambda t: t.drop("length"), {}, "the column `length` is missing"),
        (change(length=pl.Series([0, 2, 4, 1])), {}, "a length is 1 or more"),
        (change(length=pl.Series([2, 2, 4, 1])), {}, "not one entropy for each token"),
        (lambda t: t, {"max_new_tokens": 3}, "exceeds max_new_tokens 3"),
        (lambda t: t, {"columns": {"lenght": "length"}}, "names no column of ours"),
        (change(sequence_entropy=pl.Series([float("nan"), 1, 1, 1])), {}, "an entropy is finite"),
        (change(sequence_entropy=pl.Series([-0.1, 1, 1, 1])), {}, "an entropy is finite"),
        (change(sequence_entropy=pl.Series([0.6, None, 0.0, 0.5])), {}, "empty, but not in all rows"),
        (change(sequence_entropy=pl.Series([0.6, 3.0, 0.0, 0.5 / math.log(2)])), {}, "not the sum of step_entropy"),
        (change(truncated=pl.Series([True, None, None, None])), {}, "empty, but not in all rows"),
        (change(step_entropy=pl.Series([[0.1, None, 0.3], [1.0, 2.0], [0.0] * 4, [0.5]])), {}, "finite and 0 or more"),
        (change(step_entropy=pl.Series([[0.1, 0.9, -0.3], [1.0, 2.0], [0.0] * 4, [0.5]])), {}, "finite and 0 or more"),
        (change(task=pl.Series(["math", None, "math", "math"])), {}, "it is empty"),
        (change(sample=pl.Series([1, 1, 0, 1])), {}, "a row appears twice"),
        (change(length=pl.Series(["three", "2", "4", "1"])), {}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, edit, fields, message):
    path = written(tmp_path, edit(ROWS))
    with pytest.raises(ExternalProblem, match=message) as found:
        read_external(row(path, **fields))
    assert "data.parquet" in str(found.value)


@pytest.mark.parametrize(("name", "value"), [("D", 1.2), ("D", -0.1), ("R_bar", -1.0), ("N_bar", 0.0)])
def test_a_panel_outside_its_ranges_is_refused(tmp_path, name, value):
    table = PANEL.with_columns(pl.Series(name, [value, 0.5]))
    with pytest.raises(ExternalProblem, match=f"`{name}`"):
        read_external(row(written(tmp_path, table), kind="panel", columns={"variant": "model_variant"}))


def test_a_missing_file_is_named(tmp_path):
    for read in (lambda: read_external(row(tmp_path / "no.csv")), lambda: external_digest(str(tmp_path / "no.csv"))):
        with pytest.raises(ExternalProblem, match="no.csv: the file cannot be read"):
            read()


def test_a_file_that_changes_is_checked_again(tmp_path):
    path = written(tmp_path, ROWS)
    read_external(row(path))
    written(tmp_path, ROWS.drop("length", "text"))
    with pytest.raises(ExternalProblem, match="length"):
        read_external(row(path))

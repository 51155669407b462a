"""From judged texts to a sheet, from a filled sheet to agreement with people."""

import io

import polars as pl
import pytest

from calib_assets.assets.order.judge_agreement import distinct_labels
from calib_assets.cli import main
from calib_assets.metrics.agreement_tables import MAJORITY
from calib_assets.results import Results


@pytest.fixture
def results(workplace):
    return Results(workplace.file, workplace.folder / "store")


def test_the_sheet_holds_distinct_texts_and_no_scores(results, workplace, capsys):
    sheet = results.annotation_sheet(20, seed=1)
    assert sheet["item"].n_unique() == sheet.height == 20
    assert sheet.columns == ["item", "annotator", "grammar", "semantic", "overall", "prompt", "response"]
    assert sheet["overall"].unique().to_list() == [""]
    assert sheet.equals(results.annotation_sheet(20, seed=1)) and not sheet.equals(results.annotation_sheet(20, seed=2))
    store = str(workplace.folder / "store")
    command = ["--study", str(workplace.file), "--store", store, "annotation-sheet", "--items", "20", "--seed", "1"]
    assert main(command) == 0
    assert pl.read_csv(io.StringIO(capsys.readouterr().out), infer_schema=False)["item"].equals(sheet["item"])


def test_people_are_compared_with_judges(results, workplace, instance):
    labels = results.table("judge_labels").filter(pl.col("judge") == "strict").unique("item")
    valid = dict(labels.select("item", "is_valid").rows())
    assert set(valid.values()) == {True, False}
    items = sorted(valid, key=lambda item: (not valid[item], item))[:12]  # valid ones first
    rows = []
    for place, item in enumerate(items):
        score = 100 if valid[item] else 10
        # Two people agree with the program; a third scores everything as it is not.
        rows += [(item, "ann", 100, 100, score), (item, "bob", 100, 100, score), (item, "eve", 100, 100, 110 - score)]
        if place == 0:
            rows.append(("0123456789abcdef", "ann", 1, 1, 1))  # no judge saw this one
    table = pl.DataFrame(rows, schema=["item", "annotator", "grammar", "semantic", "overall"], orient="row")
    table.write_csv(workplace.folder / "people.csv")
    workplace.edit(lambda study: study.update(annotations={"file": "people.csv"}))
    summary, computed = workplace.refresh(instance)
    assert summary.ok and set(computed) == {"judge_agreement", "report"}
    pairs = results.table("judge_agreement", "judge_pairs")
    (row,) = pairs.filter((pl.col("judge_a") == "strict") & (pl.col("judge_b") == MAJORITY)).iter_rows(named=True)
    assert (row["n"], row["accuracy"], row["n_valid_a"]) == (12, 1.0, sum(valid[item] for item in items))
    seen = results.table("judge_labels").filter(pl.col("item").is_in(items))
    seen = seen.unique("item", keep="first", maintain_order=True)
    assert row["n_resampled"] == seen.select("sweep", "seed").n_unique()
    alpha = results.table("judge_agreement", "annotator_agreement").filter(pl.col("measure") == "valid")
    assert alpha["n_annotators"][0] == 3 and alpha["alpha"][0] < 0.5
    manifest = workplace.store.open().current("judge_agreement", ())
    assert manifest.numbers["annotated items that no judge saw"] == 1
    page = workplace.store.open().read("report", (), "report.html").decode()
    assert MAJORITY in page


def test_a_text_that_was_judged_twice_counts_once_with_its_first_known_label():
    columns = ("judge", "item", "is_valid", "sweep", "seed")
    greedy = [("a", "x", None, "s", 0), ("b", "x", False, "s", 0), ("a", "y", True, "s", 1), ("b", "y", None, "s", 1)]
    samples = [("a", "x", True, "t", 4), ("a", "y", False, "s", 0), ("b", "x", True, "t", 4)]
    tables = [pl.DataFrame(rows, schema=columns, orient="row") for rows in (greedy, samples)]
    found = distinct_labels([*tables, pl.DataFrame()])
    assert found.sort("judge", "item").rows() == [
        ("a", "x", True, "s 0"),
        ("a", "y", True, "s 1"),
        ("b", "x", False, "s 0"),
        ("b", "y", None, "s 1"),
    ]
    assert distinct_labels([]).is_empty()

"""Reading finished results, as a notebook does, and what is said where there are none."""

import json
import re

import numpy as np
import pytest

from calib_assets.results import Results, UnknownName
from calib_assets.staleness.store import ResultError
from jobs.runner import sync_partitions


def test_tables_are_stacked_over_cells(workplace):
    results = Results(workplace.file, workplace.folder / "store")
    table = results.table("calibration_gap")
    assert table.columns[:3] == ["model", "task", "floor"]
    assert set(table.select("model", "task").unique().rows()) == {
        (model, task) for model in ("alpha", "beta") for task in ("digits", "colours")
    }
    assert results.table("decoding_sweep", "steps").height > 0


def test_logits_are_those_of_the_chain(workplace):
    results = Results(workplace.file, workplace.folder / "store")
    cache = results.logits("alpha", "digits")
    chain = json.loads((workplace.folder / "alpha.json").read_text())
    for row, node in enumerate(cache.trie.internal):
        path = cache.trie.path(int(node))
        last = path[-1] if path else cache.context_ids[-1]
        logits = cache[row].astype(float)
        probabilities = np.exp(logits - logits.max())
        np.testing.assert_allclose(probabilities / probabilities.sum(), chain["transition"][last], atol=1e-6)


def test_unknown_asset_and_missing_result(workplace, tmp_path):
    with pytest.raises(KeyError, match="unknown asset 'sweep' .did you mean 'sweep_tree'.*there are exact_logit_c"):
        Results(workplace.file, workplace.folder / "store").table("sweep")
    with pytest.raises(ResultError, match="has no result in .*materialize it first"):
        Results(workplace.file, tmp_path / "empty").table("decoding_sweep")
    with pytest.raises(ResultError, match="exact_logit_cache.alpha|digits. has no result"):
        Results(workplace.file, tmp_path / "empty").logits("alpha", "digits")


def test_one_cell_is_read_by_its_names(workplace):
    results = Results(workplace.file, workplace.folder / "store")
    every = results.table("calibration_gap")
    assert results.table("calibration_gap", task="digits").equals(every.filter(task="digits"))
    one = results.table("decoding_sweep", "steps", model="beta", task="colours")
    assert one.select("model", "task").unique().rows() == [("beta", "colours")]
    # An asset without a table of its own name gives its first one.
    assert results.table("theory_bounds").equals(results.table("theory_bounds", "theory_f4"))


def test_names_that_there_are_not_are_answered_with_those_that_there_are(workplace):
    results = Results(workplace.file, workplace.folder / "store")
    wrong = [
        (lambda: results.table("calibration_gap", "best"), "unknown table of calibration_gap 'best'; there are calib"),
        (lambda: results.table("calibration_gap", model="gamma"), "unknown model 'gamma'; there are alpha, beta$"),
        (
            lambda: results.table("calibration_gap", sweep="x"),
            "unknown axis of calibration_gap 'sweep'; there are model",
        ),
        (
            lambda: results.table("shape_section"),
            "asset 'shape_section' holds no tables; those that do are exact_logit",
        ),
        (lambda: results.table("answer_collapse"), "the study 'chains' has no collapse and speaker that answer_coll"),
        (lambda: results.logits("alpha", "digit"), "unknown task 'digit' .did you mean 'digits'..; there are digits"),
        (lambda: results.logits("gamma", "digits"), "unknown model 'gamma'"),
        (lambda: results.columns("nothing"), "unknown asset 'nothing'"),
    ]
    for call, message in wrong:
        with pytest.raises(UnknownName) as caught:
            call()
        assert re.search(message, str(caught.value)), str(caught.value)


def test_assets_say_what_can_be_read(workplace, tmp_path):
    found = Results(workplace.file, workplace.folder / "store").assets()
    row = found.filter(asset="decoding_sweep").select("axes", "cells", "done", "tables").row(0)
    assert row == ("model, task", 4, 4, "decoding_sweep, steps")
    assert "answer_collapse" not in found["asset"]  # the study asks no question
    empty = Results(workplace.file, tmp_path / "empty")
    assert empty.assets()["done"].sum() == 0 and "calibration_gap" in empty.assets()["asset"]
    assert empty.provenance().is_empty() and "run_id" in empty.provenance().columns
    assert repr(empty).startswith("Results of the study 'chains' in ")


def test_columns_say_what_they_mean(workplace):
    results = Results(workplace.file, workplace.folder / "store")
    meanings = dict(results.columns("calibration_gap").select("column", "meaning").iter_rows())
    assert list(meanings) == results.table("calibration_gap").columns
    assert meanings["order_gap"] == "1 − Div of the cutoff oracle."
    assert results.columns("decoding_sweep", "steps")["column"].to_list()[-2:] == ["alpha", "beta"]


def test_provenance_has_a_row_for_every_cell(workplace):
    table = Results(workplace.file, workplace.folder / "store").provenance()
    # with the explorer: one more shape asset and one more order asset in 4 cells each, and the page
    assert table.height == 153 and table["run_id"].str.len_chars().min() > 0


def test_asset_values_load_through_dagster(workplace, instance):
    sync_partitions(workplace.view(), instance)
    value = workplace.defs.load_asset_value("decoding_sweep", partition_key="alpha|digits", instance=instance)
    direct = workplace.store.open().table("decoding_sweep", ("alpha", "digits"), "decoding_sweep")
    assert value.equals(direct)

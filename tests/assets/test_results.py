"""Reading finished results, as a notebook does, and what is said where there are none."""

import json

import numpy as np
import pytest

from calib_assets.results import Results
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
    with pytest.raises(KeyError, match="unknown asset 'sweep'; assets are exact_logit_cache"):
        Results(workplace.file, workplace.folder / "store").table("sweep")
    with pytest.raises(ResultError, match="has no result in .*materialize it first"):
        Results(workplace.file, tmp_path / "empty").table("decoding_sweep")
    with pytest.raises(ResultError, match="exact_logit_cache.alpha|digits. has no result"):
        Results(workplace.file, tmp_path / "empty").logits("alpha", "digits")


def test_provenance_has_a_row_for_every_cell(workplace):
    table = Results(workplace.file, workplace.folder / "store").provenance()
    # 10 shape assets in 4 cells, 15 order assets in 4, and 3 of the whole study
    assert table.height == 144 and table["run_id"].str.len_chars().min() > 0


def test_asset_values_load_through_dagster(workplace, instance):
    sync_partitions(workplace.view(), instance)
    value = workplace.defs.load_asset_value("decoding_sweep", partition_key="alpha|digits", instance=instance)
    direct = workplace.store.open().table("decoding_sweep", ("alpha", "digits"), "decoding_sweep")
    assert value.equals(direct)

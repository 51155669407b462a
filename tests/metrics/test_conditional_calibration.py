"""The table of conditionals against the valid set itself: sequences are filtered, the trie is not used."""

import math

import numpy as np
import polars as pl
import pytest

from calib_assets.decoding import PrefixTrie
from calib_assets.metrics import (
    average_precision,
    conditional_calibration,
    effective_support,
    is_order_calibrated,
    last_valid_rank,
    order_auroc,
    precision_at_n_valid,
    shape_divergence,
    step_entropy,
    valid_mass,
)

COLUMNS = (
    "node depth prefix n_valid n_continuations order_auroc average_precision precision_at_n_valid "
    "last_valid_rank is_order_calibrated shape_divergence effective_support valid_mass entropy vocab"
).split()


def test_every_row_from_the_sequences_alone(small_task):
    table = conditional_calibration(small_task.trie, small_task.logits)
    assert table.columns == COLUMNS
    prefixes = {s[:t] for s in small_task.sequences for t in range(len(s))}
    assert {tuple(map(int, p.split())) for p in table["prefix"]} == prefixes
    for row, scores in zip(table.iter_rows(named=True), small_task.logits, strict=True):
        prefix = tuple(map(int, row["prefix"].split()))
        following = [s[len(prefix)] for s in small_task.sequences if s[: len(prefix)] == prefix]
        counts = np.array([following.count(token) for token in range(small_task.vocab)])
        is_valid = counts > 0
        assert row["node"] in small_task.trie.internal
        assert tuple(small_task.trie.path(row["node"])) == prefix
        expected = {
            "depth": len(prefix),
            "n_valid": len(set(following)),
            "n_continuations": len(following),
            "order_auroc": order_auroc(scores, is_valid),
            "average_precision": average_precision(scores, is_valid),
            "precision_at_n_valid": precision_at_n_valid(scores, is_valid),
            "last_valid_rank": last_valid_rank(scores, is_valid),
            "is_order_calibrated": is_order_calibrated(scores, is_valid),
            "shape_divergence": pytest.approx(shape_divergence(scores, counts)),
            "effective_support": pytest.approx(effective_support(scores, is_valid)),
            "valid_mass": pytest.approx(valid_mass(scores, is_valid)),
            "entropy": pytest.approx(step_entropy(scores)),
            "vocab": small_task.vocab,
        }
        assert {name: row[name] for name in expected} == expected


def test_a_calibrated_model_and_a_wholly_valid_vocabulary():
    # Uniform over V = {0,1}² ∪ {2·0} of a vocabulary of 3: p ∝ N everywhere, nothing else has mass.
    trie = PrefixTrie.from_sequences([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]])
    low = -1000.0
    logits = np.log([[2, 2, 1]] + [[1, 1, 1]] * 3)
    logits[1:3, 2], logits[3, 1:] = low, low
    table = conditional_calibration(trie, logits)
    np.testing.assert_allclose(table["shape_divergence"], 0, atol=1e-12)
    np.testing.assert_allclose(table["valid_mass"], 1)
    assert table["is_order_calibrated"].all()
    assert table["order_auroc"].to_list() == [None, 1.0, 1.0, 1.0]  # the root has no invalid token
    np.testing.assert_allclose(table["entropy"][1], math.log(2))


def test_text_names_the_prefix(small_task):
    letters = conditional_calibration(
        small_task.trie, small_task.logits, lambda ids: "".join("abcdefgh"[i] for i in ids)
    )
    assert letters["prefix"].to_list() == ["", "b", "e", "bf"]


def test_unknown_counts_below_open_nodes_leave_shape_out():
    # Root: token 0 leads to an answer, token 1 to an open node. Its count is not known, its validity is.
    trie = PrefixTrie.from_nodes(
        [-1, 0, 0, 1], [-1, 0, 1, 0], [-1, -1, -1, 0], [False, False, True, False], n_answers=2
    )
    table = conditional_calibration(trie, np.zeros((2, 3)))
    assert table["shape_divergence"].to_list() == [None, 0.0]
    assert table["n_valid"].to_list() == [2, 1]


def test_rows_must_match_the_trie(small_task):
    with pytest.raises(ValueError, match="3 rows, the trie 4 internal nodes"):
        conditional_calibration(small_task.trie, small_task.logits[:3])


def test_float32_rows_and_float64_rows_agree(small_task):
    single = conditional_calibration(small_task.trie, small_task.logits)
    double = conditional_calibration(small_task.trie, small_task.logits.astype(np.float64))
    assert single.equals(double)
    assert single.schema["order_auroc"] == pl.Float64

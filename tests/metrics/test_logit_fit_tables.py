"""The fit tables hold what the fits say."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from calib_assets.metrics import fit_piecewise_logits, logit_fits

NAMES = ("m", "b", "c", "A", "B", "C", "mse", "r2", "head_r2", "tail_r2", "geometric_rate", "zipf_exponent")


def test_one_row_per_conditional(small_task):
    fits, curves = logit_fits(small_task.trie, small_task.logits)
    assert fits.columns == ["node", "depth", "prefix", *NAMES]
    assert fits["node"].to_list() == small_task.trie.internal.tolist()
    for row, logits in zip(fits.iter_rows(named=True), small_task.logits, strict=True):
        by_rank = np.sort(logits.astype(float))[::-1]
        fit = fit_piecewise_logits(by_rank)
        assert {name: row[name] for name in NAMES} == {name: getattr(fit, name) for name in NAMES}
        curve = curves.filter(pl.col("node") == row["node"])
        assert curve["rank"].to_list() == list(range(1, 9))  # few ranks: all are kept
        assert curve["logit"].to_list() == by_rank.tolist()
        assert curve["fitted"].to_list() == fit.fitted.tolist()
        # The table alone rebuilds the curve.
        k = curve["rank"].to_numpy()
        rebuilt = np.where(
            k <= row["c"],
            row["m"] * k + row["b"],
            row["A"] + row["B"] * np.log(np.maximum(k, row["c"] + 1) + row["C"]),
        )
        np.testing.assert_allclose(rebuilt, curve["fitted"], atol=1e-9)


def test_thinned_curves_keep_both_ends_and_the_joint(small_task):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 5000)).astype(np.float32)
    fits, curves = logit_fits(small_task.trie, logits, nodes=[2, 1], text_of=lambda ids: f"<{len(ids)}>")
    assert fits.select("node", "prefix").rows() == [(2, "<1>"), (1, "<1>")]
    for node, c in fits.select("node", "c").rows():
        rank = curves.filter(pl.col("node") == node)["rank"]
        assert {1, c, c + 1, 5000} <= set(rank)
        assert rank.is_sorted() and rank.n_unique() == len(rank) <= 204
        np.testing.assert_array_equal(
            curves.filter(pl.col("node") == node)["logit"],
            np.sort(logits[small_task.trie.row_of[node]])[::-1][rank.to_numpy() - 1],
        )


def test_masked_tokens_are_left_out(small_task):
    masked = small_task.logits.copy()
    masked[:, 3] = -np.inf
    kept = np.delete(masked, 3, axis=1)
    found = logit_fits(small_task.trie, masked)
    for table, expected in zip(found, logit_fits(small_task.trie, kept), strict=True):
        assert_frame_equal(table, expected)


def test_bad_nodes(small_task):
    with pytest.raises(ValueError, match="node 4 has no conditional"):
        logit_fits(small_task.trie, small_task.logits, nodes=[4])
    with pytest.raises(ValueError, match="1 rows, the trie 4"):
        logit_fits(small_task.trie, small_task.logits[:1])

"""Lists, arrays and polars columns of one's own: the same numbers, and errors that name argument, value and remedy."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.decoding import RULES, PrefixTrie, TopK, TopP, contexts, logit_matrix
from calib_assets.metrics import (
    canopy_measures,
    labelled_precision_recall,
    length_entropy_correlation,
    local_precision_recall,
    order_auroc,
    validity_diversity,
)
from calib_assets.stats import fit_beta_mixed

ANSWERS = [[0, 2], [0, 3], [1, 2], [3, 3]]


@st.composite
def labelled_ranks(draw):
    """Distinct ranks in any order, and labels of which one at least is valid."""
    ranks = draw(st.lists(st.integers(1, 60), min_size=1, max_size=12, unique=True))
    labels = draw(st.lists(st.booleans(), min_size=len(ranks), max_size=len(ranks)).filter(any))
    return ranks, labels


@given(labelled_ranks())
def test_labelled_curve_is_that_of_sets(case):
    ranks, labels = case
    valid = {rank for rank, label in zip(ranks, labels) if label}
    curve = labelled_precision_recall(labels, ranks)
    for k in range(1, len(ranks) + 1):
        hits = len(set(sorted(ranks)[:k]) & valid)
        assert (curve.precision[k - 1], curve.recall[k - 1]) == pytest.approx((hits / k, hits / len(valid)))


def test_labels_best_first_need_no_ranks():
    labels = [False, True, True, False]
    frame = pl.DataFrame({"rank": pl.Series([4, 2, 3, 1], dtype=pl.UInt32), "valid": [False, True, True, False]})
    expected = local_precision_recall([0.4, 0.3, 0.2, 0.1], labels, [0, 1, 3, 0])
    for found in (
        labelled_precision_recall(labels, n_continuations=[0, 1, 3, 0]),
        labelled_precision_recall(frame["valid"], frame["rank"], n_continuations=[0, 1, 3, 0]),
    ):
        np.testing.assert_array_equal(found, expected)


def test_logits_by_context_are_in_the_order_of_the_engine():
    rng = np.random.default_rng(3)
    trie = PrefixTrie.from_sequences(ANSWERS)
    rows = {context: rng.normal(size=4) for context in [(1,), (3,), (0,), (2,), ()]}  # one more than is needed
    assert contexts(trie) == [(), (0,), (1,), (3,)]
    log_p = {context: row - np.log(np.exp(row).sum()) for context, row in rows.items()}
    by_hand = [np.exp(sum(log_p[tuple(a[:t])][a[t]] for t in range(2))) for a in ANSWERS]
    found = validity_diversity(trie, logit_matrix(trie, rows), RULES["unrestricted"](), 1)
    shares = np.array(by_hand) / sum(by_hand)
    assert found.validity == pytest.approx(sum(by_hand), rel=1e-12)
    assert found.diversity == pytest.approx(np.exp(-(shares * np.log(shares)).sum()) / 4, rel=1e-12)


def test_columns_and_lists_give_what_arrays_give():
    entropy, length, prompts = [1.0, 3.0, 2.0, 2.5], [2, 4, 8, 5], ["a", "a", "b", "b"]
    as_arrays = canopy_measures(np.array(entropy), np.array(length), np.array(prompts))
    frame = pl.DataFrame({"entropy": entropy, "length": length, "prompt": prompts})
    as_columns = canopy_measures(frame["entropy"], frame["length"], frame["prompt"])
    as_lists = canopy_measures(entropy, length, prompts)
    assert as_columns.summary.equals(as_arrays.summary) and as_lists.summary.equals(as_arrays.summary)


TRIE = PrefixTrie.from_sequences(ANSWERS)
ZEROS = np.zeros((4, 4))
WRONG = [
    (lambda: labelled_precision_recall([1, 0], [1, 1]), "ranks holds 1 twice; pass the tokens of one context"),
    (lambda: labelled_precision_recall([1, 0], [0, 1]), "ranks holds 0; ranks count from 1"),
    (lambda: labelled_precision_recall([1, 0], [1.0, 2.0]), "dtype float64; give one whole number for each of 2"),
    (lambda: labelled_precision_recall([1, 0], [1]), "ranks has shape (1,)"),
    (lambda: labelled_precision_recall([0, 0]), "no token is valid"),
    (lambda: local_precision_recall([0.5, 0.5], [3, 1]), "give True or False for every token, not token ids"),
    (lambda: order_auroc(["a", "b"], [1, 0]), "scores holds <U1; give numbers"),
    (lambda: logit_matrix(TRIE, {(): [0.0] * 4}), "no row after tokens (0,) (3 of 4 contexts have none)"),
    (
        lambda: logit_matrix(TRIE, dict.fromkeys([(), (0,), (1,)], [0.0] * 4) | {(3,): [0.0] * 5}),
        "logits after tokens (3,) have shape (5,), those after () (4,)",
    ),
    (lambda: validity_diversity(ANSWERS, ZEROS, TopK(1), 1.0), "trie is a list; build one with PrefixTrie.from_seq"),
    (lambda: validity_diversity(TRIE, ZEROS, "top_p", 1.0), "rule is 'top_p'; give a rule with its parameter, such as"),
    (lambda: validity_diversity(TRIE, ZEROS, TopP, 1.0), "TopP'>; give a rule with its parameter"),
    (lambda: canopy_measures([1.0, -2.0], [2, 3]), "sequence_entropy[1] is -2.0; it must be finite and not negative"),
    (lambda: canopy_measures([1.0, 2.0], [2, 0]), "length[1] is 0; it must be finite and at least 1"),
    (lambda: canopy_measures([1.0, None], [2, 1]), "sequence_entropy holds object; give a number for each rollout"),
    (lambda: canopy_measures([1.0, 2.0], ["2", "1"]), "length holds <U1"),
    (lambda: length_entropy_correlation([1, 2], [0.1, np.nan]), "entropy_rate[1] is nan; it must be finite"),
    (lambda: fit_beta_mixed([0.1, 0.2], "y ~ x", "1"), "the data is a list; give a polars or pandas DataFrame"),
    (
        lambda: fit_beta_mixed({"y": [0.1, 0.2, 0.3], "x": [1, 2, 3]}, "y ~ x"),
        "precision is Paper B's, its default, but the data has no column 'variant'; it has ['y', 'x']; give your own",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_input_is_named(call, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()


def test_what_is_barely_right_is_taken():
    assert canopy_measures([-1e-12, 2.0], [1, 1]).canopy_entropy == pytest.approx(1.0)
    labels = labelled_precision_recall([1, 0], [2, 1])
    assert labels.precision.tolist() == [0.0, 0.5]
    fit = fit_beta_mixed({"y": [0.1, 0.25, 0.3, 0.2], "variant": list("abab"), "task": list("aabb")}, "y ~ 1", "1")
    assert fit.summary_row["n_rows"].item() == 4

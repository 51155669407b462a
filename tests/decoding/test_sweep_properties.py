"""Closed forms, underflow, open nodes, new rules, faults and batching of the sweep."""

import dataclasses
import importlib
import math

import mpmath
import numpy as np
import polars as pl
import polars.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.decoding import (
    RULES,
    DecodingGrid,
    PrefixTrie,
    TruncationRule,
    answer_log_probabilities,
    recursion,
    selections,
    sequence_log_probabilities,
    sweep,
)
from calib_assets.metrics.validity_diversity import validity_diversity


def digits(length, n_tokens):
    """All sequences of the tokens 0 .. n_tokens - 1."""
    return [list(s) for s in np.ndindex(*[n_tokens] * length)]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_geometric_conditionals_in_closed_form(temperature):
    # p(rank i) proportional to r^i, i < n; the v valid tokens hold the top ranks at each of d steps (Theorem
    # F.4's model): Val = ((1 - s^v) / (1 - s^n))^d and H = d * H_v with s = r^(1/T).
    n, v, d, rate = 400, 6, 3, 0.8
    trie = PrefixTrie.from_sequences(digits(d, v))
    logits = np.tile(np.arange(n) * math.log(rate), (trie.internal.size, 1))
    s = rate ** (1 / temperature)
    shares = s ** np.arange(v) * (1 - s) / (1 - s**v)
    entropy = -(shares * np.log(shares)).sum()
    grid = DecodingGrid((temperature,), {"unrestricted": (None,), "oracle_cutoff": (None,), "top_k": (2, 20)})
    free, oracle, two, twenty = sweep(trie, logits, grid).points.rows(named=True)
    assert free["validity"] == pytest.approx(((1 - s**v) / (1 - s**n)) ** d, rel=1e-12)
    for row in (free, oracle, twenty):
        assert row["diversity"] == pytest.approx(math.exp(d * entropy) / v**d, rel=1e-12)
    assert oracle["validity"] == oracle["sequence_precision"] == oracle["sequence_recall"] == pytest.approx(1)
    assert twenty["validity"] == pytest.approx(((1 - s**v) / (1 - s**20)) ** d, rel=1e-12)
    assert twenty["sequence_precision"] == pytest.approx((v / 20) ** d)
    assert (two["validity"], two["sequence_recall"]) == (pytest.approx(1), pytest.approx((2 / v) ** d))
    assert (free["retained_mean"], oracle["retained_mean"], two["retained_mean"]) == (n, v, 2)


def test_underflow_leaves_validity_on_the_log_scale_and_diversity_exact():
    # Valid tokens 200 logits below an invalid one, T = 0.02: each step has valid mass e^-10000.
    trie = PrefixTrie.from_sequences(digits(2, 3))
    logits = np.tile([-200.0, -200.01, -200.03, 0.0], (trie.internal.size, 1))
    with mpmath.workdps(50):
        weights = [mpmath.e ** (mpmath.mpf(float(x)) / mpmath.mpf(0.02)) for x in logits[0]]
        valid = sum(weights[:3])
        log_validity = 2 * mpmath.log(valid / sum(weights))
        entropy = -2 * sum(w / valid * mpmath.log(w / valid) for w in weights[:3])
        diversity = mpmath.e**entropy / 9
    free, oracle = sweep(
        trie, logits, DecodingGrid((0.02,), {"unrestricted": (None,), "validity_oracle": (None,)})
    ).points.rows(named=True)
    assert free["validity"] == 0 and free["log_validity"] == pytest.approx(float(log_validity), rel=1e-12)
    assert oracle["validity"] == pytest.approx(1) and oracle["log_validity"] == pytest.approx(0, abs=1e-9)
    for row in (free, oracle):
        assert row["diversity"] == pytest.approx(float(diversity), rel=1e-9)
    by_sequence = sequence_log_probabilities(trie, logits, (0.02,))
    assert np.logaddexp.reduce(by_sequence[0]) == pytest.approx(float(log_validity), rel=1e-12)
    alone = validity_diversity(trie, logits, RULES["unrestricted"](), 0.02)
    assert (alone.validity, alone.diversity) == (0, pytest.approx(float(diversity), rel=1e-9))


def test_many_unlikely_steps_do_not_break_the_e1_factors():
    depth, vocab = 120, 1000  # Prec_seq = 1000^-120 underflows; its factors do not
    trie = PrefixTrie.from_sequences([[7] * depth])
    result = sweep(trie, np.zeros((depth, vocab)), DecodingGrid((1.0,), {"unrestricted": (None,)}))
    assert result.steps["alpha"].to_list() == pytest.approx([1e-3] * depth, rel=1e-12)
    assert result.steps["beta"].to_list() == [1.0] * depth
    assert result.points["log_validity"][0] == pytest.approx(-depth * math.log(vocab), rel=1e-12)


def test_nothing_valid_retained_gives_null_not_zero():
    trie = PrefixTrie.from_sequences([[0, 1], [0, 2]])
    result = sweep(
        trie, np.array([[0.0, 5.0, 1.0], [0.0, 0.0, 0.0]]), DecodingGrid((1.0,), {"top_k": (1, 3)})
    )
    nothing, everything = result.points.rows(named=True)
    assert (nothing["validity"], nothing["log_validity"], nothing["diversity"]) == (0, -math.inf, None)
    assert (nothing["sequence_precision"], nothing["sequence_recall"]) == (0, 0)
    assert everything["diversity"] == pytest.approx(1)
    assert result.steps["alpha"].to_list()[:2] == [0, None] and result.steps["beta"].to_list()[:2] == [
        0,
        None,
    ]
    alone = validity_diversity(trie, np.array([[0.0, 5.0, 1.0], [0.0, 0.0, 0.0]]), RULES["top_k"](1), 1.0)
    assert (alone.validity, alone.diversity, alone.log_validity) == (0, None, -math.inf)


def test_valid_tokens_outside_the_support():
    trie = PrefixTrie.from_sequences([[0], [1]])
    rules = {"unrestricted": (None,), "validity_oracle": (None,), "oracle_cutoff": (None,)}
    one = sweep(trie, np.array([[-np.inf, 0.0, 0.0]]), DecodingGrid((1.0,), rules)).points
    assert one["validity"].to_list() == pytest.approx([0.5, 1, 0.5]) and one["retained_mean"].to_list() == [
        2,
        1,
        2,
    ]
    assert one["diversity"].to_list() == pytest.approx([0.5] * 3)
    none = sweep(trie, np.array([[-np.inf, -np.inf, 0.0]]), DecodingGrid((1.0,), rules)).points
    assert none["validity"].to_list() == [0, 0, 0] and none["diversity"].null_count() == 3
    assert none["sequence_precision"].to_list() == [0, 0, 0]


def test_open_nodes_bound_the_validity_from_both_sides():
    # Closing node by node must move the lower value up and the upper value down, to the value of the whole
    # trie.
    sequences = digits(3, 3)
    whole = PrefixTrie.from_sequences(sequences)
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=(whole.internal.size, 6))
    grid = DecodingGrid((0.5, 1.5), {"unrestricted": (None,), "top_p": (0.8,), "min_p": (0.1,)})
    exact = sweep(whole, logits, grid).points
    cut = [4, 9, 11]  # internal nodes that stay unexpanded
    dropped = {u for u in range(whole.n_nodes) if u not in cut and any(whole.path(u)[: whole.depth[c]] ==
    whole.path(c)
               for c in cut)}  # fmt: skip
    kept = [u for u in range(whole.n_nodes) if u not in dropped]
    place = {u: i for i, u in enumerate(kept)}
    partial = PrefixTrie.from_nodes(
        [place.get(int(whole.parent[u]), -1) for u in kept],
        whole.token[kept],
        whole.answer[kept],
        [u in cut for u in kept],
        n_answers=whole.n_answers,
    )
    rows = [whole.row_of[u] for u in kept if whole.row_of[u] >= 0 and u not in cut]
    result = sweep(partial, logits[rows], grid)
    points = result.points
    assert (points["validity"] <= exact["validity"]).all() and (
        points["validity_upper"] >= exact["validity"]
    ).all()
    # Enumerated: sequences below the cut are missing; mass of the cut nodes is theirs whatever follows.
    missing = answer_log_probabilities(partial, logits[rows], (0.5, 1.5))
    whole_probability = np.exp(answer_log_probabilities(whole, logits, (0.5, 1.5)))
    free = points.filter(pl.col("rule") == "unrestricted")
    assert (free["validity"] < exact["validity"][:2]).all() and (
        free["validity_upper"] > exact["validity"][:2]
    ).all()
    assert free["validity"].to_list() == pytest.approx(np.exp(missing).sum(axis=1))
    assert np.isneginf(missing).sum() == 2 * 9
    node_mass = []
    for t, temperature in enumerate((0.5, 1.5)):
        total = 0.0
        for c in cut:
            mass, path = 1.0, whole.path(c)
            for depth in range(len(path)):
                node = next(u for u in whole.internal if whole.path(u) == path[:depth])
                weights = np.exp(logits[whole.row_of[node]] / temperature)
                mass *= weights[path[depth]] / weights.sum()
            total += mass
        node_mass.append(total + np.exp(missing[t]).sum())
    assert free["validity_upper"].to_list() == pytest.approx(node_mass)
    assert whole_probability.sum(axis=1) == pytest.approx(exact["validity"].to_list()[:2])
    shares = np.exp(missing) / np.exp(missing).sum(axis=1, keepdims=True)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)
    assert free["diversity"].to_list() == pytest.approx(np.exp(entropy) / whole.n_answers)
    for column in ("sequence_precision", "sequence_recall"):
        assert points[column].null_count() == points.height
    assert result.steps["alpha"].null_count() == result.steps["beta"].null_count() == result.steps.height


@given(st.integers(0, 10**6), st.sampled_from([0.2, 1.0, 3.0]))
def test_values_lie_in_the_unit_interval_and_the_validity_oracle_is_valid(seed, temperature):
    rng = np.random.default_rng(seed)
    trie = PrefixTrie.from_sequences(digits(2, 4))
    logits = 3 * rng.normal(size=(trie.internal.size, 12))
    points = sweep(trie, logits, DecodingGrid.default((temperature,)), threads=1).points
    value = {row["rule"]: row for row in points.rows(named=True) if row["parameter"] is None}
    assert value["validity_oracle"]["validity"] == pytest.approx(1)
    assert value["validity_oracle"]["sequence_precision"] == value["validity_oracle"]["sequence_recall"] == 1
    for row in points.rows(named=True):
        assert 0 <= row["validity"] <= 1 and (row["diversity"] is None or 0 < row["diversity"] <= 1)
        assert 0 <= row["sequence_precision"] <= 1 and 0 <= row["sequence_recall"] <= 1
        assert row["validity_upper"] == row["validity"]


def test_a_rule_added_in_one_place_is_swept_and_then_forgotten():
    try:

        @dataclasses.dataclass(frozen=True)
        class DropTop(TruncationRule):
            """Drop the n most likely tokens."""

            n: int

            name = "drop_top"
            label = "drop top"
            parameter = "n"
            default_grid = (1, 2)
            grows = False
            is_rank_rule = False

            @classmethod
            def intervals(cls, view, rules):
                n = np.array([rule.n for rule in rules])
                return np.minimum(n, view.conditional.size - 1), np.array(view.conditional.size)

        assert RULES["drop_top"] is DropTop
        grid = DecodingGrid.default((1.0,))
        assert grid.rules["drop_top"] == (1, 2)
        trie = PrefixTrie.from_sequences([[0], [1]])
        points = sweep(trie, np.log([[0.5, 0.3, 0.15, 0.05]]), grid).points.filter(
            pl.col("rule") == "drop_top"
        )
        assert points["parameter"].to_list() == [1, 2]
        assert points["validity"].to_list() == pytest.approx([0.3 / 0.5, 0])
        assert points["retained_mean"].to_list() == [3, 2]
        with pytest.raises(ValueError, match="'drop_top' is defined twice"):
            type("Again", (TruncationRule,), {"name": "drop_top"})
    finally:
        RULES.pop("drop_top", None)
    assert "drop_top" not in DecodingGrid.default((1.0,)).rules


@pytest.mark.parametrize("selection_bytes", [1, 2**30])  # temperatures in turns; several in a buffer
def test_batching_over_temperatures_threads_and_buffers_changes_nothing(monkeypatch, selection_bytes):
    rng = np.random.default_rng(1)
    trie = PrefixTrie.from_sequences(digits(3, 4))
    logits = (2 * rng.normal(size=(trie.internal.size, 77))).astype(np.float32)
    grid = DecodingGrid.default((0.1, 0.4, 0.9, 1.3, 2.0))
    calls = []
    whole = sweep(trie, logits, grid, threads=1, progress=lambda *call: calls.append(call))
    assert calls[-1] == (21, 21) and [done for done, _ in calls] == sorted(done for done, _ in calls)
    module = importlib.import_module("calib_assets.decoding.sweep")
    monkeypatch.setattr(selections, "_BUFFER_BYTES", 8 * 96 * 2)  # two temperatures of three blocks
    monkeypatch.setattr(module, "_SELECTION_BYTES", selection_bytes)
    monkeypatch.setattr(module, "_RECURSION_BYTES", 1)
    monkeypatch.setattr(recursion, "_CHUNK_BYTES", 1)
    calls.clear()
    pieces = sweep(trie, logits, grid, threads=3, progress=lambda *call: calls.append(call))
    assert calls[-1] == (21, 21)
    polars.testing.assert_frame_equal(pieces.points, whole.points, rel_tol=1e-12)
    polars.testing.assert_frame_equal(pieces.steps, whole.steps, rel_tol=1e-12)


class Rows:
    """Logits that are no matrix, as a mapped file is none."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[row]


def test_logits_may_be_any_sequence_of_rows():
    trie = PrefixTrie.from_sequences([[0, 1], [1, 1]])
    logits = np.random.default_rng(0).normal(size=(3, 4))
    grid = DecodingGrid((1.0,), {"top_p": (0.7,)})
    polars.testing.assert_frame_equal(
        sweep(trie, Rows(list(logits)), grid).points, sweep(trie, logits, grid).points
    )


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((2, 4)), "logits has 2 rows, the trie 3 internal nodes; score exactly"),
        (np.zeros((3, 1)), "valid token 1 is outside the vocabulary of 1"),
        (
            np.array([[0.0, 0], [0, np.nan], [0, 0]]),
            r"logits of node 1 \(after tokens \[0\]\): logits contain NaN",
        ),
        (
            np.array([[0.0, 0], [0, 0], [0, np.inf]]),
            r"logits of node 2 \(after tokens \[1\]\): logits contain NaN or",
        ),
        (np.zeros((3, 2, 2)), "give one row"),
    ],
)
def test_refuses_logits_of_another_trie(logits, message):
    trie = PrefixTrie.from_sequences([[0, 1], [1, 1]])
    with pytest.raises(ValueError, match=message):
        sweep(trie, logits, DecodingGrid((1.0,), {"unrestricted": (None,)}))
    with pytest.raises(ValueError, match=message):
        sequence_log_probabilities(trie, logits, (1.0,))


def test_refuses_temperatures_outside_a_grid():
    trie = PrefixTrie.from_sequences([[0]])
    for call in (
        lambda: sequence_log_probabilities(trie, np.zeros((1, 2)), (1.0, 0.0)),
        lambda: validity_diversity(trie, np.zeros((1, 2)), RULES["unrestricted"](), 0),
    ):
        with pytest.raises(ValueError, match="temperature 0 is greedy"):
            call()

"""Answer probabilities and the invalid mass, against exact sums and against the sweep of a real trie."""

import itertools
import math

import mpmath
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from calib_assets.decoding import PrefixTrie, Unrestricted
from calib_assets.metrics import leaked_mass, sequence_probabilities, validity_diversity


@given(st.lists(st.floats(-800, 0), min_size=1, max_size=8), st.floats(0.01, 5))
def test_ranks_and_remaining_mass(raw, excess):
    log_p = np.array(raw) - math.log(len(raw)) - excess  # sums to less than 1
    table = sequence_probabilities(log_p[None, :], [0.7], [f"answer {i}" for i in range(len(raw))])
    answers, invalid = table.head(len(raw)), table.tail(1)
    assert answers["rank"].to_list() == list(range(1, len(raw) + 1))
    assert answers["answer"].to_list() == sorted(range(len(raw)), key=lambda i: (-log_p[i], i))
    assert answers["text"].to_list() == [f"answer {i}" for i in answers["answer"]]
    assert answers["log_probability"].to_list() == [log_p[i] for i in answers["answer"]]
    with mpmath.workdps(400):
        left = 1 - mpmath.fsum(mpmath.e ** mpmath.mpf(float(x)) for x in log_p)
        assert invalid["probability"][0] == pytest.approx(float(left), rel=1e-12)
        assert invalid["log_probability"][0] == pytest.approx(float(mpmath.log(left)), rel=1e-11)
    assert invalid.select("answer", "text", "rank").row(0) == (-1, "(invalid)", None)


def test_tiny_masses_on_either_side_keep_their_digits():
    tiny = sequence_probabilities(np.array([[-700.0]]), [1.0], ["a"])
    assert tiny["log_probability"][1] == pytest.approx(-math.exp(-700), rel=1e-12)
    nearly_all = sequence_probabilities(np.array([[-1e-12]]), [1.0], ["a"])
    assert nearly_all["probability"][1] == pytest.approx(1e-12, rel=1e-9)
    assert nearly_all["log_probability"][1] == pytest.approx(math.log(1e-12), rel=1e-9)
    everything = sequence_probabilities(np.array([[0.0]]), [1.0], ["a"])
    assert everything.select("probability", "log_probability").row(1) == (0.0, None)


def test_against_enumeration_of_all_sequences(small_task):
    """log p(y) by walking each sequence; the invalid row must be 1 − Val of the engine."""
    rows = {tuple(small_task.trie.path(node)): i for i, node in enumerate(small_task.trie.internal)}
    temperatures = (0.5, 1.0, 4.0)
    log_p = [
        [
            sum(
                log_softmax(small_task.logits[rows[s[:t]]].astype(float) / temperature)[s[t]]
                for t in range(len(s))
            )
            for s in small_task.sequences
        ]
        for temperature in temperatures
    ]
    table = sequence_probabilities(log_p, temperatures, ["-".join(map(str, s)) for s in small_task.sequences])
    assert table.height == 3 * (len(small_task.sequences) + 1)
    for temperature in temperatures:
        part = table.filter(pl.col("temperature") == temperature)
        assert part["probability"].sum() == pytest.approx(1)
        engine = validity_diversity(small_task.trie, small_task.logits, Unrestricted(), temperature)
        assert part["probability"][-1] == pytest.approx(1 - engine.validity)
    assert set(itertools.chain(table["text"])) >= {"1-0", "6", "(invalid)"}


def test_impossible_answers_come_last():
    table = sequence_probabilities(np.array([[-math.inf, -1.0]]), [1.0], ["never", "sometimes"])
    assert table["text"].to_list() == ["sometimes", "never", "(invalid)"]
    assert table["probability"][1] == 0.0


@pytest.mark.parametrize(
    ("log_p", "temperatures", "texts", "message"),
    [
        ([[0.0, 0.0]], [1.0], ["a", "b"], "mass 2 at temperature 1.0"),
        ([[math.nan]], [1.0], ["a"], "1 NaN of 1"),
        ([[-1.0]], [1.0, 2.0], ["a"], "2 temperatures, 1"),
        ([[-1.0]], [1.0], ["a", "b"], "1 temperatures, 2"),
        ([], [], [], "shape"),
    ],
)
def test_bad_input(log_p, temperatures, texts, message):
    with pytest.raises(ValueError, match=message):
        sequence_probabilities(np.array(log_p), temperatures, texts)


def test_a_mass_that_rounding_lifts_above_one_leaves_none_to_the_invalid():
    table = sequence_probabilities(np.log([[0.5, 0.5]]) + 1e-12, [1.0], ["a", "b"])  # the sum is 1 + 1e-12
    assert table.select("probability", "log_probability").row(2) == (0.0, None)


def test_every_way_out_of_the_trie_by_enumeration(small_task):
    """Each prefix that leaves the valid set, one by one: its probability, from the sequences alone."""
    rows = {tuple(small_task.trie.path(node)): i for i, node in enumerate(small_task.trie.internal)}
    temperatures = (0.5, 1.0, 4.0)
    table = leaked_mass(small_task.trie, small_task.logits, temperatures)
    for temperature, found in zip(temperatures, table.iter_rows(named=True), strict=True):
        step = {p: np.exp(log_softmax(small_task.logits[i].astype(float) / temperature)) for p, i in rows.items()}
        reached = {p: math.prod(step[p[:t]][p[t]] for t in range(len(p))) for p in [*rows, *small_task.sequences]}
        out = [
            reached[prefix] * step[prefix][token]
            for prefix in rows
            for token in range(small_task.vocab)
            if (*prefix, token) not in reached
        ]
        assert found["temperature"] == temperature and found["open"] == 0.0
        assert found["leaked"] == pytest.approx(math.fsum(out), rel=1e-12)
        assert found["valid"] == pytest.approx(math.fsum(reached[s] for s in small_task.sequences), rel=1e-12)


def test_a_small_leak_is_not_lost_beside_one():
    trie = PrefixTrie.from_sequences([[0, 0]])
    table = leaked_mass(trie, np.array([[0.0, -60.0], [0.0, -50.0]]), [1.0])
    assert table["leaked"][0] == pytest.approx(math.exp(-60) + math.exp(-50), rel=1e-12)


def test_what_stays_on_open_nodes_is_neither_valid_nor_leaked():
    # Root: token 0 is unexplored, token 1 leads on to an answer, token 2 is invalid.
    trie = PrefixTrie.from_nodes([-1, 0, 0, 2], [-1, 0, 1, 0], [-1, -1, -1, 0], [False, True, False, False])
    table = leaked_mass(trie, np.log([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]), [1.0])
    assert table.row(0) == pytest.approx((1.0, 0.3 * 0.6, 0.5, 0.2 + 0.3 * 0.4))
    with pytest.raises(ValueError, match="1 rows, the trie 2 internal nodes"):
        leaked_mass(trie, np.zeros((1, 3)), [1.0])

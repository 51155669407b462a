"""The sweep against enumeration of every token sequence of small vocabularies."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_assets.decoding import (
    RULES,
    DecodingGrid,
    PrefixTrie,
    Unrestricted,
    answer_log_probabilities,
    sequence_log_probabilities,
    sweep,
)
from calib_assets.metrics.validity_diversity import validity_diversity

VOCAB = 5
EVERY_RULE = {
    "unrestricted": (None,), "oracle_cutoff": (None,), "validity_oracle": (None,), "top_k": (1, 3),
    "top_p": (0.43, 0.86), "min_p": (0.13, 0.57), "typical_p": (0.31, 0.77), "epsilon": (0.03, 0.21),
    "eta": (0.037, 0.21), "top_n_sigma": (0.9, 1.7), "top_h": (0.41, 0.83), "top_h_authors": (0.45, 0.81),
    "top_k_exact": (1, 3), "top_p_canopy": (0.43, 0.86),
}  # fmt: skip


@st.composite
def tasks(draw):
    """(sequences, answers, logits by row): a prefix-free set with up to several spellings of an answer."""
    drawn = draw(st.sets(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=3).map(tuple), min_size=1))
    sequences = sorted(s for s in drawn if not any(s != other and other[: len(s)] == s for other in drawn))
    n_answers = draw(st.integers(1, len(sequences)))
    answers = [i % n_answers for i in range(len(sequences))]
    seed = draw(st.integers(0, 2**32 - 1))
    scale = draw(st.sampled_from([0.3, 1.5, 5.0]))
    n_rows = len({s[:t] for s in sequences for t in range(len(s))})
    return sequences, answers, scale * np.random.default_rng(seed).normal(size=(n_rows, VOCAB))


@given(task=tasks(), temperature=st.sampled_from([0.4, 1.0, 2.5]))
@settings(max_examples=60)
def test_every_value_of_every_rule(oracle, task, temperature):
    sequences, answers, logits = task
    trie = PrefixTrie.from_sequences([list(s) for s in sequences], answers)
    row_of_prefix = {tuple(trie.path(u)): row for row, u in enumerate(trie.internal)}
    result = sweep(trie, logits, DecodingGrid((temperature, 7.0), EVERY_RULE), threads=1)
    points = result.points.filter(pl.col("temperature") == temperature)
    assert result.points.height == 2 * sum(map(len, EVERY_RULE.values()))
    for point in points.to_dicts():
        name, parameter = point["rule"], point["parameter"]
        slow = oracle.enumerate_configuration(
            sequences, answers, row_of_prefix, logits.tolist(), name,
            int(parameter) if RULES[name].parameter == "k" else parameter, temperature,
        )  # fmt: skip
        assert slow.validity + slow.invalid == pytest.approx(1, abs=1e-12)
        assert point["validity"] == pytest.approx(slow.validity, rel=1e-9, abs=1e-300)
        assert point["validity_upper"] == point["validity"]
        assert point["log_validity"] == (
            pytest.approx(math.log(slow.validity), abs=1e-9) if slow.validity else -math.inf
        )
        assert (point["diversity"] is None) == (slow.diversity is None)
        assert point["diversity"] == (pytest.approx(slow.diversity, rel=1e-9) if slow.diversity else None)
        assert point["sequence_precision"] == pytest.approx(slow.sequence_precision, rel=1e-9)
        assert point["sequence_recall"] == pytest.approx(slow.sequence_recall, rel=1e-9)
        sizes = [
            len(oracle.retained_by_definition(
                name, int(parameter) if RULES[name].parameter == "k" else parameter, logits[trie.row_of[u]].tolist(),
                temperature, trie.valid_tokens(u).tolist(),
            ))
            for u in trie.internal
        ]  # fmt: skip
        assert point["retained_mean"] == pytest.approx(np.mean(sizes))

        same = (pl.col("rule") == name) & pl.col("parameter").eq_missing(parameter)
        steps = result.steps.filter(same & (pl.col("temperature") == temperature)).sort("step")
        assert steps["step"].to_list() == list(range(1, trie.max_depth + 1))
        for column, factors in (("alpha", slow.alpha), ("beta", slow.beta)):
            assert steps[column].is_null().to_list() == [factor is None for factor in factors]
            known = [factor for factor in factors if factor is not None]
            assert steps[column].drop_nulls().to_list() == pytest.approx(known, rel=1e-9)
        # Theorem E.1
        assert steps["alpha"].product() == pytest.approx(point["sequence_precision"], abs=1e-9)
        assert steps["beta"].product() == pytest.approx(point["sequence_recall"], abs=1e-9)


@given(task=tasks(), temperature=st.sampled_from([0.4, 1.0, 2.5]))
def test_one_configuration_alone_is_a_row_of_the_sweep(task, temperature):
    sequences, answers, logits = task
    trie = PrefixTrie.from_sequences([list(s) for s in sequences], answers)
    points = sweep(trie, logits, DecodingGrid((0.9, temperature + 0.05), EVERY_RULE), threads=2).points
    for point in points.filter(
        pl.col("temperature") > 0.9 if temperature > 0.9 else pl.col("temperature") < 0.9
    ).rows(named=True):
        rule = RULES[point["rule"]]
        parameter = int(point["parameter"]) if rule.parameter == "k" else point["parameter"]
        alone = validity_diversity(
            trie, logits, rule() if parameter is None else rule(parameter), point["temperature"]
        )
        for field in ("validity", "diversity", "sequence_precision", "sequence_recall", "log_validity"):
            expected = point[field]
            assert getattr(alone, field) == (
                expected if expected is None else pytest.approx(expected, rel=1e-12)
            )


@given(task=tasks())
def test_sequence_and_answer_probabilities(task):
    sequences, answers, logits = task
    trie = PrefixTrie.from_sequences([list(s) for s in sequences], answers)
    by_sequence = sequence_log_probabilities(trie, logits, (0.5, 2.0))
    by_answer = answer_log_probabilities(trie, logits, (0.5, 2.0))
    assert by_sequence.shape == (2, len(sequences)) and by_answer.shape == (2, max(answers) + 1)
    for t, temperature in enumerate((0.5, 2.0)):
        expected = {}
        for column, leaf in enumerate(trie.leaves):
            path, probability = trie.path(leaf), 1.0
            for depth, token in enumerate(path):
                node = next(u for u in trie.internal if trie.path(u) == path[:depth])
                weights = [math.exp(x / temperature) for x in logits[trie.row_of[node]]]
                probability *= weights[token] / math.fsum(weights)
            assert by_sequence[t, column] == pytest.approx(math.log(probability), abs=1e-9)
            answer = answers[sequences.index(tuple(path))]
            expected[answer] = expected.get(answer, 0.0) + probability
        np.testing.assert_allclose(
            np.exp(by_answer[t]), [expected[a] for a in range(max(answers) + 1)], rtol=1e-9
        )


def test_hand_worked_two_steps():
    # V = {00, 01, 10}; at the root p = (.6, .3, .1), below 0 (.5, .25, .25), below 1 (.8, .1, .1). T = 1.
    # Val = .6 * .75 + .3 * .8 = .69; p~ = (.3, .15, .24) / .69.
    trie = PrefixTrie.from_sequences([[0, 0], [0, 1], [1, 0]])
    logits = np.log([[0.6, 0.3, 0.1], [0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
    grid = DecodingGrid((1.0,), {"unrestricted": (None,), "top_k": (1,)})
    all_tokens, greedy = sweep(trie, logits, grid).points.rows(named=True)
    shares = np.array([0.30, 0.15, 0.24]) / 0.69
    assert all_tokens["validity"] == pytest.approx(0.69, abs=1e-12)
    assert all_tokens["diversity"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()) / 3, abs=1e-12)
    # Uniform over 3 tokens: Prec = 2/3 * (1/2 * 2/3 + 1/2 * 1/3) = 1/3; everything is retained.
    assert all_tokens["sequence_precision"] == pytest.approx(1 / 3) and all_tokens["sequence_recall"] == 1
    # Greedy gives 00 only.
    assert (greedy["validity"], greedy["diversity"]) == (pytest.approx(1), pytest.approx(1 / 3))
    assert (greedy["sequence_precision"], greedy["sequence_recall"]) == (1, pytest.approx(1 / 3))


def test_rounding_lifts_neither_validity_nor_diversity_above_one():
    """exp(ln n) / n is above one for some n."""
    for n in range(2, 60):
        trie = PrefixTrie.from_sequences([[token] for token in range(n)])
        found = validity_diversity(trie, np.zeros((1, n)), Unrestricted(), 1.0)
        assert found.validity <= 1 and 1 - 1e-12 <= found.diversity <= 1

"""The theory tables: each row against the formulas, and the bounds against what the sweep measures."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_assets.decoding import DecodingGrid, PrefixTrie, sweep
from calib_assets.metrics import (
    diversity_bound_f4,
    diversity_bound_f5,
    diversity_bound_finite_vocabulary,
    recall_bound,
    recall_ceiling,
    step_branching,
    step_hardness,
    theory,
    theory_e3,
    theory_f4,
)

TEMPERATURES = (0.2, 0.5, 1.0, 2.0, 5.0, 50.0)


@pytest.fixture
def swept(small_task):
    return sweep(small_task.trie, small_task.logits, DecodingGrid.default((0.5, 1.0, 3.0))).points


def test_measured_recall_respects_both_certified_bounds(small_task, swept):
    etas = (0.05, 0.3, 0.7)
    table = theory_e3(small_task.trie, small_task.logits, swept, deltas=(0.0, 0.1, 0.4, 0.7, 0.9), etas=etas)
    assert table.height == 15
    measured = table.filter(pl.col("measured_best_recall").is_not_null())
    assert not measured.is_empty()
    assert (measured["measured_best_recall"] <= measured["bound"] + 1e-9).all()
    assert (measured["measured_best_recall"] <= measured["recall_ceiling"] + 1e-9).all()


def test_e3_rows_name_the_best_statement(small_task, swept):
    trie, logits = small_task.trie, small_task.logits
    etas, deltas = (0.05, 0.3, 0.7), (0.0, 0.1, 0.4, 0.9)
    hardness = step_hardness(trie, logits, etas)
    table = theory_e3(trie, logits, swept, deltas, etas)
    assert (table["bound"] < 1).any()
    for row in table.iter_rows(named=True):
        rho = hardness[:, etas.index(row["eta"])]
        # m steps are (η, ρ)-hard for every m and ρ with m steps at or above ρ.
        statements = [
            recall_bound(int((rho >= level).sum()), level, row["eta"], row["delta"]) for level in rho[rho > 0]
        ]
        assert row["bound"] == pytest.approx(min(statements, default=1.0))
        assert row["bound"] == pytest.approx(
            recall_bound(row["hard_steps"], row["rho"], row["eta"], row["delta"])
        )
        assert (rho >= row["rho"]).sum() >= row["hard_steps"]
        assert row["recall_ceiling"] == pytest.approx(recall_ceiling(trie, logits, [1 - row["delta"]])[0])


def test_two_steps_of_unequal_hardness():
    # Root ranks: valid, invalid, valid (N = 1 and 3). After 0 the valid token has rank 2; after 2 valid
    # tokens stand at ranks 1, 3, 5. With η = 0.3 (precision 0.74) step 1 keeps 1 of 4 sequences.
    # Step 2 is easier: with both branches alive, precision (1/2 + 1) / 2 = 3/4 keeps 2 of 4.
    trie = PrefixTrie.from_sequences([[0, 1], [2, 0], [2, 2], [2, 4]])
    logits = np.tile(-np.arange(6.0), (3, 1))
    points = sweep(trie, logits, DecodingGrid(temperatures=(1.0,), rules={"top_k": (1, 2, 3, 5)})).points
    first, second = step_hardness(trie, logits, [0.3])[:, 0]
    assert 0 < second < first == pytest.approx(math.log(4))
    strict, loose = theory_e3(trie, logits, points, deltas=(0.0, 0.35), etas=(0.3,)).iter_rows(named=True)
    # No budget: two steps at the smaller ρ, or one at the larger; the better of the two is named.
    assert strict["bound"] == pytest.approx(min(math.exp(-2 * second), math.exp(-first)))
    # A budget of -ln 0.65 = 1.436 η pays for one step and more: only m = 2 says anything.
    assert (loose["hard_steps"], loose["rho"]) == (2, pytest.approx(second))
    assert loose["bound"] == pytest.approx(math.exp(-second * (2 + math.log(0.65) / 0.3)))


def test_only_cutoff_strategies_count_as_measured(small_task):
    columns = {"rule": pl.String, "sequence_precision": pl.Float64, "sequence_recall": pl.Float64}
    points = pl.DataFrame(
        [("top_k", 0.6, 0.2), ("top_p", 0.4, 0.8), ("typical_p", 0.9, 0.9), ("validity_oracle", 1.0, 1.0)],
        schema=columns,
        orient="row",
    )
    table = theory_e3(small_task.trie, small_task.logits, points, deltas=(0.3, 0.4, 0.6), etas=(0.1,))
    assert table["measured_best_recall"].to_list() == [None, 0.2, 0.8]


def ranked_geometric(branching, rates, vocab):
    """A full trie whose valid tokens are 0 .. v_t − 1, with logits −λ_t k after every prefix of step t."""
    sequences = [[]]
    for v in branching:
        sequences = [[*s, token] for s in sequences for token in range(v)]
    trie = PrefixTrie.from_sequences(sequences)
    logits = np.array([-rates[trie.depth[node]] * np.arange(vocab) for node in trie.internal])
    return trie, logits


@settings(max_examples=25)
@given(st.data())
def test_bounds_on_swept_geometric_models(data):
    """Sweep included, at every temperature: the finite bound holds; F.4 holds where no tail is cut."""
    branching = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    rates = data.draw(st.lists(st.floats(0.05, 3), min_size=len(branching), max_size=len(branching)))
    vocab = data.draw(st.sampled_from([8, 40]))
    trie, logits = ranked_geometric(branching, rates, vocab)
    points = sweep(
        trie, logits, DecodingGrid(temperatures=TEMPERATURES, rules={"unrestricted": (None,)})
    ).points
    table = theory_f4(trie, points, vocab)
    assert table["temperature"].to_list() == list(TEMPERATURES)
    assert table["assumption_holds"].all()
    for row in table.iter_rows(named=True):
        assert row["diversity"] <= row["bound_finite_vocabulary"] * (1 + 1e-9)
        tail_is_negligible = min(rates) * vocab / row["temperature"] > 60
        if tail_is_negligible:
            assert row["diversity"] <= row["bound_f4"] * (1 + 1e-9)
        assert row["bound_f4"] <= row["bound_f5"] * (1 + 1e-12)
        assert row["bound_f4"] <= row["bound_finite_vocabulary"] * (1 + 1e-12)


def test_f4_rows_are_the_formulas():
    trie, logits = ranked_geometric([3, 1, 2], [0.5, 0.5, 0.5], 12)
    points = sweep(
        trie, logits, DecodingGrid(temperatures=TEMPERATURES, rules={"unrestricted": (None,)})
    ).points
    for row in theory_f4(trie, points, 12).iter_rows(named=True):
        branching, epsilon = np.array([3, 1, 2]), row["epsilon"]
        assert epsilon == pytest.approx(1 - row["validity"])
        assert row["branching_length"] == 2
        assert row["bound_f4"] == pytest.approx(diversity_bound_f4(branching, epsilon))
        assert row["bound_f5"] == pytest.approx(diversity_bound_f5(2, epsilon, 12))
        assert row["bound_finite_vocabulary"] == pytest.approx(
            diversity_bound_finite_vocabulary(branching, epsilon, 12)
        )


def test_full_validity_does_not_claim_more_than_rounding_shows():
    trie, _ = ranked_geometric([4], [1.0], 8)
    points = pl.DataFrame(
        {
            "rule": ["unrestricted", "top_k"],
            "temperature": [0.1, 0.1],
            "validity": [1.0, 1.0],
            "log_validity": [0.0, 0.0],
            "diversity": [0.3, 0.3],
        }
    )
    table = theory_f4(trie, points, 8)
    assert table["epsilon"].to_list() == [1e-12]
    assert table["bound_f4"][0] == pytest.approx(diversity_bound_f4(np.array([4]), 1e-12))


def test_no_validity_at_all_is_a_row_without_diversity():
    trie, _ = ranked_geometric([4], [1.0], 8)
    points = pl.DataFrame(
        {
            "rule": ["unrestricted"],
            "temperature": [9.0],
            "validity": [0.0],
            "log_validity": [-math.inf],
            "diversity": [None],
        },
        schema_overrides={"diversity": pl.Float64},
    )
    row = theory_f4(trie, points, 8).row(0, named=True)
    assert row["diversity"] is None
    assert (row["epsilon"], row["bound_f4"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("sequences", "branching", "holds"),
    [
        ([[0, 0], [0, 1], [1, 0], [1, 1]], [2, 2], True),
        ([[0, 0], [0, 1], [1, 0]], [2, 1], False),  # the second step branches after 0 only
        ([[0, 0], [0, 1], [1]], [2, 1], False),  # lengths differ: 1 has ended
        ([[0, 0, 0], [0, 1, 0], [0, 1, 1], [1]], [2, 1, 1], False),
        ([[5, 6, 7]], [1, 1, 1], True),
        ([[0], [1, 2]], [2, 1], False),
        ([[0], [1, 0, 0], [1, 0, 1]], [2, 1, 1], False),  # step 3 branches, but 0 ended two steps before
    ],
)
def test_branching_of_each_step(sequences, branching, holds):
    found, is_invariant = step_branching(PrefixTrie.from_sequences(sequences))
    assert (found.tolist(), is_invariant) == (branching, holds)


@pytest.mark.parametrize(
    ("sequences", "answers", "branching", "holds"),
    [
        ([[0, 8], [0, 9], [1, 8], [1, 9]], [0, 0, 1, 1], [2, 1], True),  # 8 and 9 end an answer
        ([[0, 8], [0, 9], [0, 1, 8], [0, 1, 9]], [0, 0, 1, 1], [1, 2, 1], False),  # 0 ends, or goes on with 1
        ([[0, 0], [1, 0], [2, 0]], [0, 0, 1], [3, 1], False),  # two spellings of one answer
        ([[0], [1]], [0, 0], [1], True),
    ],
)
def test_end_tokens_of_one_answer_are_one_choice(sequences, answers, branching, holds):
    found, is_invariant = step_branching(PrefixTrie.from_sequences(sequences, answers))
    assert (found.tolist(), is_invariant) == (branching, holds)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_bound_of_a_geometric_model_holds_with_two_end_tokens(temperature):
    # Three answers lead a geometric ranking; each ends with one of two tokens, of which the model prefers the first.
    vocab, ends = 400, (3, 4)
    trie = PrefixTrie.from_sequences([[a, e] for a in range(3) for e in ends], [a for a in range(3) for _ in ends])
    ending = np.full(vocab, -40.0)
    ending[list(ends)] = [0.0, -9.0]
    logits = np.stack([-0.7 * np.arange(vocab), ending, ending, ending])
    points = sweep(trie, logits, DecodingGrid((temperature,), {"unrestricted": (None,)})).points
    row = theory_f4(trie, points, vocab).row(0, named=True)
    assert row["assumption_holds"] and row["branching_length"] == 1
    assert row["diversity"] <= row["bound_finite_vocabulary"] + 1e-9
    assert row["bound_f5"] == pytest.approx(diversity_bound_f5(1, row["epsilon"], vocab))


def test_bad_input(small_task, swept):
    with pytest.raises(ValueError, match="no rule 'unrestricted'"):
        theory_f4(small_task.trie, swept.filter(pl.col("rule") == "top_k"), small_task.vocab)
    opened = PrefixTrie.from_nodes([-1, 0, 0], [-1, 0, 1], [-1, 0, -1], [False, False, True], n_answers=2)
    with pytest.raises(ValueError, match="1 open nodes"):
        step_branching(opened)


def test_steps_without_certified_hardness_are_not_counted():
    assert theory._tightest(np.zeros(2), 0.5, 0.1) == (1.0, 0, 0.0)  # nothing is certified: no statement
    assert theory._tightest(np.array([0.0, 0.3, 0.0]), 0.5, 0.1)[1:] == (1, 0.3)

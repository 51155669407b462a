"""No cutoff strategy may beat the certified bounds: every strategy on small tries is enumerated."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_assets.decoding import PrefixTrie
from calib_assets.metrics import recall_ceiling, step_hardness

ETAS = (0.05, 0.3, 0.8)
PRECISIONS = (1.0, 0.9, 0.6, 0.3, 0.1)


def factors_of(sequences, ranking, cutoffs, depth):
    """alpha_t, beta_t, Prec_seq and Rec_seq of one strategy, from walks over sequences (App. E.1)."""
    mass = {(): 1.0}  # Q_S of each valid prefix reached; an ended sequence stays with its mass
    kept = set(sequences)
    alphas, betas = [], []
    for t in range(depth):
        step = {}
        for prefix, weight in mass.items():
            if prefix in sequences:
                step[prefix] = weight
                continue
            retained = ranking[prefix][: cutoffs[prefix]]
            for token in retained:
                longer = (*prefix, token)
                if any(sequence[: t + 1] == longer for sequence in sequences):
                    step[longer] = weight / len(retained)
        before = len(kept)
        kept = {s for s in kept if len(s) <= t or s[t] in ranking[s[:t]][: cutoffs[s[:t]]]}
        alphas.append(sum(step.values()) / sum(mass.values()) if mass else None)
        betas.append(len(kept) / before if before else None)
        mass = step
        if not mass:
            break
    return alphas, betas, sum(mass.values()) if len(alphas) == depth else 0.0, len(kept) / len(sequences)


def every_strategy(trie, logits, sequences, tie_order=None):
    """All cutoffs at all nodes; ``tie_order[row][token]`` decides among ties (token id by default)."""
    prefixes = [tuple(trie.path(node)) for node in trie.internal]
    vocab = logits.shape[1]
    tie_order = [range(vocab)] * len(prefixes) if tie_order is None else tie_order
    ranking = {
        prefix: sorted(range(vocab), key=lambda token, row=row: (-logits[row, token], tie_order[row][token]))
        for row, prefix in enumerate(prefixes)
    }
    for choice in itertools.product(range(1, vocab + 1), repeat=len(prefixes)):
        yield factors_of(sequences, ranking, dict(zip(prefixes, choice, strict=True)), trie.max_depth)


@st.composite
def small_tries(draw):
    """At most 5 conditionals over 4 tokens (1,024 strategies), lengths 1 to 3, tied scores included."""
    vocab = 4
    shape = draw(st.sampled_from([(2,), (2, 2), (2, 3), (3, 1), (2, 1, 1), (1, 2, 1)]))
    prefixes, sequences = [()], set()
    for depth, n_children in enumerate(shape):
        longer = []
        for prefix in prefixes:
            count = draw(st.integers(1, n_children))
            tokens = draw(st.lists(st.integers(0, vocab - 1), min_size=count, max_size=count, unique=True))
            longer += [(*prefix, token) for token in tokens]
        if depth == len(shape) - 1:
            sequences |= set(longer)
        else:
            ends = draw(st.integers(0, len(longer) - 1))  # these sequences end early
            sequences |= set(longer[:ends])
            prefixes = longer[ends:]
    trie = PrefixTrie.from_sequences([list(s) for s in sorted(sequences)])
    rows = st.lists(st.integers(0, 4), min_size=vocab, max_size=vocab)
    logits = np.array([draw(rows) for _ in trie.internal], dtype=float)
    tie_order = [draw(st.permutations(range(vocab))) for _ in trie.internal]
    return trie, logits, sequences, tie_order


@settings(max_examples=150)
@given(small_tries())
def test_no_strategy_beats_the_certified_hardness_or_the_ceiling(case):
    trie, logits, sequences, tie_order = case
    rho = step_hardness(trie, logits, ETAS)
    ceiling = recall_ceiling(trie, logits, PRECISIONS)
    assert (np.diff(ceiling) >= 0).all()  # the precisions asked for are falling
    for alphas, betas, precision, recall in every_strategy(trie, logits, sequences, tie_order):
        for t, (alpha, beta) in enumerate(zip(alphas, betas, strict=True)):
            for i, eta in enumerate(ETAS):
                if alpha is not None and alpha >= np.exp(-eta):
                    assert -np.log(max(beta, 1e-300)) >= rho[t, i] - 1e-9
        for i, wanted in enumerate(PRECISIONS):
            if precision >= wanted - 1e-12:
                assert recall <= ceiling[i] + 1e-9


def distinct(rng, shape):
    return rng.permuted(np.tile(np.arange(shape[1], dtype=float), (shape[0], 1)), axis=1)


def test_the_first_step_is_exact():
    rng = np.random.default_rng(1)
    for _ in range(20):
        tokens = rng.choice(6, size=3, replace=False).tolist()
        sequences = {(tokens[0], 0), (tokens[0], 1), (tokens[1], 0), (tokens[2], 5)}
        trie = PrefixTrie.from_sequences([list(s) for s in sorted(sequences)])
        logits = distinct(rng, (len(trie.internal), 6))
        order = np.argsort(-logits[0])
        weight = {tokens[0]: 2, tokens[1]: 1, tokens[2]: 1}
        rho = step_hardness(trie, logits, ETAS)
        for i, eta in enumerate(ETAS):
            recalls = [0.0]
            for k in range(1, 7):
                kept = [weight.get(token, 0) for token in order[:k].tolist()]
                if np.count_nonzero(kept) / k >= np.exp(-eta):
                    recalls.append(sum(kept) / 4)
            assert np.exp(-rho[0, i]) == pytest.approx(max(recalls))


def test_bounds_are_not_vacuous():
    """Over random tries the certified values must stay near what the best strategy attains."""
    rng = np.random.default_rng(3)
    slack, exact_rho, certified_rho = [], [], []
    for _ in range(25):
        sequences = {
            (a, b) for a in (0, 3) for b in rng.choice(4, rng.integers(1, 4), replace=False).tolist()
        }
        trie = PrefixTrie.from_sequences([list(s) for s in sorted(sequences)])
        logits = distinct(rng, (len(trie.internal), 4))
        rho = step_hardness(trie, logits, ETAS)
        ceiling = recall_ceiling(trie, logits, PRECISIONS)
        best, hardest = np.zeros(len(PRECISIONS)), np.full((2, len(ETAS)), np.inf)
        for alphas, betas, precision, recall in every_strategy(trie, logits, sequences):
            best = np.maximum(best, np.where(precision >= np.array(PRECISIONS) - 1e-12, recall, 0))
            for t, (alpha, beta) in enumerate(zip(alphas, betas, strict=True)):
                if alpha is not None and beta:
                    reached = alpha >= np.exp(-np.array(ETAS))
                    hardest[t] = np.where(reached, np.minimum(hardest[t], -np.log(beta)), hardest[t])
        slack.append(ceiling - best)
        # "No strategy gets there" must be recognised as such, at every step.
        np.testing.assert_array_equal(np.isinf(rho), np.isinf(hardest))
        finite = np.isfinite(hardest[1])  # the second step: the first has no slack at all
        exact_rho += hardest[1][finite].tolist()
        certified_rho += rho[1][finite].tolist()
    assert np.mean(slack) < 0.03
    assert np.mean(certified_rho) > 0.7 * np.mean(exact_rho) > 0


def test_hand_worked_two_step_task():
    # Root ranks: valid, invalid, valid; each child leads to one valid token at rank 1.
    # Full recall needs the root's third rank: precision 2/3. Up to that precision loss, half of V is lost.
    trie = PrefixTrie.from_sequences([[0, 0], [2, 0]])
    logits = np.array([[3.0, 2.0, 1.0], [9.0, 1.0, 0.0], [9.0, 1.0, 0.0]])
    rho = step_hardness(trie, logits, [0.1, np.log(1.5) + 1e-9])
    np.testing.assert_allclose(rho, [[np.log(2), 0.0], [0.0, 0.0]])
    # Mixing nothing: precision above 2/3 allows one sequence; the ceiling knows it exactly.
    np.testing.assert_allclose(
        recall_ceiling(trie, logits, [1.0, 0.7, 2 / 3, 0.1]), [0.5, 0.5, 1.0, 1.0], atol=1e-9
    )


def third_step_task(first_logits):
    """Two branches, a (token 0, rank 1) and b (token 1, rank 2); at step 3 a is hard (rank 2), b easy."""
    trie = PrefixTrie.from_sequences([[0, 0, 1], [1, 0, 0]])
    falling = [4.0, 3.0, 2.0, 1.0]
    return trie, np.array([falling, first_logits, falling, falling, falling])


def test_a_strategy_may_let_a_hard_branch_die():
    # After a the first rank is invalid: k = 1 there kills the branch, and step 3 meets b alone.
    trie, logits = third_step_task([3.0, 4.0, 2.0, 1.0])
    assert step_hardness(trie, logits, [0.05])[2, 0] == 0.0


def test_a_hard_branch_that_cannot_die_can_only_be_outweighed():
    # After a the first rank is valid, so a stays alive; k = 4 there gives it weight (1/4) / (1 + 1/4) = 1/5.
    # Then alpha_3 = 4/5 * 1 + 1/5 * 1/2 = 0.9 with full recall, and no strategy does better.
    trie, logits = third_step_task([4.0, 3.0, 2.0, 1.0])
    rho = step_hardness(trie, logits, [-np.log(0.91), -np.log(0.89)])
    assert rho[2].tolist() == [np.inf, 0.0]


def test_not_every_branch_may_die():
    # One sequence; after its first token the top rank is invalid, and at step 3 the valid token has rank 2.
    trie = PrefixTrie.from_sequences([[0, 1, 1]])
    logits = np.tile([4.0, 3.0, 2.0, 1.0], (3, 1))
    assert step_hardness(trie, logits, [0.6])[2, 0] == np.inf  # alpha_3 is at most 1/2 > exp(-0.6)
    assert step_hardness(trie, logits, [0.7])[2, 0] == 0.0


def test_calibrated_order_is_nowhere_hard():
    trie = PrefixTrie.from_sequences([[0, 0], [0, 1], [1, 0], [1, 1]])
    logits = np.tile([2.0, 2.0, 1.0], (3, 1))
    assert not step_hardness(trie, logits, ETAS).any()
    np.testing.assert_allclose(recall_ceiling(trie, logits, [1.0]), 1.0)


def test_bad_input(small_task):
    trie, logits = small_task.trie, small_task.logits
    with pytest.raises(ValueError, match="etas must be positive"):
        step_hardness(trie, logits, [0.0])
    with pytest.raises(ValueError, match="precisions must lie in"):
        recall_ceiling(trie, logits, [0.0])
    with pytest.raises(ValueError, match="2 rows, the trie 4 internal nodes"):
        recall_ceiling(trie, logits[:2], [0.5])
    opened = PrefixTrie.from_nodes([-1, 0, 0], [-1, 0, 1], [-1, 0, -1], [False, False, True], n_answers=2)
    for bound in (step_hardness, recall_ceiling):
        with pytest.raises(ValueError, match="1 open nodes"):
            bound(opened, np.zeros((1, 3)), [0.5])


@pytest.mark.parametrize("vocab", [1_000, 262_144])
def test_ceiling_of_a_perfectly_ordered_task_is_one_whatever_the_vocabulary(vocab):
    # Keeping exactly the valid tokens has precision and recall 1, so no bound below 1 is a bound. Rounding of the large
    # multipliers that a large vocabulary needs once put it at 0.999999.
    sequences = [[first, second] for first in range(10) for second in range(10)]
    trie = PrefixTrie.from_sequences(sequences)
    logits = np.tile(-np.arange(vocab, dtype=float), (trie.internal.size, 1))
    assert recall_ceiling(trie, logits, [1.0, 0.9]).tolist() == [1.0, 1.0]
    assert (step_hardness(trie, logits, [1e-3, 0.1]) == 0).all()

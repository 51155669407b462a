"""All tokenizations: against brute-force enumeration on a Markov chain, and on the real SmolLM2."""

import itertools
import math

import numpy as np
import pytest

from resources.language_models import MarkovModel, TokenizationError, explore

ANSWERS = ["abc", "abab", "cab", "bcbc"]


def brute_force(chain, answers, last, terminated):
    """P of every token sequence (up to the longest answer) that spells an answer; from the table alone."""
    found = {}
    texts = [t for i, t in enumerate(chain.tokens) if i not in chain.end]
    for length in range(1, max(map(len, answers)) + 1):
        for sequence in itertools.product(range(len(texts)), repeat=length):
            spelled = "".join(texts[t] for t in sequence)
            if spelled in answers:
                sequence += chain.end if terminated else ()
                path = [last, *sequence]
                found[sequence] = (
                    answers.index(spelled),
                    math.prod(chain.transition[a][b] for a, b in itertools.pairwise(path)),
                )
    return found


def leaves_of(exploration):
    trie = exploration.trie
    return {
        tuple(trie.path(n)): (int(trie.answer[n]), math.exp(exploration.log_probability[n]))
        for n in trie.leaves
    }


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("batch", [1, 7])
def test_complete_exploration_finds_every_spelling(chain, terminated, batch):
    answers = [*ANSWERS, "ab"] if terminated else ANSWERS  # "ab" begins "abc": only with a terminator
    expected = brute_force(chain, answers, 2, terminated)
    found = explore(
        MarkovModel(chain),
        [2],
        [a.encode() for a in answers],
        max_nodes=1000,
        terminated=terminated,
        batch=batch,
    )
    leaves = leaves_of(found)
    assert {s: a for s, (a, _) in leaves.items()} == {s: a for s, (a, _) in expected.items()}
    for sequence, (_, probability) in expected.items():
        assert leaves[sequence][1] == pytest.approx(probability, rel=1e-5)
    assert found.explored_mass == pytest.approx(math.fsum(p for _, p in expected.values()), rel=1e-5)
    assert found.open_mass == 0 and not found.trie.is_open.any()
    assert found.trie.n_answers == len(answers) and found.n_scored == len(found.trie.internal)


def test_logits_follow_the_internal_nodes(chain):
    model = MarkovModel(chain)
    found = explore(model, [1], [a.encode() for a in ANSWERS], max_nodes=5, batch=2)
    for row, node in enumerate(found.trie.internal):
        np.testing.assert_array_equal(found.logits[row], model.next_logits([1, *found.trie.path(node)]))


@pytest.mark.parametrize("max_nodes", range(1, 20))
def test_the_bound_holds_at_every_budget_and_tightens(chain, max_nodes):
    exact = math.fsum(p for _, p in brute_force(chain, ANSWERS, 0, False).values())
    answers = [a.encode() for a in ANSWERS]
    found = explore(MarkovModel(chain), [0], answers, max_nodes=max_nodes, batch=1)
    assert found.n_scored <= max_nodes
    assert found.explored_mass <= exact * (1 + 1e-6)
    assert exact <= (found.explored_mass + found.open_mass) * (1 + 1e-6)
    more = explore(MarkovModel(chain), [0], answers, max_nodes=max_nodes + 1, batch=1)
    assert more.explored_mass >= found.explored_mass
    assert more.explored_mass + more.open_mass <= (found.explored_mass + found.open_mass) * (1 + 1e-12)


def test_best_first_expands_the_most_probable_nodes(chain):
    found = explore(MarkovModel(chain), [0], [a.encode() for a in ANSWERS], max_nodes=6, batch=1)
    expanded = found.log_probability[found.trie.internal]
    assert expanded.min() >= found.log_probability[found.trie.is_open].max()


def test_tolerance_stops_early(chain):
    answers = [a.encode() for a in ANSWERS]
    full = explore(MarkovModel(chain), [0], answers, max_nodes=1000)
    early = explore(MarkovModel(chain), [0], answers, max_nodes=1000, tolerance=0.01, batch=1)
    assert 0 < early.open_mass <= 0.01 and early.n_scored < full.n_scored


def test_logits_can_be_left_out(chain):
    assert explore(MarkovModel(chain), [0], [b"abc"], max_nodes=9, keep_logits=False).logits is None


@pytest.mark.parametrize(
    ("answers", "terminated", "message"),
    [
        ([], False, "valid set: empty"),
        ([b"a", b"a"], False, "answer b'a': listed twice"),
        ([b"ab", b"abc"], False, r"answer b'ab': it begins the answer b'abc'.*terminated: true"),
        ([b"ax"], False, r"answer 0 b'ax': no token sequence spells it"),
    ],
)
def test_unusable_answers_are_refused(chain, answers, terminated, message):
    with pytest.raises(TokenizationError, match=message):
        explore(MarkovModel(chain), [0], answers, max_nodes=10, terminated=terminated)


def test_numbers_out_of_range_are_refused(chain):
    for wrong in ({"max_nodes": 0}, {"max_nodes": 1, "tolerance": math.nan}, {"max_nodes": 1, "batch": 0}):
        with pytest.raises(ValueError, match="give >= 1"):
            explore(MarkovModel(chain), [0], [b"a"], **wrong)


def test_smollm2_states(smollm2):
    tokenization = smollm2.tokenization
    context = tokenization.context("Name one of these states: Ohio, Iowa, Utah. Answer with the name alone.")
    answers = ["Ohio", "Iowa", "Utah"]
    found = explore(
        smollm2, context.ids, [a.encode() for a in answers], max_nodes=400, tolerance=1e-4, batch=16
    )
    leaves = leaves_of(found)
    for i, answer in enumerate(answers):
        canonical = tuple(tokenization.answer_ids(answer, context))
        assert leaves[canonical][0] == i  # the canonical spelling is one of those found
        assert sum(a == i for a, _ in leaves.values()) >= 1
    assert all(tokenization.decode(sequence) == answers[a] for sequence, (a, _) in leaves.items())
    assert found.open_mass <= 1e-4 < found.explored_mass
    # second route: chain rule over next_logits of every prefix of the most probable spelling
    best = max(leaves, key=lambda sequence: leaves[sequence][1])
    total = 0.0
    for i, token in enumerate(best):
        logits = smollm2.next_logits([*context.ids, *best[:i]]).astype(np.float64)
        total += logits[token] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
    assert math.log(leaves[best][1]) == pytest.approx(total, abs=1e-3)

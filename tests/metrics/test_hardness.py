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


def every_strategy(trie, logits, sequences):
    prefixes = [tuple(trie.path(node)) for node in trie.internal]
    ranking = {
        prefix: sorted(range(logits.shape[1]), key=lambda token, row=row: (-logits[row, token], token))
        for row, prefix in enumerate(prefixes)
    }
    for choice in itertools.product(range(1, logits.shape[1] + 1), repeat=len(prefixes)):
        yield factors_of(sequences, ranking, dict(zip(prefixes, choice, strict=True)), trie.max_depth)


@st.composite
def small_tries(draw):
    """At most 5 conditionals over 4 tokens (1,024 strategies), lengths 1 to 3, tied scores included."""
    vocab = 4
    shape = draw(st.sampled_from([(1,), (2,), (2, 2), (3, 1), (2, 1, 1)]))
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
    scores = draw(st.lists(st.integers(0, 5), min_size=vocab * len(trie.internal), max_size=vocab * len(trie.internal)))
    return trie, np.array(scores, dtype=float).reshape(-1, vocab), sequences


@settings(max_examples=60, deadline=None)
@given(small_tries())
def test_no_strategy_beats_the_certified_hardness_or_the_ceiling(case):
    trie, logits, sequences = case
    rho = step_hardness(trie, logits, ETAS)
    ceiling = recall_ceiling(trie, logits, PRECISIONS)
    for alphas, betas, precision, recall in every_strategy(trie, logits, sequences):
        for t, (alpha, beta) in enumerate(zip(alphas, betas, strict=True)):
            for i, eta in enumerate(ETAS):
                if alpha is not None and alpha >= np.exp(-eta):
                    assert -np.log(max(beta, 1e-300)) >= rho[t, i] - 1e-9
        for i, wanted in enumerate(PRECISIONS):
            if precision >= wanted - 1e-12:
                assert recall <= ceiling[i] + 1e-9

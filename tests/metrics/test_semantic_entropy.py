"""Semantic entropy against scipy's components and against every way that missing verdicts could have gone."""

import math
from itertools import combinations, product

import numpy as np
import polars as pl
import pytest
from drawn_rollouts import naive_draws, naive_interval
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import entropy

from calib_assets.metrics import relaxed_semantic_entropy, semantic_entropy_summary, semantic_entropy_table
from calib_assets.metrics.semantic_entropy import ENTROPY_SCHEMA
from calib_assets.stats import Bootstrap

LABELS = {"prompt_id": pl.String, "first": pl.Int64, "second": pl.Int64, "is_similar": pl.Boolean}


def components(n, pairs):
    """Number of components, and the entropy of their shares, by scipy."""
    first, second = np.array(list(pairs), dtype=int).reshape(-1, 2).T
    count, label = connected_components(coo_array((np.ones(first.size), (first, second)), shape=(n, n)), directed=False)
    return count, entropy(np.bincount(label))


@st.composite
def graphs(draw, most_missing=5):
    n = draw(st.integers(2, 7))
    pairs = list(combinations(range(n), 2))
    kinds = draw(st.lists(st.sampled_from("ssdm"), min_size=len(pairs), max_size=len(pairs)))
    similar = [pair for pair, kind in zip(pairs, kinds) if kind == "s" and draw(st.booleans())]
    missing = [pair for pair, kind in zip(pairs, kinds) if kind == "m"][:most_missing]
    return n, similar, missing


@given(graphs())
def test_range_is_that_of_every_completion(graph):
    n, similar, missing = graph
    found = relaxed_semantic_entropy(n, similar, missing)
    possible = []
    for answers in product([False, True], repeat=len(missing)):
        possible.append(components(n, similar + [pair for pair, yes in zip(missing, answers) if yes]))
    low, high = min(h for _, h in possible), max(h for _, h in possible)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
    if len({count for count, _ in possible}) == 1:
        assert found.n_clusters == possible[0][0]
        assert found.value == found.low == found.high
        assert found.normalised == pytest.approx(high / math.log(n))
    else:
        assert (found.n_clusters, found.value, found.normalised) == (None, None, None)
        assert found.low < found.high


@given(graphs())
def test_numbering_and_direction_do_not_matter(graph):
    n, similar, missing = graph
    order = np.random.default_rng(n).permutation(n).tolist()
    renumbered = [[(order[b], order[a]) for a, b in pairs] for pairs in (similar, missing)]
    assert relaxed_semantic_entropy(n, *renumbered) == relaxed_semantic_entropy(n, similar, missing)


def test_known_values():
    all_apart = relaxed_semantic_entropy(5, [])
    assert all_apart.n_clusters == 5
    assert (all_apart.value, all_apart.normalised) == (pytest.approx(math.log(5)), pytest.approx(1))
    # A chain is one meaning, though its ends were never found similar.
    chain = relaxed_semantic_entropy(5, [(0, 1), (3, 2), (1, 2), (4, 3)])
    assert (chain.n_clusters, chain.value, chain.normalised) == (1, 0, 0)
    # A missing pair inside one meaning leaves nothing open.
    inside = relaxed_semantic_entropy(4, [(0, 1), (1, 2)], missing=[(0, 2)])
    assert inside.n_clusters == 2 and inside.value == pytest.approx(entropy([3, 1]))
    for n in (0, 1):
        assert set(vars(relaxed_semantic_entropy(n, [])).values()) == {None}


def labels_of(*rows):
    return pl.DataFrame([("a", *row) for row in rows], schema=LABELS, orient="row")


def samples_of(*samples, prompt="a"):
    schema = {"prompt_id": pl.String, "sample": pl.Int64}
    return pl.DataFrame([(prompt, sample) for sample in samples], schema=schema, orient="row")


@pytest.mark.parametrize(
    ("verdicts", "kind"),
    [
        ([(4, 9, True), (9, 4, True)], "similar"),
        ([(4, 9, False)], "different"),
        ([(4, 9, True), (9, 4, False)], "different"),
        ([(4, 9, False), (9, 4, True)], "different"),
        ([(4, 9, None), (9, 4, False)], "different"),
        ([(4, 9, True)], "missing"),
        ([(4, 9, True), (9, 4, None)], "missing"),
        ([(4, 9, None)], "missing"),
        ([(4, 9, None), (9, 4, None)], "missing"),
        ([], "missing"),
    ],
)
def test_what_two_verdicts_say_of_a_pair(verdicts, kind):
    row = semantic_entropy_table(labels_of(*verdicts), samples_of(9, 4)).row(0, named=True)
    found = (row["n_missing"], row["n_clusters"], row["semantic_entropy_low"], row["semantic_entropy_high"])
    log2 = pytest.approx(math.log(2))
    expected = {"similar": (0, 1, 0, 0), "different": (0, 2, log2, log2), "missing": (1, None, 0, log2)}
    assert found == expected[kind]
    assert row["semantic_entropy"] == (None if kind == "missing" else row["semantic_entropy_low"])


@given(st.integers(2, 6), st.integers(0, 10**6))
def test_table_equals_one_prompt_after_the_other(n, number):
    rng = np.random.default_rng(number)
    labels, rollouts = [], []
    expected = {}
    for prompt in ("q", "a"):
        samples = rng.choice(50, size=n, replace=False).tolist()
        similar, missing = [], []
        for first, second in combinations(range(n), 2):
            kind = rng.choice(["similar", "different", "missing"], p=[0.3, 0.6, 0.1])
            pair = (samples[first], samples[second])
            if kind == "similar":
                labels += [(prompt, *pair, True), (prompt, *pair[::-1], True)]
                similar.append((first, second))
            elif kind == "different":
                labels.append((prompt, *pair, False))
            else:
                labels.append((prompt, *pair, None))
                missing.append((first, second))
        rollouts.append(samples_of(*samples, prompt=prompt))
        expected[prompt] = (len(missing), relaxed_semantic_entropy(n, similar, missing))
    order = rng.permutation(len(labels))
    found = semantic_entropy_table(pl.DataFrame(labels, schema=LABELS, orient="row")[order], pl.concat(rollouts))
    assert found.schema == ENTROPY_SCHEMA and found["prompt_id"].to_list() == ["q", "a"]
    for row in found.iter_rows(named=True):
        n_missing, one = expected[row["prompt_id"]]
        assert (row["n_rollouts"], row["n_pairs"], row["n_missing"]) == (n, n * (n - 1) // 2, n_missing)
        names = ("n_clusters", "semantic_entropy", "semantic_entropy_low", "semantic_entropy_high", "normalised")
        assert tuple(row[name] for name in names) == (one.n_clusters, one.value, one.low, one.high, one.normalised)


def test_summary_equals_the_bootstrap_done_draw_by_draw():
    table = pl.DataFrame(
        {"semantic_entropy": [0.5, None, 1.5, 0.7], "normalised": [0.1, None, 0.4, 0.2], "n_clusters": [2, None, 5, 3]}
    )
    found = semantic_entropy_summary(table, Bootstrap(n_boot=200))
    assert found["measure"].to_list() == ["semantic_entropy", "semantic_entropy_normalised", "n_clusters"]
    for row, name in zip(found.iter_rows(named=True), table.columns, strict=True):
        values = table[name].to_list()

        def mean(drawn, values=values):
            here = [values[i] for i in drawn if values[i] is not None]
            return sum(here) / len(here) if here else math.nan

        numbers = [row[part] for part in ("est", "se", "ci_low", "ci_high")]
        assert numbers == pytest.approx([mean(range(4)), *naive_interval(naive_draws(mean, 4, 200))], rel=1e-9)
        assert (row["n_prompts"], row["n_left_out"]) == (3, 1)


def test_a_study_that_does_not_ask_has_no_rows():
    table = semantic_entropy_table(labels_of(), samples_of())
    assert table.height == 0 and table.schema == ENTROPY_SCHEMA
    assert semantic_entropy_summary(table).height == 0


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"pair \(0, 3\) names no two texts of 3"):
        relaxed_semantic_entropy(3, [(0, 3)])
    with pytest.raises(ValueError, match=r"pair \(1, 1\) names no two texts"):
        relaxed_semantic_entropy(3, [], [(1, 1)])
    with pytest.raises(ValueError, match="n_texts is -1"):
        relaxed_semantic_entropy(-1, [])
    with pytest.raises(ValueError, match="labels names the samples 4 and 5 of prompt 'a'"):
        semantic_entropy_table(labels_of((4, 5, True)), samples_of(4, 9))
    with pytest.raises(ValueError, match="labels names the samples 4 and 4"):
        semantic_entropy_table(labels_of((4, 4, True)), samples_of(4, 9))
    with pytest.raises(ValueError, match="labels holds .* more than once"):
        semantic_entropy_table(labels_of((4, 9, True), (4, 9, False)), samples_of(4, 9))
    with pytest.raises(ValueError, match="rollouts holds .* more than once"):
        semantic_entropy_table(labels_of(), samples_of(4, 4))
    with pytest.raises(ValueError, match="labels names the prompt 'a', of which rollouts has no rows"):
        semantic_entropy_table(labels_of((4, 9, True)), samples_of(4, prompt="b"))
    with pytest.raises(ValueError, match=r"labels lacks the columns \['is_similar'\]"):
        semantic_entropy_table(labels_of().drop("is_similar"), samples_of())

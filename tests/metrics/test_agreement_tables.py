"""Agreement tables against the coefficients on hand-made subsets, and their intervals against plain resampling."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import (
    MAJORITY,
    annotator_agreement,
    binary_agreement,
    judge_pairs,
    krippendorff_alpha,
    majority,
)
from calib_assets.metrics.agreement_tables import ANNOTATOR_SCHEMA, COEFFICIENTS, PAIR_SCHEMA
from calib_assets.stats import Bootstrap

few = Bootstrap(n_boot=60)
verdict = st.sampled_from([True, False, None])
score = st.sampled_from([None, 50, 98, 99, 100])


# Two prompts with two answers each, one with one, and an item of which nothing is known, with the name of that prompt.
CLUSTER = {"u": "p", "v": "q", "w": "p", "x": "q", "y": "z", "z": None}


def clustered(table, draw):
    if draw(st.booleans()):
        return table
    cluster = pl.col("item").replace_strict(CLUSTER, return_dtype=pl.String)
    if "judge" in table.columns:  # one row that names it is enough
        cluster = pl.when(pl.col("judge") != MAJORITY).then(cluster)
    return table.with_columns(cluster=cluster)


def groups_of(table, items):
    """Places of the items of each cluster; an item whose cluster no row of the table names stands alone."""
    named = {}
    if "cluster" in table.columns:
        named = dict(table.drop_nulls("cluster").select("item", "cluster").rows())
    groups = {}
    for place, item in enumerate(items):
        groups.setdefault((0, named[item]) if item in named else (1, item), []).append(place)
    return [groups[key] for key in sorted(groups)]


@st.composite
def verdicts(draw):
    """Some judges' labels on some items, nulls among them, some twice."""
    rows = []
    for judge in draw(st.permutations(["gpt", "qwen", MAJORITY])):
        for item in draw(st.lists(st.sampled_from("uvwxyz"), max_size=6, unique=True)):
            rows += [(judge, item, draw(verdict))] * draw(st.integers(1, 2))
    schema = {"judge": pl.String, "item": pl.String, "is_valid": pl.Boolean}
    return clustered(pl.DataFrame(rows, schema=schema, orient="row"), draw)


@st.composite
def annotated(draw):
    rows = [
        (item, person, draw(score), draw(score), draw(score))
        for item in "uvwx"
        for person in draw(st.lists(st.sampled_from(["ann", "bob", "cid"]), max_size=3, unique=True))
    ]
    schema = {"item": pl.String, "annotator": pl.String}
    schema |= dict.fromkeys(("grammar", "semantic", "overall"), pl.Int64)
    return clustered(pl.DataFrame(rows, schema=schema, orient="row"), draw)


def labels_of(table, judge):
    rows = table.filter(judge=judge).drop_nulls("is_valid").iter_rows(named=True)
    return {row["item"]: row["is_valid"] for row in rows}


def resampled(groups, function):
    """Quantiles of a function of drawn indexes, undefined draws left out; None with fewer than two, or of width 0."""
    if len(groups) < 2:
        return None, None
    drawn = np.random.default_rng(42).integers(len(groups), size=(few.n_boot, len(groups)))
    indexes = ([place for group in draw for place in groups[group]] for draw in drawn)
    values = [value for value in map(function, indexes) if value is not None]
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) >= 2 else (0.0, 0.0)
    return (low, high) if high - low > 1e-12 else (None, None)


def same(found, expected):
    assert (found is None) == (expected is None)
    assert found is None or found == pytest.approx(expected, abs=1e-9)


@given(verdicts())
def test_pairs_and_their_intervals(labels):
    found = judge_pairs(labels, few)
    assert dict(found.schema) == PAIR_SCHEMA
    order = labels["judge"].unique(maintain_order=True).to_list()
    assert {frozenset(pair) for pair in found.select("judge_a", "judge_b").rows()} == {
        frozenset(pair) for pair in combinations(order, 2)
    }
    for row in found.iter_rows(named=True):
        assert row["judge_a"] != MAJORITY
        assert row["judge_b"] == MAJORITY or order.index(row["judge_a"]) < order.index(row["judge_b"])
        a, b = labels_of(labels, row["judge_a"]), labels_of(labels, row["judge_b"])
        items = sorted(set(a) & set(b))
        a, b = np.array([a[i] for i in items], dtype=bool), np.array([b[i] for i in items], dtype=bool)
        expected, groups = binary_agreement(a, b), groups_of(labels, items)
        assert row["n_resampled"] == len(groups)
        for name, value in expected._asdict().items():
            same(row[name], value)
        for name in COEFFICIENTS:
            ends = row[f"{name}_ci_low"], row[f"{name}_ci_high"]
            if getattr(expected, name) is None:
                assert ends == (None, None)
                continue

            def of_drawn(drawn, a=a, b=b, name=name):
                return getattr(binary_agreement(a[drawn], b[drawn]), name)

            wanted = resampled(groups, of_drawn)
            for one, other in zip(ends, wanted, strict=True):
                same(one, other)


@given(annotated())
def test_alpha_of_each_measure_and_its_interval(annotations):
    found = annotator_agreement(annotations, 99, few)
    assert dict(found.schema) == ANNOTATOR_SCHEMA
    assert found.select("measure", "level").rows() == [
        ("overall", "interval"),
        ("semantic", "interval"),
        ("grammar", "interval"),
        ("valid", "nominal"),
    ]
    items, people = sorted(set(annotations["item"])), sorted(set(annotations["annotator"]))
    for row in found.iter_rows(named=True):
        values = np.full((len(people), len(items)), np.nan)
        for given_ in annotations.iter_rows(named=True):
            value = kleene(given_) if row["measure"] == "valid" else given_[row["measure"]]
            if value is not None:
                values[people.index(given_["annotator"]), items.index(given_["item"])] = value
        known = ~np.isnan(values)
        twice = known.sum(axis=0) >= 2
        paired = values[:, twice]
        groups = groups_of(annotations, [item for item, kept in zip(items, twice, strict=True) if kept])
        assert (row["n_items"], row["n_annotators"]) == (paired.shape[1], known.any(axis=1).sum())
        assert row["n_resampled"] == len(groups)
        same(row["alpha"], krippendorff_alpha(values, row["level"]))
        if row["alpha"] is None:
            assert row["ci_low"] is row["ci_high"] is None
            continue

        def of_drawn(drawn, paired=paired, level=row["level"]):
            return krippendorff_alpha(paired[:, drawn], level)

        wanted = resampled(groups, of_drawn)
        for one, other in zip((row["ci_low"], row["ci_high"]), wanted, strict=True):
            same(one, other)


def kleene(row):
    """Valid at 99: one score below settles it, else a missing one leaves it open."""
    scores = [row["grammar"], row["semantic"], row["overall"]]
    if any(value is not None and value < 99 for value in scores):
        return False
    return None if None in scores else True


@given(annotated())
def test_majority_of_the_votes(annotations):
    found = majority(annotations, 99)
    assert found["item"].to_list() == sorted(set(annotations["item"]))
    for row in found.iter_rows(named=True):
        votes = [kleene(vote) for vote in annotations.filter(item=row["item"]).iter_rows(named=True)]
        yes, no = votes.count(True), votes.count(False)
        assert (row["n_valid"], row["n_invalid"]) == (yes, no)
        assert row["is_valid"] is (None if yes == no else yes > no)


def test_threshold_is_reached_not_passed():
    annotations = pl.DataFrame(
        {"item": ["x"], "annotator": ["p"], "grammar": [80.0], "semantic": [79.9], "overall": [90.0]}
    )
    assert majority(annotations, 79.9)["is_valid"].to_list() == [True]
    assert majority(annotations, 80)["is_valid"].to_list() == [False]


def test_no_interval_where_all_items_agree():
    alike = {"judge": ["a"] * 3 + ["b"] * 3, "item": list("xyz") * 2, "is_valid": [True, True, False] * 2}
    labels = pl.DataFrame(alike)
    row = judge_pairs(labels).row(0, named=True)
    assert (row["accuracy"], row["kappa"], row["n_resampled"]) == (1.0, 1.0, 3)
    assert row["accuracy_ci_low"] is row["accuracy_ci_high"] is row["kappa_ci_low"] is None
    scores = dict.fromkeys(("grammar", "semantic", "overall"), [100, 100, 0, 0])
    annotations = pl.DataFrame({"item": list("xxyy"), "annotator": list("pqpq"), **scores})
    found = annotator_agreement(annotations).row(0, named=True)
    assert (found["alpha"], found["ci_low"], found["ci_high"]) == (1.0, None, None)


def test_no_interval_from_a_single_item():
    labels = pl.DataFrame({"judge": ["a", "b"], "item": ["x", "x"], "is_valid": [True, True]})
    row = judge_pairs(labels).row(0, named=True)
    assert (row["accuracy"], row["f1"], row["kappa"]) == (1.0, 1.0, None)
    assert row["accuracy_ci_low"] is row["accuracy_ci_high"] is None


def test_answers_to_one_prompt_are_resampled_together():
    # Judge a is right about every answer to the prompt p and wrong about every answer to q: a draw of two prompts has
    # an accuracy of 0, 1/2 or 1, where draws of single answers would seldom leave the middle.
    labels = pl.DataFrame(
        {
            "judge": ["a"] * 80 + ["b"] * 80,
            "item": [f"{number:02}" for number in range(80)] * 2,
            "is_valid": [True] * 120 + [False] * 40,
            "cluster": (["p"] * 40 + ["q"] * 40) * 2,
        }
    )
    row = judge_pairs(labels).row(0, named=True)
    assert (row["accuracy"], row["accuracy_ci_low"], row["accuracy_ci_high"], row["n_resampled"]) == (0.5, 0.0, 1.0, 2)
    alone = judge_pairs(labels.drop("cluster")).row(0, named=True)
    assert alone["n_resampled"] == 80 and 0.35 < alone["accuracy_ci_low"] < alone["accuracy_ci_high"] < 0.65


def test_wrong_input_is_named():
    two = {"judge": ["a", "b"], "item": ["x", "x"], "is_valid": [True, True], "cluster": ["p", "q"]}
    with pytest.raises(ValueError, match="labels holds {'item': 'x'} more than once; an item comes from one cluster"):
        judge_pairs(pl.DataFrame(two))
    labels = pl.DataFrame({"judge": ["a", "a"], "item": ["x", "x"], "is_valid": [True, False]})
    with pytest.raises(ValueError, match="labels holds .*'item': 'x'.* more than once"):
        judge_pairs(labels)
    with pytest.raises(ValueError, match=r"labels lacks the columns \['item'\]"):
        judge_pairs(labels.drop("item"))
    annotations = pl.DataFrame({"item": ["x"] * 2, "annotator": ["p"] * 2, "grammar": [1, 2], "semantic": [1, 2]})
    with pytest.raises(ValueError, match=r"annotations lacks the columns \['overall'\]"):
        annotator_agreement(annotations)
    with pytest.raises(ValueError, match="an annotator scores an item once"):
        majority(annotations.with_columns(overall=1))

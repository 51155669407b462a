"""Answer collapse: against slow definitions, hand-worked cases, known distributions, and invariants."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from calib_assets.metrics import answer_counts, answer_measures, answer_outcomes, answers
from calib_assets.metrics import effective_number as numbers
from calib_assets.stats import Bootstrap

FEW = Bootstrap(n_boot=50)
counted = st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(lambda counts: sum(counts) > 0)


def samples(said, status="ok", setting="independent", conversation=None) -> pl.DataFrame:
    rows = [(setting, conversation, turn, status, text) for turn, text in enumerate(said)]
    schema = {"setting": pl.String, "conversation": pl.Int64, "turn": pl.Int64, "status": pl.String, "text": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def measured(table, valid=None, matching="strict", setting="independent", bootstrap=FEW) -> dict:
    rows = answer_measures(answers(table, "text"), valid, bootstrap)
    rows = rows.filter((pl.col("matching") == matching) & (pl.col("setting") == setting))
    return {row["measure"]: row for row in rows.iter_rows(named=True)}


def entropy_of(texts) -> float:
    """From the definition, text by text."""
    n = len(texts)
    return -sum(count / n * math.log(count / n) for count in Counter(texts).values())


def chao_shen_of(texts) -> float:
    """Equations 6 and 7, answer by answer."""
    n, counts = len(texts), Counter(texts)
    once = sum(count == 1 for count in counts.values())
    coverage = 1 - min(once, n - 1) / n
    total = 0.0
    for count in counts.values():
        p = coverage * count / n
        total -= p * math.log(p) / (1 - (1 - p) ** n)
    return total


@given(counted)
def test_estimates_agree_with_their_definitions(counts):
    texts = [str(i) for i, count in enumerate(counts) for _ in range(count)]
    array, n = np.array(counts), len(texts)
    assert numbers.entropy(array) == pytest.approx(entropy_of(texts), abs=1e-12)
    assert numbers.chao_shen(array) == pytest.approx(chao_shen_of(texts), rel=1e-9, abs=1e-12)
    assert numbers.miller_madow(array) == pytest.approx(entropy_of(texts) + (len(set(texts)) - 1) / (2 * n), abs=1e-12)
    pairs = [(a, b) for i, a in enumerate(texts) for j, b in enumerate(texts) if i != j]
    if pairs:
        agree = sum(a == b for a, b in pairs) / len(pairs)
        assert numbers.collision_probability(array) == pytest.approx(agree, abs=1e-12)
    else:
        assert np.isnan(numbers.collision_probability(array))


@given(counted)
def test_an_effective_number_lies_between_one_and_the_distinct_answers(counts):
    array = np.array(counts)
    found, distinct = np.exp(numbers.entropy(array)), np.count_nonzero(array)
    assert 1 - 1e-12 <= found <= distinct * (1 + 1e-12)
    assert numbers.miller_madow(array) >= numbers.entropy(array)
    assert numbers.chao_shen(array) >= -1e-12


@given(st.lists(counted.map(tuple), min_size=1, max_size=4))
def test_rows_are_taken_one_by_one(rows):
    width = max(map(len, rows))
    table = np.array([[*row, *[0] * (width - len(row))] for row in rows])
    for estimate in (numbers.entropy, numbers.miller_madow, numbers.chao_shen):
        alone = [float(estimate(np.array(row))) for row in rows]
        np.testing.assert_allclose(estimate(table), alone, atol=1e-12)


def test_one_answer_is_one_answer():
    found = measured(samples(["Paris"] * 20))
    assert found["effective_number"]["est"] == found["effective_number_chao_shen"]["est"] == 1.0
    # Twenty of twenty: the share may well be 0.84, of which that happens once in 40 studies.
    low = found["top_share"]["ci_low"]
    assert found["top_share"]["est"] == found["top_share"]["ci_high"] == 1.0 and low**20 == pytest.approx(0.025)
    assert found["first_repeat"]["est"] == 2 and found["collision_probability"]["est"] == 1.0
    # Every draw is the same: nobody knows how sure these are.
    for name in ("collision_probability", "entropy_miller_madow", "effective_number_chao_shen"):
        assert [found[name][part] for part in ("se", "ci_low", "ci_high")] == [None] * 3
    listed = measured(samples(["Paris"] * 20), valid=["Rome"])["valid_share"]
    assert (listed["est"], listed["ci_low"]) == (0.0, 0.0) and (1 - listed["ci_high"]) ** 20 == pytest.approx(0.025)


def test_counts_without_an_answer_are_refused():
    with pytest.raises(ValueError, match="hold no answer"):
        numbers.entropy(np.array([0, 0]))


def test_hand_worked_answers():
    # strict: Oslo 2, "oslo." 1, Lima 1; lenient: Oslo 3, Lima 1.
    found = measured(samples([" Oslo", "oslo.", "Lima\n", "Oslo"]), valid=["Oslo", "Lima", "Bern"])
    assert found["n_answers"]["est"] == 4 and found["n_distinct"]["est"] == 3 and found["distinct_share"]["est"] == 0.75
    assert found["top_share"]["est"] == 0.5 and found["first_repeat"]["est"] == 4
    assert found["valid_share"]["est"] == 0.75 and found["coverage"]["est"] == pytest.approx(2 / 3)
    assert found["entropy"]["est"] == pytest.approx(-(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25)))
    said = samples([" Oslo", "oslo.", "Lima\n", "Oslo"])
    lenient = measured(said, valid=["Oslo", "Lima", "Bern"], matching="lenient")
    assert lenient["n_distinct"]["est"] == 2 and lenient["first_repeat"]["est"] == 2
    assert lenient["valid_share"]["est"] == 1.0 and lenient["coverage"]["est"] == pytest.approx(2 / 3)


def test_counts_name_the_most_frequent_way_of_writing():
    counts = answer_counts(answers(samples(["oslo", "Oslo", "Oslo", "Lima"]), "text"), ["Lima"])
    lenient = counts.filter(pl.col("matching") == "lenient")
    rows = lenient.select("answer", "count", "share", "listed").rows()
    assert rows == [("Oslo", 3, 0.75, False), ("Lima", 1, 0.25, True)]
    strict = counts.filter(pl.col("matching") == "strict")
    assert strict["answer"].to_list() == ["Oslo", "oslo", "Lima"]
    assert answer_counts(answers(samples(["a"]), "text"), None)["listed"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("status", "text", "part", "outcome", "answer"),
    [
        ("ok", " Oslo \n", "text", "answered", "Oslo"),
        ("ok", "Oslo\nIt is nice.", "text", "answered", "Oslo\nIt is nice."),
        ("ok", "\nOslo\nIt is nice.", "first_line", "answered", "Oslo"),
        ("truncated", "Oslo\nIt is", "first_line", "answered", "Oslo"),
        ("truncated", "Osl", "first_line", "truncated", None),
        ("truncated", "\nOslo \n", "first_line", "answered", "Oslo"),
        ("truncated", " \n\n", "first_line", "truncated", None),
        ("truncated", "Oslo\nIt is", "text", "truncated", None),
        ("ok", " \n", "text", "empty", None),
        ("empty", "", "first_line", "empty", None),
        ("refused", "Oslo", "text", "refused", None),
        ("refused", "I\ncannot", "first_line", "refused", None),
        ("failed", "", "text", "failed", None),
    ],
)
def test_what_a_sample_comes_to(status, text, part, outcome, answer):
    found = answers(samples([text], status), part)
    assert found.select("outcome", "answer").row(0) == (outcome, answer)


def test_what_is_no_answer_is_counted_and_enters_nothing():
    table = pl.concat([samples(["Oslo", "Oslo"]), samples(["", "x"], "refused"), samples([""], "failed")])
    outcomes = answer_outcomes(answers(table, "text"))
    assert dict(outcomes.select("outcome", "count").iter_rows()) == {
        "answered": 2, "empty": 0, "truncated": 0, "refused": 2, "failed": 1,
    }  # fmt: skip
    assert outcomes["share"].sum() == pytest.approx(1.0)
    assert measured(table)["n_answers"]["est"] == 2 and measured(table)["top_share"]["est"] == 1.0
    silent = measured(samples(["", ""], "failed"))
    assert silent["n_answers"]["est"] == 0 and "effective_number" not in silent


def test_conversations_repeat_within_themselves_only():
    first = samples(["a", "b", "a", "c"], setting="history", conversation=0)
    second = samples(["a", "b", "c", "d"], setting="history", conversation=1)
    found = measured(pl.concat([first, second]), setting="history")
    assert found["distinct_share"]["est"] == pytest.approx((3 / 4 + 4 / 4) / 2)
    assert found["first_repeat"]["est"] == (3 + 5) / 2  # the second has none within its four: at the fifth at least
    assert found["n_distinct"]["est"] == 4 and found["top_share"]["est"] == pytest.approx(3 / 8)
    assert found["top_share"]["ci_low"] is not None
    alone = measured(first, setting="history")
    assert alone["effective_number"]["ci_low"] is None and alone["top_share"]["ci_high"] is None
    none = measured(second, setting="history")
    assert none["first_repeat"]["est"] is None


def test_an_interval_of_conversations_resamples_them_whole():
    # Two conversations of one answer each: a draw has one of them alone, or both.
    both = [samples([said] * 6, setting="history", conversation=i) for i, said in enumerate("ab")]
    table = pl.concat(both)
    found = measured(table, setting="history", bootstrap=Bootstrap(n_boot=400))
    assert found["top_share"]["est"] == 0.5 and found["top_share"]["ci_high"] == 1.0
    # A draw is all one answer (entropy 0) or half and half (ln 2), each with probability 1/2: se = ln 2 / 2.
    found = found["entropy_miller_madow"]
    corrected = math.log(2) + 1 / 24
    assert found["est"] == pytest.approx(corrected) and found["se"] == pytest.approx(corrected / 2, rel=0.01)
    number = measured(table, setting="history", bootstrap=Bootstrap(n_boot=400))["effective_number_miller_madow"]
    assert number["est"] == pytest.approx(math.exp(corrected))
    assert number["se"] == pytest.approx(math.exp(corrected) * found["se"])  # by the slope of exp


def test_corrections_reduce_the_bias_of_few_samples():
    rng, truth = np.random.default_rng(5), math.log(50)
    counts = rng.multinomial(100, np.full(50, 1 / 50), size=400)
    estimates = (numbers.entropy, numbers.miller_madow, numbers.chao_shen)
    plug_in, madow, chao = (estimate(counts).mean() - truth for estimate in estimates)
    assert plug_in < -0.2 and abs(madow) < 0.1 and abs(chao) < 0.05


@pytest.mark.parametrize(
    ("shares", "least"), [((0.5, 0.25, 0.15, 0.1), 0.9), ((0.85, *[0.01] * 15), 0.85), ((0.02,) * 50, 0.9)]
)
def test_intervals_of_collisions_cover_the_truth(shares, least):
    """Of 200 studies of 100 answers; the nominal share is 0.95, and the docstring says what it is with rare answers."""
    rng, p = np.random.default_rng(11), np.array(shares)
    hits = 0
    for _ in range(200):
        said = [str(i) for i in rng.choice(len(p), size=100, p=p)]
        found = measured(samples(said), bootstrap=Bootstrap(n_boot=300))["collision_probability"]
        hits += found["ci_low"] <= p @ p <= found["ci_high"]
        assert found["ci_high"] - found["est"] == pytest.approx(1.959964 * found["se"])
    assert hits / 200 >= least


@pytest.mark.parametrize(("shares", "n"), [(1 / np.arange(1, 1001), 60), (np.ones(100), 1000)])
def test_effective_numbers_have_no_interval_since_it_would_not_hold_the_truth(shares, n):
    rng, p = np.random.default_rng(3), shares / shares.sum()
    hits = 0
    for _ in range(40):
        counts = rng.multinomial(n, p)
        draws = numbers.chao_shen(rng.multinomial(n, counts / n, size=200))
        hits += abs(numbers.chao_shen(counts) + (p @ np.log(p))) <= 1.96 * draws.std(ddof=1)
    assert hits <= 4
    found = measured(samples([str(i) for i in rng.choice(len(p), size=n, p=p)]))
    for name in ("entropy", "effective_number"):
        for kind in ("", "_miller_madow", "_chao_shen"):
            assert found[name + kind]["ci_low"] is found[name + kind]["ci_high"] is None
            assert (found[name + kind]["se"] is None) == (kind == "")


def test_the_interval_of_the_top_share_is_the_binomial_of_that_answer():
    said = ["a"] * 12 + [str(i) for i in range(28)]
    found = measured(samples(said))["top_share"]
    # At the ends, 12 or more, and 12 or fewer, of 40 answers have a probability of 0.025.
    assert binom.sf(11, 40, found["ci_low"]) == pytest.approx(0.025)
    assert binom.cdf(12, 40, found["ci_high"]) == pytest.approx(0.025)
    assert found["est"] == 0.3 and found["se"] == pytest.approx(math.sqrt(0.3 * 0.7 / 40))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_shares_of_independent_answers_are_covered_as_often_as_said(level):
    """Exactly, over all numbers of valid answers among 15, whatever the true share is."""
    n, options = 15, {"valid": ["a"], "bootstrap": Bootstrap(n_boot=2, level=level)}
    ends = [measured(samples(["a"] * k + ["b"] * (n - k)), **options)["valid_share"] for k in range(n + 1)]
    for p in np.linspace(0.01, 0.99, 99):
        covers = [row["ci_low"] <= p <= row["ci_high"] for row in ends]
        assert binom.pmf(np.arange(n + 1), n, p) @ covers >= level


def test_conversations_that_are_alike_have_no_interval():
    both = [samples(["a", "b", "a"], setting="history", conversation=i) for i in range(3)]
    found = measured(pl.concat(both), valid=["a", "b"], setting="history")
    for name in ("top_share", "valid_share", "entropy_chao_shen", "collision_probability"):
        assert found[name]["est"] > 0 and found[name]["se"] is found[name]["ci_low"] is found[name]["ci_high"] is None


@given(st.lists(st.sampled_from("abcdefghijklmnop"), min_size=2, max_size=30))
def test_an_interval_holds_its_estimate(said):
    for name, row in measured(samples(said), bootstrap=Bootstrap(n_boot=300)).items():
        if row["ci_low"] is not None:
            assert row["ci_low"] <= row["est"] <= row["ci_high"], name


@given(st.lists(st.sampled_from(["a", "A", "b", "c."]), min_size=2, max_size=30))
def test_order_matters_to_places_only(said):
    one, other = measured(samples(said)), measured(samples(sorted(said)))
    for name in ("n_distinct", "top_share", "entropy", "collision_probability"):
        assert one[name]["est"] == pytest.approx(other[name]["est"])
    first = next((i + 1 for i, text in enumerate(said) if text in said[:i]), None)
    assert one["first_repeat"]["est"] == first


def test_a_table_without_its_columns_is_named():
    with pytest.raises(ValueError, match="samples lacks the columns"):
        answers(pl.DataFrame({"text": ["a"]}), "text")

"""Decoding points and their best settings against loops over samples."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from calib_assets.metrics import best_decoding, decoding_points, embedding_diversity, self_bleu
from calib_assets.metrics.decoding_comparison import BEST_SCHEMA, POINT_SCHEMA
from calib_assets.stats import Bootstrap, cluster_bootstrap

few = Bootstrap(n_boot=20)
SETTINGS = [("unrestricted", None, 1.0), ("min_p", 0.1, 1.0), ("min_p", 0.1, 2.0), ("oracle_filter", None, 1.0)]
SAMPLES = {
    "seed": pl.Int64,
    "strategy": pl.String,
    "parameter": pl.Float64,
    "temperature": pl.Float64,
    "item": pl.String,
    "text": pl.String,
}


@st.composite
def studies(draw):
    """Samples (repeated items among them), two judges' labels with gaps, embeddings by item."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    rows = []
    for setting in draw(st.lists(st.sampled_from(SETTINGS), min_size=1, max_size=3, unique=True)):
        for seed in range(draw(st.integers(1, 3))):
            for _ in range(draw(st.integers(1, 5))):
                text = " ".join(rng.choice(list("abc"), size=rng.integers(1, 6)))
                rows.append((seed, *setting, f"{seed}-{text}", text))
    samples = pl.DataFrame(rows, schema=SAMPLES, orient="row")
    samples = samples[rng.permutation(samples.height)]
    items = samples["item"].unique().sort().to_list()
    verdicts = [
        (judge, item, [True, True, False, None][rng.integers(4)])
        for judge in "xy"
        for item in items
        if rng.random() < 0.9
    ]
    schema = {"judge": pl.String, "item": pl.String, "is_valid": pl.Boolean}
    labels = pl.DataFrame(verdicts, schema=schema, orient="row")
    return samples, labels, {item: rng.normal(size=4).astype(np.float32) for item in items}


def interval(values, seeds):
    if len(values) == 0:
        return None, None, None
    found = cluster_bootstrap(np.array(values, dtype=float), np.array(seeds), np.mean, n_boot=few.n_boot)
    alike = found.ci_low is not None and found.ci_high - found.ci_low < 1e-12  # a width of 0 is no interval
    return (found.est, None, None) if alike else (found.est, found.ci_low, found.ci_high)


def same(row, name, expected):
    for end, value in zip(("", "_ci_low", "_ci_high"), expected, strict=True):
        found = row[name + end]
        assert (found is None) == (value is None)
        assert found is None or found == pytest.approx(value, abs=1e-12)


@given(studies(), st.sampled_from(["whitespace", "word"]))
def test_points_by_loops(study, tokenize):
    samples, labels, embeddings = study
    found = decoding_points(samples, labels, embeddings, tokenize, few)
    assert dict(found.schema) == POINT_SCHEMA
    settings = {row[1:4] for row in samples.rows()}
    assert found.height == 2 * len(settings) * labels["judge"].n_unique()
    for row in found.iter_rows(named=True):
        verdicts = dict(labels.filter(judge=row["judge"]).select("item", "is_valid").rows())
        setting = (row["strategy"], row["parameter"], row["temperature"])
        chosen = [sample for sample in samples.iter_rows(named=True) if tuple(sample.values())[1:4] == setting]
        judged = [sample for sample in chosen if verdicts.get(sample["item"]) is not None]
        assert (row["n_samples"], row["n_judged"]) == (len(chosen), len(judged))
        same(
            row, "validity", interval([verdicts[s["item"]] for s in judged], [s["seed"] for s in judged])
        )
        entering = [s for s in chosen if row["over"] == "all" or verdicts.get(s["item"])]
        by_seed = {}
        for sample in entering:
            by_seed.setdefault(sample["seed"], []).append(sample)
        by_seed = {seed: group for seed, group in by_seed.items() if len(group) >= 2}
        assert row["n_contexts"] == len(by_seed)
        distances = [embedding_diversity(np.array([embeddings[s["item"]] for s in g])) for g in by_seed.values()]
        overlaps = [self_bleu([s["text"] for s in group], tokenize) for group in by_seed.values()]
        same(row, "embedding_diversity", interval(distances, list(by_seed)))
        same(row, "self_bleu", interval(overlaps, list(by_seed)))


@given(studies())
def test_embeddings_by_item_or_by_row(study):
    samples, labels, embeddings = study
    rows = np.array([embeddings[item] for item in samples["item"]])
    expected = decoding_points(samples, labels, embeddings, bootstrap=few)
    assert_frame_equal(decoding_points(samples, labels, rows, bootstrap=few), expected)


@given(studies(), st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_best_setting_by_search(study, floor):
    points = decoding_points(*study, bootstrap=few)
    found = best_decoding(points, floor)
    assert dict(found.schema) == BEST_SCHEMA
    assert found.height == 2 * points.select("judge", "strategy", "over").n_unique()
    for row in found.iter_rows(named=True):
        rows = points.filter(judge=row["judge"], strategy=row["strategy"], over=row["over"]).iter_rows(named=True)
        name = row["measure"]
        reached = [p for p in rows if p["validity"] is not None and p["validity"] >= floor and p[name] is not None]
        assert row["floor"] == floor
        if not reached:
            assert list(row.values())[5:] == [None] * 6
            continue
        best = (min if name == "self_bleu" else max)(point[name] for point in reached)
        assert row["value"] == best
        ties = [point for point in reached if point[name] == best]
        named = [p for p in ties if (p["parameter"], p["temperature"]) == (row["parameter"], row["temperature"])]
        assert row["validity"] == named[0]["validity"] == max(point["validity"] for point in ties)
        assert (row["ci_low"], row["ci_high"]) == (named[0][f"{name}_ci_low"], named[0][f"{name}_ci_high"])


def test_a_repeated_sample_counts_each_time():
    rows = [(0, "min_p", 0.1, 1.0, "i", "a b c d")] * 3
    samples = pl.DataFrame(rows, schema=SAMPLES, orient="row")
    labels = pl.DataFrame({"judge": ["x", "x"], "item": ["i", "i"], "is_valid": [True, True]})
    points = decoding_points(samples, labels, {"i": np.array([1.0, 2.0])})
    assert points.select("n_samples", "n_judged", "validity", "embedding_diversity", "self_bleu").rows() == [
        (3, 3, 1.0, 0.0, 1.0)
    ] * 2


def test_a_text_that_was_cut_is_judged_apart_from_the_same_text_that_ended():
    rows = [(0, "min_p", 0.1, 1.0, "i", "a b c d")] * 3
    samples = pl.DataFrame(rows, schema=SAMPLES, orient="row").with_columns(finish=pl.Series(["end", "length", "end"]))
    labels = pl.DataFrame({"judge": "x", "item": "i", "is_valid": [True, False], "finish": ["end", "length"]})
    embeddings = {"i": np.array([1.0, 2.0])}
    points = decoding_points(samples, labels, embeddings)
    assert points.select("n_judged", "validity").rows() == [(3, pytest.approx(2 / 3))] * 2
    cut_is_missing = decoding_points(samples, labels.with_columns(is_valid=pl.Series([True, None])), embeddings)
    assert cut_is_missing.select("n_judged", "validity").rows() == [(2, 1.0)] * 2
    with pytest.raises(ValueError, match="a judge gives an item one label"):
        decoding_points(samples.drop("finish"), labels, embeddings)


def test_wrong_input_is_named():
    samples = pl.DataFrame([(0, "min_p", 0.1, 1.0, item, "a") for item in "ij"], schema=SAMPLES, orient="row")
    labels = pl.DataFrame({"judge": ["x", "x"], "item": ["i", "j"], "is_valid": [True, False]})
    embeddings = {"i": np.ones(2), "j": np.ones(2)}
    with pytest.raises(ValueError, match=r"samples lacks the columns \['text'\]"):
        decoding_points(samples.drop("text"), labels, embeddings)
    with pytest.raises(ValueError, match="embeddings lacks 1 items, the first 'j'"):
        decoding_points(samples, labels, {"i": np.ones(2)})
    with pytest.raises(ValueError, match=r"embeddings has shape \(1, 2\)"):
        decoding_points(samples, labels, np.ones((1, 2)))
    with pytest.raises(ValueError, match="a judge gives an item one label"):
        decoding_points(samples, pl.concat([labels, labels.with_columns(is_valid=~pl.col("is_valid"))]), embeddings)
    with pytest.raises(ValueError, match="tokenize is 'bpe'"):
        decoding_points(samples, labels, embeddings, tokenize="bpe")
    points = decoding_points(samples, labels, embeddings)
    with pytest.raises(ValueError, match="floor is 80"):
        best_decoding(points, 80)
    with pytest.raises(ValueError, match=r"points lacks the columns \['over'\]"):
        best_decoding(points.drop("over"))


def test_of_equal_settings_the_more_valid_then_the_cooler_is_named():
    # One text three times in each setting: both measures tie everywhere, and only validity and setting decide.
    settings = [(0.1, 2.0, "tied"), (0.1, 1.0, "tied"), (0.2, 1.0, "tied"), (0.3, 0.5, "mixed")]
    rows = [(0, "min_p", p, t, item, "a b c d") for p, t, item in settings for _ in range(3)]
    rows.append((0, "min_p", 0.3, 0.5, "invalid", "a b c d"))
    samples = pl.DataFrame(rows, schema=SAMPLES, orient="row")
    labels = pl.DataFrame({"judge": "x", "item": ["tied", "mixed", "invalid"], "is_valid": [True, True, False]})
    embeddings = dict.fromkeys(labels["item"], np.array([1.0, 2.0]))
    found = best_decoding(decoding_points(samples, labels, embeddings), floor=0.5)
    assert found.select("validity", "parameter", "temperature").rows() == [(1.0, 0.1, 1.0)] * 4

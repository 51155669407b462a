"""The canopy study on Markov chains, computed again from the chain's own table and straight from the definitions."""

import hashlib
import json
import math
from statistics import fmean

import numpy as np
import polars as pl
import pytest

from calib_assets.decoding.policy import uniform
from calib_assets.results import Results

ROLLOUTS = {"completion": (6, 12, 12, 3), "letters": (100, 10, 1, 2)}  # K, rollouts, T_max, prompts


@pytest.fixture(scope="module")
def results(finished):
    place, _ = finished
    return Results(place.file, place.folder / "store")


def chain_of(finished, model):
    place, _ = finished
    return place.models.open(place.study.load().model(model), place.folder / "store").chain


def entropy_of_top(row, ranks):
    top = sorted(row, reverse=True)[:ranks]
    top = [p / sum(top) for p in top if p > 0]
    return -sum(p * math.log(p) for p in top)


@pytest.mark.parametrize("model", ["alpha", "beta"])
@pytest.mark.parametrize("task", list(ROLLOUTS))
def test_every_step_is_the_chains_own(finished, results, model, task):
    ranks, count, limit, prompts = ROLLOUTS[task]
    chain = chain_of(finished, model)
    table = results.table("rollouts").filter((pl.col("model") == model) & (pl.col("rollout") == task))
    assert table.height == count * prompts
    for row in table.iter_rows(named=True):
        last = chain.tokens.index(":")  # every prompt of these chains ends in it
        steps, log_probability = [], 0.0
        for token in row["ids"]:
            conditional = np.float32(chain.transition[last]).astype(float)
            steps.append(entropy_of_top(conditional, ranks))
            log_probability += math.log(chain.transition[last][token])
            last = token
        assert row["step_entropy"] == pytest.approx(steps, abs=1e-6)
        assert row["sequence_entropy"] == pytest.approx(sum(steps), abs=1e-5)
        assert row["log_probability"] == pytest.approx(log_probability, abs=1e-4)
        ended = row["ids"][-1] in chain.end
        assert row["truncated"] == (not ended) == (row["finish"] == "length")
        assert row["length"] == len(row["ids"]) <= limit and (ended or row["length"] == limit)
        assert row["text"] == "".join(chain.tokens[token] for token in row["ids"] if token not in chain.end)


def test_tokens_are_drawn_by_inverse_cdf_from_the_streams_of_their_prompt(finished, results):
    chain = chain_of(finished, "alpha")
    table = results.table("rollouts").filter((pl.col("model") == "alpha") & (pl.col("rollout") == "letters"))
    words = {"short": ["r", "r:", ""], "long": ["g", "g:", ""]}
    for row in table.iter_rows(named=True):
        text = json.dumps([*words[row["prompt_id"]], 0])
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        last = chain.tokens.index(":")
        for step, token in enumerate(row["ids"]):
            weights = np.exp(np.log(np.array(chain.transition[last])).astype(np.float32).astype(np.float64))
            target = uniform((0, key, row["sample"], 5), step) * weights.sum()
            assert token == np.searchsorted(np.cumsum(weights), target, side="right")
            last = token


def test_measures_are_means_of_means(results):
    rollouts = results.table("rollouts")
    found = results.table("canopy_entropy")
    for model in ("alpha", "beta"):
        for task in ROLLOUTS:
            here = (pl.col("model") == model) & (pl.col("rollout") == task)
            by_prompt = {}
            for row in rollouts.filter(here).iter_rows(named=True):
                by_prompt.setdefault(row["prompt_id"], []).append((row["sequence_entropy"], row["length"]))
            entropy = fmean([fmean([s for s, _ in rows]) for rows in by_prompt.values()])
            length = fmean([fmean([n for _, n in rows]) for rows in by_prompt.values()])
            rate = fmean([fmean([s / n for s, n in rows]) for rows in by_prompt.values()])
            wanted = {
                "canopy_entropy": entropy,
                "mean_length": length,
                "gen_ppl": math.exp(entropy / length),
                "branching_factor": math.exp(rate),
                "covariance_part": entropy - length * rate,
            }
            values = dict(found.filter(here).select("measure", "est").iter_rows())
            for name, value in wanted.items():
                assert values[name] == pytest.approx(value, rel=1e-9), (model, task, name)


def test_comparison_is_of_the_pair_and_of_the_pair_from_elsewhere(results):
    table = results.table("canopy_comparison")
    pairs = set(table.select("task", "base", "instruct").rows())
    assert pairs == {
        ("completion", "alpha", "beta"),
        ("letters", "alpha", "beta"),
        ("letters", "outside-base", "outside-instruct"),
    }
    row = table.filter((pl.col("measure") == "canopy_entropy") & (pl.col("base") == "alpha")).row(0, named=True)
    models = results.table("canopy_comparison", "canopy_models").filter(pl.col("measure") == "canopy_entropy")
    est = dict(models.filter(pl.col("task") == row["task"]).select("model", "est").iter_rows())
    assert row["change"] == pytest.approx(est["beta"] - est["alpha"], rel=1e-12)
    assert row["percent_change"] == pytest.approx(100 * (est["beta"] / est["alpha"] - 1), rel=1e-9)
    assert row["n_prompts"] == 3


def test_panel_has_a_row_for_every_prompt_and_model(results):
    panel = results.table("beta_panel")
    diversity = results.table("semantic_diversity", "prompt_diversity")
    own = panel.filter(pl.col("model_name") != "outside")
    assert own.height == diversity.filter(pl.col("embedding_diversity").is_not_null()).height == 2 * (3 + 2)
    assert panel.filter(pl.col("model_name") == "outside").height == 16
    assert set(own["model_name"]) == {"alpha"}
    rate = panel["R_bar"].to_numpy()
    assert panel["R_sc"].to_numpy() == pytest.approx((rate - rate.mean()) / rate.std(ddof=1))
    inverse = 1 / panel["N_bar"].to_numpy()
    assert panel["invN_sc"].to_numpy() == pytest.approx((inverse - inverse.mean()) / inverse.std(ddof=1))
    joined = own.join(diversity, left_on=["model", "task", "prompt_id"], right_on=["model", "rollout", "prompt_id"])
    assert joined["D"].to_list() == joined["embedding_diversity"].to_list()


def test_regression_and_its_residuals_are_there(results):
    terms = results.table("beta_regression", "coefficients")
    assert terms.filter(pl.col("part") == "mean")["term"].to_list() == [
        "(Intercept)",
        "R_sc",
        "variantinstruct",
        "R_sc:variantinstruct",
    ]
    assert results.table("beta_regression", "fit_summary")["converged"].to_list() == [True]
    tests = results.table("residual_diagnostics", "residual_tests")
    assert set(tests["kind"]) == {"unconditional", "conditional", "closed_form"}
    predictions = results.table("beta_regression", "predictions")
    assert predictions.height == results.table("beta_panel").height


def test_texts_that_are_the_same_are_one_meaning(results):
    labels = results.table("similarity_labels").filter(pl.col("rollout") == "letters")
    drawn = results.table("similarity_labels", "drawn_rollouts").filter(pl.col("rollout") == "letters")
    texts = {
        (row["model"], row["prompt_id"], row["sample"]): row["text"]
        for row in results.table("rollouts").filter(pl.col("rollout") == "letters").iter_rows(named=True)
    }

    def plain(text):
        return " ".join(text.split()).removesuffix(".").casefold()

    for row in labels.iter_rows(named=True):
        one, other = (texts[row["model"], row["prompt_id"], row[end]] for end in ("first", "second"))
        assert row["is_similar"] == (plain(one) == plain(other))
    found = results.table("semantic_entropy", "prompt_semantic_entropy")
    for key, rows in drawn.group_by("model", "prompt_id"):
        groups = {}
        for sample in rows["sample"]:
            text = plain(texts[(*key, sample)])
            groups[text] = groups.get(text, 0) + 1
        wanted = -sum(n / 6 * math.log(n / 6) for n in groups.values())
        value = found.filter((pl.col("model") == key[0]) & (pl.col("prompt_id") == key[1])).row(0, named=True)
        assert value["semantic_entropy"] == pytest.approx(wanted, abs=1e-12)
        assert value["n_clusters"] == len(groups)
    assert labels["is_similar"].sum() > 0
    assert results.table("semantic_entropy").filter(pl.col("rollout") == "completion").is_empty()


def test_external_rollouts_are_measured_as_our_own(results, finished):
    rows = pl.read_parquet(finished[0].folder / "outside.parquet").filter(pl.col("variant") == "base")
    mean = rows.with_columns(total=pl.col("step_entropy").list.sum()).group_by("prompt_id").agg(pl.col("total").mean())
    found = results.table("external_data", "canopy_entropy").filter(pl.col("model") == "outside-base")
    values = dict(found.select("measure", "est").iter_rows())
    assert values["canopy_entropy"] == pytest.approx(mean["total"].mean(), rel=1e-12)
    assert values["truncation_rate"] == pytest.approx(rows["truncated"].mean(), rel=1e-12)
    assert results.table("external_data", "entropy_trajectory").height == 2 * 8

"""The beta regression against glmmTMB and brute force, what it leaves out and says, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import optimize, special, stats

from calib_assets.stats import NotConverged, beta_panel_columns, fit_beta_mixed

FIXTURES = Path(__file__).parent / "fixtures"
GLMMTMB = {case["name"]: case for case in json.loads((FIXTURES / "glmmtmb.json").read_text())["cases"]}
REFERENCE = {"variant": "base", "task": "completion"}


def panel(name: str) -> pl.DataFrame:
    """The panel of a case of glmmtmb.R, made of the open panels in the same way."""
    raw = pl.read_csv(FIXTURES / ("tiny.csv" if name == "tiny" else "paper_a.csv.gz"))
    raw = raw.rename({"model_variant": "variant"})
    at = pl.col("prompt_id")
    if name == "empty_cell":
        raw = raw.filter(~((pl.col("variant") == "base") & (pl.col("task") == "math")))
    elif name == "one_family":
        raw = raw.filter(pl.col("model_name") == "qwen2.5-7b")
    elif name == "capped":
        raw = raw.with_columns(N_bar=pl.col("N_bar").clip(upper_bound=500))
    elif name == "edge":
        raw = raw.with_columns(D=pl.when(at < 3).then(0.0).when(at == 3).then(1.0).otherwise("D"))
    elif name == "three_factors":
        third = pl.when(at % 7 < 3).then(pl.lit("x")).when(at % 7 < 5).then(pl.lit("y")).otherwise(pl.lit("z"))
        raw = raw.with_columns(half=third)
    return beta_panel_columns(raw)


def fitted(name: str, **settings):
    case = GLMMTMB["paper_a" if name == "one_family" else name]
    return fit_beta_mixed(panel(name), case["mean"], case["precision"], reference=REFERENCE, **settings)


@pytest.mark.parametrize("name", GLMMTMB)
def test_numbers_are_those_of_glmmtmb(name):
    case, fit = GLMMTMB[name], fitted(name)
    summary = fit.summary_row.row(0, named=True)
    assert summary["n_rows"] == case["n"] and summary["n_parameters"] == case["df"]
    gained = summary["log_likelihood"] + case["nll"]
    assert -1e-6 < gained < 1e-4  # never lower than glmmTMB's, beyond rounding
    assert summary["aic"] == pytest.approx(case["aic"], abs=2e-4)
    assert summary["bic"] == pytest.approx(case["bic"], abs=2e-4)
    for part in ("mean", "precision"):
        table = case[f"{part}_table"]
        ours = fit.coefficients.filter(pl.col("part") == part, pl.col("estimate").is_not_null())
        if "se" not in table:
            continue  # glmmTMB's summary leaves a precision of one constant out
        if any(se is None or se == "NaN" for se in table["se"]):
            continue  # glmmTMB has no standard errors where a variance is at the boundary
        assert ours["term"].to_list() == table["term"]
        theirs = {column: np.array(table[column]) for column in ("estimate", "se", "z", "p")}
        assert (np.abs(ours["estimate"].to_numpy() - theirs["estimate"]) < 1e-3 * theirs["se"]).all()
        np.testing.assert_allclose(ours["se"], theirs["se"], rtol=1e-3)
        np.testing.assert_allclose(ours["z"], theirs["z"], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(ours["p"], theirs["p"], rtol=2e-2, atol=1e-3)
    for place, (group, sd) in enumerate(dict(case["sd"]).items()):
        effect = fit.random_effects.filter(pl.col("group") == group).row(0, named=True)
        assert effect["sd"] == pytest.approx(sd, abs=1e-4) and effect["variance"] == effect["sd"] ** 2
        assert effect["is_singular"] == (effect["sd"] == 0)
        if not effect["is_singular"]:
            log_sd_se = np.atleast_1d(case["log_sd_se"])[place]
            assert effect["log_sd_se"] == pytest.approx(float(log_sd_se), rel=2e-3)
            assert effect["log_sd"] == pytest.approx(np.log(effect["sd"]))
        modes = dict(fit.random_modes.filter(pl.col("group") == group).select("level", "mode").iter_rows())
        for level, mode in case["modes"][group].items():
            assert modes[level] == pytest.approx(mode, abs=1e-4)
    np.testing.assert_allclose(fit.mu[:5], case["mu_head"], atol=2e-5)


def test_the_cases_hold_what_they_are_there_for():
    singular = fitted("tiny")
    effect = singular.random_effects.filter(pl.col("group") == "model_name").row(0, named=True)
    assert effect["is_singular"] and effect["variance"] == 0
    assert effect["log_sd"] is None and effect["log_sd_se"] is None
    assert singular.random_modes.filter(pl.col("group") == "model_name")["mode"].to_list() == [0.0, 0.0]
    assert [kind for kind, _ in singular.notes.iter_rows()] == ["singular"]

    empty = fitted("empty_cell")
    dropped = empty.coefficients.filter(pl.col("note").is_not_null())
    assert dropped["term"].to_list() == ["variantinstruct:taskmath"]
    assert dropped.row(0)[2:] == (None, None, None, None, "dropped: collinear with taskmath")
    assert empty.notes.rows() == [
        ("empty cells", "no rows: variant base with task math"),
        ("collinear", "precision: variantinstruct:taskmath dropped: collinear with taskmath"),
    ]

    capped = fitted("capped")
    assert "collinear" in capped.notes["kind"].to_list()
    assert len(fitted("capped", boundary_rule="move").coefficients.filter(pl.col("note").is_not_null())) == 0

    one = fitted("one_family")
    assert one.notes.rows() == [
        ("single level", "precision: model_name left out: model_name is 'qwen2.5-7b' in all rows"),
        ("single level", "(1 | model_name) is left out: model_name has the one level 'qwen2.5-7b'"),
    ]
    edge = fitted("edge")
    clipped = int(((panel("edge")["D"] < 1e-6) | (panel("edge")["D"] > 1 - 1e-6)).sum())
    assert clipped > 90
    assert ("clipped", f"{clipped} of 2400 values of D moved into [1e-06, 1 - 1e-06]") in edge.notes.rows()


def test_without_intercepts_it_is_what_brute_force_finds():
    data = panel("tiny")
    fit = fit_beta_mixed(data, "D ~ R_sc + variant", "invN_sc")
    y, x = data["D_beta"].to_numpy(), data["R_sc"].to_numpy()
    instruct, length = (data["variant"] == "instruct").to_numpy(), data["invN_sc"].to_numpy()

    def negative(psi):
        mu = special.expit(psi[0] + psi[1] * x + psi[2] * instruct)
        phi = np.exp(psi[3] + psi[4] * length)
        return -stats.beta.logpdf(y, mu * phi, (1 - mu) * phi).sum()

    found = optimize.minimize(negative, np.zeros(5), method="Nelder-Mead", options={"maxiter": 10_000, "fatol": 1e-11})
    assert fit.summary_row["log_likelihood"][0] == pytest.approx(-found.fun, abs=1e-6)
    np.testing.assert_allclose(fit.estimates, found.x, atol=2e-3)
    h, at = 1e-3 * np.eye(5), found.x
    information = [
        [negative(at + a + b) - negative(at + a - b) - negative(at - a + b) + negative(at - a - b) for b in h]
        for a in h
    ]
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(np.array(information) / 4e-6), rtol=2e-2, atol=1e-5)
    assert fit.random_effects.is_empty() and fit.random_modes.is_empty() and fit.groups == {}
    assert fit.parameters == [
        "mean: (Intercept)", "mean: R_sc", "mean: variantinstruct", "precision: (Intercept)", "precision: invN_sc"
    ]  # fmt: skip


def simulated(n_prompts, seed, sd=0.5):
    """Rows of four models on each prompt, from a known truth."""
    rng = np.random.default_rng(seed)
    prompt, x = np.repeat(np.arange(n_prompts), 4), rng.normal(size=4 * n_prompts)
    eta = -0.4 + 0.8 * x + sd * rng.normal(size=n_prompts)[prompt]
    phi = np.exp(2.5 - 0.5 * x)
    y = rng.beta(special.expit(eta) * phi, special.expit(-eta) * phi)
    return pl.DataFrame({"y": y, "x": x, "g": [f"p{i}" for i in prompt]})


def test_recovers_a_known_truth():
    truth = np.array([-0.4, 0.8, 2.5, -0.5, np.log(0.5)])
    errors = []
    for seed in range(30):
        fit = fit_beta_mixed(simulated(150, seed), "y ~ x + (1 | g)", "x", clip=1e-9)
        errors.append((fit.estimates - truth) / np.sqrt(np.diag(fit.covariance)))
    errors = np.array(errors)
    # Standardised errors have mean 0 and variance 1; 30 fits bound the mean by .18 and the spread by .13 (1 SE).
    assert (np.abs(errors.mean(axis=0)) < 4 * 0.18).all()
    assert (np.abs(errors.std(axis=0, ddof=1) - 1) < 4 * 0.13).all()


def test_row_order_and_kind_of_frame_change_nothing():
    data = panel("tiny")
    columns = {name: data[name].to_numpy() for name in data.columns}
    frames = [pd.DataFrame(columns), columns, data.sample(fraction=1.0, shuffle=True, seed=1)]
    expected = fit_beta_mixed(data)
    for frame in frames:
        found = fit_beta_mixed(frame)
        assert found.coefficients["term"].equals(expected.coefficients["term"])
        np.testing.assert_allclose(found.estimates, expected.estimates, atol=1e-7)
        np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-6)


def test_missing_values_are_dropped_and_counted():
    data = simulated(40, seed=0)
    holes = data.with_columns(
        y=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("y"),
        x=pl.when(pl.int_range(pl.len()) == 5).then(float("nan")).otherwise("x"),
        g=pl.when(pl.int_range(pl.len()).is_in([5, 9])).then(None).otherwise("g"),
        unused=None,
    )
    fit = fit_beta_mixed(holes, "y ~ x + (1 | g)", "x")
    keep = [i for i in range(160) if i not in (3, 5, 9)]
    expected = fit_beta_mixed(data[keep], "y ~ x + (1 | g)", "x")
    np.testing.assert_array_equal(fit.estimates, expected.estimates)
    assert fit.rows.tolist() == keep and fit.predictions["row"].to_list() == keep
    assert fit.summary_row["n_rows"][0] == 157 and fit.summary_row["n_dropped_rows"][0] == 3
    assert fit.notes.rows()[0] == ("missing", "3 of 160 rows are left out for a missing value: y (1), x (1), g (2)")


def test_random_adds_groups_to_those_of_the_formula():
    data = panel("tiny")
    mean = "D ~ R_sc + variant"
    written = fit_beta_mixed(data, mean + " + (1 | prompt_uid) + (1 | model_name)", "1")
    for settings in ({"mean": mean, "random": ["prompt_uid", "model_name"]},
                     {"mean": mean + " + (1 | prompt_uid)", "random": ["model_name", "prompt_uid"]}):  # fmt: skip
        found = fit_beta_mixed(data, precision="~ 1", **settings)
        np.testing.assert_array_equal(found.estimates, written.estimates)
    assert list(fit_beta_mixed(data, mean, "1", random="prompt_uid").groups) == ["prompt_uid"]


def test_reference_levels():
    data = panel("tiny")
    fit = fit_beta_mixed(data, "D ~ task", "1", reference={"task": "math"})
    assert fit.coefficients["term"].to_list()[:3] == ["(Intercept)", "taskcoding", "taskcompletion"]
    absent = fit_beta_mixed(data, "D ~ task", "1", reference={"task": "chess", "colour": "red"})
    assert absent.coefficients["term"].to_list()[:3] == ["(Intercept)", "taskcompletion", "taskmath"]
    assert absent.notes.rows() == [
        ("reference", "task has no level 'chess': its reference is 'coding', the first in order")
    ]


def test_predictions():
    data = panel("tiny")
    fit = fit_beta_mixed(data)
    np.testing.assert_allclose(fit.predict(data)["mu"], fit.mu, atol=1e-12)
    np.testing.assert_allclose(fit.predict(data, random=False)["mu"], fit.mu_population, atol=1e-12)
    np.testing.assert_allclose(fit.predict(data)["phi"], fit.phi, rtol=1e-12)
    groups = fit.random_modes.filter(pl.col("group") == "prompt_uid")
    by_prompt = dict(groups.select("level", "mode").iter_rows())
    shift = special.logit(fit.mu) - special.logit(fit.mu_population)
    np.testing.assert_allclose(shift, [by_prompt[uid] for uid in data["prompt_uid"]], atol=1e-10)

    uids = pl.Series(["completion/0", "new", None])
    few = data.head(3).with_columns(prompt_uid=uids, R_sc=pl.Series([0.1, 0.2, None]))
    found, population = fit.predict(few), fit.predict(few.drop("prompt_uid"), random=False)
    assert found["mu"][1] == population["mu"][1] and found["mu"][0] != population["mu"][0]
    assert found["mu"][2] is None and found["phi"][2] is None
    with pytest.raises(ValueError, match="column 'variant' holds 'rl', which the fit has not seen"):
        fit.predict(few.with_columns(variant=pl.lit("rl")))
    constant = fit_beta_mixed(data, "D ~ 1", "1").predict(data.head(2))
    assert len(constant) == 2 and constant["mu"].n_unique() == 1


def test_text_has_the_papers_tables():
    text = str(fitted("tiny"))
    assert "120 rows (30 prompt_uid, 2 model_name)" in text
    for line in (
        "Term                             Estimate  Std. Error      z  p-value",
        "R_sc:variantinstruct              1.31055     0.15532   8.44   <0.001",
        "Intercept      model_name       2  0.000000  0.00000 (singular)",
        "Log-likelihood 163.7547, 28 parameters, AIC -271.51, BIC -193.46",
        "- singular: the variance of model_name is 0",
    ):
        assert line in text
    assert "variantinstruct:taskmath      dropped" in str(fitted("empty_cell"))
    assert repr(fitted("tiny")) == "BetaFit(120 rows, log-likelihood 163.75)"


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"D": pl.lit(1.5)}, {}, "D is 1.5 in row 0"),
        ({"D": pl.lit(-0.2)}, {}, "D is -0.2 in row 0"),
        ({"D": pl.lit("high")}, {}, "the response 'D' holds String"),
        ({"D": pl.lit(0.4)}, {}, "D is 0.4 in all 120 rows"),
        ({"R_sc": pl.lit(None, pl.Float64)}, {}, "of 120 rows none has a value in all of"),
        ({"R_sc": pl.lit(float("inf"))}, {"mean": "D ~ R_sc"}, "column 'R_sc' is infinite in 120 rows"),
        ({}, {"mean": "R_sc"}, "names no response; write for instance 'D ~ R_sc'"),
        ({}, {"mean": "D ~ ns(task, 2)"}, r"ns\(task, 2\) needs numbers"),
        ({}, {"precision": "D ~ R_sc"}, "has a response or a random intercept"),
        ({}, {"precision": "R_sc + (1 | task)"}, "has a response or a random intercept"),
        ({}, {"mean": "D ~ colour"}, "the data has no column 'colour'; it has"),
        ({}, {"clip": 0.6}, "clip is 0.6"),
        ({}, {"random": ["nobody"]}, "no column 'nobody'"),
        ({}, {"boundary_rule": "r"}, "boundary_rule is 'r'"),
    ],
)
def test_bad_input(changes, settings, message):
    with pytest.raises(ValueError, match=message):
        fit_beta_mixed(panel("tiny").with_columns(**changes), **settings)


def test_zeros_need_a_clip():
    data = panel("tiny").with_columns(D=pl.when(pl.int_range(pl.len()) == 0).then(0.0).otherwise("D"))
    with pytest.raises(ValueError, match="D is 0 or 1 in 1 rows and clip is 0"):
        fit_beta_mixed(data, clip=0)


def test_fewer_rows_than_parameters():
    with pytest.raises(ValueError, match="28 complete rows cannot carry 2. parameters"):
        fit_beta_mixed(panel("tiny")[::4][:28])


def spiked(n_exact):
    """Answers in a cell of their own that can be fitted exactly: its precision grows without bound."""
    rng = np.random.default_rng(5)
    cell = np.array(["a"] * 30 + ["b"] * n_exact)
    return pl.DataFrame({"y": np.concatenate([rng.beta(2, 5, 30), np.full(n_exact, 0.3)]), "cell": cell})


def test_a_likelihood_without_bound_is_an_error_that_says_what_to_try():
    with pytest.raises(NotConverged, match="precision.*try fewer terms in the precision"):
        fit_beta_mixed(spiked(3), "y ~ cell", "cell")
    assert fit_beta_mixed(spiked(3), "y ~ cell", "1").notes.is_empty()


def test_huge_but_finite_precisions_are_noted():
    data = spiked(6).with_columns(
        y=pl.when(pl.col("cell") == "b").then(0.3 + 3e-4 * pl.int_range(pl.len()).mod(3)).otherwise("y")
    )
    fit = fit_beta_mixed(data, "y ~ cell", "cell")
    assert fit.phi.max() > 1e5
    kinds, texts = fit.notes["kind"].to_list(), fit.notes["text"].to_list()
    assert kinds == ["likelihood spike"] and texts[0].startswith(f"the precision reaches {fit.phi.max():.2g}")

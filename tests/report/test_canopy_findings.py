"""Findings of the canopy study claim what intervals carry, and nothing else."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.report.canopy_findings import canopy_findings
from calib_assets.report.canopy_numbers import direction, value

PARTS = ("base", "instruct", "change", "percent_change")


def pair(measure: str, change: tuple, *, task: str = "t", ends: tuple = ()) -> dict:
    """A comparison row whose change and percent change are (value, low, high), its levels 1 and 2."""
    row = {"task": task, "base": "b", "instruct": "i", "measure": measure, "n_prompts": 9, "n_left_out": 0}
    levels = ends or ((1.0, 0.9, 1.1), (2.0, 1.9, 2.1))
    for part, numbers in zip(PARTS, (*levels, change, change), strict=True):
        names = (f"{part}_est" if part in ("base", "instruct") else part, f"{part}_ci_low", f"{part}_ci_high")
        row |= dict(zip(names, numbers, strict=True))
    return row


def table(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


NO_INTERVAL = {"ci_low": None, "ci_high": None}


def model(name: str, task: str, **measures: float | None) -> list[dict]:
    return [
        {"model": name, "task": task, "variant": "base", "measure": measure, "est": est, **NO_INTERVAL}
        for measure, est in measures.items()
    ]


MODEL_KINDS = {"est": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64}


def models(*rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame([row for part in rows for row in part], schema_overrides=MODEL_KINDS)


def texts(**overall: pl.DataFrame | None) -> list[str]:
    return [finding.text for finding in canopy_findings(overall, {})]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((92.0, 49.0, 158.0), "canopy entropy rises by 92 % [49 %, 158 %]"),
        ((-56.6, -60.9, -52.2), "canopy entropy falls by 56.6 % [52.2 %, 60.9 %]"),
        ((30.0, -1.5, 79.0), "canopy entropy changes by 30 % [−1.5 %, 79 %], so its direction is open"),
        ((30.0, 0.0, 79.0), "so its direction is open"),
        ((-3.0, None, None), "canopy entropy changes by −3 % [no interval], so no direction is known"),
    ],
)
def test_changes_are_named_only_where_the_interval_carries_them(change, words):
    [text] = texts(canopy_comparison=table([pair("canopy_entropy", change)]))
    assert text.startswith("t, b to i: ") and words in text and "(9 common prompts)" in text


@given(st.floats(-100, 500), st.floats(-100, 500))
def test_rises_and_falls_exactly_with_the_sign_of_both_ends(one, other):
    low, high = sorted((one, other))
    [text] = texts(canopy_comparison=table([pair("gen_ppl", ((low + high) / 2, low, high))]))
    assert ("rises by" in text) == (low > 0) == (direction(low, high) == 1)
    assert ("falls by" in text) == (high < 0) == (direction(low, high) == -1)
    assert ("open" in text) == (low <= 0 <= high)


def test_the_three_sizes_are_one_sentence_and_undefined_ones_are_left_out():
    rows = [pair("canopy_entropy", (5.0, 1.0, 9.0)), pair("gen_ppl", (None, None, None)),
            pair("branching_factor", (-5.0, -9.0, -1.0))]  # fmt: skip
    [text] = texts(canopy_comparison=table(rows))
    assert text == (
        "t, b to i: canopy entropy rises by 5 % [1 %, 9 %]; branching factor falls by 5 % [1 %, 9 %] "
        "(9 common prompts)."
    )
    assert texts(canopy_comparison=table([pair("canopy_entropy", (None, None, None))])) == []


def test_correlations_have_both_levels_and_the_paired_change():
    ends = ((-0.27, -0.3, -0.24), (0.38, 0.3, 0.46))
    [text] = texts(canopy_comparison=table([pair("pearson", (0.65, 0.57, 0.73), ends=ends)]))
    assert text == (
        "t, b to i: the Pearson correlation of length and entropy rate is −0.27 [−0.3, −0.24] in the base model and "
        "0.38 [0.3, 0.46] in the other; it rises by 0.65 [0.57, 0.73] (9 common prompts)."
    )
    [text] = texts(canopy_comparison=table([pair("pearson", (0.02, -0.1, 0.12), ends=ends)]))
    assert "it changes by 0.02 [−0.1, 0.12], so its direction is open" in text


def test_many_pairs_are_counted_with_their_extremes():
    numbers = [(-80.0, -90.0, -70.0), (-10.0, -20.0, 5.0), (3.0, 1.0, 6.0), (900.0, 800.0, 1000.0), (1.0, None, None)]
    rows = [pair("canopy_entropy", change, task=f"t{i}") for i, change in enumerate(numbers)]
    cut = models(model("i", "t3", truncation_rate=0.9))
    counted, truncated = texts(canopy_comparison=table(rows), canopy_models=cut)
    assert counted == (
        "Canopy entropy rises from base to instruct in 2 of 5 pairs and tasks, falls in 1, and its direction is open "
        "in 2; changes run from −80 % [−90 %, −70 %] (t0, b to i) to 900 % [800 %, 1,000 %] (t3, b to i). In 1 of "
        "these cells most rollouts were cut."
    )
    assert "i on t3 (0.9)" in truncated


def test_pairs_that_were_mostly_cut_are_said_to_be():
    comparison = table([pair("canopy_entropy", (5.0, 1.0, 9.0))])
    rates = models(model("i", "t", truncation_rate=0.77, canopy_entropy=5.0), model("b", "t", truncation_rate=0.5))
    sizes, truncation = texts(canopy_comparison=comparison, canopy_models=rates)
    assert sizes.endswith(" Most rollouts of i were cut, so this holds for their beginnings.")
    assert truncation == (
        "Most rollouts were cut at the length limit for i on t (0.77): these values describe how rollouts begin, not "
        "whole ones."
    )
    elsewhere = models(model("i", "other", truncation_rate=0.9))
    assert "beginnings" not in texts(canopy_comparison=comparison, canopy_models=elsewhere)[0]


def test_truncation_is_named_at_its_largest_or_denied():
    some = models(model("m", "a", truncation_rate=0.0), model("n", "b", truncation_rate=0.043))
    [text] = [t for t in texts(canopy_models=some) if "cut" in t]
    assert text == (
        "The largest share of rollouts of a model and task that were cut at the length limit is 0.043 (n on b)."
    )
    none = models(model("m", "a", truncation_rate=0.0))
    assert texts(canopy_models=none) == ["No rollout was cut at the length limit."]
    unknown = models(model("m", "a", truncation_rate=0.0), model("n", "a", truncation_rate=None))
    assert texts(canopy_models=unknown) == ["No rollout was cut at the length limit, as far as that is known."]
    many = models(*(model(f"m{i}", "a", truncation_rate=0.6 + i / 100) for i in range(6)))
    [text] = texts(canopy_models=many)
    assert "for m5 on a (0.65), m4 on a (0.64), m3 on a (0.63), m2 on a (0.62) and 2 more: " in text
    assert texts(canopy_models=models(model("m", "a", truncation_rate=None))) == []


def test_without_pairs_few_models_have_their_levels_and_many_none():
    one = models(model("m", "a", canopy_entropy=10.8, gen_ppl=5.25))
    assert texts(canopy_models=one) == [
        "a, m: canopy entropy 10.8 [no interval] nats, generation perplexity 5.25 [no interval]."
    ]
    many = models(*(model(f"m{i}", "a", canopy_entropy=float(i + 1)) for i in range(5)))
    assert texts(canopy_models=many) == []


def fit(terms: dict[str, tuple]) -> pl.DataFrame:
    rows = [{"part": "mean", "term": term, "estimate": est, "se": se} for term, (est, se) in terms.items()]
    return pl.DataFrame(rows, schema_overrides={"estimate": pl.Float64, "se": pl.Float64})


PANEL = pl.DataFrame({"variant": ["base", "instruct"]})


@pytest.mark.parametrize("term", ["R_sc:variantinstruct", "variantinstruct:R_sc"])
def test_the_slope_and_what_fine_tuning_adds_to_it(term):
    [text] = texts(coefficients=fit({"R_sc": (0.7, 0.1), term: (1.2, 0.1)}), beta_panel=PANEL)
    assert text == (
        "With the other terms held fixed, semantic diversity rises with entropy rate in base models: 0.7 [0.504, "
        "0.896] on the logit scale for each standard deviation; in instruct models it is larger by 1.2 [1, 1.4] "
        "(95 % Wald intervals)."
    )


def test_slopes_with_an_open_sign_are_not_called_larger():
    [text] = texts(coefficients=fit({"R_sc": (0.1, 0.1), "R_sc:variantinstruct": (0.1, 0.2)}), beta_panel=PANEL)
    assert "has an open relation to entropy rate in base models" in text
    assert "in instruct models it differs by 0.1 [−0.292, 0.492], so it may be larger or smaller" in text
    [text] = texts(coefficients=fit({"R_sc": (-1.0, 0.1), "R_sc:variantsft": (-0.5, 0.1)}))
    assert "falls with entropy rate in models of the reference variant: −1 [−1.2, −0.804]" in text
    assert "in sft models it is smaller by 0.5 [0.304, 0.696]" in text
    assert "which makes" not in text  # a sum of two estimates, of which no interval is known


def test_no_slope_no_sentence():
    assert texts(coefficients=fit({"(Intercept)": (0.7, 0.1)})) == []
    assert texts(coefficients=fit({"R_sc": (0.7, None)})) == []
    alone = texts(coefficients=fit({"R_sc": (0.7, 0.1)}), beta_panel=PANEL)[0]
    assert "rises with entropy rate: 0.7" in alone and "models" not in alone
    others = {"R_sc": (0.7, 0.1), "variantinstruct:taskmath": (1.0, 0.1), "R_sc:variantinstruct:taskmath": (2.0, 0.1)}
    assert ";" not in texts(coefficients=fit(others))[0]


def judged(*p: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"kind": ["closed_form"] * len(p), "test": ["uniformity", "dispersion", "outliers"][: len(p)], "p": p},
        schema_overrides={"p": pl.Float64},
    )


def test_tests_of_residuals_are_counted_and_rejections_named():
    assert texts(residual_tests=judged(0.3, 0.05, None)) == [
        "None of 2 tests of the regression's residuals rejects at 5 %; the smallest p is 0.05."
    ]
    assert texts(residual_tests=judged(0.004, 0.2)) == [
        "Of 2 tests of the regression's residuals, 1 reject at 5 %: uniformity (closed form, p = 0.004)."
    ]
    assert texts(residual_tests=judged(None)) == ["No test of the regression's residuals could be computed."]


def test_findings_of_nothing_are_none_and_sources_are_those_used(canopy_study):
    assert texts() == [] and texts(canopy_models=None, coefficients=pl.DataFrame()) == []
    found = canopy_findings(canopy_study.overall, canopy_study.overall_provenance)
    known = {record.id: record.asset for record in canopy_study.overall_provenance.values()}
    assets = [{known[source] for source in finding.provenance} for finding in found]
    assert [*map(tuple, assets)] == [
        *[("canopy_comparison",)] * 8, ("canopy_models",), ("coefficients",), ("residual_tests",),
    ]  # fmt: skip
    assert value(1.0, 0.5, None) == "1 [no interval]"


def test_a_pair_of_two_families_is_not_what_fine_tuning_changes():
    comparison = table([pair("canopy_entropy", (-5.0, -9.0, -1.0))])

    def last(families):
        return [finding.text for finding in canopy_findings({"canopy_comparison": comparison}, {}, families)][-1]

    mixed = "Two families in a pair, so its changes are not those of fine-tuning alone: b (Gemma 3) and i (SmolLM2)."
    assert last({"b": "Gemma 3", "i": "SmolLM2"}) == mixed
    for families in ({"b": "Gemma 3", "i": "Gemma 3"}, {"b": "Gemma 3", "i": ""}, {"b": "Gemma 3"}, {}, None):
        assert "families" not in last(families)
    many = table([pair("canopy_entropy", (-5.0, -9.0, -1.0)) | {"instruct": f"i{n}"} for n in range(6)])
    names = {"b": "Gemma 3"} | {f"i{n}": "SmolLM2" for n in range(6)}
    text = [finding.text for finding in canopy_findings({"canopy_comparison": many}, {}, names)][-1]
    assert text.endswith("b (Gemma 3) and i3 (SmolLM2); and 2 more pairs.")

"""Tables of the metrics and statistics rooms fit the canopy study's figures and report as they come."""

import numpy as np
import polars as pl
import pytest

from calib_assets import metrics
from calib_assets.report import Missing, ReportTable, canopy_overview, canopy_section, regression_section
from calib_assets.report.canopy_findings import canopy_findings
from calib_assets.report.canopy_items import table_names
from calib_assets.stats import Bootstrap, beta_panel_columns, fit_beta_mixed, residual_diagnostics

BOOTSTRAP = Bootstrap(n_boot=60)
MODELS = {"base": dict(end=0.12, level=1.7), "tuned": dict(end=0.03, level=0.7)}


def measured(canopy_study, seed: int, settings: dict) -> dict[str, pl.DataFrame]:
    """Every table of one model and task by way of the metrics room; one rollout has no embedding."""
    rows = canopy_study.tables.rollouts(seed, **settings)
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(rows.height, 6)) + 1).astype(np.float32).tolist()
    vectors[0] = None
    embedded = rows.select("prompt_id", "sample").with_columns(embedding=pl.Series(vectors, dtype=pl.List(pl.Float32)))
    measures = metrics.prompt_measures(rows, canopy_study.tables.CAP)
    summary = metrics.canopy_summary(
        measures, entropy_ranks=100, max_new_tokens=canopy_study.tables.CAP, bootstrap=BOOTSTRAP
    )
    split = metrics.variance_split(measures)
    correlations, diversity = metrics.prompt_correlations(rows), metrics.prompt_diversity(embedded)
    drawn = rows.filter(pl.col("sample") < 4).select("prompt_id", "sample")
    labels = drawn.join(drawn, on="prompt_id").filter(pl.col("sample") != pl.col("sample_right"))
    labels = labels.rename({"sample": "first", "sample_right": "second"}).with_columns(
        is_similar=(pl.col("first") + pl.col("second")) % 2 == 0
    )
    prompts = metrics.semantic_entropy_table(labels, drawn)
    return {
        "prompt_measures": measures,
        "canopy_entropy": summary,
        "variance_split": split,
        "design": metrics.cheapest_design(
            split, summary, context_tokens=40.0, mean_length=float(measures["mean_length"].mean())
        ),
        "entropy_trajectory": metrics.entropy_trajectory(rows, BOOTSTRAP),
        "length_distribution": metrics.length_distribution(rows),
        "prompt_correlations": correlations,
        "length_entropy_correlation": metrics.correlation_summary(correlations, BOOTSTRAP),
        "prompt_diversity": diversity,
        "semantic_diversity": metrics.diversity_summary(diversity, BOOTSTRAP),
        "prompt_semantic_entropy": prompts,
        "semantic_entropy": metrics.semantic_entropy_summary(prompts, BOOTSTRAP),
    }


@pytest.fixture(scope="module")
def cells(canopy_study) -> dict:
    return {(model, "t"): measured(canopy_study, seed, own) for seed, (model, own) in enumerate(MODELS.items())}


def cells_of(table: ReportTable) -> list[dict]:
    return [dict(zip([column.label for column in table.columns], row, strict=True)) for row in table.rows]


def test_sections_take_the_tables_of_the_metrics_room(cells):
    tables = cells["tuned", "t"]
    assert set(table_names()) - set(tables) == {"rollout_prompts"}
    section = canopy_section("tuned", "t", tables, {})
    assert not [item for item in section.items if isinstance(item, Missing)] and section.intro == ""
    assert len(section.items) >= 10
    [measures] = [item for item in section.items if item.id.endswith("--measures")]
    assert [row["Measure"] for row in cells_of(measures)][:3] == [
        "Canopy entropy", "Generation perplexity", "Branching factor",
    ]  # fmt: skip
    assert len(measures.rows) == 9  # every measure of the summary has a name


def test_overview_and_findings_take_the_paired_comparison(cells):
    names = ("canopy_entropy", "length_entropy_correlation", "semantic_diversity", "semantic_entropy")
    models = pl.concat([
        tables[name].select(pl.lit(model).alias("model"), pl.lit("t").alias("task"),
                            pl.lit("base" if model == "base" else "instruct").alias("variant"), pl.all())
        for (model, _), tables in cells.items() for name in names
    ])  # fmt: skip
    both = [{n: cells[model, "t"][n] for n in ("prompt_measures", "prompt_correlations", "prompt_diversity")}
            for model in MODELS]  # fmt: skip
    place = [pl.lit(v).alias(k) for k, v in (("task", "t"), ("base", "base"), ("instruct", "tuned"))]
    compared = metrics.paired_comparison(*both, BOOTSTRAP).select(*place, pl.all())
    overall = {"canopy_models": models, "canopy_comparison": compared}
    section = canopy_overview(cells, {}, overall)
    made = {item.id: item for item in section.items}
    assert len(made) == 12 and section.intro == ""
    row = next(row for row in cells_of(made["canopy-table-1"]) if row["Measure"] == "Canopy entropy")
    levels = [cells[model, "t"]["prompt_measures"]["canopy_entropy"].mean() for model in MODELS]
    assert (row["Base"], row["Instruct"]) == pytest.approx(levels)
    assert {"Embedding diversity", "Vendi score"} == {row["Measure"] for row in cells_of(made["canopy-semantic"])}
    texts = [finding.text for finding in canopy_findings(overall, {})]
    assert texts[0].startswith("t, base to tuned: canopy entropy ") and "generation perplexity falls by" in texts[0]
    assert any("the Pearson correlation of length and entropy rate" in text for text in texts)


def test_regression_chapter_takes_a_fit_and_its_diagnostics(canopy_study):
    raw = canopy_study.tables.beta_panel(n=30).drop("R_sc", "invN_sc", "D_beta", "is_clipped")
    panel = beta_panel_columns(raw)
    fit = fit_beta_mixed(panel, "D ~ R_sc * variant + task + (1 | prompt_uid)", "variant")
    found = residual_diagnostics(fit, 60, 1)
    labels = panel.select("prompt_uid", "model", "task")[fit.rows.tolist()]
    overall = {
        "beta_panel": panel,
        "panel_left_out": pl.DataFrame(),
        "coefficients": fit.coefficients,
        "random_effects": fit.random_effects,
        "fit_summary": fit.summary_row,
        "fit_notes": fit.notes,
        "predictions": pl.concat([labels, fit.predictions.drop("row")], how="horizontal"),
        "residual_tests": found.tests,
        "scaled_residuals": found.residuals,
    }
    section = regression_section(overall)
    made = {item.id: item for item in section.items}
    assert section.intro == "" and not [item for item in section.items if isinstance(item, Missing)]
    assert {"canopy-regression-figure", "canopy-mean", "canopy-random", "canopy-precision", "canopy-fit",
            "canopy-residuals", "canopy-residual-tests"} <= set(made)  # fmt: skip
    terms = {row["Term"] for row in cells_of(made["canopy-mean"])}
    assert terms == {"intercept", "entropy rate", "instruct", "stories", "entropy rate × instruct"}
    slope, residuals = (finding.text for finding in canopy_findings(overall, {}))
    truth = canopy_study.tables.SLOPES
    assert "rises with entropy rate in base models" in slope and "in instruct models it is larger by" in slope
    assert "of the regression's residuals" in residuals and truth["instruct"] > truth["base"] > 0

"""The chapter of the regression of semantic diversity on entropy rate and length, with its diagnostics."""

import polars as pl

from calib_assets import figures
from calib_assets.report import canopy_regression
from calib_assets.report.canopy_chapter import Chapter, Sources, has_rows
from calib_assets.report.contract import ReportSection
from calib_assets.report.order_examples import plain
from calib_assets.report.shape_study import Tables

NO_PANEL = "The study has no prompts with both entropies and texts, so there is no regression."
NO_FIT = "The regression has not been fitted."
_NO_PREDICTIONS = pl.DataFrame(
    schema={"prompt_uid": pl.String, "model": pl.String, "task": pl.String, "mu_population": pl.Float64}
)


def regression_section(overall: Tables | None = None, overall_provenance: Sources | None = None) -> ReportSection:
    """Semantic diversity on entropy rate and length: Tables 3, 7, 8 and 9, and Figure 6.

    Args:
        overall: Tables of the regression; see :func:`~calib_assets.report.canopy_study.canopy_part`.
        overall_provenance: Their manifests, by table name.
    """
    overall = overall or {}
    chapter = Chapter(overall, overall_provenance or {})
    nothing = _why_no_fit(overall)
    # Without a fit the points are still worth a look; a missing artifact is shown as missing instead.
    fitted = has_rows(overall.get("predictions")) or overall.get("predictions", 0) is None
    chapter.add(
        "canopy-regression-figure", "Diversity and entropy rate",
        ("beta_panel", "predictions") if fitted else ("beta_panel",),
        lambda panel, predictions=_NO_PREDICTIONS: figures.diversity_regression(panel, predictions),
        "A point a prompt and model" + (", and the fitted mean of each variant." if fitted else "."), "§5.2",
        "Embedding diversity against entropy rate by task, with the fitted mean of each variant.", nothing,
    )  # fmt: skip
    chapter.add("canopy-mean", "Conditional mean", ("coefficients",),
                lambda table: canopy_regression.coefficients(table, "mean"),
                "On the logit scale; entropy rate and inverse length in standard deviations.",
                "Counterpart of Tables 3 and 7", nothing=nothing)  # fmt: skip
    chapter.add("canopy-random", "Random effects", ("random_effects",), canopy_regression.random_effects,
                "Variation of the intercept among prompts and among models.", "Counterpart of Table 8")  # fmt: skip
    chapter.add("canopy-precision", "Precision", ("coefficients",),
                lambda table: canopy_regression.coefficients(table, "precision"),
                "On the log scale; more is less variation about the mean.", "Counterpart of Table 9",
                nothing=nothing)  # fmt: skip
    chapter.add("canopy-fit", "The fit", ("fit_summary",), canopy_regression.fit_summary, "", "Appendix C.4",
                nothing=nothing)  # fmt: skip
    chapter.add("canopy-notes", "Notes of the fit", ("fit_notes",), canopy_regression.notes,
                "What the data made the fit drop, bound or clip.", "")  # fmt: skip
    chapter.add("canopy-residuals", "Residuals", ("scaled_residuals", "residual_tests"), figures.residual_qq,
                "Unconditional: new random effects in every simulation; conditional: the fitted ones.",
                "Counterpart of Figure 6", "Quantiles of scaled residuals against uniform ones, and p-values of tests.",
                nothing)  # fmt: skip
    chapter.add("canopy-residual-tests", "Tests of the residuals", ("residual_tests",),
                canopy_regression.residual_tests, "", "Counterpart of Figure 6", nothing=nothing)  # fmt: skip
    chapter.add("canopy-left-out", "Prompts that are not in the regression", ("panel_left_out",),
                canopy_regression.left_out, "", "")  # fmt: skip
    return chapter.section("canopy-regression", "Canopy study: from entropy to meaning")


def _why_no_fit(overall: Tables) -> str:
    """The sentence for a study whose fit has no rows; nothing where the panel itself is missing."""
    panel, notes = overall.get("beta_panel", pl.DataFrame()), overall.get("fit_notes")
    if panel is None:
        return ""
    if not has_rows(panel):
        return NO_PANEL
    failed = notes.filter(pl.col("kind") == "not fitted")["text"].to_list() if has_rows(notes) else []
    return f"The regression could not be fitted: {' '.join(plain(text, 400) for text in failed)}" if failed else NO_FIT

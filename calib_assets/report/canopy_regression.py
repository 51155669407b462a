"""Tables of the beta regression: coefficients with their terms in words, random effects, the fit, its residuals."""

import re

import polars as pl

from calib_assets.figures.layout import require
from calib_assets.figures.residual_qq import KINDS
from calib_assets.report.canopy_tables import between
from calib_assets.report.contract import Column
from calib_assets.report.shape_tables import Shown

FACTORS = ("variant", "task", "model_name", "model", "family", "prompt_uid")
NUMBERS = {
    "R_sc": "entropy rate",
    "R_bar": "mean entropy rate",
    "invN_sc": "inverse length",
    "N_bar": "mean length",
    "M": "rollouts",
}
NORMAL_95 = 1.959963984540054
DROPPED = "not estimated, see the note"


def term_words(term: str) -> str:
    """A coefficient's name in R's spelling, in words.

    >>> term_words("R_sc:variantinstruct"), term_words("ns(invN_sc, 4)2"), term_words("(Intercept)")
    ('entropy rate × instruct', 'inverse length, spline 2', 'intercept')
    >>> term_words("something_else")
    'something_else'
    """
    return " × ".join(_factor_words(part) for part in term.split(":"))


def _factor_words(part: str) -> str:
    if part == "(Intercept)":
        return "intercept"
    spline = re.fullmatch(r"ns\((\w+), (?:df = )?(\d+)\)(\d+)", part)
    if spline:
        return f"{NUMBERS.get(spline[1], spline[1])}, spline {spline[3]}"
    if part in NUMBERS:
        return NUMBERS[part]
    for factor in FACTORS:
        if part.startswith(factor) and len(part) > len(factor):
            return part[len(factor) :]
    return part


def wald(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with ``ci_low`` and ``ci_high``, the estimate ± 1.96 standard errors."""
    reach = NORMAL_95 * pl.col("se")
    return frame.with_columns(ci_low=pl.col("estimate") - reach, ci_high=pl.col("estimate") + reach)


def coefficients(table: pl.DataFrame, part: str) -> Shown:
    """Coefficients of the mean (``part`` "mean", logit scale) or of the precision ("precision", log scale)."""
    require(table, ("part", "term", "estimate", "se", "z", "p", "note"), "coefficients")
    rows = wald(table.filter(pl.col("part") == part)).with_columns(
        pl.col("term").map_elements(term_words, return_dtype=pl.String).alias("words"),
        between("ci_low", "ci_high").alias("interval"),
    )
    return rows, {
        "words": Column("Term"),
        "term": Column("Coefficient"),
        "estimate": Column("Estimate", "number", DROPPED),
        "se": Column("Standard error", "number", DROPPED),
        "interval": Column("95 % Wald interval", null_means=DROPPED),
        "z": Column("z", "number", DROPPED),
        "p": Column("p", "share", DROPPED, "two-sided; 0 is below 10⁻³⁰⁰"),
        "note": Column("Note", null_means="nothing to note"),
    }


def random_effects(table: pl.DataFrame) -> Shown:
    """Variances of the random intercepts; one at its boundary is said to be."""
    names = ("group", "n_levels", "variance", "sd", "log_sd", "log_sd_se", "is_singular")
    require(table, names, "random_effects")
    at_zero = "the variance is at its boundary, 0"
    return table, {
        "group": Column("Group"),
        "n_levels": Column("Levels", "count"),
        "variance": Column("Variance", "number"),
        "sd": Column("Standard deviation", "number"),
        "log_sd": Column("its logarithm", "number", at_zero),
        "log_sd_se": Column("SE of the logarithm", "number", at_zero),
        "is_singular": Column("Singular", "flag", help="at the boundary: the data show no variation among levels"),
    }


def fit_summary(table: pl.DataFrame) -> Shown:
    """One row: rows, parameters, likelihood, and how the optimiser ended."""
    columns = {
        "n_rows": Column("Rows", "count"),
        "n_dropped_rows": Column("Rows dropped", "count", help="rows with a missing value"),
        "n_parameters": Column("Parameters", "count"),
        "log_likelihood": Column("Log-likelihood", "number"),
        "aic": Column("AIC", "number"),
        "bic": Column("BIC", "number"),
        "converged": Column("Converged", "flag"),
        "iterations": Column("Iterations", "count"),
        "max_gradient": Column("Largest gradient", "number"),
        "condition": Column("Condition number", "number", "not computed", "of the observed information"),
    }
    require(table, columns, "fit_summary")
    return table, columns


def notes(table: pl.DataFrame) -> Shown | None:
    """What the fit has to say of the data; None where there is nothing."""
    require(table, ("kind", "text"), "fit_notes")
    return None if table.is_empty() else (table, {"kind": Column("Kind"), "text": Column("Note")})


def left_out(table: pl.DataFrame) -> Shown | None:
    """Rows that did not enter the panel, with the reason; None where there are none."""
    require(table, ("model", "task", "reason", "n"), "panel_left_out")
    return None if table.is_empty() else (table, {
        "task": Column("Task"),
        "model": Column("Model"),
        "reason": Column("Why"),
        "n": Column("Prompts", "count"),
    })  # fmt: skip


def residual_tests(table: pl.DataFrame) -> Shown:
    """Uniformity, dispersion and outliers of each kind of residual."""
    require(table, ("kind", "test", "statistic", "p", "n", "n_simulations", "detail"), "residual_tests")
    frame = table.with_columns(pl.col("kind").replace(KINDS).alias("label"))
    none = "not defined for this kind"
    return frame, {
        "label": Column("Residuals"),
        "test": Column("Test"),
        "statistic": Column("Statistic", "number", none),
        "p": Column("p", "share", none, "two-sided"),
        "n": Column("Rows", "count"),
        "n_simulations": Column("Simulations", "count", "closed form: none needed"),
        "detail": Column("Detail"),
    }

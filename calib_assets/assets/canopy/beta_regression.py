"""How entropy becomes meaning: beta mixed regression of semantic diversity on entropy rate and length."""

import polars as pl

from calib_assets.assets.canopy.gathering import MEASURED, PLACE, gathered
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import BetaFit, NotConverged, beta_panel_columns, fit_beta_mixed
from calib_assets.stats import residual_diagnostics as simulated
from calib_assets.stats.beta_regression import tables

EMPTY = {
    "coefficients": pl.DataFrame(schema=tables.COEFFICIENTS),
    "random_effects": pl.DataFrame(schema=tables.RANDOM_EFFECTS),
    "random_modes": pl.DataFrame(schema=tables.RANDOM_MODES),
    "fit_summary": pl.DataFrame(schema=tables.SUMMARY),
    "fit_notes": pl.DataFrame(schema=tables.NOTES),
    "predictions": pl.DataFrame(),
}
RAW = ("task", "prompt_id", "prompt_uid", "model", "model_name", "variant", "D", "R_bar", "N_bar", "M")
LEFT_OUT = {"model": pl.String, "task": pl.String, "reason": pl.String, "n": pl.Int64}


def beta_panel(run: Run) -> Result:
    """One row a prompt and model: D, mean entropy rate and mean length of its rollouts, standardised (METHODS §4)."""
    measures, diversity = gathered(run, "prompt_measures"), gathered(run, "prompt_diversity")
    parts, left_out = [], []
    if measures.width and diversity.width:
        parts.append(measured_rows(measures, diversity))
    brought = run.table("external_data", "panel")
    if brought.width > 1:
        parts.append(brought.drop("external").with_columns(why=pl.lit("a value is missing")))
    if not parts:
        empty = {name: pl.DataFrame() for name in ("beta_panel", "panel_left_out")}
        return Result(tables=empty, numbers={"rows": 0})
    rows = pl.concat(parts, how="diagonal_relaxed")
    whole = pl.all_horizontal(pl.col("D", "R_bar", "N_bar").is_not_null())
    left_out = rows.filter(~whole).group_by("model", "task", reason="why", maintain_order=True).len("n")
    used = rows.filter(whole).with_columns(prompt_uid=pl.format("{}/{}", "task", "prompt_id")).select(RAW)
    panel = beta_panel_columns(used, clip=run.slice("regression_spec")["clip"]) if used.height > 1 else pl.DataFrame()
    return Result(
        tables={"beta_panel": panel, "panel_left_out": left_out.cast(LEFT_OUT)},
        numbers={"rows": panel.height, "rows left out": int(left_out["n"].sum() or 0)},
    )


def measured_rows(measures: pl.DataFrame, diversity: pl.DataFrame) -> pl.DataFrame:
    """The panel's rows of rollouts whose measures are known; ``why`` says what a row without D lacks.

    Texts that point away from each other have a mean cosine distance above 1, which the response cannot be: such a D
    is 1, and counts as clipped.
    """
    rows = measures.join(
        diversity.select("model", "task", "prompt_id", "embedding_diversity", "reason"),
        on=["model", "task", "prompt_id"],
        how="left",
        maintain_order="left",
    )
    return rows.select(
        *PLACE,
        "prompt_id",
        D=pl.col("embedding_diversity").clip(upper_bound=1.0),
        R_bar="mean_entropy_rate",
        N_bar="mean_length",
        M="n_rollouts",
        why=pl.col("reason").fill_null("no diversity"),
    )


def beta_regression(run: Run) -> Result:
    """The fit with coefficients, random effects, likelihood, predictions and notes (METHODS §4).

    Where it cannot be fitted there are no numbers, and a note says why: the check `regression_is_fitted` then fails.
    """
    panel = run.table("beta_panel")
    if panel.is_empty():
        return Result(tables=dict(EMPTY), numbers={"fitted": "no rows"})
    try:
        fit = _fit(run, panel)
    except (NotConverged, ValueError) as error:
        notes = pl.DataFrame([("not fitted", str(error))], tables.NOTES, orient="row")
        return Result(tables={**EMPTY, "fit_notes": notes}, numbers={"fitted": "no"})
    labels = panel.select("prompt_uid", "model", "task")[fit.rows.tolist()]
    predictions = pl.concat([labels, fit.predictions.drop("row")], how="horizontal")
    return Result(
        tables={
            "coefficients": fit.coefficients,
            "random_effects": fit.random_effects,
            "random_modes": fit.random_modes,
            "fit_summary": fit.summary_row,
            "fit_notes": fit.notes,
            "predictions": predictions,
        },
        files={"summary.txt": str(fit).encode()},
        numbers={"fitted": "yes"} | fit.summary_row.select("log_likelihood", "aic", "bic").row(0, named=True),
    )


def residual_diagnostics(run: Run) -> Result:
    """Scaled residuals and their tests (DHARMa): two kinds of simulation, and the closed form (METHODS §4)."""
    panel, spec = run.table("beta_panel"), run.slice("diagnostics_spec")
    if run.table("beta_regression", "fit_summary").is_empty():
        return Result(tables={"residual_tests": pl.DataFrame(), "scaled_residuals": pl.DataFrame()})
    found = simulated(_fit(run, panel), spec["simulations"], spec["seed"])
    return Result(
        tables={"residual_tests": found.tests, "scaled_residuals": found.residuals},
        numbers={f"{kind} {test} p": p for kind, test, p in found.tests.select("kind", "test", "p").iter_rows()},
    )


def _fit(run: Run, panel: pl.DataFrame) -> BetaFit:
    spec = run.slice("regression_spec")
    named = {"task": _reference_task(spec["tasks"], panel), **spec["reference"]}
    return fit_beta_mixed(panel, spec["mean"], spec["precision"], reference=named, clip=spec["clip"])


def _reference_task(tasks: list[str], panel: pl.DataFrame) -> str:
    """The first task called after completion, else the first that the study names, else the panel's first."""
    found = [*tasks, *panel["task"].unique(maintain_order=True)]
    return next((task for task in found if task.startswith("completion")), found[0])


PANEL = Node(
    key="beta_panel",
    axes=(),
    deps=("pairs_spec", "regression_spec", *dict.fromkeys(MEASURED.values()), "external_data"),
    body=beta_panel,
    group="canopy",
    description="One row a prompt and model: semantic diversity, entropy rate and length of its rollouts "
    "(Paper B §5.2).",
)
NODE = Node(
    key="beta_regression",
    axes=(),
    deps=("regression_spec", "beta_panel"),
    body=beta_regression,
    group="canopy",
    description="Beta mixed regression of semantic diversity on entropy rate and length (Paper B, App. C.4, Tables 3 "
    "and 7 to 9).",
)
DIAGNOSTICS = Node(
    key="residual_diagnostics",
    axes=(),
    deps=("regression_spec", "diagnostics_spec", "beta_panel", "beta_regression"),
    body=residual_diagnostics,
    group="canopy",
    description="Scaled residuals of the regression with tests of uniformity, dispersion and outliers (Paper B, "
    "Figure 6).",
)

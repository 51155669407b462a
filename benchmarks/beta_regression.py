"""The beta regression against R's glmmTMB: CPU seconds on one thread, with the numbers compared.

Both sides read the same panel of the paper's structure (simulated), make the design matrices and fit the model of the
paper: ours in this process, glmmTMB in one R process that times only the call of glmmTMB.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import expit

from benchmarks.rows import Check, NotHere, Row, Run
from benchmarks.turns import in_turns
from calib_assets.stats import BetaFit, beta_panel_columns, fit_beta_mixed

THREADS = 1  # R's BLAS reads the same variables
SMALL = {"panels": [480], "repeat": 1}
FULL = {"panels": [2400, 36000]}
INSTALL = "R's glmmTMB is not installed: on Debian, apt-get install r-cran-glmmtmb r-cran-jsonlite"
TARGETS = {2400: 50.0, 36000: 100.0}
STANDARD_ERRORS = 1e-3  # largest difference of a coefficient, in standard errors; and of a standard error, relative
LOG_LIKELIHOOD = 1e-4
BASELINE = r"""
suppressPackageStartupMessages({ library(glmmTMB); library(splines); library(jsonlite) })
d <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = TRUE)
d$task <- relevel(d$task, ref = "completion")
seconds <- system.time(fit <- glmmTMB(
  D_beta ~ R_sc * variant + ns(invN_sc, 4) * variant + task + (1 | prompt_uid) + (1 | model_name),
  dispformula = ~ variant * task + ns(invN_sc, 3) + R_sc * variant + model_name,
  family = beta_family("logit"), data = d,
  control = glmmTMBControl(optCtrl = list(iter.max = 3000, eval.max = 4000))))
table <- function(m) list(estimate = unname(m[, 1]), se = unname(m[, 2]))
coefficients <- summary(fit)$coefficients
write_json(list(version = as.character(packageVersion("glmmTMB")), R = paste(R.version$major, R.version$minor,
  sep = "."), seconds = sum(seconds[1:2]), log_likelihood = -fit$fit$objective,
  mean = table(coefficients$cond), precision = table(coefficients$disp)), commandArgs(TRUE)[2],
  digits = 14, auto_unbox = TRUE)
"""


def simulated_panel(n_rows: int) -> pl.DataFrame:
    """A panel of 3 models x 2 variants: 4 tasks x 100 prompts, or 12 x 500 from 10,000 rows on."""
    rng = np.random.default_rng(7)
    n_tasks = 12 if n_rows >= 10_000 else 4
    prompts = n_rows // (6 * n_tasks)
    axes = np.arange(3), np.arange(2), np.arange(n_tasks), np.arange(prompts)
    model, variant, task, prompt = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))

    def noise(by_row: float, by_task: float):
        return by_row * rng.normal(size=len(model)) + by_task * rng.normal(size=n_tasks)[task]

    rate = np.exp(np.where(variant, -0.6, 0.6) + noise(0.3, 0.2))
    length = np.clip(np.exp(6.1 + noise(0.4, 0.4)), 8, 4000)
    z = (rate - rate.mean()) / rate.std()
    intercepts = 0.12 * rng.normal(size=(n_tasks, prompts))[task, prompt] + 0.1 * rng.normal(size=3)[model]
    mu = expit(-0.9 + 0.7 * z - 0.4 * variant + 1.1 * z * variant + 0.2 * rng.normal(size=n_tasks)[task] + intercepts)
    phi = np.exp(2.7 + 0.6 * variant - 0.2 * z + 0.3 * rng.normal(size=n_tasks)[task])
    names = ["completion", *(f"task{i:02d}" for i in range(1, n_tasks))]
    frame = pl.DataFrame(
        {
            "task": [names[i] for i in task],
            "prompt_uid": [f"{names[i]}/{j}" for i, j in zip(task, prompt)],
            "model_name": [f"model{i}" for i in model],
            "variant": np.where(variant, "instruct", "base"),
            "D": rng.beta(mu * phi, (1 - mu) * phi),
            "R_bar": rate,
            "N_bar": length,
        }
    )
    return beta_panel_columns(frame)


def glmmtmb(panel: pl.DataFrame, folder: Path) -> dict:
    """CPU seconds, version and numbers of glmmTMB.

    Raises:
        NotHere: R or the package is not installed.
    """
    if shutil.which("Rscript") is None:
        raise NotHere(INSTALL)
    paths = [str(folder / name) for name in ("fit.R", "panel.csv", "fit.json")]
    Path(paths[0]).write_text(BASELINE)
    panel.write_csv(paths[1], float_precision=17)
    done = subprocess.run(["Rscript", *paths], capture_output=True, text=True, check=False)
    if "there is no package called" in done.stderr:
        raise NotHere(INSTALL)
    if done.returncode:
        raise RuntimeError(f"glmmTMB ended with an error: {done.stderr[-1000:]}")
    return json.loads(Path(paths[2]).read_text())


def differences(fit: BetaFit, baseline: dict) -> tuple[float, float, float]:
    """Largest difference of coefficients in standard errors, of standard errors (relative), and of ln L."""
    ours = {name: fit.coefficients[name].to_numpy() for name in ("estimate", "se")}
    theirs = {name: np.concatenate([baseline[part][name] for part in ("mean", "precision")]) for name in ours}
    gained = fit.summary_row["log_likelihood"][0] - baseline["log_likelihood"]
    shift = np.abs((ours["estimate"] - theirs["estimate"]) / ours["se"])
    return float(shift.max()), float(np.abs(ours["se"] / theirs["se"] - 1).max()), gained


def rows(run: Run, panels: Sequence[int] = (2400,), repeat: int = 5) -> Iterator[Row]:
    """A row for each panel; glmmTMB fits each once."""
    for n_rows in panels:
        panel = simulated_panel(n_rows)
        fit_beta_mixed(panel)  # warm
        half = [lambda: fit_beta_mixed(panel)] * repeat  # noqa: B023
        before, baseline, after = in_turns(ours=half)["ours"], glmmtmb(panel, run.folder), in_turns(ours=half)["ours"]
        coefficients, errors, gained = differences(before.values[0], baseline)
        yield Row(
            "beta mixed regression with precision model",
            f"{len(panel):,} rows, {before.values[0].summary_row['n_parameters'][0]} parameters",
            f"glmmTMB {baseline['version']} (R {baseline['R']})",
            float(np.median(before.cpu_seconds + after.cpu_seconds)),
            baseline["seconds"],
            (
                Check("largest difference of a coefficient in standard errors", coefficients, STANDARD_ERRORS),
                Check("of a standard error, relative", errors, STANDARD_ERRORS),
                Check("log-likelihood below glmmTMB's by", -gained, LOG_LIKELIHOOD),
            ),
            target=TARGETS.get(n_rows),
            clock="CPU",
        )

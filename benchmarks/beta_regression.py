"""The beta regression against glmmTMB: CPU seconds on one thread, with the numbers compared.

    python benchmarks/beta_regression.py [--rows 2400 36000] [--repeat 5]
    apt-get install r-cran-glmmtmb r-cran-jsonlite        # the baseline, if Rscript is to be found

Both sides read the same panel of the paper's structure (simulated), make the design matrices and fit
the model of the paper: ours in this process, glmmTMB in one R process that times only the call of glmmTMB. Without
Rscript or glmmTMB the baseline is the stored time of one fit of panels of this size (R 4.2.2, glmmTMB 1.1.5, AMD
EPYC, one thread), and numbers are not compared. Of the fast side the median of the repeats counts. Quote the ratios.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded; R's BLAS reads them too
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
from scipy.special import expit  # noqa: E402

from calib_assets.stats import BetaFit, beta_panel_columns, fit_beta_mixed  # noqa: E402

TARGETS = {2400: 50.0, 36000: 100.0}
STORED_SECONDS = {2400: 4.4, 36000: 154.0}
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
write_json(list(seconds = sum(seconds[1:2]), log_likelihood = -fit$fit$objective,
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


def our_seconds(panel: pl.DataFrame, repeat: int) -> tuple[float, BetaFit]:
    """Median CPU seconds of a fit from the frame, formulas and designs included, and the fit."""
    fit, times = fit_beta_mixed(panel), []
    for _ in range(repeat):
        start = time.process_time()
        fit = fit_beta_mixed(panel)
        times.append(time.process_time() - start)
    return float(np.median(times)), fit


def glmmtmb(panel: pl.DataFrame) -> dict | None:
    """CPU seconds and numbers of glmmTMB; None if it is not there."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("fit.R", "panel.csv", "fit.json")]
        Path(paths[0]).write_text(BASELINE)
        panel.write_csv(paths[1], float_precision=17)
        done = subprocess.run(["Rscript", *paths], capture_output=True, text=True, check=False)
        if done.returncode:
            print("  glmmTMB could not be run:", (done.stderr.strip().splitlines() or ["no message"])[-1])
            return None
        return json.loads(Path(paths[2]).read_text())


def differences(fit: BetaFit, baseline: dict) -> tuple[float, float, float]:
    """Largest difference of coefficients in standard errors, of standard errors (relative), and of ln L."""
    ours = {name: fit.coefficients[name].to_numpy() for name in ("estimate", "se")}
    theirs = {name: np.concatenate([baseline[part][name] for part in ("mean", "precision")]) for name in ours}
    gained = fit.summary_row["log_likelihood"][0] - baseline["log_likelihood"]
    shift = np.abs((ours["estimate"] - theirs["estimate"]) / ours["se"])
    return float(shift.max()), float(np.abs(ours["se"] / theirs["se"] - 1).max()), gained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=sorted(TARGETS), choices=sorted(TARGETS))
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    failed = False
    for n_rows in arguments.rows:
        panel = simulated_panel(n_rows)
        seconds, fit = our_seconds(panel, arguments.repeat)
        print(f"{len(panel):,} rows, {fit.summary_row['n_parameters'][0]} parameters, CPU seconds on one thread")
        print(f"  this project  {seconds:9.4f} s  (median of {arguments.repeat})")
        baseline = glmmtmb(panel)
        if baseline is None:
            slow, how = STORED_SECONDS[n_rows], "stored time of a panel of this size, not run here"
        else:
            slow, how = baseline["seconds"], "run here"
        ratio, target = slow / seconds, TARGETS[n_rows]
        print(f"  glmmTMB       {slow:9.4f} s  ({how}): {ratio:.0f}x (target {target:.0f}x)")
        failed |= ratio < target
        if baseline is not None:
            coefficients, errors, gained = differences(fit, baseline)
            print(
                f"  largest difference: coefficient {coefficients:.1e} standard errors, "
                f"standard error {errors:.1e} relative; log-likelihood {gained:+.1e}"
            )
            failed |= max(coefficients, errors) > STANDARD_ERRORS or abs(gained) > LOG_LIKELIHOOD
    if failed:
        raise SystemExit("a target is missed or the numbers differ")


if __name__ == "__main__":
    main()

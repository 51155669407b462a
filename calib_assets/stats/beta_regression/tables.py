"""The tables of a fit, in the schemas that assets and reports read."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from scipy.special import ndtr

COEFFICIENTS = {
    "part": pl.String,
    "term": pl.String,
    "estimate": pl.Float64,
    "se": pl.Float64,
    "z": pl.Float64,
    "p": pl.Float64,
    "note": pl.String,
}
RANDOM_EFFECTS = {
    "group": pl.String,
    "n_levels": pl.Int64,
    "variance": pl.Float64,
    "sd": pl.Float64,
    "log_sd": pl.Float64,
    "log_sd_se": pl.Float64,
    "is_singular": pl.Boolean,
}
RANDOM_MODES = {"group": pl.String, "level": pl.String, "mode": pl.Float64}
SUMMARY = {
    "n_rows": pl.Int64,
    "n_dropped_rows": pl.Int64,
    "n_parameters": pl.Int64,
    "log_likelihood": pl.Float64,
    "aic": pl.Float64,
    "bic": pl.Float64,
    "converged": pl.Boolean,
    "iterations": pl.Int64,
    "max_gradient": pl.Float64,
    "condition": pl.Float64,
}
NOTES = {"kind": pl.String, "text": pl.String}


def coefficients(*parts) -> pl.DataFrame:
    """Rows of both submodels; each part is (name, submodel, estimates, standard errors) of its kept columns."""
    rows = []
    for part, submodel, estimates, errors in parts:
        kept = iter(zip(estimates.tolist(), errors.tolist(), strict=True))
        for j, name in enumerate(submodel.names):
            if not submodel.keep[j]:
                rows.append((part, name, None, None, None, None, submodel.dropped[j]))
                continue
            estimate, error = next(kept)
            z = estimate / error
            rows.append((part, name, estimate, error, z, 2 * float(ndtr(-abs(z))), None))
    return pl.DataFrame(rows, COEFFICIENTS, orient="row")


def random_effects(groups: Mapping) -> pl.DataFrame:
    """One row per grouping factor."""
    rows = [
        (
            name,
            len(group.levels),
            group.sd**2,
            group.sd,
            float(np.log(group.sd)) if group.sd > 0 else None,
            group.log_sd_se,
            group.sd == 0,
        )
        for name, group in groups.items()
    ]
    return pl.DataFrame(rows, RANDOM_EFFECTS, orient="row")


def random_modes(groups: Mapping) -> pl.DataFrame:
    """One row per level of each grouping factor."""
    frames = [
        pl.DataFrame({"group": [name] * len(group.levels), "level": group.levels, "mode": group.modes})
        for name, group in groups.items()
    ]
    return pl.concat([pl.DataFrame(schema=RANDOM_MODES), *frames])


def summary_row(*, n_rows: int, n_parameters: int, log_likelihood: float, **rest) -> pl.DataFrame:
    """The one row of the fit's own numbers; AIC = 2k - 2 ln L, BIC = k ln n - 2 ln L."""
    row = {
        "n_rows": n_rows,
        "n_parameters": n_parameters,
        "log_likelihood": log_likelihood,
        "aic": 2 * n_parameters - 2 * log_likelihood,
        "bic": float(np.log(n_rows)) * n_parameters - 2 * log_likelihood,
        "converged": True,  # a fit that has not converged is an error, not a row
        **rest,
    }
    return pl.DataFrame([row], SUMMARY)


def notes(rows: list[tuple[str, str]]) -> pl.DataFrame:
    """Kind and text of each note."""
    return pl.DataFrame(rows, NOTES, orient="row")

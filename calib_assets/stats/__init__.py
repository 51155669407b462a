"""Statistics: how sure a number is, computed from arrays.

Belongs here: resampling, and models fitted to finished tables. Does not belong here: the measures themselves
(`calib_assets.metrics`, which may import this room), files, models, Dagster, plotting. Every random draw comes
from a generator made of a stated seed, so a result can be computed again to the last bit.
"""

from calib_assets.stats.beta_regression import (
    BetaFit,
    NotConverged,
    RandomIntercept,
    fit_beta_mixed,
)
from calib_assets.stats.bootstrap import (
    Bootstrap,
    Estimate,
    cluster_bootstrap,
    from_draws,
    percentile_interval,
    resampled_sums,
)
from calib_assets.stats.formula import parse_formula
from calib_assets.stats.panel import beta_panel_columns, standardise
from calib_assets.stats.residual_diagnostics import ResidualDiagnostics, residual_diagnostics
from calib_assets.stats.splines import NaturalSpline, natural_spline

__all__ = [
    "BetaFit",
    "Bootstrap",
    "Estimate",
    "NaturalSpline",
    "NotConverged",
    "RandomIntercept",
    "ResidualDiagnostics",
    "beta_panel_columns",
    "cluster_bootstrap",
    "fit_beta_mixed",
    "from_draws",
    "natural_spline",
    "parse_formula",
    "percentile_interval",
    "resampled_sums",
    "residual_diagnostics",
    "standardise",
]

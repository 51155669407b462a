"""Beta regression with crossed random intercepts and a model of the precision, fitted as glmmTMB fits it.

Belongs here: one model, from formulas to tables. How its files stand on each other: `likelihood` (the density and its
derivatives), `intercepts` (linear algebra of the grouping factors), `laplace` (the objective with exact gradient and
Hessian), `newton` (one descent), `start` and `search` (which descents; variances at zero; spikes), `prepare` (data and
formulas), `fit`, `tables`, `text` (what users see). Formulas, designs and splines know nothing of the model and stand
outside.
"""

from calib_assets.stats.beta_regression.fit import (
    MEAN,
    PRECISION,
    REFERENCE,
    BetaFit,
    RandomIntercept,
    fit_beta_mixed,
)
from calib_assets.stats.beta_regression.search import NotConverged

__all__ = ["MEAN", "PRECISION", "REFERENCE", "BetaFit", "NotConverged", "RandomIntercept", "fit_beta_mixed"]

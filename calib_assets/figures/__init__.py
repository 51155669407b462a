"""Figures: one family a file, functions from tables (polars frames) to ``matplotlib.figure.Figure``.

What belongs here: drawing. What must not: computing results (``calib_assets.metrics``), reading or writing
files, Dagster, models, and pyplot, whose global state would leak between assets. Every figure takes the
tables as the assets publish them; a decoding rule that these modules have never heard of is drawn like any
other. The counterparts of the paper's figures are listed in each module's first line.
"""

from calib_assets.figures.calibration_gap import calibration_gap
from calib_assets.figures.conditional_calibration import conditional_calibration
from calib_assets.figures.encode import inline_svg, png, svg, thumbnail
from calib_assets.figures.logit_fit import logit_fit
from calib_assets.figures.mass_by_temperature import mass_by_temperature
from calib_assets.figures.sequence_precision_recall import sequence_precision_recall, step_factors
from calib_assets.figures.sequence_probability import sequence_probability
from calib_assets.figures.temperature_tradeoff import temperature_tradeoff
from calib_assets.figures.theory import order_bound, shape_bound
from calib_assets.figures.token_distribution import token_distribution
from calib_assets.figures.validity_diversity_frontier import validity_diversity_frontier

__all__ = [
    "calibration_gap",
    "conditional_calibration",
    "inline_svg",
    "logit_fit",
    "mass_by_temperature",
    "order_bound",
    "png",
    "sequence_precision_recall",
    "sequence_probability",
    "shape_bound",
    "step_factors",
    "svg",
    "temperature_tradeoff",
    "thumbnail",
    "token_distribution",
    "validity_diversity_frontier",
]

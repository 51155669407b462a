"""Figures: one family a file, functions from tables (polars frames) to ``matplotlib.figure.Figure``.

What belongs here: drawing. What must not: computing results (``calib_assets.metrics``), reading or writing
files, Dagster, models, and pyplot, whose global state would leak between assets. Every figure takes the
tables as the assets publish them; a decoding rule that these modules have never heard of is drawn like any
other. The counterparts of the paper's figures are listed in each module's first line.
"""

from calib_assets.figures.answer_collapse import effective_answers, top_answers
from calib_assets.figures.calibration_gap import calibration_gap
from calib_assets.figures.canopy_comparison import canopy_change, canopy_levels
from calib_assets.figures.code_calibration import pass_curves, ranked_programs
from calib_assets.figures.conditional_calibration import conditional_calibration
from calib_assets.figures.decoding_comparison import decoding_comparison
from calib_assets.figures.depth_frontiers import depth_frontiers
from calib_assets.figures.diversity_regression import diversity_regression
from calib_assets.figures.encode import inline_svg, png, svg, thumbnail
from calib_assets.figures.entropy_trajectories import entropy_trajectories
from calib_assets.figures.greedy_robustness import greedy_robustness
from calib_assets.figures.judge_scores import judge_scores
from calib_assets.figures.length_distributions import length_distributions
from calib_assets.figures.logit_fit import logit_fit
from calib_assets.figures.mass_by_temperature import mass_by_temperature
from calib_assets.figures.model_scaling import model_scaling
from calib_assets.figures.plotted import plotted_data
from calib_assets.figures.prompt_variability import prompt_variability
from calib_assets.figures.residual_qq import residual_qq
from calib_assets.figures.sequence_precision_recall import sequence_precision_recall, step_factors
from calib_assets.figures.sequence_probability import sequence_probability
from calib_assets.figures.single_step import single_step
from calib_assets.figures.sweep_tree import sweep_tree
from calib_assets.figures.temperature_tradeoff import temperature_tradeoff
from calib_assets.figures.theory import order_bound, shape_bound
from calib_assets.figures.token_distribution import token_distribution
from calib_assets.figures.validity_diversity_frontier import validity_diversity_frontier

__all__ = [
    "calibration_gap",
    "canopy_change",
    "canopy_levels",
    "conditional_calibration",
    "decoding_comparison",
    "depth_frontiers",
    "diversity_regression",
    "effective_answers",
    "entropy_trajectories",
    "greedy_robustness",
    "inline_svg",
    "judge_scores",
    "length_distributions",
    "logit_fit",
    "mass_by_temperature",
    "model_scaling",
    "order_bound",
    "pass_curves",
    "plotted_data",
    "png",
    "prompt_variability",
    "ranked_programs",
    "residual_qq",
    "sequence_precision_recall",
    "sequence_probability",
    "shape_bound",
    "single_step",
    "step_factors",
    "svg",
    "sweep_tree",
    "temperature_tradeoff",
    "thumbnail",
    "token_distribution",
    "top_answers",
    "validity_diversity_frontier",
]

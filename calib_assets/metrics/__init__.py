"""Metrics: numbers and tables computed from conditionals, tries, sweep points and rollouts.

Belongs here: pure functions of arrays and polars tables, one idea a file. Does not belong here: files,
models, Dagster, plotting; decoding rules and the sweep engine live in `calib_assets.decoding`. Symbols,
equations and identifiers: docs/papers.md. Natural logarithms throughout.
"""

# isort: off
# First: when a module is loaded its name is set in this package, and the function `step_entropy` must win.
from calib_assets.metrics.step_entropy import top_entropy

# isort: on
from calib_assets.metrics.agreement import BinaryAgreement, binary_agreement, krippendorff_alpha
from calib_assets.metrics.agreement_tables import MAJORITY, annotator_agreement, judge_pairs, majority
from calib_assets.metrics.answer_collapse import answer_counts, answer_measures, answer_outcomes, answers
from calib_assets.metrics.bounds import (
    c_epsilon,
    diversity_bound_f4,
    diversity_bound_f5,
    diversity_bound_finite_vocabulary,
    entropy_loss,
    finite_vocabulary_sharpness,
    recall_bound,
)
from calib_assets.metrics.canopy import canopy_summary, prompt_measures
from calib_assets.metrics.canopy_comparison import paired_comparison
from calib_assets.metrics.code_calibration import (
    calibration_differences,
    calibration_summary,
    code_calibration,
    ranked_sequences,
)
from calib_assets.metrics.conditional_calibration import conditional_calibration
from calib_assets.metrics.conditional_mass import conditional_ranks, frequent_valid, mass_by_temperature
from calib_assets.metrics.decoding_comparison import best_decoding, decoding_points
from calib_assets.metrics.depth_summary import RECALL_GRID, depth_frontiers, depth_summaries
from calib_assets.metrics.embedding_diversity import embedding_diversity
from calib_assets.metrics.greedy_robustness import greedy_robustness, robustness_frontiers, robustness_summaries
from calib_assets.metrics.hardness import recall_ceiling, step_hardness
from calib_assets.metrics.kendall import kendall_tau
from calib_assets.metrics.leaked_mass import leaked_mass
from calib_assets.metrics.length_entropy import correlation_summary, prompt_correlations
from calib_assets.metrics.logit_fit import LogitFit, fit_piecewise_logits
from calib_assets.metrics.logit_fit_tables import logit_fits
from calib_assets.metrics.model_scaling import model_scaling
from calib_assets.metrics.node_frontiers import node_curves, node_summaries
from calib_assets.metrics.pareto import best_diversity, calibration_gap, validity_diversity_frontier
from calib_assets.metrics.pass_at_k import pass_at_k, pass_rates, pass_summary
from calib_assets.metrics.precision_recall import (
    LocalPrecisionRecall,
    frontier_auc,
    labelled_precision_recall,
    local_precision_recall,
    precision_recall_frontier,
    recall_at_precision,
)
from calib_assets.metrics.ranks import (
    average_precision,
    is_order_calibrated,
    last_valid_rank,
    order_auroc,
    precision_at_n_valid,
    valid_ranks,
)
from calib_assets.metrics.rollout_arrays import (
    CanopyMeasures,
    LengthEntropyCorrelation,
    canopy_measures,
    length_entropy_correlation,
)
from calib_assets.metrics.self_bleu import self_bleu, self_bleu_scores
from calib_assets.metrics.semantic_diversity import diversity_summary, prompt_diversity
from calib_assets.metrics.semantic_entropy import (
    SemanticEntropy,
    relaxed_semantic_entropy,
    semantic_entropy_summary,
    semantic_entropy_table,
)
from calib_assets.metrics.sequence_probabilities import sequence_probabilities
from calib_assets.metrics.shape import effective_support, shape_divergence, step_entropy, valid_mass
from calib_assets.metrics.theory import step_branching, theory_e3, theory_f4
from calib_assets.metrics.token_validity import token_validity
from calib_assets.metrics.tokenizing import TOKENIZERS
from calib_assets.metrics.trajectories import entropy_trajectory, length_distribution
from calib_assets.metrics.validity_diversity import ValidityDiversity, validity_diversity
from calib_assets.metrics.variance_split import cheapest_design, variance_split
from calib_assets.metrics.vendi import vendi_score

__all__ = [
    "BinaryAgreement",
    "CanopyMeasures",
    "LengthEntropyCorrelation",
    "LocalPrecisionRecall",
    "LogitFit",
    "MAJORITY",
    "RECALL_GRID",
    "SemanticEntropy",
    "TOKENIZERS",
    "ValidityDiversity",
    "annotator_agreement",
    "answer_counts",
    "answer_measures",
    "answer_outcomes",
    "answers",
    "average_precision",
    "best_decoding",
    "best_diversity",
    "binary_agreement",
    "c_epsilon",
    "calibration_differences",
    "calibration_gap",
    "calibration_summary",
    "canopy_measures",
    "canopy_summary",
    "cheapest_design",
    "code_calibration",
    "conditional_calibration",
    "conditional_ranks",
    "correlation_summary",
    "decoding_points",
    "depth_frontiers",
    "depth_summaries",
    "diversity_bound_f4",
    "diversity_bound_f5",
    "diversity_bound_finite_vocabulary",
    "diversity_summary",
    "effective_support",
    "embedding_diversity",
    "entropy_loss",
    "entropy_trajectory",
    "finite_vocabulary_sharpness",
    "fit_piecewise_logits",
    "frequent_valid",
    "frontier_auc",
    "greedy_robustness",
    "is_order_calibrated",
    "judge_pairs",
    "kendall_tau",
    "krippendorff_alpha",
    "labelled_precision_recall",
    "last_valid_rank",
    "leaked_mass",
    "length_distribution",
    "length_entropy_correlation",
    "local_precision_recall",
    "logit_fits",
    "majority",
    "mass_by_temperature",
    "model_scaling",
    "node_curves",
    "node_summaries",
    "order_auroc",
    "paired_comparison",
    "pass_at_k",
    "pass_rates",
    "pass_summary",
    "precision_at_n_valid",
    "precision_recall_frontier",
    "prompt_correlations",
    "prompt_diversity",
    "prompt_measures",
    "ranked_sequences",
    "recall_at_precision",
    "recall_bound",
    "recall_ceiling",
    "relaxed_semantic_entropy",
    "robustness_frontiers",
    "robustness_summaries",
    "self_bleu",
    "self_bleu_scores",
    "semantic_entropy_summary",
    "semantic_entropy_table",
    "sequence_probabilities",
    "shape_divergence",
    "step_branching",
    "step_entropy",
    "step_hardness",
    "theory_e3",
    "theory_f4",
    "token_validity",
    "top_entropy",
    "valid_mass",
    "valid_ranks",
    "validity_diversity",
    "validity_diversity_frontier",
    "variance_split",
    "vendi_score",
]

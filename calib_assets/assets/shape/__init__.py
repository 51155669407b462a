"""The shape study: exact tasks with a known valid set. `NODES` are its assets, upstream first."""

from calib_assets.assets.shape import (
    calibration_gap,
    conditional_calibration,
    decoding_sweep,
    exact_logit_cache,
    logit_fits,
    sequence_precision_recall,
    sequence_probabilities,
    shape_explorer,
    shape_section,
    theory_bounds,
    validity_diversity_frontier,
)

NODES = (
    exact_logit_cache.NODE,
    conditional_calibration.NODE,
    decoding_sweep.NODE,
    validity_diversity_frontier.NODE,
    calibration_gap.NODE,
    sequence_probabilities.NODE,
    sequence_precision_recall.NODE,
    theory_bounds.NODE,
    logit_fits.NODE,
    shape_section.NODE,
    shape_explorer.NODE,
)

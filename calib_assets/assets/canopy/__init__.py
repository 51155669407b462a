"""The canopy study: whole rollouts, their entropies, lengths and meanings. `NODES` are its assets, upstream first."""

from calib_assets.assets.canopy import (
    beta_regression,
    canopy_comparison,
    canopy_entropy,
    canopy_section,
    entropy_trajectories,
    external_data,
    length_entropy_correlation,
    rollouts,
    semantic_diversity,
    semantic_entropy,
)

NODES = (
    rollouts.NODE,
    canopy_entropy.NODE,
    entropy_trajectories.NODE,
    length_entropy_correlation.NODE,
    semantic_diversity.EMBEDDINGS,
    semantic_diversity.NODE,
    semantic_entropy.JUDGED,
    semantic_entropy.NODE,
    external_data.NODE,
    canopy_comparison.NODE,
    beta_regression.PANEL,
    beta_regression.NODE,
    beta_regression.DIAGNOSTICS,
    canopy_section.NODE,
)

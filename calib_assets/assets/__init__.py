"""Assets: thin bodies (load, one pure call, a result with key numbers), one file each, and the graph they form.

Belongs here: what depends on what, partitions, checks, and the layer that makes nodes Dagster assets (``memo``). Does
not belong here: formulas (``decoding``, ``metrics``), drawing (``figures``), deciding what is stale (``staleness``).
"""

from calib_assets.assets import (
    calibration_gap,
    conditional_calibration,
    decoding_sweep,
    exact_logit_cache,
    logit_fits,
    report,
    sequence_precision_recall,
    sequence_probabilities,
    shape_section,
    theory_bounds,
    validity_diversity_frontier,
)
from calib_assets.staleness.graph import Graph
from calib_assets.study.slices import SLICES

_NODES = (
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
    report.NODE,
)

GRAPH = Graph(nodes={node.key: node for node in _NODES}, specs={name: axes for name, (axes, _) in SLICES.items()})
"""Every asset of the project, upstream first."""

__all__ = ["GRAPH"]

"""Assets: thin bodies (load, one pure call, a result with key numbers), one file each, and the graph they form.

Belongs here: what depends on what, partitions, checks, and the layer that makes nodes Dagster assets (``memo``); each
study has a folder. Does not belong here: formulas (``decoding``, ``metrics``), drawing (``figures``), deciding what is
stale (``staleness``).
"""

from calib_assets.assets import canopy, cases, explorer, order, report, shape
from calib_assets.staleness.graph import Graph
from calib_assets.study.slices import SLICES

_NODES = (*shape.NODES, *order.NODES, *canopy.NODES, *cases.NODES, report.NODE, explorer.NODE)

GRAPH = Graph(nodes={node.key: node for node in _NODES}, specs={name: axes for name, (axes, _) in SLICES.items()})
"""Every asset of the project, upstream first."""

__all__ = ["GRAPH"]

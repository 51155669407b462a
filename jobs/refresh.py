"""Jobs: one for each kind of cell. Launching one whole is cheap, since every step compares fingerprints first."""

import dagster as dg

from calib_assets.staleness.graph import Graph
from jobs.launch import JOB_OF_AXES


def refresh_jobs(graph: Graph) -> list:
    """The jobs of a graph; kinds of cells that no asset has get no job."""
    jobs = []
    for axes, name in JOB_OF_AXES.items():
        keys = [node.key for node in graph.nodes.values() if node.axes == axes]
        if keys:
            jobs.append(
                dg.define_asset_job(
                    name,
                    selection=dg.AssetSelection.assets(*keys),
                    description=f"Bring every asset of one {' and '.join(axes) or 'study'} up to date; what is fresh "
                    "is a cache hit.",
                )
            )
    return jobs

"""Jobs. Four for people: everything stale, one study, one model, the report; and one for each kind of cell.

The four plan first and launch the others, so each part is a run of its own. Launching any of them is safe, since every
step compares fingerprints first.
"""

from collections.abc import Callable

import dagster as dg

from calib_assets.assets.checks import check_keys
from calib_assets.staleness.graph import Graph
from calib_assets.staleness.identity import Context
from calib_assets.staleness.selection import Selection, parts
from jobs.launch import cell_job
from jobs.queueing import is_wanted, queue_of
from jobs.runner import refresh


def cell_jobs(graph: Graph) -> list:
    """One job for each kind of cell that the graph has."""
    jobs = []
    for axes in dict.fromkeys(node.axes for node in graph.nodes.values()):
        keys = [node.key for node in graph.nodes.values() if node.axes == axes]
        kind = f"one {' and '.join(axes)}" if axes else "the whole study"
        jobs.append(
            dg.define_asset_job(
                cell_job(axes),
                selection=dg.AssetSelection.assets(*keys).without_checks()
                | dg.AssetSelection.checks(*check_keys(keys)),
                description=f"Bring every asset of {kind} up to date; what is fresh is a cache hit. The sensor and "
                "the jobs refresh… launch this one.",
            )
        )
    return jobs


def refresh_jobs(
    graph: Graph, view: Callable[..., Context], services: set[str], get_job: Callable[[str], dg.JobDefinition]
) -> list[dg.JobDefinition]:
    """The jobs for people; ``refresh``, which brings everything up to date, is the first.

    Args:
        graph: The assets.
        view: Makes the planner's view from the services of the deployment.
        services: Names of the resources that it takes.
        get_job: Name -> job of one kind of cell.
    """
    studies = dg.Enum("StudyPart", [dg.EnumValue(name) for name in parts(graph)])
    comparisons = dg.Field(bool, default_value=True, description="also the comparisons and the report that follow")
    kinds = (
        ("refresh", {}, "Bring the whole study up to date: what is stale, and nothing else."),
        (
            "refresh_study",
            {"part": dg.Field(studies, description="which study"), "comparisons": comparisons},
            "Bring one study (shape, order, …) of every model up to date, and the report.",
        ),
        (
            "refresh_model",
            {"model": dg.Field(str, description="its name in the study file"), "comparisons": comparisons},
            "Bring every result of one model up to date, and the comparisons that then wait for nothing else.",
        ),
        (
            "refresh_report",
            {},
            "Make the comparisons and the report from the results there are, without any model work: what is not "
            "computed yet is left out and named.",
        ),
    )
    return [_job(name, fields, text, view, services, get_job) for name, fields, text in kinds]


def _job(
    name: str,
    fields: dict,
    description: str,
    view: Callable[..., Context],
    services: set[str],
    get_job: Callable[[str], dg.JobDefinition],
) -> dg.JobDefinition:
    @dg.op(
        name=f"{name}_waves",
        required_resource_keys=services,
        config_schema=fields,
        description="Plan and run until nothing of this is stale.",
    )
    def waves(context: dg.OpExecutionContext):
        now = view(**{service: getattr(context.resources, service) for service in services})
        selection = Selection(**(context.op_config or {}), report_only=name == "refresh_report")
        queue = queue_of(context.run) if is_wanted() else None
        summary = refresh(now, get_job, context.instance, context.log.info, selection, queue)
        if not summary.ok:
            raise dg.Failure(
                description="some cells could not be refreshed",
                metadata={
                    "failed": dg.MetadataValue.json(summary.failed),
                    "failed checks": dg.MetadataValue.json(summary.failed_checks),
                    "left": dg.MetadataValue.json([item.name for item in summary.left]),
                },
            )

    @dg.job(name=name, description=description)
    def job():
        waves()

    return job

"""The only place where assets, resources and jobs meet."""

import warnings

import dagster as dg

from calib_assets.assets import GRAPH
from calib_assets.assets.checks import asset_checks
from calib_assets.assets.io import StoreIO
from calib_assets.assets.memo import context_for, memo_asset, spec_asset
from calib_assets.staleness.graph import Graph
from calib_assets.staleness.identity import Context
from jobs.automation import build_automation
from jobs.refresh import cell_jobs, refresh_jobs
from jobs.staleness_view import staleness_checks, staleness_page
from resources.services import LanguageModels, StoreService, StudyService

SERVICES = {"study", "store", "language_models"}


def build_defs(
    graph: Graph = GRAPH,
    study: StudyService | None = None,
    store: StoreService | None = None,
    language_models: LanguageModels | None = None,
) -> dg.Definitions:
    """Everything that Dagster loads; any part can be swapped by tests and deployments.

    Args:
        graph: The assets.
        study: The study file in use.
        store: Where results live.
        language_models: How models are opened (device, cache).

    Returns:
        Definitions with the in-process executor: a model then loads once per run, not once per step.
    """
    study = study or StudyService()
    store = store or StoreService(study=study)
    language_models = language_models or LanguageModels()

    def view(study, store, language_models) -> Context:
        return context_for(graph, study, store, language_models)

    with warnings.catch_warnings():
        # Observable source assets are beta and partitions of checks a preview in Dagster 1.13, which is pinned.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        assets = [
            *(spec_asset(name, graph) for name in graph.specs),
            *(memo_asset(node, graph) for node in graph.nodes.values()),
            staleness_page(view, SERVICES),
        ]
        checks = [*asset_checks(graph), *staleness_checks(graph, view, SERVICES)]
    for_cells = cell_jobs(graph)
    for_people = refresh_jobs(graph, view, SERVICES, lambda name: definitions.resolve_job_def(name))
    sensors, schedules = build_automation(for_cells, for_people[0], view)
    definitions = dg.Definitions(
        assets=assets,
        asset_checks=checks,
        resources={
            "study": study,
            "store": store,
            "language_models": language_models,
            "store_io": StoreIO(store=store),
        },
        jobs=[*for_people, *for_cells],
        sensors=sensors,
        schedules=schedules,
        executor=dg.in_process_executor,
    )
    return definitions


defs = build_defs()

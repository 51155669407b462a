"""Nodes as Dagster assets: every step compares fingerprints first, so even a blind "Materialize all" is cheap.

Dagster shows the same identity that the planner uses: data versions, code versions, tags and metadata. The wrapper has
no return annotation and returns a result without a value, because only then does Dagster skip the IO manager.
"""

import inspect
import logging

import dagster as dg

from calib_assets.assets import appearance
from calib_assets.assets.materialization import metadata_of
from calib_assets.assets.partitions import PARTITIONS, cell_of
from calib_assets.assets.transient import RETRIES, is_transient, wait_before
from calib_assets.staleness.code_version import code_version
from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import Cell, Graph, Node
from calib_assets.staleness.identity import Context, spec_version
from calib_assets.staleness.pages import PAGES, side_by_side
from calib_assets.staleness.run import Outcome, materialize
from calib_assets.study.slices import SLICES
from resources.services import LanguageModels, StoreService, StudyService, slicer_of, tools_of

# Besides the run's own log: the command line shows this logger.
PROGRESS = logging.getLogger("calib_assets.progress")
CACHE_TAG, FINGERPRINT_TAG, FORCE_TAG = "calib/cache", "calib/fingerprint", "calib/force"
STUDY_TAG = "calib/study"


def context_for(graph: Graph, study: StudyService, store: StoreService, models: LanguageModels) -> Context:
    """The planner's view of one deployment."""
    opened = store.open()
    return Context(graph, study.load(), opened, slicer_of(opened.root), tools_of(models, opened))


def memo_asset(node: Node, graph: Graph) -> dg.AssetsDefinition:
    """One node as a Dagster asset."""
    version = node.version or code_version(node.body)

    @dg.asset(
        name=node.key,
        partitions_def=PARTITIONS[node.axes],
        deps=list(node.deps),
        group_name=node.group,
        description=appearance.description(node),
        metadata=appearance.definition_metadata(node),
        kinds=appearance.kinds(node),
        tags=appearance.tags(node),
        owners=appearance.owners(),
        code_version=version,
        pool=node.pool,
        io_manager_key="store_io",
    )
    def asset(
        context: dg.AssetExecutionContext,
        study: StudyService,
        store: StoreService,
        language_models: LanguageModels,
    ):
        cell = cell_of(context.partition_key if context.has_partition_key else None)
        view = context_for(graph, study, store, language_models)
        outcome = _brought_up_to_date(context, view, node, cell)
        manifest = outcome.manifest
        context.log.info(f"{node.key}: {outcome.status}, fingerprint {manifest.fingerprint}")
        if node.key in PAGES:
            side_by_side(view.store)
        tag_run(context.instance, context.run, view.study.name, manifest.fingerprint)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(manifest.data_version),
            metadata=metadata_of(outcome, view),
            tags={CACHE_TAG: outcome.status, FINGERPRINT_TAG: manifest.fingerprint},
        )

    return asset


def _brought_up_to_date(context: dg.AssetExecutionContext, view: Context, node: Node, cell: Cell) -> Outcome:
    """Materialize; an error that may pass asks Dagster for another attempt, and is no failure before the last."""

    def again(error: Exception) -> bool:
        return is_transient(error) and context.retry_number < RETRIES

    try:
        return materialize(
            view,
            node.key,
            cell,
            log=lambda line: (context.log.info(line), PROGRESS.info(line)),
            run_id=context.run.run_id,
            force=context.run.tags.get(FORCE_TAG) == "true",
            tried_again=again,
        )
    except Exception as error:
        if not again(error):
            raise
        wait = wait_before(context.retry_number)
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait) from error


def tag_run(instance: dg.DagsterInstance, run: dg.DagsterRun, study: str, fingerprint: str) -> None:
    """Name study and fingerprint on a run that a person launched; the planner's launches bear theirs from the start.

    The fingerprint of a run of several assets is the hash of what it was before and the next asset's.
    """
    if STUDY_TAG not in run.tags:
        before = instance.get_run_by_id(run.run_id).tags.get(FINGERPRINT_TAG)
        mark = fingerprint if before is None else digest([before, fingerprint])
        instance.add_run_tags(run.run_id, {STUDY_TAG: study, FINGERPRINT_TAG: mark})


def spec_asset(name: str, graph: Graph) -> dg.AssetsDefinition:
    """One slice of the study file as an observable source asset, whose data version is the slice's hash."""
    axes = graph.specs[name]

    @dg.observable_source_asset(
        name=name,
        partitions_def=PARTITIONS[axes],
        group_name="specs",
        description=f"{inspect.getdoc(SLICES[name][1])}\n\nA slice of the study file; its data version is the hash of "
        "it. Fields: `docs/study-file.md`.",
        tags={"dagster/kind/yaml": ""},
    )
    def spec(context, study: StudyService, store: StoreService, language_models: LanguageModels):
        view = context_for(graph, study, store, language_models)
        versions = {cell: spec_version(view, name, cell) for cell in graph.cells(name, view.study)}
        if not axes:
            return dg.DataVersion(versions[()])
        return dg.DataVersionsByPartition({"|".join(cell): version for cell, version in versions.items()})

    return spec

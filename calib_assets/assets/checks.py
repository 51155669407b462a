"""Asset checks: the rulebook on finished tables, and the checksums of every logit shard."""

from collections.abc import Iterable

import dagster as dg

from calib_assets.assets.partitions import PARTITIONS, cell_of
from calib_assets.assets.rule import Reader, Rule
from calib_assets.assets.verdicts import RULEBOOK
from calib_assets.staleness.graph import Graph
from resources.services import StoreService

CHECKSUMMED, CHECKSUMS = "exact_logit_cache", "checksums"


def asset_checks(graph: Graph) -> list[dg.AssetChecksDefinition]:
    """All checks of the assets in ``graph``."""
    return [table_check(rule, graph) for rule in RULEBOOK if rule.asset in graph.nodes] + [
        checksum_check(CHECKSUMMED, graph)
    ]


def check_keys(assets: Iterable[str]) -> list[dg.AssetCheckKey]:
    """The checks that a run of these assets makes: all that look at results (``up_to_date`` looks at the study)."""
    names = [(rule.asset, rule.name) for rule in RULEBOOK] + [(CHECKSUMMED, CHECKSUMS)]
    wanted = set(assets)
    return [dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, name in names if asset in wanted]


def table_check(rule: Rule, graph: Graph) -> dg.AssetChecksDefinition:
    """One rule of the rulebook; without ``partitions_def`` Dagster would run it over every partition at once."""

    @dg.asset_check(
        asset=rule.asset,
        name=rule.name,
        description=rule.description,
        additional_deps=list(rule.reads),
        partitions_def=PARTITIONS[graph.axes(rule.asset)],
    )
    def check(context: dg.AssetCheckExecutionContext, store: StoreService):
        cell, opened = cell_of(context.partition_key if context.has_partition_key else None), store.open()
        tables = Reader(
            lambda asset, name: opened.table(asset, cell, name), lambda asset, name: opened.scan(asset, cell, name)
        )
        verdict = rule.holds(tables)
        return dg.AssetCheckResult(passed=verdict.passed, metadata={"detail": verdict.detail})

    return check


def checksum_check(asset: str, graph: Graph) -> dg.AssetChecksDefinition:
    """Every stored file of the asset has the size and checksum of its manifest."""

    @dg.asset_check(
        asset=asset,
        name=CHECKSUMS,
        description="Every stored file has the checksum that its manifest records.",
        partitions_def=PARTITIONS[graph.axes(asset)],
    )
    def check(context: dg.AssetCheckExecutionContext, store: StoreService):
        cell, opened = cell_of(context.partition_key if context.has_partition_key else None), store.open()
        manifest = opened.current(asset, cell)
        damage = "no result" if manifest is None else opened.damage(manifest, full=True)
        return dg.AssetCheckResult(
            passed=damage is None,
            metadata={
                "detail": damage
                or f"{len(manifest.files)} files, {sum(entry['bytes'] for entry in manifest.files.values()):,} bytes"
            },
        )

    return check

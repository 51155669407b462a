"""What is stale, why and what it costs, where a person looks for it in the UI.

Two places, both made from the plan: the check ``up_to_date`` on every asset, which the lineage graph shows as a
warning, and the page of the asset ``what_is_stale``, one table for the whole study. The sensor reports what changed
since the last report; a person can have it worked out now (*Observe* on that page, or *Execute* on a check). The
refresh jobs leave the check out: it would plan in every run.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import dagster as dg

from calib_assets.assets.materialization import ancestors
from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import Graph, Work, cell_name
from calib_assets.staleness.identity import Context
from calib_assets.staleness.planner import Stale, plan

CHECK, OVERVIEW = "up_to_date", "what_is_stale"
STATE = "plan"  # metadata entry with the digest of what is shown: a report that would say the same is not made
VERSION_TAG = "dagster/data_version"
MOST_ROWS = 50
BUSY_SECONDS = 300  # between reports while runs are going


def reports(stale: Sequence[Stale], view: Context, instance: dg.DagsterInstance) -> list:
    """Events that bring the UI up to the plan; none where it already says so.

    Args:
        stale: The plan.
        view: The planner's view.
        instance: Asked once for all checks what they said last.

    Returns:
        Check evaluations and, last, the observation of the overview, for a sensor's result or an instance.
    """
    keys = [check_key(asset) for asset in view.graph.nodes]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    said = {key.asset_key.to_user_string(): _state(record) for key, record in records.items()}
    events: list = []
    for asset, items in by_asset(stale, view.graph).items():
        if said.get(asset) != _state_of(asset, items, view):
            result = verdict(asset, items, view)
            events.append(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(asset),
                    check_name=CHECK,
                    passed=result.passed,
                    severity=result.severity,
                    description=result.description,
                    metadata=result.metadata,
                )
            )
    page = overview(stale, view)
    latest = instance.fetch_observations(dg.AssetKey(OVERVIEW), limit=1).records
    if not latest or latest[0].asset_observation.tags.get(VERSION_TAG) != page[STATE]:
        events.append(dg.AssetObservation(OVERVIEW, metadata=page, tags={VERSION_TAG: page[STATE]}))
    return events


def is_due(instance: dg.DagsterInstance, is_busy: bool) -> bool:
    """Whether a tick should report: while runs are going the plan changes all the time, and a report can wait."""
    latest = instance.fetch_observations(dg.AssetKey(OVERVIEW), limit=1).records
    return not is_busy or not latest or time.time() - latest[0].timestamp >= BUSY_SECONDS


def report(stale: Sequence[Stale], view: Context, instance: dg.DagsterInstance) -> None:
    """Report outside a run: :func:`reports`, written at once."""
    for event in reports(stale, view, instance):
        instance.report_runless_asset_event(event)


def check_key(asset: str) -> dg.AssetCheckKey:
    """The check of an asset."""
    return dg.AssetCheckKey(dg.AssetKey(asset), CHECK)


def by_asset(stale: Iterable[Stale], graph: Graph) -> dict[str, list[Stale]]:
    """The plan's items of each asset; empty for those that are up to date."""
    found: dict[str, list[Stale]] = {key: [] for key in graph.nodes}
    for item in stale:
        found[item.key].append(item)
    return found


def verdict(asset: str, items: Sequence[Stale], view: Context) -> dg.AssetCheckResult:
    """What the check of one asset says."""
    cells = len(view.graph.cells(asset, view.study))
    rows = [{**_row(item), "took": _took(item, view)} for item in items[:MOST_ROWS]]
    if len(items) > MOST_ROWS:
        rows.append({"partition": f"and {len(items) - MOST_ROWS} more", "why": "", "model work": "", "took": ""})
    return dg.AssetCheckResult(
        passed=not items,
        severity=dg.AssetCheckSeverity.WARN,
        check_name=CHECK,
        asset_key=dg.AssetKey(asset),
        description=f"{len(items)} of {cells} stale" if items else f"all {cells} up to date",
        metadata={
            "stale": len(items),
            "of": cells,
            "model work": words(_total(items)),
            **_table(rows),
            STATE: dg.MetadataValue.text(_state_of(asset, items, view)),
        },
    )


def _row(item: Stale) -> dict[str, str]:
    return {"partition": cell_name(item.cell), "why": _why(item), "model work": _cost(item)}


def _state_of(asset: str, items: Sequence[Stale], view: Context) -> str:
    """What the check of an asset says, as a digest: it reads no file, so it is cheap at every tick."""
    cells = len(view.graph.cells(asset, view.study))
    return digest([[_row(item) for item in items[:MOST_ROWS]], len(items), cells])


def overview(stale: Sequence[Stale], view: Context) -> dict[str, object]:
    """The page: totals, and one row for each asset with something stale, upstream first."""
    rows = []
    for asset, items in by_asset(stale, view.graph).items():
        if items:
            reasons = list(dict.fromkeys(_own_reasons(item) for item in items))
            more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
            share = f"{len(items)} of {len(view.graph.cells(asset, view.study))}"
            rows.append(
                {"asset": asset, "stale": share, "why": reasons[0] + more, "model work": words(_total(items))}
            )
    cells = sum(len(view.graph.cells(key, view.study)) for key in view.graph.nodes)
    totals = {"study": view.study.name, "stale": len(stale), "of": cells, "model work": words(_total(stale))}
    return {**totals, **_table(rows), STATE: digest([totals, rows])}


def _table(rows: Sequence[Mapping[str, str]]) -> dict[str, object]:
    return {"what is stale": dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])} if rows else {}


def words(work: Work) -> str:
    """Work as people read it.

    >>> words(Work(1200, 3_000_000, 40)), words(Work(0, 0))
    ('at most 1,200 tokens, 3 MB of logits, 40 calls of judges', 'none')
    """
    parts = [f"{work.forward_tokens:,} tokens"] if work.forward_tokens else []
    parts += [f"{work.disk_bytes / 1e6:,.0f} MB of logits"] if work.disk_bytes else []
    parts += [f"{work.judge_calls:,} calls of judges"] if work.judge_calls else []
    return f"at most {', '.join(parts)}" if parts else "none"


def _total(items: Iterable[Stale]) -> Work:
    return sum((item.work for item in items if item.work is not None), Work(0, 0))


def _why(item: Stale) -> str:
    return "; ".join([*item.reasons, *(["an earlier result fits, no work"] if item.restorable else [])])


def _own_reasons(item: Stale) -> str:
    own = [reason for reason in item.reasons if not reason.startswith(("waits for ", "and for "))]
    return "; ".join(own) or "waits for what is upstream"


def _cost(item: Stale) -> str:
    return words(item.work) if item.work is not None else "none"


def _took(item: Stale, view: Context) -> str:
    manifest = view.store.current(item.key, item.cell)
    return f"{manifest.seconds:,.1f} s" if manifest is not None else ""


def _state(record) -> str | None:
    event = record.event.dagster_event if record.event is not None else None
    evaluation = event.event_specific_data if event is not None else None
    return getattr(evaluation, "metadata", {}).get(STATE, dg.MetadataValue.text("")).value


def staleness_checks(graph: Graph, view: Callable[..., Context], services: set[str]) -> list[dg.AssetChecksDefinition]:
    """The check of every asset."""
    return [_check(asset, graph, view, services) for asset in graph.nodes]


def _check(asset: str, graph: Graph, view: Callable[..., Context], services: set[str]) -> dg.AssetChecksDefinition:
    upstream = [*ancestors(graph, asset), asset]

    @dg.asset_check(
        asset=asset,
        name=CHECK,
        description="Every partition has the result that the study file, the code and its inputs ask for. What is not: "
        "why, and what it costs, in the evaluation.",
        required_resource_keys=services,
    )
    def check(context: dg.AssetCheckExecutionContext):
        now = view(**{name: getattr(context.resources, name) for name in services})
        nodes: Mapping = {key: graph.nodes[key] for key in upstream}
        stale = plan(replace(now, graph=Graph(nodes=dict(nodes), specs=graph.specs)))
        return verdict(asset, [item for item in stale if item.key == asset], now)

    return check


def staleness_page(view: Callable[..., Context], services: set[str]) -> dg.AssetsDefinition:
    """The asset whose page says what is stale in the whole study; observing it works everything out anew."""

    @dg.observable_source_asset(
        name=OVERVIEW,
        group_name="report",
        description="What of the study is stale, why, and the model work that it needs: see *what is stale* below. "
        "*Observe* works it out now, and reports it on every asset's checks; the sensor does so when it changes.",
        required_resource_keys=services,
        tags={"dagster/kind/markdown": ""},
    )
    def what_is_stale(context):
        now = view(**{name: getattr(context.resources, name) for name in services})
        stale = plan(now)
        for event in reports(stale, now, context.instance):
            if isinstance(event, dg.AssetCheckEvaluation):
                context.instance.report_runless_asset_event(event)
        page = overview(stale, now)
        return dg.ObserveResult(data_version=dg.DataVersion(page[STATE]), metadata=page)

    return what_is_stale

"""The order study as a report: what stands for each model and sweep, across them, and the part of the page."""

from collections.abc import Mapping, Sequence

import polars as pl

from calib_assets import figures
from calib_assets.report import order_comparison, order_tables
from calib_assets.report.contract import (
    Missing,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
    slug,
    sources,
)
from calib_assets.report.findings import order_findings
from calib_assets.report.item import Item
from calib_assets.report.order_examples import plain
from calib_assets.report.order_items import PARTS, OrderOptions, order_items
from calib_assets.report.shape_study import Tables
from calib_assets.report.study import StudyPart, count

Cell = tuple[str, str]
Sources = Mapping[str, Provenance]


def order_section(
    model: str,
    sweep: str,
    tables: Tables,
    provenance: Sources,
    *,
    p0: float | None = None,
    floor: float | None = None,
    partition: str | None = None,
    judges: Sequence[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> ReportSection:
    """Figures and tables of one model and sweep, in the order of the paper.

    Args:
        tables: By name, see :func:`calib_assets.report.order_items.table_names`. None means that the artifact is
            missing, which the section shows; so does absence, except for the tables of an optional part
            (decoding comparison, robustness), where absence or a table without rows means that the sweep has no
            such part, which the introduction says.
        provenance: Manifest of the artifact behind each table, by table name.
        p0: Precision at which recall is reported; default that of ``depth_summaries``.
        floor: Validity floor of the decoding comparison; default that of ``best_decoding``.
        partition: Partition key to name where something is missing; default "model, sweep".
        judges: The sweep's judges in the order of the study, the first being the one that items with a single
            judge show; default as in ``judge_labels``.
        thresholds: Score from which each judge's verdict is valid, for those that have one.
    """
    partition = partition or f"{model}, {sweep}"
    labels = tables.get("judge_labels")
    if judges is None:
        judges = [] if labels is None else labels["judge"].unique(maintain_order=True).to_list()
    p0 = _first(tables.get("depth_summaries"), "p0") if p0 is None else p0
    floor = _first(tables.get("best_decoding"), "floor") if floor is None else floor
    options = OrderOptions(p0, floor, tuple(judges), thresholds)
    items = order_items(options)
    without = [part for part in PARTS if not _has(part, items, tables)]
    shown = [entry for entry in items if entry.part not in without]
    intro = [PARTS[part] for part in without]
    if len(judges) == 1:
        intro.append("One judge only, so there is no agreement between judges to report.")
    made, absent = [], {}
    for entry in shown:
        lacking = [name for name in entry.needs if tables.get(name) is None]
        absent.update(dict.fromkeys(lacking))
        item = None if lacking else entry.made("order", (model, sweep), tables, provenance)
        made += [item] if item is not None else []
    assets = dict.fromkeys(provenance[name].asset if name in provenance else name for name in absent)
    made += [Missing(asset, partition) for asset in assets]
    return ReportSection(slug("order", model, sweep), plain(sweep, 120), tuple(made), intro=" ".join(intro))


def _first(table: pl.DataFrame | None, column: str) -> float:
    """The first value of a column; the paper's 0.8 where there is no row."""
    return 0.8 if table is None or table.is_empty() else float(table[column][0])


def _has(part: str, items: Sequence, tables: Tables) -> bool:
    """Whether a sweep has an optional part: one of its tables is listed, be it as missing, and not empty."""
    names = {name for entry in items if entry.part == part for name in entry.needs}
    return any(name in tables and (tables[name] is None or tables[name].height) for name in names)


def order_overview(
    cells: Mapping[Cell, Tables],
    provenance: Mapping[Cell, Sources],
    overall: Tables | None = None,
    overall_provenance: Sources | None = None,
) -> ReportSection:
    """Across models, sweeps and judges: scaling (Figures 4 and 8), agreement (A.2), Table 1 over models.

    Args:
        cells: Tables of every (model, sweep); ``best_decoding`` and ``judge_pairs`` are used.
        provenance: Their manifests, by table name.
        overall: Tables of the whole study: ``model_scaling``, ``annotator_agreement`` and, unless the cells have
            it, ``judge_pairs``. A table that is absent or has no rows means that the study has no such part,
            which the introduction says; None means that its artifact is missing.
        overall_provenance: Their manifests, by table name.
    """
    overall, records = overall or {}, overall_provenance or {}
    items: list[ReportFigure | ReportTable | Missing] = []
    intro = []

    def add(name: str, title: str, table: str, build, caption: str, paper: str, alt: str, nothing: str) -> None:
        frame, used = _joined(table, cells, provenance, overall, records)
        if frame is not None and frame.height:
            entry = Item(name, title, (table,), build, caption, paper, alt)
            item = entry.made("order", (), {table: frame}, {})
            items.append(type(item)(**{**vars(item), "provenance": used}))
        elif table in overall and overall[table] is None:
            items.append(Missing(table, None))
        elif nothing not in intro:
            intro.append(nothing)

    scaling = overall.get("model_scaling")
    judges = [None] if scaling is None else scaling["judge"].unique(maintain_order=True).to_list()
    for number, judge in enumerate(judges or [None], start=1):
        add(
            f"scaling-{number}",
            "Models by size",
            "model_scaling",
            lambda table, judge=judge: figures.model_scaling(table, judge=judge),
            "Means over the nodes of all depths: area under the frontier, and recall at a precision.",
            "Counterpart of Figures 4 and 8",
            "AUC and recall at a precision against model size, by family and stage.",
            "No model has been compared.",
        )
    add(
        "scaling",
        "Models by size",
        "model_scaling",
        order_comparison.scaling,
        "Over the nodes of all depths; intervals resample seeds.",
        "Figures 4 and 8",
        "",
        "No model has been compared.",
    )
    add(
        "best",
        "Best diversity at the validity floor, every model",
        "best_decoding",
        order_tables.best,
        "The most diverse setting of each strategy at or above the floor, within a prompt.",
        "Counterpart of Table 1",
        "",
        "No sweep has a decoding comparison.",
    )
    add(
        "judges",
        "Agreement of judges",
        "judge_pairs",
        order_comparison.judge_pairs,
        "On items with a verdict of both; the reference is taken as the truth. Intervals resample repetitions.",
        "Appendix A.2",
        "",
        "No two judges scored the same items, so there is no agreement between judges to report.",
    )
    add(
        "annotators",
        "Agreement of annotators",
        "annotator_agreement",
        order_comparison.annotators,
        "",
        "Appendix A.2",
        "",
        "The study has no annotations file, so judges are not compared with people.",
    )
    return ReportSection("order-across", "Order study: across models and sweeps", tuple(items), intro=" ".join(intro))


def _joined(
    table: str, cells: Mapping[Cell, Tables], provenance: Mapping[Cell, Sources], overall: Tables, records: Sources
) -> tuple[pl.DataFrame | None, tuple[str, ...]]:
    """A table of the whole study, or that of all cells with their model and sweep; and its sources."""
    if overall.get(table) is not None:
        return overall[table], sources(records.get(table))
    keys = [key for key in cells if cells[key].get(table) is not None]
    frames = [cells[key][table].with_columns(model=pl.lit(key[0]), sweep=pl.lit(key[1])) for key in keys]
    used = sources(*(provenance.get(key, {}).get(table) for key in keys))
    return (pl.concat(frames, how="vertical_relaxed") if frames else None), used


def order_part(
    cells: Mapping[Cell, Tables],
    provenance: Mapping[Cell, Sources],
    overall: Tables | None = None,
    overall_provenance: Sources | None = None,
    *,
    sections: Mapping[Cell, ReportSection] | None = None,
    records: Sequence[Provenance] = (),
    judges: Mapping[str, Sequence[str]] | None = None,
) -> StudyPart:
    """The order study as a part of a page, for :func:`~calib_assets.report.study.study_report`.

    Args:
        cells: For every (model, sweep) of the study, in order, its tables. With ``sections``, only what the
            overview and the findings use: ``depth_summaries``, ``best_decoding``, ``judge_pairs``.
        provenance: For every (model, sweep), the manifest of the artifact behind each table, by table name.
        overall: Tables of the whole study, as for :func:`order_overview`; with ``overall_provenance``.
        sections: Sections drawn before, by (model, sweep); by default they are drawn here.
        records: Provenance that those sections refer to.
        judges: The judges of each sweep in the order of the study; the first speaks in the findings.
    """
    judges = judges or {}
    if sections is None:
        sections = {
            key: order_section(*key, cells[key], provenance.get(key, {}), judges=judges.get(key[1])) for key in cells
        }
    models = list(dict.fromkeys(model for model, _ in cells))
    chapters = [order_overview(cells, provenance, overall, overall_provenance)]
    for number, model in enumerate(models, start=1):
        children = tuple(sections[key] for key in cells if key[0] == model)
        chapters.append(
            ReportSection(f"order-chapter-{number}", f"Order study: {plain(model, 120)}", children=children)
        )
    found = []
    for key, tables in cells.items():
        first = next(iter(judges.get(key[1]) or ()), None)
        known = (tables.get("depth_summaries"), tables.get("best_decoding"))
        found += order_findings(*key, *known, dict(provenance.get(key, {})), judge=first)
    every = [*records, *(record for own in provenance.values() for record in own.values())]
    every += list((overall_provenance or {}).values())
    scope = f"{count(len(models), 'model')} on {count(len({sweep for _, sweep in cells}), 'sweep')}"
    return StudyPart(
        methods="order",
        scope=f"Order study, {scope}",
        chapters=tuple(chapters),
        records=tuple(dict.fromkeys(every)),
        findings=tuple(found),
    )

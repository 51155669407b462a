"""The canopy study as a report: what stands for each model and rollout task, and the part of the page."""

from collections.abc import Mapping, Sequence

import polars as pl

from calib_assets.figures.text import share
from calib_assets.report.canopy_chapter import Sources
from calib_assets.report.canopy_findings import canopy_findings
from calib_assets.report.canopy_fit import regression_section
from calib_assets.report.canopy_items import ASSETS, OPTIONAL, PARTS, canopy_items
from calib_assets.report.canopy_overview import canopy_overview
from calib_assets.report.canopy_tables import MOSTLY
from calib_assets.report.contract import Missing, Provenance, ReportFigure, ReportSection, ReportTable, slug
from calib_assets.report.order_examples import plain
from calib_assets.report.published import published_section
from calib_assets.report.shape_study import Tables
from calib_assets.report.study import StudyPart, count

Cell = tuple[str, str]
NO_ROWS = "the artifact has no rows"


def canopy_section(
    model: str, rollout: str, tables: Tables, provenance: Sources, *, partition: str | None = None
) -> ReportSection:
    """Figures and tables of one model and rollout task, in the order of the paper.

    Args:
        tables: By name, see :func:`calib_assets.report.canopy_items.table_names`. None or absence means that the
            artifact is missing, which the section shows. A part without rows (no step entropies, no texts, no
            judge) is left out, which the introduction says; the judged part may be absent too.
        provenance: Manifest of the artifact behind each table, by table name.
        partition: Partition key to name where something is missing; default "model, rollout".
    """
    partition = partition or f"{model}, {rollout}"
    items = canopy_items()
    without = [part for part in PARTS if _lacks(part, items, tables)]
    made: list[ReportFigure | ReportTable] = []
    absent: dict[tuple[str, str], None] = {}
    for entry in items:
        if entry.part in without:
            continue
        lacking = [name for name in entry.needs if tables.get(name) is None or not tables[name].width]
        for name in lacking:
            reason = Missing.reason if tables.get(name) is None else NO_ROWS
            absent[ASSETS[name], reason] = None
        item = None if lacking else entry.made("canopy", (model, rollout), tables, provenance)
        made += [item] if item is not None else []
    gone = [Missing(asset, partition, reason) for asset, reason in absent]
    intro = [_cut(tables.get("canopy_entropy")), *(PARTS[part] for part in without)]
    return ReportSection(
        slug("canopy", model, rollout),
        plain(rollout, 120),
        (*made, *gone),
        intro=" ".join(sentence for sentence in intro if sentence),
    )


def _lacks(part: str, items: Sequence, tables: Tables) -> bool:
    """Whether a model and task lacks a part: its tables are there without rows, or need not be listed and are not."""
    names = dict.fromkeys(name for entry in items if entry.part == part for name in entry.needs)
    listed = [name for name in names if name in tables]
    if not listed:
        return part in OPTIONAL
    return all(tables[name] is not None and tables[name].is_empty() for name in listed)


def _cut(summary: pl.DataFrame | None) -> str:
    """The warning where most rollouts were cut."""
    if summary is None or not summary.width:
        return ""
    found = summary.filter(pl.col("measure") == "truncation_rate")["est"].drop_nulls()
    if found.is_empty() or found[0] <= MOSTLY:
        return ""
    return (
        f"Most rollouts (a share of {share(found[0])}) were cut at the length limit: lengths, entropies and "
        "correlations describe how rollouts begin, not whole ones."
    )


def canopy_part(
    cells: Mapping[Cell, Tables],
    provenance: Mapping[Cell, Sources],
    overall: Tables | None = None,
    overall_provenance: Sources | None = None,
    *,
    sections: Mapping[Cell, ReportSection] | None = None,
    records: Sequence[Provenance] = (),
    hub_ids: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
) -> StudyPart:
    """The canopy study as a part of a page, for :func:`~calib_assets.report.study.study_report`.

    Args:
        cells: For every (model, rollout task) of the study, in order, its tables. With ``sections``, only what the
            overview uses: ``entropy_trajectory``, ``length_distribution``.
        provenance: For every (model, rollout task), the manifest of the artifact behind each table, by table name.
        overall: Tables of the whole study: ``canopy_models``, ``canopy_comparison``, ``beta_panel``,
            ``panel_left_out``, ``coefficients``, ``random_effects``, ``fit_summary``, ``fit_notes``,
            ``predictions``, ``residual_tests``, ``scaled_residuals``. None means that the artifact is missing;
            absence, or a table without rows, that the study has no such part, which the chapters say.
        overall_provenance: Their manifests, by table name.
        sections: Sections drawn before, by (model, rollout task); by default they are drawn here.
        records: Provenance that those sections refer to.
        hub_ids: Name of each model that comes from the hub -> its hub id, by which published values are found.
        families: Name of each model -> its family, where the study names one.
    """
    overall, overall_provenance = overall or {}, overall_provenance or {}
    if sections is None:
        sections = {key: canopy_section(*key, cells[key], provenance.get(key, {})) for key in cells}
    models = list(dict.fromkeys(model for model, _ in cells))
    chapters = [
        canopy_overview(cells, provenance, overall, overall_provenance),
        regression_section(overall, overall_provenance),
        published_section(overall, hub_ids or {}, overall_provenance),
    ]
    for number, model in enumerate(models, start=1):
        children = tuple(sections[key] for key in cells if key[0] == model)
        title = f"Canopy study: {plain(model, 120)}"
        chapters.append(ReportSection(f"canopy-chapter-{number}", title, children=children))
    every = [*records, *(record for own in provenance.values() for record in own.values())]
    every += list(overall_provenance.values())
    table = overall.get("canopy_models")
    known = table if table is not None and table.width else None
    names = models if known is None else dict.fromkeys([*models, *known["model"].to_list()])
    tasks = {task for _, task in cells} | (set() if known is None else set(known["task"].to_list()))
    return StudyPart(
        methods="canopy",
        scope=f"Canopy study, {count(len(names), 'model')} on {count(len(tasks), 'task')}",
        chapters=tuple(chapters),
        records=tuple(dict.fromkeys(every)),
        findings=canopy_findings(overall, overall_provenance, families),
    )

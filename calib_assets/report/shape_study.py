"""The shape study as a report: which figures and tables stand for each model and task, and across them."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl
from matplotlib.figure import Figure

from calib_assets import figures
from calib_assets.report.contract import (
    Check,
    Missing,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
    slug,
    sources,
)
from calib_assets.report.headline import Partition, headline_table
from calib_assets.report.order_examples import plain
from calib_assets.report.shape_findings import shape_findings
from calib_assets.report.shape_items import main_floor, shape_items
from calib_assets.report.study import StudyPart, count, study_report

Tables = Mapping[str, pl.DataFrame | None]


def partition_section(
    model: str,
    task: str,
    tables: Tables,
    provenance: Mapping[str, Provenance],
    *,
    floors: tuple[float, ...] = (0.8,),
    partition: str | None = None,
) -> ReportSection:
    """Figures and tables of one model and task, in the order of the paper.

    Args:
        tables: By name; None or absent means that the artifact is missing, which the section shows. Names are
            those of :func:`calib_assets.report.shape_items.table_names`.
        provenance: Manifest of the artifact behind each table, by table name (tables of one asset share one).
        floors: Validity floors to mark; figures at a single floor take 0.8 if listed, else the first.
        partition: Partition key to name where something is missing; default "model, task".
    """
    partition = partition or f"{model}, {task}"
    items: list[ReportFigure | ReportTable | Missing] = []
    absent: dict[str, None] = {}
    for entry in shape_items(floors):
        lacking = [name for name in entry.needs if tables.get(name) is None]
        absent.update(dict.fromkeys(lacking))
        if not lacking:
            items.append(entry.made("", (model, task), tables, provenance))
    assets = dict.fromkeys(provenance[name].asset if name in provenance else name for name in absent)
    items += [Missing(asset, partition) for asset in assets]
    return ReportSection(id=slug(model, task), title=task, items=tuple(items))


def comparison_section(
    tables: Mapping[Partition, Tables],
    provenance: Mapping[Partition, Mapping[str, Provenance]],
    *,
    floors: tuple[float, ...] = (0.8,),
) -> ReportSection:
    """Figures across models and tasks: the gap split, temperature trade-offs by model, and all frontiers."""
    title = "Shape study: across models and tasks"
    items: list[ReportFigure] = []

    def draw(
        name: str, label: str, table: str, keys: Sequence[Partition], figure: Figure, **fields: str
    ) -> None:
        used = sources(*(provenance.get(key, {}).get(table) for key in keys))
        items.append(ReportFigure.draw(figure, id=f"across-{name}", title=label, provenance=used, **fields))

    def joined(
        table: str, wanted: Callable[[Partition], bool] = lambda key: True
    ) -> tuple[list, pl.DataFrame | None]:
        keys = [key for key in tables if wanted(key) and tables[key].get(table) is not None]
        frames = [tables[key][table].with_columns(model=pl.lit(key[0]), task=pl.lit(key[1])) for key in keys]
        return keys, pl.concat(frames, how="vertical_relaxed") if frames else None

    keys, gaps = joined("calibration_gap")
    if gaps is not None:
        draw(
            "gap",
            "Order gap and shape gap",
            "calibration_gap",
            keys,
            figures.calibration_gap(gaps, floor=main_floor(floors)),
            alt="Stacked bars of achieved diversity, shape gap and order gap by model and task.",
            paper="§5.3",
            caption="Diversity achieved by the best practical rule, then what is lost to shape and to order.",
        )
    keys, frontier = joined("validity_diversity_frontier")
    if frontier is not None:
        draw(
            "frontier",
            "Frontiers of every model and task",
            "validity_diversity_frontier",
            keys,
            figures.validity_diversity_frontier(frontier, floors=floors),
            paper="Counterpart of Figure 9",
            alt="A panel of validity–diversity frontiers for each model and task.",
            caption="Each rule is swept over its parameter and temperature.",
        )
    for number, model in enumerate(dict.fromkeys(model for model, _ in tables), start=1):
        keys, sweep = joined("decoding_sweep", lambda key, model=model: key[0] == model)
        if sweep is not None:
            draw(
                f"tradeoff-{number}",
                f"Temperature alone, {model}",
                "decoding_sweep",
                keys,
                figures.temperature_tradeoff(sweep),
                paper="Counterpart of Figure 5, left",
                alt=f"Validity against diversity by temperature for each task of {model}.",
                caption="Sampling without truncation; a curve a task, a point a temperature.",
            )
    return ReportSection(id="across", title=title, items=tuple(items))


def shape_part(
    tables: Mapping[Partition, Tables],
    provenance: Mapping[Partition, Mapping[str, Provenance]],
    *,
    floors: tuple[float, ...] = (0.8,),
    sections: Mapping[Partition, ReportSection] | None = None,
    records: Sequence[Provenance] = (),
) -> StudyPart:
    """The shape study as a part of a page, for :func:`~calib_assets.report.study.study_report`.

    Args:
        tables: For every (model, task) of the study, in order, its tables; those not materialised None or absent.
        provenance: For every (model, task), the manifest of the artifact behind each table, by table name.
        floors: Validity floors of the study; the headline takes 0.8 if listed, else the first.
        sections: Sections drawn before, by (model, task); by default they are drawn here.
        records: Provenance that those sections refer to.
    """

    def present(name: str) -> dict[Partition, pl.DataFrame]:
        return {key: found[name] for key, found in tables.items() if found.get(name) is not None}

    headline = headline_table(
        list(tables),
        present("decoding_sweep"),
        present("calibration_gap"),
        floor=main_floor(floors),
        provenance={
            key: [records[name] for name in ("decoding_sweep", "calibration_gap") if name in records]
            for key, records in provenance.items()
        },
    )
    models = list(dict.fromkeys(model for model, _ in tables))
    if sections is None:
        sections = {
            key: partition_section(*key, tables[key], provenance.get(key, {}), floors=floors)
            for key in tables
        }
    chapters = [comparison_section(tables, provenance, floors=floors)]
    for number, model in enumerate(models, start=1):
        children = tuple(sections[key] for key in tables if key[0] == model)
        title = f"Shape study: {plain(model, 120)}"
        chapters.append(ReportSection(id=f"chapter-{number}", title=title, children=children))
    known = [*records, *(record for found in provenance.values() for record in found.values())]
    return StudyPart(
        methods="shape",
        scope=f"Shape study, {count(len(models), 'model')} on {count(len({task for _, task in tables}), 'task')}",
        chapters=tuple(chapters),
        records=tuple(dict.fromkeys(known)),
        headline=headline,
        findings=tuple(
            finding
            for model in models
            for finding in shape_findings(
                model,
                {task: tables[model, task] for name, task in tables if name == model},
                {task: provenance.get((model, task), {}) for name, task in tables if name == model},
                floor=main_floor(floors),
            )
        ),
    )


def shape_report(
    tables: Mapping[Partition, Tables],
    provenance: Mapping[Partition, Mapping[str, Provenance]],
    configuration: str,
    title: str,
    *,
    floors: tuple[float, ...] = (0.8,),
    checks: Sequence[Check] = (),
    generated_at: str | None = None,
    sections: Mapping[Partition, ReportSection] | None = None,
    records: Sequence[Provenance] = (),
) -> str:
    """The whole report of a study that is a shape study and nothing else, as HTML text.

    Arguments are those of :func:`shape_part` and of :func:`~calib_assets.report.study.study_report`.
    """
    part = shape_part(tables, provenance, floors=floors, sections=sections, records=records)
    return study_report([part], configuration, title, checks=checks, generated_at=generated_at)

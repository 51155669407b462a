"""The shape study as a report: which figures and tables stand for each model and task, and across them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from calib_assets import figures
from calib_assets.report import shape_tables
from calib_assets.report.contract import (
    Check,
    Missing,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
    flatten,
    slug,
    sources,
)
from calib_assets.report.headline import Partition, headline_table
from calib_assets.report.page import build_report

Tables = Mapping[str, pl.DataFrame | None]


@dataclass(frozen=True)
class _Entry:
    """One figure or table of a partition's section: built from ``needs`` (tables, in order) and the floors."""

    name: str
    title: str
    needs: tuple[str, ...]
    build: Callable[..., Any]
    caption: str
    paper: str
    alt: str = ""


def _entries(floors: tuple[float, ...]) -> list[_Entry]:
    main = 0.8 if 0.8 in floors or not floors else floors[0]
    return [
        _Entry("token-distribution", "Token distribution", ("conditional_ranks",), figures.token_distribution,
               "Probability by rank at one context, both axes logarithmic. Many tokens of the tail are left out.",
               "Counterpart of Figure 1, left", "Next-token probability falling with rank; valid and invalid tokens."),
        _Entry("mass", "Mass by temperature", ("mass_by_temperature",), figures.mass_by_temperature,
               "Where the probability of the next token goes as temperature rises.",
               "Counterpart of Figure 1, right", "Stacked shares of valid and invalid mass against temperature."),
        _Entry("calibration", "Calibration of every conditional", ("conditional_calibration",),
               figures.conditional_calibration, "A dot is one context of the trie.", "Definition D.1, graded",
               "Four panels by depth: order AUROC, valid mass, shape divergence, effective support."),
        _Entry("calibration-table", "Calibration by depth", ("conditional_calibration",), shape_tables.calibration,
               "Medians over the contexts of a depth.", "Definition D.1"),
        _Entry("tradeoff", "Temperature alone", ("decoding_sweep",), figures.temperature_tradeoff,
               "Sampling without truncation; a point a temperature.", "Counterpart of Figure 5, left",
               "Validity against diversity as temperature changes."),
        _Entry("sequences", "Sequence probabilities", ("sequence_probabilities",), figures.sequence_probability,
               "Valid sequences sorted by probability at each temperature; the bars on the right hold the mass of all "
               "invalid sequences together.", "Counterpart of Figures 5 (right) and 10",
               "Probability of valid sequences by rank on a logarithmic scale, with bars of invalid mass."),
        _Entry("sequence-table", "Most and least probable answers", ("sequence_probabilities",),
               shape_tables.answers, "At the temperature nearest to 1.", "Figures 5 (right) and 10"),
        _Entry("frontier", "Validity–diversity frontiers", ("validity_diversity_frontier", "decoding_sweep"),
               lambda frontier, sweep: figures.validity_diversity_frontier(frontier, sweep=sweep, floors=floors),
               "Best diversity that each rule reaches at or above a validity, over all its parameters and "
               "temperatures. Faint points are single configurations.", "Counterpart of Figures 6 and 9",
               "Pareto frontier of every decoding rule in the plane of validity and diversity."),
        _Entry("best-table", "Best diversity at validity floors", ("best_diversity",), shape_tables.best,
               "With the configuration that reaches it.", "§5.3"),
        _Entry("gap", "Order gap and shape gap", ("calibration_gap",), figures.calibration_gap,
               "Diversity achieved by the best practical rule, then what is lost to shape and to order.", "§5.3",
               "Stacked bars at each validity floor."),
        _Entry("gap-table", "Order gap and shape gap", ("calibration_gap",), shape_tables.gaps, "", "§5.3"),
        _Entry("precision-recall", "Sequence precision and recall", ("sequence_precision_recall",),
               figures.sequence_precision_recall, "Best recall of each rule at a floor on precision, sampling "
               "uniformly from the retained sets.", "§4.2", "Pareto frontier of sequence precision and recall."),
        _Entry("factors", "Factors by step", ("sequence_steps", "sequence_precision_recall"),
               lambda steps, points: figures.step_factors(steps, points, precision_floor=main),
               "The configuration of each rule with the largest recall above the floor.", "Theorem E.1",
               "Step precision and step recall of each rule by step."),
        _Entry("identity-table", "Identity of Theorem E.1", ("sequence_precision_recall", "sequence_steps"),
               shape_tables.identity, "Largest difference between a sequence value and the product of its factors, "
               "over all configurations of a rule; the study requires less than 10⁻⁹.", "Theorem E.1"),
        _Entry("order-bound", "Order bound", ("theory_e3",), figures.order_bound,
               "Recall that cutoff rules reach at a precision, and the most that hardness allows.", "Theorem E.3",
               "Measured recall and its bound against a floor on sequence precision."),
        _Entry("shape-bound", "Shape bound", ("theory_f4",), figures.shape_bound,
               "Diversity at each temperature and the bound for geometric, order-calibrated conditionals.",
               "Theorem F.4, Corollaries F.5 and F.6", "Measured diversity and its bounds against validity."),
        _Entry("logits", "Logit fits", ("logit_fit_curves", "logit_fits"), figures.logit_fit,
               "Sorted logits with a linear head and a logarithmic tail.", "Counterpart of Figures 13 to 15",
               "Small multiples of sorted logits with their piecewise fit."),
        _Entry("logit-table", "Logit fits", ("logit_fits",), shape_tables.fits, "", "Appendix I"),
    ]


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
        tables: By name; None or absent means that the artifact is missing, which the section shows. Names are those
            of :func:`calib_assets.report.shape_study.table_names`.
        provenance: Manifest of the artifact behind each table, by table name (tables of one asset share one).
        floors: Validity floors to mark; figures at a single floor take 0.8 if listed, else the first.
        partition: Partition key to name where something is missing; default "model, task".
    """
    partition = partition or f"{model}, {task}"
    items: list[ReportFigure | ReportTable | Missing] = []
    absent: dict[str, None] = {}
    for entry in _entries(floors):
        lacking = [name for name in entry.needs if tables.get(name) is None]
        absent.update(dict.fromkeys(lacking))
        if lacking:
            continue
        common = dict(
            id=slug(model, task, entry.name), title=entry.title, caption=entry.caption, paper=entry.paper,
            provenance=sources(*(provenance.get(name) for name in entry.needs)),
        )
        made = entry.build(*(tables[name] for name in entry.needs))
        if isinstance(made, Figure):
            items.append(ReportFigure.draw(made, alt=f"{entry.alt} {model}, {task}.", **common))
        else:
            frame, columns = made
            items.append(ReportTable.from_frame(frame, columns, limit=60, **common))
    items += [Missing(provenance[name].asset if name in provenance else name, partition) for name in absent]
    return ReportSection(id=slug(model, task), title=task, items=tuple(items))


def table_names() -> tuple[str, ...]:
    """Names of the tables that a complete partition section is made of, in order of first use."""
    return tuple(dict.fromkeys(name for entry in _entries((0.8,)) for name in entry.needs))


def comparison_section(
    tables: Mapping[Partition, Tables],
    provenance: Mapping[Partition, Mapping[str, Provenance]],
    *,
    floors: tuple[float, ...] = (0.8,),
) -> ReportSection:
    """Figures across models and tasks: the gap split, temperature trade-offs by model, and all frontiers."""
    title = "Across models and tasks"
    items: list[ReportFigure] = []

    def draw(name: str, label: str, table: str, keys: Sequence[Partition], figure: Figure, **fields: str) -> None:
        used = sources(*(provenance.get(key, {}).get(table) for key in keys))
        items.append(ReportFigure.draw(
            figure, id=slug("across", name), title=label, provenance=used, **fields
        ))

    def joined(table: str, wanted: Callable[[Partition], bool] = lambda key: True) -> tuple[list, pl.DataFrame | None]:
        keys = [key for key in tables if wanted(key) and tables[key].get(table) is not None]
        frames = [
            tables[key][table].with_columns(model=pl.lit(key[0]), task=pl.lit(key[1])) for key in keys
        ]
        return keys, pl.concat(frames, how="vertical_relaxed") if frames else None

    keys, gaps = joined("calibration_gap")
    if gaps is not None:
        draw("gap", "Order gap and shape gap", "calibration_gap", keys, figures.calibration_gap(gaps),
             alt="Stacked bars of achieved diversity, shape gap and order gap by model and task.", paper="§5.3",
             caption="Diversity achieved by the best practical rule, then what is lost to shape and to order.")
    keys, frontier = joined("validity_diversity_frontier")
    if frontier is not None:
        draw("frontier", "Frontiers of every model and task", "validity_diversity_frontier", keys,
             figures.validity_diversity_frontier(frontier, floors=floors), paper="Counterpart of Figure 9",
             alt="A panel of validity–diversity frontiers for each model and task.",
             caption="Each rule is swept over its parameter and temperature.")
    for model in dict.fromkeys(model for model, _ in tables):
        keys, sweep = joined("decoding_sweep", lambda key, model=model: key[0] == model)
        if sweep is not None:
            draw(f"tradeoff-{slug(model)}", f"Temperature alone, {model}", "decoding_sweep", keys,
                 figures.temperature_tradeoff(sweep), paper="Counterpart of Figure 5, left",
                 alt=f"Validity against diversity by temperature for each task of {model}.",
                 caption="A curve a task; longer answers trade diversity for validity more steeply.")
    return ReportSection(id="across", title=title, items=tuple(items))


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
    """The whole report of a shape study as HTML text.

    Args:
        tables: For every (model, task) of the study, in order, its tables; those not materialised None or absent.
        provenance: For every (model, task), the manifest of the artifact behind each table, by table name.
        configuration: The study file as written.
        floors: Validity floors of the study; the headline takes 0.8 if listed, else the first.
        checks: Asset-check results.
        generated_at: Time to print; None keeps the text reproducible.
        sections: Sections drawn before, by (model, task); by default they are drawn here.
        records: Provenance that those sections refer to.
    """
    floor = 0.8 if 0.8 in floors or not floors else floors[0]

    def present(name: str) -> dict[Partition, pl.DataFrame]:
        return {key: found[name] for key, found in tables.items() if found.get(name) is not None}

    headline = headline_table(
        list(tables), present("decoding_sweep"), present("calibration_gap"), floor=floor,
        provenance={
            key: [records[name] for name in ("decoding_sweep", "calibration_gap") if name in records]
            for key, records in provenance.items()
        },
    )
    models = list(dict.fromkeys(model for model, _ in tables))
    if sections is None:
        sections = {
            key: partition_section(*key, tables[key], provenance.get(key, {}), floors=floors) for key in tables
        }
    chapters = [comparison_section(tables, provenance, floors=floors)]
    for model in models:
        children = tuple(sections[key] for key in tables if key[0] == model)
        chapters.append(ReportSection(id=slug("model", model), title=model, children=children))
    known = list(dict.fromkeys([*records, *(record for found in provenance.values() for record in found.values())]))
    shown = sum(isinstance(item, ReportFigure | ReportTable) for part in flatten(chapters) for item in part.items)
    return build_report(
        chapters, known, configuration, title, headline=headline, checks=checks, generated_at=generated_at,
        summary=f"{_count(len(models), 'model')} on {_count(len({task for _, task in tables}), 'task')}: "
        f"{shown} figures and tables.",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

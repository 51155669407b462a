"""One self-contained HTML page with every figure, table and number of the study, and where each comes from."""

import yaml

from calib_assets.assets.canopy.verdicts import COMPARISON_RULES
from calib_assets.assets.cases.case_reports import CASE_DEPS, CASE_SECTIONS, CASE_STUDIES
from calib_assets.assets.sections import checked, provenance
from calib_assets.report import (
    LeftOut,
    StudyPart,
    canopy_part,
    cases_part,
    order_part,
    seeds_of,
    shape_part,
    study_report,
)
from calib_assets.report.codec import decode
from calib_assets.staleness.graph import Cell, Node, cell_name
from calib_assets.staleness.run import Result, Run

SECTIONS = ("shape_section", "order_section", "canopy_section", "external_data")
LONGEST_ERROR = 500
# Name of each table that the overviews compare -> the asset that holds it.
SHAPE = {
    **{name: name for name in ("decoding_sweep", "calibration_gap", "validity_diversity_frontier")},
    "best_diversity": "validity_diversity_frontier",
    "conditional_calibration": "conditional_calibration",
}
ORDER = {"depth_summaries": "precision_recall_frontier", "best_decoding": "decoding_diversity"}
OVERALL = {
    "model_scaling": "model_scaling",
    "judge_pairs": "judge_agreement",
    "annotator_agreement": "judge_agreement",
}
CANOPY = {"entropy_trajectory": "entropy_trajectories", "length_distribution": "entropy_trajectories"}
CANOPY_OVERALL = {
    "canopy_models": "canopy_comparison",
    "canopy_comparison": "canopy_comparison",
    "beta_panel": "beta_panel",
    "panel_left_out": "beta_panel",
    "coefficients": "beta_regression",
    "random_effects": "beta_regression",
    "fit_summary": "beta_regression",
    "fit_notes": "beta_regression",
    "predictions": "beta_regression",
    "residual_tests": "residual_diagnostics",
    "scaled_residuals": "residual_diagnostics",
}


def report(run: Run) -> Result:
    """The report of the whole study: the parts that it has."""
    spec, parts, checks = run.slice("report_spec"), [], []
    for section, part in zip(SECTIONS, (_shape, _order, _canopy), strict=False):
        cells = run.upstream_cells(section)
        drawn = {cell: decode(run.read(section, cell, "section.json")) for cell in cells}
        checks += [check for found in drawn.values() for check in found["checks"]]
        if cells or (part is _canopy and run.upstream_cells("external_data")):
            parts.append(part(run, cells, drawn))
    cases = [case for case in (make(run) for make in CASE_STUDIES) if case is not None]
    if cases:
        parts.append(cases_part(cases))
    checks += [check for case in cases for check in case.checks]
    checks += checked(run, COMPARISON_RULES)
    configuration = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=110)
    left_out = _left_out(run)
    page = study_report(
        parts,
        configuration,
        spec["title"],
        checks=checks,
        left_out=left_out,
        seeds=seeds_of(spec),
        explorer="explorer.html",
    ).encode()
    return Result(
        files={"report.html": page},
        numbers={
            "models and tasks": len(run.upstream_cells("shape_section")),
            "models and sweeps": len(run.upstream_cells("order_section")),
            "models and kinds of rollouts": len(run.upstream_cells("canopy_section")),
            "failed": sum(bool(item.reason) for item in left_out),
            "not computed yet": sum(not item.reason for item in left_out),
            "bytes of the page": len(page),
        },
    )


def _left_out(run: Run) -> list[LeftOut]:
    failed = [LeftOut(failure.name, f"{failure.kind}: {failure.error}"[:LONGEST_ERROR]) for failure in run.failures]
    shown = (*SECTIONS, *CASE_SECTIONS)
    return failed + [LeftOut(f"{dep}[{cell_name(cell)}]") for dep, cell in run.uncomputed if dep in shown]


def _shape(run: Run, cells: list[Cell], drawn: dict[Cell, dict]) -> StudyPart:
    tables, sources = _compared(run, cells, SHAPE)
    return shape_part(
        tables, sources, floors=tuple(run.slice("floors_spec")["validity_floors"]), **_drawn(drawn)
    )


def _order(run: Run, cells: list[Cell], drawn: dict[Cell, dict]) -> StudyPart:
    tables, sources = _compared(run, cells, ORDER)
    return order_part(
        tables,
        sources,
        {name: run.table(asset, name) for name, asset in OVERALL.items()},
        {name: provenance(run, asset) for name, asset in OVERALL.items()},
        judges={sweep["name"]: sweep["judges"] for sweep in run.slice("report_spec")["sweeps"]},
        **_drawn(drawn),
    )


def _canopy(run: Run, cells: list[Cell], drawn: dict[Cell, dict]) -> StudyPart:
    tables, sources = _compared(run, cells, CANOPY)
    return canopy_part(
        tables,
        sources,
        {name: run.table(asset, name) for name, asset in CANOPY_OVERALL.items()},
        {name: provenance(run, asset) for name, asset in CANOPY_OVERALL.items()},
        hub_ids=_hub_ids(run.slice("report_spec")["models"]),
        families={row["name"]: row["family"] for row in run.slice("report_spec")["models"]},
        **_drawn(drawn),
    )


def _hub_ids(models: list[dict]) -> dict[str, str]:
    return {row["name"]: row["source"]["id"] for row in models if "id" in row["source"]}


def _compared(run: Run, cells: list[Cell], names: dict[str, str]) -> tuple[dict, dict]:
    store = run.context.store
    tables = {cell: {name: store.table(asset, cell, name) for name, asset in names.items()} for cell in cells}
    sources = {cell: {name: provenance(run, asset, cell) for name, asset in names.items()} for cell in cells}
    return tables, sources


def _drawn(drawn: dict[Cell, dict]) -> dict:
    return {
        "sections": {cell: part["section"] for cell, part in drawn.items()},
        "records": [record for part in drawn.values() for record in part["provenance"]],
    }


NODE = Node(
    key="report",
    axes=(),
    deps=(
        "shape_section",
        *dict.fromkeys(SHAPE.values()),
        "order_section",
        *dict.fromkeys((*ORDER.values(), *OVERALL.values())),
        "canopy_section",
        "external_data",
        *dict.fromkeys((*CANOPY.values(), *CANOPY_OVERALL.values())),
        *CASE_DEPS,
        "floors_spec",
        "report_spec",
    ),
    body=report,
    group="report",
    names_failures=True,
    description="The study as one HTML file: findings, tables, figures, configuration, provenance of every number.",
)

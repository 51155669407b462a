"""One self-contained HTML page with every figure, table and number of the study, and where each comes from."""

import yaml

from calib_assets.assets.shape_section import provenance
from calib_assets.report import shape_report
from calib_assets.report.codec import decode
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run

COMPARED = ("decoding_sweep", "calibration_gap", "validity_diversity_frontier")


def report(run: Run) -> Result:
    """The report of the whole study."""
    spec, floors = run.slice("report_spec"), tuple(run.slice("floors_spec")["validity_floors"])
    cells = run.upstream_cells("shape_section")
    parts = {cell: decode(run.read("shape_section", cell, "section.json")) for cell in cells}
    tables = {cell: {name: run.context.store.table(name, cell, name) for name in COMPARED} for cell in cells}
    sources = {cell: {name: provenance(run, name, cell) for name in COMPARED} for cell in cells}
    page = shape_report(
        tables,
        sources,
        yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=110),
        spec["title"],
        floors=floors,
        checks=[check for part in parts.values() for check in part["checks"]],
        sections={cell: part["section"] for cell, part in parts.items()},
        records=[record for part in parts.values() for record in part["provenance"]],
    )
    return Result(
        files={"report.html": page.encode()},
        numbers={"models and tasks": len(cells), "bytes of the page": len(page.encode())},
    )


NODE = Node(
    key="report",
    axes=(),
    deps=("shape_section", *COMPARED, "floors_spec", "report_spec"),
    body=report,
    group="report",
    description="The study as one HTML file: tables, figures, configuration, provenance of every number.",
)

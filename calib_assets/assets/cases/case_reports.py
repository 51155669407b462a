"""What the report shows of the case studies. A further one adds its function and what that reads."""

from collections.abc import Callable

from calib_assets.assets.sections import provenance
from calib_assets.report import CaseStudy, coding_case, collapse_case
from calib_assets.report.codec import decode
from calib_assets.staleness.run import Run


def collapse(run: Run) -> CaseStudy | None:
    """Answer collapse; None where the study has no such row."""
    cells = run.upstream_cells("collapse_section")
    if not cells:
        return None
    drawn = {cell[0]: decode(run.read("collapse_section", cell, "section.json")) for cell in cells}
    rows = {row["name"]: row["matching"] for row in run.slice("report_spec")["collapse"]}
    return collapse_case(
        {name: part["section"] for name, part in drawn.items()},
        {name: run.context.store.table("collapse_comparison", (name,), "collapse_comparison") for name in drawn},
        {name: provenance(run, "collapse_comparison", (name,)) for name in drawn},
        rows,
        records=[record for part in drawn.values() for record in part["provenance"]],
        checks=[check for part in drawn.values() for check in part["checks"]],
    )


def coding(run: Run) -> CaseStudy | None:
    """Calibration in coding; None where the study has no such row, or nobody's programs have been measured."""
    cells = run.upstream_cells("code_section")
    if not cells:
        return None
    drawn = {cell: decode(run.read("code_section", cell, "section.json")) for cell in cells}
    compared = [name for (name,) in run.upstream_cells("code_comparison")]
    tables = ("code_speakers", "pass_speakers", "code_differences")
    store = run.context.store
    return coding_case(
        {cell: part["section"] for cell, part in drawn.items()},
        {name: {table: store.table("code_comparison", (name,), table) for table in tables} for name in compared},
        {name: provenance(run, "code_comparison", (name,)) for name in compared},
        records=[record for part in drawn.values() for record in part["provenance"]],
        checks=[check for part in drawn.values() for check in part["checks"]],
    )


CASE_STUDIES: tuple[Callable[[Run], CaseStudy | None], ...] = (collapse, coding)
"""In the order of the report."""
CASE_SECTIONS = ("collapse_section", "code_section")
"""Assets whose missing cells the report names."""
CASE_DEPS = (*CASE_SECTIONS, "collapse_comparison", "code_comparison")
"""Assets that these functions read."""

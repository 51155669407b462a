"""What the report shows of the case studies. A further one adds its function and what that reads."""

from collections.abc import Callable

from calib_assets.assets.sections import provenance
from calib_assets.report import CaseStudy, collapse_case
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


CASE_STUDIES: tuple[Callable[[Run], CaseStudy | None], ...] = (collapse,)
"""In the order of the report."""
CASE_SECTIONS = ("collapse_section",)
"""Assets whose missing cells the report names."""
CASE_DEPS = (*CASE_SECTIONS, "collapse_comparison")
"""Assets that these functions read."""

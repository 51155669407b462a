"""The report's section of one set of problems and speaker: drawn once, kept, put into the report when it changes."""

from calib_assets.assets.cases.code_rules import CODING_RULES
from calib_assets.assets.sections import kept_section, provenance
from calib_assets.report import code_section as section_of
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run

# Name of each table in the report -> the asset that holds it.
TABLES = {
    "code_problems": "code_samples",
    "code_calibration": "code_calibration",
    "code_summary": "code_calibration",
    "ranked_programs": "code_calibration",
    "verdict_kinds": "code_calibration",
}


def code_section(run: Run) -> Result:
    """Every figure and table of one set of problems and speaker, with provenance and checks."""
    tables = {name: run.table(asset, name) for name, asset in TABLES.items()}
    sources = {name: provenance(run, asset) for name, asset in TABLES.items()}
    section = section_of(run.coordinates["coding"], run.coordinates["speaker"], tables, sources)
    return kept_section(run, section, sources, CODING_RULES)


NODE = Node(
    key="code_section",
    axes=("coding", "speaker"),
    deps=("code_samples", "code_verdicts", "code_calibration"),
    body=code_section,
    group="report",
    description="Figures and tables of one set of problems and speaker for the report (Paper A, App. H, Figure 12).",
)

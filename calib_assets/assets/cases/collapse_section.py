"""The report's section of one question: drawn once, kept, and put into the report when it changes."""

from calib_assets.assets.cases.collapse_rules import COLLAPSE_RULES
from calib_assets.assets.sections import kept_section, provenance
from calib_assets.report import collapse_section as section_of
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run

# Name of each table in the report -> the asset that holds it.
TABLES = {
    "collapse_comparison": "collapse_comparison",
    "answer_counts": "answer_collapse",
    "answer_outcomes": "answer_collapse",
}


def collapse_section(run: Run) -> Result:
    """Every figure and table of one question over all speakers, with provenance and checks."""
    (collapse,) = run.cell
    tables = {name: run.table(asset, name) for name, asset in TABLES.items()}
    cells = run.upstream_cells("answer_collapse")
    sources = {speaker: provenance(run, "answer_collapse", (collapse, speaker)) for _, speaker in cells}
    compared = provenance(run, "collapse_comparison")
    question, matching = run.slice("collapse_spec")["prompt"], run.slice("collapse_answers_spec")["matching"]
    section = section_of(collapse, question, matching, tables, sources, compared)
    return kept_section(run, section, {**sources, "": compared}, COLLAPSE_RULES)


NODE = Node(
    key="collapse_section",
    axes=("collapse",),
    deps=("answer_samples", "answer_collapse", "collapse_comparison", "collapse_spec", "collapse_answers_spec"),
    body=collapse_section,
    group="report",
    description="Figures and tables of one question over all speakers for the report (Paper A, App. G, Figure 11).",
)

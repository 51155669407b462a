"""One self-contained HTML file that shows a study's tables and figures and where every number came from.

What belongs here: turning finished tables and figures into a page. What must not: computing results, reading
or writing files, Dagster. :mod:`~calib_assets.report.contract` is the contract with callers;
:func:`~calib_assets.report.page.build_report` renders any sections; :mod:`~calib_assets.report.shape_study`,
:mod:`~calib_assets.report.order_study`, :mod:`~calib_assets.report.canopy_study` and
:mod:`~calib_assets.report.cases_collapse` know which figures and tables belong to those studies, and
:mod:`~calib_assets.report.study` puts such parts on one page.
"""

from calib_assets.report.canopy_fit import regression_section
from calib_assets.report.canopy_overview import canopy_overview
from calib_assets.report.canopy_study import canopy_part, canopy_section
from calib_assets.report.cases_coding import code_section, coding_case
from calib_assets.report.cases_collapse import collapse_case, collapse_section
from calib_assets.report.cases_study import CaseStudy, cases_part
from calib_assets.report.contract import (
    Absent,
    Check,
    Column,
    Finding,
    LeftOut,
    Missing,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
)
from calib_assets.report.headline import headline_table
from calib_assets.report.order_study import order_overview, order_part, order_section
from calib_assets.report.page import build_report
from calib_assets.report.shape_study import comparison_section, partition_section, shape_part, shape_report
from calib_assets.report.study import StudyPart, seeds_of, study_report

__all__ = [
    "Absent",
    "CaseStudy",
    "Check",
    "Column",
    "Finding",
    "LeftOut",
    "Missing",
    "Provenance",
    "ReportFigure",
    "ReportSection",
    "ReportTable",
    "StudyPart",
    "build_report",
    "canopy_overview",
    "canopy_part",
    "canopy_section",
    "cases_part",
    "code_section",
    "coding_case",
    "collapse_case",
    "collapse_section",
    "comparison_section",
    "headline_table",
    "order_overview",
    "order_part",
    "order_section",
    "partition_section",
    "regression_section",
    "seeds_of",
    "shape_part",
    "shape_report",
    "study_report",
]

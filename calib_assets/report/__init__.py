"""One self-contained HTML file that shows a study's tables and figures and where every number came from.

What belongs here: turning finished tables and figures into a page. What must not: computing results, reading
or writing files, Dagster. :mod:`~calib_assets.report.contract` is the contract with callers;
:func:`~calib_assets.report.page.build_report` renders any sections; :mod:`~calib_assets.report.shape_study`
knows which figures and tables belong to the shape study.
"""

from calib_assets.report.contract import (
    Absent,
    Check,
    Column,
    Missing,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
)
from calib_assets.report.headline import headline_table
from calib_assets.report.page import build_report
from calib_assets.report.shape_study import comparison_section, partition_section, shape_report

__all__ = [
    "Absent",
    "Check",
    "Column",
    "Missing",
    "Provenance",
    "ReportFigure",
    "ReportSection",
    "ReportTable",
    "build_report",
    "comparison_section",
    "headline_table",
    "partition_section",
    "shape_report",
]

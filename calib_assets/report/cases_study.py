"""The case studies as one part of a report: each brings its own chapters, findings and scope (METHODS §3.11)."""

from collections.abc import Sequence
from dataclasses import dataclass

from calib_assets.report.contract import Check, Finding, Provenance, ReportSection
from calib_assets.report.study import StudyPart


@dataclass(frozen=True)
class CaseStudy:
    """One case study of a report.

    Attributes:
        scope: What it covers, such as "1 question to 3 speakers"; without a full stop.
        chapters: Its sections in reading order.
        records: Every artifact that its items refer to.
        findings: Its sentences at the top of the page.
        checks: Results of the checks on its tables.
    """

    scope: str
    chapters: tuple[ReportSection, ...]
    records: tuple[Provenance, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()


def cases_part(studies: Sequence[CaseStudy]) -> StudyPart:
    """All case studies as a part of a page, for :func:`~calib_assets.report.study.study_report`."""
    return StudyPart(
        methods="cases",
        scope=f"Case studies: {'; '.join(study.scope for study in studies)}",
        chapters=tuple(chapter for study in studies for chapter in study.chapters),
        records=tuple(dict.fromkeys(record for study in studies for record in study.records)),
        findings=tuple(finding for study in studies for finding in study.findings),
    )

"""The page of a study: parts that know their own chapters, put together with checks and configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from calib_assets.report.contract import (
    Check,
    Finding,
    LeftOut,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
    flatten,
)
from calib_assets.report.page import build_report
from calib_assets.report.paper_index import paper_index


@dataclass(frozen=True)
class StudyPart:
    """One kind of study in a report, such as the shape study.

    Attributes:
        methods: Name of its methods in :data:`calib_assets.report.page.METHODS`.
        scope: What it covers, such as "2 models on 3 tasks".
        chapters: Its sections in reading order.
        records: Every artifact that its items refer to.
        headline: Its table at the top of the page, if it has one.
        findings: Its sentences at the top of the page.
    """

    methods: str
    scope: str
    chapters: tuple[ReportSection, ...]
    records: tuple[Provenance, ...] = ()
    headline: ReportTable | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def shown(self) -> int:
        """Number of figures and tables."""
        items = [item for section in flatten(self.chapters) for item in section.items]
        return sum(isinstance(item, ReportFigure | ReportTable) for item in items)


def study_report(
    parts: Sequence[StudyPart],
    configuration: str,
    title: str,
    *,
    checks: Sequence[Check] = (),
    left_out: Sequence[LeftOut] = (),
    generated_at: str | None = None,
) -> str:
    """The report of a whole study as HTML text: one page for all its parts.

    Args:
        parts: From :func:`~calib_assets.report.shape_study.shape_part` and
            :func:`~calib_assets.report.order_study.order_part`, in reading order.
        configuration: The study file as written.
        checks: Asset-check results.
        left_out: What failed or is not computed yet.
        generated_at: Time to print; None keeps the text reproducible.

    Raises:
        ValueError: If two parts have a headline table, or as :func:`~calib_assets.report.page.build_report`.
    """
    headlines = [part.headline for part in parts if part.headline is not None]
    if len(headlines) > 1:
        raise ValueError(f"a page has one headline table, these parts have {len(headlines)}; leave out the others")
    return build_report(
        [chapter for part in parts for chapter in part.chapters],
        list(dict.fromkeys(record for part in parts for record in part.records)),
        configuration,
        title,
        headline=headlines[0] if headlines else None,
        findings=[finding for part in parts for finding in part.findings],
        checks=checks,
        left_out=left_out,
        generated_at=generated_at,
        summary=" ".join(
            f"{part.scope}: {count(part.shown, 'figure or table', 'figures and tables')}." for part in parts
        ),
        methods=list(dict.fromkeys(part.methods for part in parts)) or ["shape"],
        index=paper_index([(part.methods, part.chapters) for part in parts]),
    )


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    >>> count(1, "model"), count(3, "model")
    ('1 model', '3 models')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"

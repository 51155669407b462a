"""The page of a study: parts that know their own chapters, put together with checks and configuration."""

import dataclasses
from collections.abc import Mapping, Sequence
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

EXPLORED = {"shape": "task", "order": "sweep"}
"""Name of each text on methods -> what its partitions are beside the model; the explorer shows these."""

TOPICS = {
    "shape": "Exact tasks: order, shape, and the decoding rule that costs least",
    "order": "Open-ended prompts: order, and diversity by strategy",
    "canopy": "Whole answers: size of the generation space",
    "cases": "Case studies",
}
"""Name of each text on methods -> the heading of its findings."""


@dataclass(frozen=True)
class StudyPart:
    """One kind of study in a report, such as the shape study.

    Attributes:
        methods: Name of its methods in :data:`calib_assets.report.page.METHODS`.
        scope: What it covers, such as "Shape study, 2 models on 3 tasks".
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
    seeds: Mapping[str, int] | None = None,
    explorer: str = "",
) -> str:
    """The report of a whole study as HTML text: one page for all its parts.

    Args:
        parts: From :func:`~calib_assets.report.shape_study.shape_part` and
            :func:`~calib_assets.report.order_study.order_part`, in reading order.
        configuration: The study file as written.
        checks: Asset-check results.
        left_out: What failed or is not computed yet.
        generated_at: Time to print; None keeps the text reproducible.
        seeds: Seeds of the study, as :func:`seeds_of` finds them.
        explorer: File of the explorer that lies beside the page.

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
        findings=[
            dataclasses.replace(finding, topic=finding.topic or TOPICS[part.methods])
            for part in parts
            for finding in part.findings
        ],
        checks=checks,
        left_out=left_out,
        generated_at=generated_at,
        summary=" ".join(
            f"{part.scope}: {count(part.shown, 'figure or table', 'figures and tables')}." for part in parts
        ),
        methods=list(dict.fromkeys(part.methods for part in parts)) or ["shape"],
        seeds=seeds,
        index=paper_index([(part.methods, part.chapters) for part in parts]),
        places=_places(parts),
        explorer=explorer,
    )


def _places(parts: Sequence[StudyPart]) -> dict[str, dict[str, str]]:
    """Provenance id -> the model and task, or model and sweep, that it is about."""
    return {
        record.id: dict(zip(("model", EXPLORED[part.methods]), record.partition.split("|"), strict=True))
        for part in parts
        if part.methods in EXPLORED
        for record in part.records
        if record.partition is not None and record.partition.count("|") == 1
    }


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    >>> count(1, "model"), count(3, "model"), count(1200, "token")
    ('1 model', '3 models', '1,200 tokens')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def seeds_of(document: object, path: str = "") -> dict[str, int]:
    """Every seed of a study's document, by the place where it stands; a row of a list goes by its name.

    >>> seeds_of({"seed": 1, "sweeps": [{"name": "one", "seed": 7, "seeds": 3}]})
    {'seed': 1, 'sweeps.one.seed': 7}
    """
    if isinstance(document, list):
        rows = {str(row["name"]): row for row in document if isinstance(row, dict) and "name" in row}
        return seeds_of(rows, path)
    if not isinstance(document, dict):
        return {}
    found = {}
    for name, value in document.items():
        place = f"{path}.{name}" if path else str(name)
        if (name == "seed" or str(name).endswith("_seed")) and isinstance(value, int):
            found[place] = value
        else:
            found |= seeds_of(value, place)
    return found

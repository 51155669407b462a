"""The coding study in the report: a section for each speaker and set of problems, and what they find in a sentence."""

from collections.abc import Mapping, Sequence

import polars as pl

from calib_assets import figures
from calib_assets.figures.text import share
from calib_assets.report.cases_study import CaseStudy
from calib_assets.report.contract import (
    Check,
    Column,
    Finding,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
    slug,
    sources,
)
from calib_assets.report.order_examples import plain
from calib_assets.report.study import count

Cell = tuple[str, str]
PAPER = "Counterpart of Figure 12, App. H"
_NO_ORDER = "its programs all pass, or none does, or no log-probability is known"
_NONE_PASSES = "no program passes"
MEASURES = {
    "share_passed": ("Share that passes", "share"),
    "order_auroc_samples": ("Order AUROC, samples", "share"),
    "order_auroc_samples_per_token": ("Order AUROC, samples, per token", "share"),
    "order_auroc_programs": ("Order AUROC, distinct programs", "share"),
    "order_auroc_programs_per_token": ("Order AUROC, distinct programs, per token", "share"),
    "valid_mass_share": ("Valid share of the sampled mass", "share"),
    "sampled_mass": ("Probability of all distinct sequences", "share"),
    "effective_passing_programs": ("Effective number of right programs", "number"),
    "effective_passing_programs_by_mass": ("Effective number of right programs, by mass", "number"),
    "top_passing_share": ("Largest share of one right program", "share"),
    "top_passing_mass_share": ("Largest share of one right program, by mass", "share"),
}
"""Measure -> (name for people, kind of number)."""
_PROBLEM = {
    "problem_id": Column("Problem"),
    "n_tested": Column("Programs", "count", help="with a verdict"),
    "n_passed": Column("pass", "count"),
    "n_truncated": Column("cut", "count", help="cut at the limit: they have no log-probability of a whole sequence"),
    "n_programs": Column("distinct", "count"),
    "n_passing_programs": Column("distinct right", "count"),
    "order_auroc_samples": Column("Order AUROC", "share", _NO_ORDER, "over samples"),
    "order_auroc_programs": Column("of programs", "share", _NO_ORDER, "over distinct programs"),
    "valid_mass_share": Column("Valid mass share", "share", "no log-probability is known"),
    "effective_passing_programs_by_mass": Column(
        "exp(H) of right ones", "number", _NONE_PASSES, "by their probability"
    ),
}


def code_section(
    coding: str, speaker: str, tables: Mapping[str, pl.DataFrame], provenance: Mapping[str, Provenance]
) -> ReportSection:
    """Figures and tables of one set of problems and one speaker.

    Args:
        coding, speaker: Names of the rows.
        tables: ``code_problems, code_calibration, code_summary, ranked_programs, verdict_kinds``.
        provenance: Manifest of the asset behind each table, by table name.
    """

    def common(name: str, title: str, needs: str, caption: str) -> dict:
        used = sources(provenance.get(needs))
        return dict(
            id=slug("coding", coding, speaker, name), title=title, caption=caption, paper=PAPER, provenance=used
        )

    ranked, kinds = tables["ranked_programs"], tables["verdict_kinds"]
    items: list[ReportFigure | ReportTable] = []
    if not ranked.is_empty():
        items.append(
            ReportFigure.draw(
                figures.ranked_programs(ranked),
                alt=f"Sampled programs of {plain(speaker, 80)} by falling log-probability, each marked right or wrong.",
                **common(
                    "ranked",
                    "Programs by probability",
                    "ranked_programs",
                    "Under order calibration, right programs stand left of wrong ones.",
                ),
            )
        )
    items.append(
        ReportTable.from_frame(
            _named(tables["code_summary"]),
            _summary_columns(),
            **common(
                "measures",
                "Means over problems",
                "code_summary",
                "Over the problems in which a measure is defined; intervals resample problems.",
            ),
        )
    )
    items.append(
        ReportTable.from_frame(
            tables["code_calibration"],
            _PROBLEM,
            limit=60,
            **common("problems", "Problem by problem", "code_calibration", ""),
        )
    )
    items.append(
        ReportTable.from_frame(
            kinds,
            {"kind": Column("Verdict"), "n": Column("Programs", "count")},
            **common("verdicts", "Verdicts", "verdict_kinds", "A missing verdict is neither right nor wrong."),
        )
    )
    left = tables["code_problems"].drop_nulls("left_out")
    if left.height:
        columns = {"problem_id": Column("Problem"), "left_out": Column("Reason")}
        text = common("left-out", "Problems for which nothing was sampled", "code_problems", "They enter no measure.")
        items.append(ReportTable.from_frame(left, columns, **text))
    intro = (
        "" if not ranked.is_empty() else "No program has a verdict and a log-probability, so there is no order to show."
    )
    return ReportSection(slug("coding", coding, speaker), plain(speaker, 120), tuple(items), intro=intro)


def _named(summary: pl.DataFrame) -> pl.DataFrame:
    """Measures by their names, numbers as text of their kind: a column of a table has one kind."""
    rows = []
    for row in summary.iter_rows(named=True):
        name, kind = MEASURES[row["measure"]]
        ends = (row["ci_low"], row["ci_high"])
        rows.append({**row, "name": name, "value": row["est"], "interval": _ends(ends, kind)})
    return pl.DataFrame(rows, schema={**summary.schema, "name": pl.String, "value": pl.Float64, "interval": pl.String})


def _ends(ends: tuple[float | None, float | None], kind: str) -> str | None:
    if None in ends:
        return None
    return "[" + ", ".join(_said(end) for end in ends) + "]"


def _said(value: float) -> str:
    return share(value, 3)


def _summary_columns() -> dict[str, Column]:
    return {
        "name": Column("Measure"),
        "value": Column("Mean", "number", "undefined in every problem"),
        "interval": Column("95 % interval", null_means="fewer than two problems, or all alike"),
        "n_problems": Column("Problems", "count"),
        "n_undefined": Column("undefined", "count"),
    }


def coding_case(
    sections: Mapping[Cell, ReportSection],
    compared: Mapping[str, Mapping[str, pl.DataFrame]],
    provenance: Mapping[str, Provenance],
    *,
    records: Sequence[Provenance] = (),
    checks: Sequence[Check] = (),
) -> CaseStudy:
    """The coding study as a case study of the report.

    Args:
        sections: Section of each (set of problems, speaker), in the study's order.
        compared: Tables ``code_speakers, pass_speakers, code_differences`` of each set of problems.
        provenance: Their manifest, by set.
        records: Provenance that the sections refer to.
        checks: Results of the checks on their tables.
    """
    children, findings = [], []
    for coding, tables in compared.items():
        used = sources(provenance.get(coding))
        own = tuple(section for (name, _), section in sections.items() if name == coding)
        children.append(_overview(coding, tables, used, own))
        findings += [Finding(text, used) for text in findings_of(coding, tables)]
    speakers = {speaker for _, speaker in sections}
    chapter = ReportSection("coding", "Case study: calibration in coding", children=tuple(children))
    return CaseStudy(
        f"{count(len(compared), 'set', 'sets')} of programming problems for {count(len(speakers), 'speaker')}",
        (chapter,),
        tuple(dict.fromkeys([*records, *provenance.values()])),
        tuple(findings),
        tuple(checks),
    )


def _overview(
    coding: str, tables: Mapping[str, pl.DataFrame], used: tuple[str, ...], children: tuple[ReportSection, ...]
) -> ReportSection:
    rates, differences = tables["pass_speakers"], tables["code_differences"]
    items: list[ReportFigure | ReportTable] = [
        ReportFigure.draw(
            figures.pass_curves(rates),
            id=slug("coding", coding, "pass"),
            title="pass@k",
            alt=f"Mean pass@k of {plain(coding, 80)} against k, a line for each speaker.",
            caption="Unbiased estimate of the probability that one of k programs passes; mean over problems.",
            paper="App. H",
            provenance=used,
        ),
        ReportTable.from_frame(
            _wide(tables["code_speakers"]),
            {"speaker": Column("Speaker")}
            | {
                name: Column(MEASURES[name][0], MEASURES[name][1], "undefined in every problem")
                for name in ("share_passed", "order_auroc_samples", "order_auroc_programs", "valid_mass_share")
            }
            | {
                "effective_passing_programs_by_mass": Column(
                    "Effective number of right programs", "number", _NONE_PASSES
                )
            },
            id=slug("coding", coding, "speakers"),
            title="Speakers side by side",
            caption="Means over the problems in which each is defined.",
            paper="App. H",
            provenance=used,
        ),
    ]
    if differences.height:
        columns = {"speaker": Column("Speaker"), "reference": Column("less"), **_summary_columns()}
        items.append(
            ReportTable.from_frame(
                _named(differences),
                columns,
                limit=60,
                id=slug("coding", coding, "differences"),
                title="Differences, paired by problem",
                caption="Over the problems in which both have a value.",
                paper="App. H",
                provenance=used,
            )
        )
    return ReportSection(slug("coding", coding), plain(coding, 120), tuple(items), children)


def _wide(speakers: pl.DataFrame) -> pl.DataFrame:
    wide = speakers.pivot("measure", index="speaker", values="est", maintain_order=True)
    lacking = [pl.lit(None, pl.Float64).alias(name) for name in MEASURES if name not in wide.columns]
    return wide.with_columns(lacking)


def findings_of(coding: str, tables: Mapping[str, pl.DataFrame]) -> list[str]:
    """What each speaker's programs say, in numbers; nothing of a speaker without a verdict.

    >>> findings_of("easy", {"code_speakers": pl.DataFrame(schema=["speaker", "measure", "est"])})
    []
    """
    table, found = tables["code_speakers"], []
    for speaker in table["speaker"].unique(maintain_order=True):
        known = {row["measure"]: row for row in table.filter(pl.col("speaker") == speaker).iter_rows(named=True)}
        passed, order = known["share_passed"], known["order_auroc_samples"]
        if passed["est"] is None:
            continue
        text = (
            f"Programs of {plain(speaker, 60)} for {plain(coding, 60)}: a share of {_interval(passed)} passes its tests"
        )
        if order["est"] is None:
            text += "; no problem has both right and wrong ones with a log-probability, so their order is undefined."
        else:
            text += (
                "; a right one is more probable than a wrong one of its problem with probability "
                f"{_interval(order)}, over {count(order['n_problems'], 'problem')} with both "
                "(1 under order calibration, 0.5 without any order)."
            )
        found.append(text)
    return found


def _interval(row: Mapping) -> str:
    if row["ci_low"] is None:
        return f"{share(row['est'])} [no interval]"
    return f"{share(row['est'])} [{share(row['ci_low'])}, {share(row['ci_high'])}]"

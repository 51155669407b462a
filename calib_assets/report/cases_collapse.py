"""Answer collapse in the report: a section a question, and what it finds in a sentence."""

from collections.abc import Mapping, Sequence

import polars as pl

from calib_assets import figures
from calib_assets.figures.answer_collapse import SETTING_LABELS
from calib_assets.figures.text import share, short
from calib_assets.report.canopy_tables import between
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

PAPER = "Counterpart of Figure 11, App. G"
EFFECTIVE = "effective_number_chao_shen"
MEASURES = {
    "n_answers": Column("answers", "count"),
    "n_distinct": Column("distinct", "count", help="different answers"),
    "top_share": Column("top share", "share", help="share of the most frequent answer"),
    "effective_number": Column("exp(H)", "number", help="effective number of answers, plug-in"),
    "effective_number_miller_madow": Column("Miller–Madow", "number", help="exp of the corrected entropy"),
    EFFECTIVE: Column("Chao–Shen", "number", help="exp of the entropy with unseen answers in mind"),
    "collision_probability": Column("collisions", "share", help="probability that two answers agree"),
    "first_repeat": Column(
        "first repeat", "number", "no answer came twice",
        "place of the first answer that came before; a mean over conversations, one without a repeat at one place past "
        "its last answer",
    ),
    "valid_share": Column("valid", "share", "the row has no list", "share of answers on the list"),
    "coverage": Column("coverage", "share", "the row has no list", "share of the list that was said"),
}
INTERVALS = ("top_share",)


def collapse_section(
    name: str,
    question: str,
    matching: str,
    tables: Mapping[str, pl.DataFrame],
    provenance: Mapping[str, Provenance],
    compared: Provenance | None = None,
) -> ReportSection:
    """Figures and tables of one question over all speakers.

    Args:
        name: The row's name.
        question: What was asked.
        matching: Which answers count as one: "strict" or "lenient".
        tables: ``collapse_comparison``, ``answer_counts``, ``answer_outcomes``, all with a column ``speaker``.
        provenance: Manifest of each speaker's `answer_collapse`.
        compared: Manifest of `collapse_comparison`.
    """
    intro = f"Asked: “{plain(question, 300)}”"
    comparison, used = tables["collapse_comparison"], sources(compared)
    if comparison.is_empty():
        return ReportSection(slug("collapse", name), plain(name, 120), intro=f"{intro} Nobody has answered yet.")
    every = sources(*provenance.values())
    items = [
        ReportFigure.draw(
            figures.effective_answers(comparison, matching),
            id=slug("collapse", name, "effective"),
            title="Effective number of answers",
            alt=f"Effective number of answers to {plain(question, 80)} by speaker, with and without history.",
            caption="Chao–Shen estimate with its bootstrap interval, the plug-in, and the distinct answers.",
            paper=PAPER,
            provenance=used,
        ),
        ReportTable.from_frame(
            *_measures(comparison, matching),
            id=slug("collapse", name, "measures"),
            title="Answers in numbers",
            caption=f"Answers are one if they are equal under {matching} matching.",
            paper=PAPER,
            provenance=used,
        ),
        ReportTable.from_frame(
            *_outcomes(tables["answer_outcomes"]),
            id=slug("collapse", name, "outcomes"),
            title="What samples came to",
            caption="Only answers enter the measures; what never came is missing, not an answer.",
            paper=PAPER,
            provenance=every,
        ),
    ]
    children = []
    for speaker, record in provenance.items():
        counts = tables["answer_counts"].filter(pl.col("speaker") == speaker)
        top = _top(name, speaker, counts, matching, record)
        children.append(ReportSection(slug("collapse", name, speaker), plain(speaker, 120), (top,)))
    return ReportSection(slug("collapse", name), plain(name, 120), tuple(items), tuple(children), intro)


def _top(name: str, speaker: str, counts: pl.DataFrame, matching: str, record: Provenance) -> ReportFigure:
    return ReportFigure.draw(
        figures.top_answers(counts, matching),
        id=slug("collapse", name, speaker, "top"),
        title="Top answers",
        alt=f"Share of the most frequent answers of {plain(speaker, 80)}.",
        caption="Share of all answers of the setting.",
        paper=PAPER,
        provenance=sources(record),
    )


def _measures(comparison: pl.DataFrame, matching: str) -> tuple[pl.DataFrame, dict[str, Column]]:
    """One row a speaker and setting."""
    rows = comparison.filter(pl.col("matching") == matching)
    index = ["speaker", "setting"]
    wide = rows.pivot("measure", index=index, values="est", maintain_order=True)
    for name in INTERVALS:
        ends = rows.filter(pl.col("measure") == name).select(
            *index, between("ci_low", "ci_high").alias(f"{name}_interval")
        )
        wide = wide.join(ends, on=index, how="left", maintain_order="left")
    columns: dict[str, Column] = {"speaker": Column("speaker"), "setting": Column("setting")}
    none = "one conversation, or one answer only: nothing to resample"
    for name, column in MEASURES.items():
        if name not in wide.columns:
            continue
        columns[name] = column
        if name in INTERVALS:
            columns[f"{name}_interval"] = Column("95 % interval", null_means=none)
    counted = [pl.col(name).cast(pl.Int64) for name in ("n_answers", "n_distinct")]
    return wide.with_columns(pl.col("setting").replace(SETTING_LABELS), *counted), columns


def _outcomes(outcomes: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Column]]:
    wide = outcomes.pivot("outcome", index=["speaker", "setting"], values="count", maintain_order=True)
    named = {"failed": "never came"}
    columns = {"speaker": Column("speaker"), "setting": Column("setting")}
    columns |= {name: Column(named.get(name, name), "count") for name in wide.columns if name not in columns}
    return wide.with_columns(pl.col("setting").replace(SETTING_LABELS)), columns


def collapse_case(
    sections: Mapping[str, ReportSection],
    comparisons: Mapping[str, pl.DataFrame],
    provenance: Mapping[str, Provenance],
    matching: Mapping[str, str],
    *,
    records: Sequence[Provenance] = (),
    checks: Sequence[Check] = (),
) -> CaseStudy:
    """Answer collapse as a case study of the report.

    Args:
        sections: Section of each question, by the row's name, in the study's order.
        comparisons: Table `collapse_comparison` of each.
        provenance: Its manifest.
        matching: Which answers count as one, by row.
        records: Provenance that the sections refer to.
        checks: Results of the checks on their tables.
    """
    speakers = {name for table in comparisons.values() for name in table["speaker"].to_list()}
    found = [
        Finding(text, sources(provenance[name]))
        for name, table in comparisons.items()
        for text in findings_of(name, table.filter(pl.col("matching") == matching[name]))
    ]
    chapter = ReportSection("answer-collapse", "Case study: answer collapse", children=tuple(sections.values()))
    return CaseStudy(
        f"{count(len(sections), 'question')} to {count(len(speakers), 'speaker')}",
        (chapter,),
        tuple(dict.fromkeys([*records, *provenance.values()])),
        tuple(found),
        tuple(checks),
    )


def findings_of(name: str, table: pl.DataFrame) -> list[str]:
    """The smallest effective number of answers when asked anew each time, and the largest; nothing without answers.

    No speaker is called more varied than another: whether the intervals of the two overlap is said as it is.

    Args:
        name: The row's name.
        table: `collapse_comparison` under one matching.
    """
    known = {(row["speaker"], row["setting"], row["measure"]): row for row in table.iter_rows(named=True)}
    alone = [row for (_, setting, measure), row in known.items() if (setting, measure) == ("independent", EFFECTIVE)]
    alone = sorted((row for row in alone if row["est"] is not None), key=lambda row: row["est"])
    if not alone:
        return []

    def numbers(speaker: str) -> list[int]:
        return [int(known[speaker, "independent", measure]["est"]) for measure in ("n_answers", "n_distinct")]

    told = [row for row in alone if len(set(numbers(row["speaker"]))) == 2]
    different = [row["speaker"] for row in alone if row not in told]
    if not told:
        who = " and ".join(f"{numbers(speaker)[0]:,} of {plain(speaker, 60)}" for speaker in different)
        return [
            f"Answer collapse, {plain(name, 60)}: no two independent answers are alike ({who}), so from how many they "
            "are drawn in effect cannot be told."
        ]
    least = told[0]["speaker"]
    own = {measure: row for (who, setting, measure), row in known.items() if (who, setting) == (least, "independent")}
    n, distinct = numbers(least)
    rough = "; most answers came once, so it is rough" if 2 * distinct > n else ""
    text = (
        f"Answer collapse, {plain(name, 60)}: the {count(n, 'independent answer')} of {plain(least, 60)} are drawn in "
        f"effect from about {short(told[0]['est'])} different ones (Chao–Shen, without an interval{rough}), and a "
        f"share of {_share(own['top_share'])} is its most frequent answer"
    )
    listed = own.get("valid_share")
    text += f"; a share of {_share(listed)} is on its list" if listed and listed["est"] is not None else ""
    later = known.get((least, "history", EFFECTIVE))
    if later is not None and later["est"] is not None:
        text += f"; asked again in a conversation, about {short(later['est'])}"
    if len(alone) > 1:
        text += f". Of {len(alone)} speakers this is the smallest estimate; "
        if different:
            text += f"of {' and '.join(plain(speaker, 60) for speaker in different)} no two answers are alike"
        else:
            text += f"the largest is about {short(told[-1]['est'])}, of {plain(told[-1]['speaker'], 60)}"
    return [text + "."]


def _share(row: Mapping) -> str:
    if row["ci_low"] is None:
        return f"{share(row['est'])} [no interval]"
    return f"{share(row['est'])} [{share(row['ci_low'])}, {share(row['ci_high'])}]"

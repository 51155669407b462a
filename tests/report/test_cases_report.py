"""The case studies on the page: tables and sentences hold what their tables hold, and no text of a model is markup."""

import collapse_tables
import polars as pl
import pytest

from calib_assets.report import CaseStudy, Check, ReportFigure, ReportTable, cases_part, collapse_case, collapse_section
from calib_assets.report.cases_collapse import findings_of
from calib_assets.report.contract import flatten
from calib_assets.report.study import study_report

HOSTILE = '<script>alert("x")</script> & \x00\u202e$x$'


@pytest.fixture(scope="module")
def tables():
    return collapse_tables.all_tables()


def case(tables, manifest, name="city", question="Name a city."):
    speakers = dict.fromkeys(tables["answer_outcomes"]["speaker"].to_list())
    records = {speaker: manifest("answer_collapse", f"{name}|{speaker}") for speaker in speakers}
    compared = manifest("collapse_comparison", name)
    section = collapse_section(name, question, "strict", tables, records, compared)
    return collapse_case(
        {name: section},
        {name: tables["collapse_comparison"]},
        {name: compared},
        {name: "strict"},
        records=list(records.values()),
        checks=[Check("counts_add_up", "answer_collapse", name, True)],
    )


def test_a_section_has_the_figures_and_tables_of_every_speaker(tables, study):
    found = case(tables, study.manifest)
    (section,) = found.chapters[0].children
    assert [child.title for child in section.children] == ["collapsed", "varied"]
    items = [item for part in flatten([section]) for item in part.items]
    assert sum(isinstance(item, ReportFigure) for item in items) == 3
    measures = next(item for item in items if isinstance(item, ReportTable) and item.title == "Answers in numbers")
    labels = [column.label for column in measures.columns]
    rows = {(row[0], row[1]): dict(zip(labels, row, strict=True)) for row in measures.rows}
    own = tables["collapse_comparison"].filter((pl.col("matching") == "strict") & (pl.col("speaker") == "collapsed"))
    known = {(row["setting"], row["measure"]): row["est"] for row in own.iter_rows(named=True)}
    shown = rows["collapsed", "asked anew each time"]
    for label, measure in {"answers": "n_answers", "top share": "top_share", "exp(H)": "effective_number"}.items():
        assert shown[label] == known["independent", measure], label
    outcomes = next(item for item in items if isinstance(item, ReportTable) and item.title == "What samples came to")
    assert outcomes.rows[0][2:] == (78, 0, 0, 1, 1)


def test_answers_that_all_differ_have_no_effective_number(tables):
    own = tables["collapse_comparison"].filter(pl.col("matching") == "strict")
    counted = pl.col("measure").is_in(["n_answers", "n_distinct"])
    (text,) = findings_of("city", own.filter(pl.col("speaker") == "varied"))
    assert "rough" not in text and "is its most frequent answer; a share of" in text and "is on its list" in text
    all_differ = own.with_columns(est=pl.when(counted & (pl.col("speaker") == "varied")).then(6.0).otherwise("est"))
    (text,) = findings_of("city", all_differ)
    assert text.endswith("Of 2 speakers this is the smallest estimate; of varied no two answers are alike.")
    (text,) = findings_of("city", all_differ.filter(pl.col("speaker") == "varied"))
    assert text == (
        "Answer collapse, city: no two independent answers are alike (6 of varied), so from how many they are drawn in "
        "effect cannot be told."
    )
    once = pl.when(pl.col("measure") == "n_answers").then(9.0).when(pl.col("measure") == "n_distinct").then(8.0)
    (text,) = findings_of("city", own.filter(pl.col("speaker") == "varied").with_columns(est=once.otherwise("est")))
    assert "(Chao–Shen, without an interval; most answers came once, so it is rough), and a share of" in text
    free = own.with_columns(est=pl.when(pl.col("measure") == "valid_share").then(None).otherwise("est"))
    assert "on its list" not in findings_of("city", free)[0]


def test_the_finding_names_the_smallest_estimate_and_the_largest(tables):
    own = tables["collapse_comparison"].filter(pl.col("matching") == "strict")
    (text,) = findings_of("city", own)
    row = own.filter(
        (pl.col("speaker") == "collapsed")
        & (pl.col("setting") == "independent")
        & (pl.col("measure") == "effective_number_chao_shen")
    ).row(0, named=True)
    assert f"the 78 independent answers of collapsed are drawn in effect from about {row['est']:.3g} different" in text
    assert "Of 2 speakers this is the smallest estimate; the largest is about 11." in text
    assert text.endswith("of varied.")
    assert "asked again in a conversation, about" in text
    alone = own.filter(pl.col("speaker") == "varied")
    assert "largest" not in findings_of("city", alone)[0]
    assert findings_of("city", own.filter(pl.col("measure") == "n_answers")) == []


def test_the_page_has_the_part_its_methods_and_its_checks(tables, study):
    found = case(tables, study.manifest)
    other = CaseStudy("1 set of problems", ())
    page = study_report([cases_part([found, other])], "a: 1", "t", checks=found.checks)
    assert "Case studies: 1 question to 2 speakers; 1 set of problems" in page
    assert "Methods of the case studies" in page and "counts_add_up" in page and "Name a city." in page
    assert page == study_report([cases_part([found, other])], "a: 1", "t", checks=found.checks)


def test_texts_of_models_and_questions_stay_text(tables, study):
    hostile = {
        name: frame.with_columns(pl.lit(HOSTILE).alias(column) for column in {"answer", "family"} & set(frame.columns))
        for name, frame in tables.items()
    }
    found = case(hostile, study.manifest, HOSTILE, HOSTILE)
    page = study_report([cases_part([found])], "", "t")
    assert "<script>alert" not in page and "&lt;script&gt;" in page and "\x00" not in page


def test_a_question_that_nobody_has_answered_is_said(tables, study):
    empty = {name: frame.clear() for name, frame in tables.items()}
    found = case(empty, study.manifest)
    (section,) = found.chapters[0].children
    assert section.intro == "Asked: “Name a city.” Nobody has answered yet." and not section.items
    assert found.findings == ()

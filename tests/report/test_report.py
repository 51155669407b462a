"""The report as a page: complete, self-contained, escaped, with a source for every number."""

import base64
import hashlib
import math
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from calib_assets import figures
from calib_assets.decoding import RULES
from calib_assets.metrics.logit_fit import fit_piecewise_logits
from calib_assets.report import (
    Absent,
    Check,
    Column,
    Finding,
    Missing,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
    build_report,
    headline_table,
    partition_section,
    shape_report,
    shape_tables,
)
from calib_assets.report.contract import slug
from calib_assets.report.shape_items import table_names

VOID = {"meta", "img", "br", "hr", "link", "input", "mspace"}
FOREIGN = {"svg", "math"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; refuses end tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: Counter[str] = Counter()
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text[data.strip()] += 1
        if self.rows and any(tag in ("td", "th") for tag in self.open):
            self.rows[-1][-1] += data.strip()

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.elements if name in attrs]


@pytest.fixture(scope="module")
def html(study) -> str:
    return shape_report(
        study.tables,
        study.provenance,
        f"models:\n  - {study.hostile}\n",
        f"Report {study.hostile}",
        floors=(0.5, 0.8),
        checks=[
            Check("E.1 identity", "sequence_precision_recall", "small|digits", True, "3e-16"),
            Check(study.hostile, "decoding_sweep", study.hostile, False, study.hostile),
            Check("checksum", "exact_logit_cache", None, None),
        ],
    )


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_page_is_well_formed_and_ids_are_unique(page):
    ids = page.attributes("id")
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert page.elements[0] == ("html", {"lang": "en"})


def test_every_link_and_reference_has_a_target_in_the_page(page):
    ids = set(page.attributes("id"))
    targets = page.attributes("href") + page.attributes("xlink:href")
    assert targets and all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert {target[1:] for target in targets if target.startswith("#")} <= ids
    assert {name for value in page.attributes("aria-labelledby") for name in value.split()} <= ids


def test_nothing_is_requested_from_outside(html, page):
    for attribute in ("src", "srcset", "data", "action", "poster", "background", "formaction"):
        assert all(value.startswith("data:") for value in page.attributes(attribute))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "iframe", "object", "embed", "form", "base", "foreignobject"}
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "http:" not in html and "https:" not in html


def test_policy_allows_exactly_the_sorting_script(html, page):
    [policy] = [
        attrs["content"]
        for tag, attrs in page.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    [script] = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")


def test_hostile_names_are_text_everywhere(html, page, study):
    assert len(re.findall(r"<script", html)) == 1
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert f"Report {study.hostile}" in page.text  # title and heading, unescaped by the parser
    assert any(study.hostile in text and text.startswith("models:") for text in page.text)
    assert any(study.hostile in row for row in page.rows)


def test_every_figure_and_table_names_its_sources_in_the_provenance_table(page, study):
    listed = {record.id for found in study.provenance.values() for record in found.values()}
    rows = {value for value in page.attributes("id") if value.startswith("prov-")}
    assert rows == {f"prov-{identifier}" for identifier in listed}
    used = {attrs["href"] for tag, attrs in page.elements if attrs.get("class") == "source"}
    assert {value[1:] for value in used} <= rows
    record = study.provenance["small", "digits"]["decoding_sweep"]
    [row] = [row for row in page.rows if row and row[0] == record.id]
    assert row[1:] == [
        "decoding_sweep",
        "small|digits",
        record.fingerprint[:12],
        record.data_version[:12],
        record.code_version[:12],
        "numpy 2.4.6, polars 2.1.0",
    ]


def test_captions_carry_the_counterpart_in_the_paper(html):
    for counterpart in (
        "Figure 1, left",
        "Figure 1, right",
        "Figure 5, left",
        "Figures 5 (right) and 10",
        "Figures 6 and 9",
        "Figure 9",
        "Figures 13 to 15",
        "Theorem E.1",
        "Theorem E.3",
        "Theorem F.4",
    ):
        assert counterpart in html
    assert html.count("<figure") == html.count("<figcaption")


def test_missing_partitions_and_artifacts_are_shown(page, study):
    text = " ".join(page.text)
    assert f"{1 + len(table_names())} artifacts are missing" in text
    section = partition_section("other", study.hostile, {}, {})
    assert {item.asset for item in section.items} == set(table_names())
    headline = [row for row in page.rows if row[:2] == ["other", study.hostile]]
    assert headline[0][2:9] == ["missing"] * 7
    partial = partition_section(
        "other", "digits", study.tables["other", "digits"], study.provenance["other", "digits"]
    )
    assert [item.asset for item in partial.items if isinstance(item, Missing)] == ["logit_fits"]
    complete = partition_section(
        "small", "digits", study.tables["small", "digits"], study.provenance["small", "digits"]
    )
    assert not [item for item in complete.items if isinstance(item, Missing)]
    # The two logit items need the missing table, all others are there.
    assert len([i for i in partial.items if not isinstance(i, Missing)]) == len(complete.items) - 2


def test_headline_numbers_are_those_of_the_tables(page, study):
    sweep = study.tables["small", "digits"]["decoding_sweep"]
    one = sweep.filter((pl.col("rule") == "unrestricted") & (pl.col("temperature") == 1.0)).row(0, named=True)
    [row] = [row for row in page.rows if row[:2] == ["small", "digits"] and len(row) == 10]
    assert row[2:4] == [f"{one['validity']:.3f}", f"{one['diversity']:.3f}"]
    able = sweep.filter((pl.col("validity") >= 0.8) & pl.col("diversity").is_not_null())
    practical = able.filter(~pl.col("rule").is_in(["oracle_cutoff", "validity_oracle"]))
    oracle = able.filter(pl.col("rule") == "oracle_cutoff")["diversity"].max()
    assert row[4] == f"{practical['diversity'].max():.3f}"
    assert row[6:8] == [f"{oracle:.3f}", f"{1 - oracle:.3f}"]
    assert float(row[8].replace("−", "-")) == pytest.approx(oracle - practical["diversity"].max(), rel=1e-3)


def test_checks_that_failed_or_did_not_run_are_not_counted_as_passed(page):
    text = " ".join(page.text)
    assert "1 failed" in text and "1 passed" in text and "1 not run" in text
    assert [
        row[3] for row in page.rows if len(row) == 5 and row[1] in ("exact_logit_cache", "decoding_sweep")
    ] == ["failed", "not run"]


def test_every_registered_rule_is_in_the_tables(page):
    firsts = {row[0] for row in page.rows if row}
    assert {rule.label for rule in RULES.values()} <= firsts


def test_equal_input_gives_equal_text(study):
    few = {key: value for key, value in study.tables.items() if key == ("other", study.hostile)}
    assert shape_report(few, {}, "c", "t") == shape_report(few, {}, "c", "t")
    sections = [partition_section("small", "digits", study.tables["small", "digits"], {}) for _ in range(2)]
    assert sections[0] == sections[1]


def test_identity_table_finds_a_wrong_factor(study):
    tables = study.tables["small", "digits"]
    wrong = tables["sequence_steps"].with_columns(
        alpha=pl.when((pl.col("rule") == "top_p") & (pl.col("step") == 2))
        .then(pl.col("alpha") * 0.5)
        .otherwise("alpha")
    )
    for steps, expected in ((tables["sequence_steps"], 0.0), (wrong, 0.5)):
        section = partition_section(
            "m",
            "t",
            {
                **dict.fromkeys(table_names()),
                "sequence_steps": steps,
                "sequence_precision_recall": tables["sequence_precision_recall"],
            },
            {},
        )
        [table] = [item for item in section.items if isinstance(item, ReportTable)]
        worst = {row[0]: row[3] for row in table.rows}
        assert worst.pop("top-p") == pytest.approx(expected, abs=1e-12)
        assert max(worst.values()) < 1e-12


def table(**fields) -> ReportTable:
    fields = {
        "id": "t",
        "title": "T",
        "columns": (Column("a", "share", null_means="because"),),
        "rows": ((None,),),
    } | fields
    return ReportTable(**fields)


def test_nulls_are_dashes_that_explain_themselves():
    text = build_report([ReportSection("s", "S", (table(),))], [], "", "R")
    assert '<td class="null" title="because">—</td>' in text
    with pytest.raises(ValueError, match="column 'a' holds NaN"):
        table(rows=((math.nan,),))


def test_unknown_or_contradicting_provenance_and_repeated_ids_are_refused(study):
    section = ReportSection("s", "S", (table(provenance=("p123",)),))
    with pytest.raises(ValueError, match="t refers to provenance that is not listed: p123"):
        build_report([section], [], "", "R")
    cells = table(columns=(Column("from", "sources"),), rows=((("p9",),),))
    with pytest.raises(ValueError, match="p9"):
        build_report([ReportSection("s", "S", (cells,))], [], "", "R")
    with pytest.raises(ValueError, match="more than once in the report: t"):
        build_report([ReportSection("s", "S", (table(), table()))], [], "", "R")
    one = study.manifest("a", "p")
    other = Provenance("a", "p", "different", *"ab")
    with pytest.raises(ValueError, match="two different manifests"):
        build_report([], [one, other], "", "R")
    build_report([], [one, study.manifest("a", "p")], "", "R")


def test_pictures_are_svg_or_png_and_nothing_else():
    figure = Figure(figsize=(4, 2))
    drawn = ReportFigure.draw(figure, id="f", title="F", alt='a "picture" <b>')
    assert drawn.width == 360
    png = ReportFigure("g", "G", figures.png(figure, dpi=200), alt='a "picture" <b>')
    assert png.width == 400
    page = Page(build_report([ReportSection("s", "S", (drawn, png))], [], "", "R"))
    [image] = [attrs for tag, attrs in page.elements if tag == "img"]
    assert base64.b64decode(image["src"].split(",")[1]) == png.image and image["alt"] == 'a "picture" <b>'
    assert [attrs["aria-label"] for tag, attrs in page.elements if tag == "svg"] == ['a "picture" <b>']
    for bad in ("<p>", "<svg><script>x</script></svg>", b"GIF"):
        with pytest.raises(ValueError, match="figure f"):
            ReportFigure("f", "F", bad, alt="x")


def test_ids_from_any_names_are_valid_and_distinct():
    names = [("a", "b"), ("a-b",), ("A", "b"), ("a b",), ("a_b",), ("é",), ("1",), ("<script>",), ("",)]
    ids = [slug(*parts) for parts in names]
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", identifier) for identifier in ids)
    assert len(set(ids)) == len(ids)
    with pytest.raises(ValueError, match=r"use slug\(\)"):
        ReportSection("has space", "S")


def test_headline_tells_an_unreached_floor_from_a_missing_table(study):
    gaps = (
        study.tables["small", "digits"]["calibration_gap"]
        .filter(pl.col("floor") == 0.8)
        .with_columns(
            oracle_diversity=pl.lit(None, dtype=pl.Float64),
            order_gap=pl.lit(None, dtype=pl.Float64),
            shape_gap=pl.lit(None, dtype=pl.Float64),
        )
    )
    sweep = study.tables["small", "digits"]["decoding_sweep"].filter(pl.col("temperature") != 1.0)
    [row] = headline_table([("m", "t")], {("m", "t"): sweep}, {("m", "t"): gaps}, floor=0.8).rows
    assert isinstance(row[2], Absent) and "no temperature 1" in row[2].reason
    assert row[4] is not None and row[6:9] == (None, None, None)
    [row] = headline_table([("m", "t")], {("m", "t"): sweep}, {("m", "t"): gaps}, floor=0.7).rows
    assert all(isinstance(cell, Absent) and "0.7" in cell.reason for cell in row[4:9])


def test_the_headline_names_every_rule_that_reaches_the_best_diversity():
    gap = {"floor": 0.8, "best_rule_diversity": 0.5, "best_rule": "top_k", "oracle_diversity": 0.7}
    gaps = pl.DataFrame([gap | {"order_gap": 0.3, "shape_gap": 0.2}])
    rows = [("min_p", 0.9, 0.5 - 1e-15), ("top_k", 0.8, 0.5), ("top_p", 0.79, 0.5), ("eta", 0.9, 0.4999),
            ("oracle_cutoff", 1.0, 0.7), ("epsilon", 1.0, None)]  # fmt: skip
    sweep = pl.DataFrame(rows, schema=["rule", "validity", "diversity"], orient="row").with_columns(temperature=2.0)
    key = ("m", "t")
    [row] = headline_table([key], {key: sweep}, {key: gaps}, floor=0.8).rows
    assert row[5] == "top-k, min-p"
    [row] = headline_table([key], {}, {key: gaps}, floor=0.8).rows
    assert row[5] == "top-k"


def test_seeds_and_every_version_of_a_library_are_listed_with_the_configuration(study):
    records = [
        Provenance("one", "m|t", "f", "d", "c", {"numpy": "2.4.6", "polars": "2.1.0"}),
        Provenance("two", "m|t", "f", "d", "c", {"numpy": "2.5.0"}),
    ]
    page = build_report([], records, "name: x", "t", seeds={"sweeps.lists.seed": 7})
    words = " ".join(Page(page).text)
    assert "sweeps.lists.seed" in words and "numpy 2.4.6 and 2.5.0, polars 2.1.0" in " ".join(words.split())
    assert "Seeds" not in " ".join(Page(build_report([], [], "name: x", "t")).text)


def test_findings_stand_under_the_heading_of_their_topic():
    findings = [Finding("a", topic="One"), Finding("b", topic="One"), Finding("c", topic="Two")]
    page = build_report([], [], "name: x", "t", findings=findings)
    assert page.count("<h3>One</h3>") == 1 and page.index("<h3>Two</h3>") > page.index("<li>b</li>")
    many = tuple(Provenance("asset", f"m|{n}", "f", "d", "c") for n in range(5))
    cited = build_report([], many, "name: x", "t", findings=[Finding("a", tuple(record.id for record in many))])
    assert "<summary>5 sources</summary>" in cited


def test_a_straight_tail_has_no_exponent():
    ranks = np.arange(1, 401)
    tables = {"a curve": np.where(ranks <= 20, 10 - 0.3 * ranks, 6.5 - 1.1 * np.log(np.maximum(ranks, 21) - 8.0)),
              "a line": 10 - 0.02 * ranks + 1e-6 * ranks % 3 * 1e-3}  # fmt: skip
    rows, curves = [], []
    for node, (prefix, logits) in enumerate(tables.items()):
        fit = fit_piecewise_logits(np.sort(logits)[::-1])
        row = {name: getattr(fit, name) for name in ("m", "b", "c", "A", "B", "C", "mse", "r2", "head_r2", "tail_r2")}
        row |= {"geometric_rate": fit.geometric_rate, "zipf_exponent": fit.zipf_exponent}
        rows.append({"node": node, "depth": 0, "prefix": prefix, **row})
        curves.append({"node": node, "rank": fit.n})
    frame, columns = shape_tables.fits(pl.DataFrame(rows), pl.DataFrame(curves))
    assert frame["zipf_exponent"].to_list() == [pytest.approx(1.1), None]
    assert columns["zipf_exponent"].null_means == "the tail is a straight line"

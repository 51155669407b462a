"""The order study on the page: complete, escaped, honest about what is missing, undefined or not asked for."""

import re

import polars as pl
import pytest

from calib_assets import metrics
from calib_assets.report import (
    Finding,
    Missing,
    ReportFigure,
    ReportSection,
    ReportTable,
    build_report,
    order_overview,
    order_part,
    order_section,
    shape_part,
    shape_report,
    study_report,
)
from calib_assets.report.codec import decode, encode
from calib_assets.report.contract import flatten
from calib_assets.report.findings import order_findings
from calib_assets.report.order_examples import examples
from calib_assets.report.order_items import table_names
from calib_assets.stats import Bootstrap


@pytest.fixture(scope="module")
def part(order_study):
    return order_part(
        order_study.cells,
        order_study.provenance,
        order_study.overall,
        order_study.overall_provenance,
        judges={"stories": ("strict", "lenient")},
    )


@pytest.fixture(scope="module")
def html(part, study) -> str:
    shape = shape_part({}, {})
    return study_report([shape, part], f"sweeps: {study.hostile}\n", "Both")


@pytest.fixture(scope="module")
def page(html, read):
    return read(html)


def items_of(section: ReportSection) -> dict[str, object]:
    return {item.id.rsplit("--", 1)[-1]: item for item in section.items if not isinstance(item, Missing)}


def cells_of(table: ReportTable) -> list[dict]:
    return [dict(zip([column.label for column in table.columns], row, strict=True)) for row in table.rows]


def test_page_is_well_formed_with_unique_ids_and_a_target_for_every_link(page):
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs[name] for _, attrs in page.elements for name in ("href", "xlink:href") if name in attrs]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    labelled = {name for _, attrs in page.elements for name in attrs.get("aria-labelledby", "").split()}
    assert labelled <= set(ids)


def test_hostile_completions_judges_and_models_are_text(html, page, study):
    assert len(re.findall("<script", html)) == 1
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert "\x00" not in html and "\u202e" not in html  # neither in cells nor in titles, ids, or pictures
    joined = "\n".join(cell for row in page.rows for cell in row)
    assert study.hostile in joined and r"\x00" in joined and r"\u202e" in joined


def test_a_complete_section_has_every_item_with_its_sources(order_study):
    key = ("small", "stories")
    section = order_section(*key, order_study.cells[key], order_study.provenance[key])
    assert section.intro == "" and not [item for item in section.items if isinstance(item, Missing)]
    assert [item.id.rsplit("--", 1)[-1] for item in section.items] == [
        *("counts", "levels", "verdicts", "tree", "scores", "frontiers-1", "frontiers-2", "frontiers-3", "depths"),
        *("step", "examples", "decoding", "best", "robustness", "robustness-table", "robustness-tokens"),
    ]
    known = {record.id: record.asset for record in order_study.provenance[key].values()}
    for item in section.items:
        assert item.provenance and set(item.provenance) <= set(known)
    used = {known[source] for item in section.items for source in item.provenance}
    assert used == set(table_names())
    papers = " ".join(item.paper for item in section.items)
    for counterpart in ("Figure 2, left", "Figure 2, right", "Figure 3", "Table 2", "Table 1", "Figure 7"):
        assert f"Counterpart of {counterpart}" in papers


def test_optional_parts_that_were_not_asked_for_are_one_line_each(order_study):
    tables = {name: frame for name, frame in order_study.cells["small", "stories"].items()}
    optional = [name for name in tables if name.startswith(("decoding", "best", "robust", "greedy"))]
    without = {name: frame for name, frame in tables.items() if name not in optional}
    emptied = {name: frame.clear() if name in optional else frame for name, frame in tables.items()}
    for given in (without, emptied):
        section = order_section("m", "s", given, {}, judges=("strict",))
        assert section.intro == (
            "This sweep has no decoding comparison. This sweep has no check of greedy against sampled continuations. "
            "One judge only, so there is no agreement between judges to report."
        )
        assert not [item for item in section.items if isinstance(item, Missing)]
        assert not {"decoding", "best", "robustness", "robustness-table", "robustness-tokens"} & set(items_of(section))


def test_artifacts_that_are_missing_are_shown_as_missing(order_study):
    tables = order_study.cells["small", "stories"]
    lost = {**tables, "best_decoding": None, "node_curves": None}
    section = order_section("m", "s", lost, {}, partition="m|s")
    missing = [item for item in section.items if isinstance(item, Missing)]
    assert {(item.asset, item.partition) for item in missing} == {("best_decoding", "m|s"), ("node_curves", "m|s")}
    assert not {"best", "decoding", "step"} & set(items_of(section))
    nothing = order_section("m", "s", {}, {})
    needed = set(table_names()) - {
        *("decoding_points", "best_decoding", "robustness_frontiers", "robustness_summaries", "greedy_robustness")
    }
    assert {item.asset for item in nothing.items} == needed and not items_of(nothing)


def test_counts_are_those_of_the_tables(order_study):
    tables = order_study.cells["small", "stories"]
    made = items_of(order_section("m", "s", tables, {}))
    [row] = cells_of(made["counts"])
    leaves = tables["sweep_tree"].filter("is_leaf").height
    assert (row["Seeds"], row["Leaves"], row["Swept tokens"]) == (3, leaves, tables["sweep_tree"].height - 3)
    cut = [finish == "length" for finish in tables["completions"]["finish"]]
    assert row["Truncated"] == pytest.approx(sum(cut) / len(cut))
    assert row["Branches skipped"] == sum(row["Skipped"] for row in cells_of(made["levels"]))
    for row in cells_of(made["verdicts"]):
        own = tables["judge_labels"].filter(pl.col("judge") == row["Judge"])
        named = sum(row[name] for name in ("Valid", "Invalid", "Unparsable", "Refused", "Truncated", "Failed"))
        assert named == row["Leaves"] == own.height
        assert row["Missing"] == pytest.approx(own["is_valid"].null_count() / own.height)
        tokens = tables["token_validity"].filter((pl.col("judge") == row["Judge"]) & (pl.col("depth") > 0))
        assert row["Uncertain tokens"] == tokens["is_uncertain"].sum()


def test_examples_are_leaves_of_the_tree_with_their_path_and_verdict(order_study):
    tables = order_study.cells["small", "stories"]
    frame, _ = examples(
        *(tables[n] for n in ("prefixes", "sweep_tree", "completions", "judge_labels")), judge="lenient"
    )
    assert frame["verdict"].to_list()[:12] == ["valid"] * 6 + ["invalid"] * 6 and frame.height == 14
    assert set(frame["verdict"][12:]) <= {"unparsable", "refused", "truncated", "failed"}
    nodes = {(row["seed"], row["node"]): row for row in tables["sweep_tree"].rows(named=True)}
    scores = {
        (row["seed"], row["node"]): row["overall"]
        for row in tables["judge_labels"].filter(pl.col("judge") == "lenient").rows(named=True)
    }
    for row in frame.rows(named=True):
        key, path = (row["seed"], row["node"]), []
        assert row["overall"] == scores[key]
        while nodes[key]["depth"]:
            path.insert(0, f"{nodes[key]['text'].replace(' ', '␣')} ({nodes[key]['rank']})")
            key = (row["seed"], nodes[key]["parent"])
        assert row["path"] == " · ".join(path)
    again, _ = examples(
        *(tables[n] for n in ("prefixes", "sweep_tree", "completions", "judge_labels")), judge="lenient"
    )
    assert frame.equals(again)


def test_table_of_best_settings_is_the_table_both_ways(order_study):
    tables = order_study.cells["small", "stories"]
    made = items_of(order_section("m", "s", tables, {}))
    rows = cells_of(made["best"])
    assert len(rows) == 2 * 4 * 2  # judges, strategies, measures
    for row in rows:
        strategy = {"temperature": "unrestricted", "top-p": "top_p", "min-p": "min_p", "oracle filter": "oracle_filter"}
        for over in ("valid", "all"):
            found = tables["best_decoding"].filter(
                (pl.col("judge") == row["Judge"])
                & (pl.col("strategy") == strategy[row["Strategy"]])
                & (pl.col("over") == over)
                & (pl.col("measure") == row["Measure"].lower().replace("-", "_").replace(" ", "_"))
            )
            assert found["value"][0] == row[f"Best, {over} samples"]
            assert found["validity"][0] == row[f"at validity, {over} samples"]
            if found["value"][0] is not None:
                assert f"T = {found['temperature'][0]:g}" in row[f"Setting, {over} samples"]
                low, high = row[f"95 % interval, {over} samples"].replace("−", "-").split(" to ")
                assert (float(low), float(high)) == pytest.approx(found.select("ci_low", "ci_high").row(0), abs=6e-4)
    assert [row["Strategy"] for row in rows[:4]] == ["temperature", "top-p", "min-p", "oracle filter"]


def test_undefined_values_are_dashes_with_their_reason(order_study, read):
    tables = order_study.cells["small", "one seed"]
    summaries = tables["depth_summaries"].with_columns(
        auc=pl.lit(None, dtype=pl.Float64), recall_at_precision=pl.lit(None, dtype=pl.Float64)
    )
    never = order_study.cells["small", "stories"]["best_decoding"].with_columns(
        pl.lit(None, dtype=pl.Float64).alias(name) for name in ("value", "ci_low", "ci_high", "validity", "temperature")
    )
    given = {**tables, "depth_summaries": summaries, "best_decoding": never, "decoding_points": None}
    section = order_section("m", "s", given, {})
    text = build_report([section], [], "", "R")
    assert 'title="no node has a valid candidate">—</td>' in text
    assert 'title="an interval needs two seeds that differ">—</td>' in text
    assert "no setting reaches validity 0.8" in text
    read(text)


def test_overview_compares_every_model_sweep_and_judge(order_study):
    cells, overall = order_study.cells, order_study.overall
    section = order_overview(cells, order_study.provenance, overall, order_study.overall_provenance)
    made = items_of(section)
    assert list(made) == ["scaling-1", "scaling-2", "scaling", "best", "judges", "annotators"]
    scaling = cells_of(made["scaling"])
    expected = overall["model_scaling"].filter(pl.col("depth") == 0)
    assert len(scaling) == expected.height
    assert {(row["Model"], row["Mean AUC"]) for row in scaling} == set(expected.select("model", "auc").rows())
    with_pairs = [key for key, tables in cells.items() if tables.get("judge_pairs") is not None]
    assert [(row["Model"], row["Sweep"]) for row in cells_of(made["judges"])] == with_pairs
    assert len(made["judges"].provenance) == len(with_pairs)
    assert section.intro == ""


def test_overview_says_what_the_study_does_not_have(order_study):
    cell = {("m", "s"): {"depth_summaries": order_study.cells["small", "stories"]["depth_summaries"]}}
    section = order_overview(cell, {})
    assert section.items == ()
    assert section.intro == (
        "No model has been compared. No sweep has a decoding comparison. No two judges scored the same items, so there "
        "is no agreement between judges to report. The study has no annotations file, so judges are not compared with "
        "people."
    )
    missing = order_overview(cell, {}, {"model_scaling": None})
    assert {item.asset for item in missing.items} == {"model_scaling"}


def summary(depth: int, auc: float | None, low: float | None, high: float | None) -> dict:
    row = {"judge": "j", "weighting": "token", "depth": depth, "auc": auc, "auc_ci_low": low, "auc_ci_high": high}
    return row | {"n_nodes": depth, "n_without_valid": 1200 * (depth - 1)}


KINDS = dict.fromkeys(("auc", "auc_ci_low", "auc_ci_high", "value", "ci_low", "ci_high"), pl.Float64)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [(1, 0.9, 0.85, 0.95), (3, 0.5, 0.4, 0.6)],
            "0.9 [0.85, 0.95] at depth 1, over the 1 of 1 node with a valid token, and 0.5 [0.4, 0.6] at depth 3, over "
            "the 3 of 2,403 nodes with a valid token; the 95 % intervals do not overlap",
        ),
        ([(1, 0.4, 0.3, 0.5), (2, 0.6, 0.55, 0.7)], "do not overlap"),
        ([(1, 0.9, 0.5, 0.95), (3, 0.5, 0.4, 0.5)], "the 95 % intervals overlap"),
        (
            [(1, 0.9, None, None), (2, 0.5, None, None)],
            "0.5 [no interval] at depth 2, over the 2 of 1,202 nodes with a valid token (judge j).",
        ),
        (
            [(1, 0.9, 0.8, 1.0), (2, None, None, None)],
            "0.9 [0.8, 1] at depth 1, over the 1 of 1 node with a valid token (judge j).",
        ),
    ],
)  # fmt: skip
def test_findings_on_depth_say_what_intervals_say(rows, words):
    table = pl.DataFrame([summary(*row) for row in rows], schema_overrides=KINDS)
    [finding] = order_findings("m", "s", table, None, {})
    assert words in finding.text and finding.text.startswith("m, s: ")
    assert order_findings("m", "s", table.with_columns(auc=pl.lit(None, dtype=pl.Float64)), None, {}) == ()
    assert order_findings("m", "s", None, table.clear(), {}) == ()


def best(strategy: str, value: float | None, low: float | None = None, high: float | None = None) -> dict:
    fixed = {"judge": "j", "over": "valid", "floor": 0.8, "measure": "embedding_diversity"}
    return {**fixed, "strategy": strategy, "value": value, "ci_low": low, "ci_high": high}


def test_findings_on_decoding_take_the_best_cutoff_strategy_and_the_oracle_filter():
    rows = [best("top_p", 0.2, 0.15, 0.25), best("min_p", 0.3, 0.25, 0.35), best("oracle_filter", 0.4, 0.36, 0.44)]
    table = pl.DataFrame(rows, schema_overrides=KINDS)
    [finding] = order_findings("m", "s", None, table, {}, judge="j")
    assert finding.text == (
        "m, s: at validity ≥ 0.8 the largest embedding diversity of a cutoff strategy is 0.3 [0.25, 0.35], by "
        "min-p; sampling under the oracle filter gives 0.4 [0.36, 0.44]; the 95 % intervals do not overlap "
        "(judge j)."
    )
    rows = [best("top_p", None), best("oracle_filter", 0.4)]
    [finding] = order_findings("m", "s", None, pl.DataFrame(rows, schema_overrides=KINDS), {})
    assert "no cutoff strategy reaches validity ≥ 0.8; sampling under the oracle filter gives 0.4 [no" in finding.text
    rows = [best("top_p", 0.1), best("oracle_filter", None)]
    [finding] = order_findings("m", "s", None, pl.DataFrame(rows, schema_overrides=KINDS), {})
    assert "the oracle filter does not reach that validity" in finding.text
    [finding] = order_findings("m", "s", None, pl.DataFrame(rows[:1], schema_overrides=KINDS), {})
    assert "oracle" not in finding.text


def test_findings_stand_under_the_headline_with_their_sources(page, part, order_study):
    assert part.findings and all(isinstance(finding, Finding) for finding in part.findings)
    sentences = [text for text in page.text if "95 % intervals" in text]
    assert len(sentences) == sum("95 % intervals" in finding.text for finding in part.findings)
    known = {record.id for record in part.records}
    assert all(set(finding.provenance) <= known and finding.provenance for finding in part.findings)
    with pytest.raises(ValueError, match="finding 1 refers to provenance that is not listed: p0"):
        build_report([], [], "", "R", findings=[Finding("x", ("p0",))])


def test_a_study_without_sweeps_is_the_shape_report_as_before(study):
    few = {key: value for key, value in study.tables.items() if key[0] == "other"}
    alone = shape_report(few, study.provenance, "c", "t")
    assert study_report([shape_part(few, study.provenance)], "c", "t") == alone
    assert "order-methods" not in alone and "of the shape study" not in alone


def test_both_studies_share_a_page(html, page, part):
    titles = [text for text in page.text if text.startswith("Order study: ")]
    assert {"Order study: across models and sweeps", "Order study: small"} <= set(titles)
    assert "All values of the shape study are exact" in html and 'id="order-methods"' in html and 'id="methods"' in html
    alone = study_report([part], "c", "t")
    assert 'id="methods"' not in alone and 'href="#methods"' not in alone and 'href="#order-methods"' in alone
    with pytest.raises(ValueError, match="one headline table"):
        study_report([shape_part({}, {}), shape_part({}, {})], "", "t")


def test_sections_and_findings_survive_being_kept(part):
    kept = decode(encode({"chapters": list(part.chapters), "findings": list(part.findings)}))
    assert kept == {"chapters": list(part.chapters), "findings": list(part.findings)}
    shown = [item for section in flatten(part.chapters) for item in section.items if isinstance(item, ReportFigure)]
    assert shown and all(item.alt for item in shown)


def test_prepared_sections_are_used_as_they_are(order_study):
    ready = {key: ReportSection(f"ready-{n}", f"kept {n}") for n, key in enumerate(order_study.cells)}
    made = order_part(order_study.cells, order_study.provenance, sections=ready, records=())
    assert [child for chapter in made.chapters for child in chapter.children] == list(ready.values())


def test_tables_of_the_metrics_room_fit_the_figures_and_the_report(order_study):
    tables = order_study.cells["small", "stories"]
    tree, labels = tables["sweep_tree"], tables["judge_labels"]
    validity = metrics.token_validity(tree, labels)
    curves, nodes = metrics.node_curves(validity), metrics.node_summaries(validity)
    bootstrap = Bootstrap(n_boot=50)
    made = tables | {
        "token_validity": validity,
        "node_curves": curves,
        "depth_frontiers": metrics.depth_frontiers(curves, bootstrap=bootstrap),
        "depth_summaries": metrics.depth_summaries(nodes, bootstrap),
        "best_decoding": metrics.best_decoding(tables["decoding_points"], floor=0.8),
        "judge_pairs": metrics.judge_pairs(labels.unique(["judge", "item"], maintain_order=True), bootstrap),
        "robustness_frontiers": metrics.robustness_frontiers(tree, tables["greedy_robustness"], bootstrap=bootstrap),
        "robustness_summaries": metrics.robustness_summaries(tree, tables["greedy_robustness"], bootstrap=bootstrap),
    }
    section = order_section("m", "s", made, {})
    assert len(section.items) == 16 and not [item for item in section.items if isinstance(item, Missing)]
    models = pl.DataFrame({"name": ["m"], "family": ["f"], "size": [0.1], "variant": ["base"]})
    scaling = metrics.model_scaling(nodes.with_columns(model=pl.lit("m"), sweep=pl.lit("s")), models, bootstrap)
    overview = items_of(order_overview({("m", "s"): made}, {}, {"model_scaling": scaling}))
    assert list(overview) == ["scaling-1", "scaling-2", "scaling", "best", "judges"]
    key = ("judge", "weighting", "depth")
    slow, fast = (
        {tuple(row[name] for name in key): row["auc"] for row in table.rows(named=True)}
        for table in (tables["depth_summaries"], made["depth_summaries"])
    )
    assert fast == pytest.approx(slow)
    [theirs] = cells_of(overview["judges"])
    ours = tables["judge_pairs"].row(0, named=True)
    assert {theirs["Judge"], theirs["Reference"]} == {ours["judge_a"], ours["judge_b"]}

"""The canopy study on the page: complete, escaped, honest about what is missing, undefined or not asked for."""

import re

import polars as pl
import pytest

from calib_assets.report import (
    Missing,
    ReportFigure,
    ReportSection,
    ReportTable,
    build_report,
    canopy_overview,
    canopy_part,
    canopy_section,
    order_part,
    regression_section,
    shape_part,
    study_report,
)
from calib_assets.report.canopy_items import ASSETS, PARTS, table_names
from calib_assets.report.canopy_regression import coefficients, term_words
from calib_assets.report.codec import decode, encode
from calib_assets.report.contract import flatten

NAMES = [
    *("counts", "measures", "trajectory", "lengths", "prompts", "correlations", "diversity", "semantic-entropy"),
    *("split", "design"),
]
ACROSS = [
    *("canopy-levels", "canopy-change", "canopy-table-1", "canopy-sizes", "canopy-correlations", "canopy-table-2"),
    *("canopy-table-6", "canopy-trajectories-1", "canopy-lengths-1", "canopy-trajectories-2", "canopy-lengths-2"),
    *("canopy-table-5", "canopy-semantic", "canopy-relations"),
]
REGRESSION = [
    *("canopy-regression-figure", "canopy-mean", "canopy-random", "canopy-precision", "canopy-fit", "canopy-notes"),
    *("canopy-residuals", "canopy-residual-tests", "canopy-left-out"),
]


@pytest.fixture(scope="module")
def part(canopy_study):
    few = {key: canopy_study.cells[key] for key in (("llama-base", "math"), (canopy_study.attack,) * 2)}
    made = {key: canopy_section(*key, few[key], canopy_study.provenance[key]) for key in few}
    records = [record for key in few for record in canopy_study.provenance[key].values()]
    return canopy_part(
        canopy_study.cells,
        canopy_study.provenance,
        canopy_study.overall,
        canopy_study.overall_provenance,
        sections={key: made.get(key, ReportSection(f"kept-{n}", "kept")) for n, key in enumerate(canopy_study.cells)},
        records=records,
    )


@pytest.fixture(scope="module")
def html(part) -> str:
    return study_report([part], "rollouts: x\n", "Canopy")


@pytest.fixture(scope="module")
def page(html, read):
    return read(html)


def items_of(section: ReportSection) -> dict[str, object]:
    return {item.id.rsplit("--", 1)[-1]: item for item in section.items if not isinstance(item, Missing)}


def cells_of(table: ReportTable) -> list[dict]:
    return [dict(zip([column.label for column in table.columns], row, strict=True)) for row in table.rows]


def missing_of(section: ReportSection) -> list[Missing]:
    return [item for item in section.items if isinstance(item, Missing)]


def test_page_is_well_formed_with_unique_ids_and_a_target_for_every_link(page):
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs[name] for _, attrs in page.elements for name in ("href", "xlink:href") if name in attrs]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)


def test_hostile_models_tasks_and_reasons_are_text(html, page, canopy_study):
    assert len(re.findall("<script", html)) == 1
    assert "\x00" not in html and "\u202e" not in html
    joined = "\n".join(cell for row in page.rows for cell in row)
    assert '<script>alert("x")</script>' in joined and r"\x00" in joined


def test_a_complete_section_has_every_item_with_its_sources(canopy_study):
    key = ("llama-base", "math")
    section = canopy_section(*key, canopy_study.cells[key], canopy_study.provenance[key])
    assert section.intro == "" and not missing_of(section) and section.id == "canopy--llama-base--math"
    assert list(items_of(section)) == NAMES
    known = {record.id: record.asset for record in canopy_study.provenance[key].values()}
    assert all(item.provenance and set(item.provenance) <= set(known) for item in section.items)
    used = {known[source] for item in section.items for source in item.provenance}
    assert used == set(table_names()) - {"rollout_prompts", "prompt_correlations", "prompt_diversity"}
    assert set(table_names()) <= set(ASSETS)
    papers = " ".join(item.paper for item in section.items)
    for counterpart in ("Tables 1 and 5", "Figure 2", "Figure 3", "Figures 4 and 5", "Tables 2 and 6"):
        assert f"Counterpart of {counterpart}" in papers
    assert all(item.alt for item in section.items if isinstance(item, ReportFigure))


def test_what_is_left_out_is_counted_with_its_reason(canopy_study):
    tables = canopy_study.cells["llama-it", "math"]
    lost = tables["prompt_correlations"].with_columns(
        reason=pl.Series(["one rollout", "one rollout", "no variation in length", *[None] * 7])
    )
    prompts = pl.DataFrame({"prompt_id": ["a", "b"], "left_out": [None, "context too long"]})
    made = items_of(canopy_section("m", "t", {**tables, "prompt_correlations": lost, "rollout_prompts": prompts}, {}))
    assert [tuple(row.values()) for row in cells_of(made["correlations-left-out"])] == [
        ("one rollout", 2), ("no variation in length", 1),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in cells_of(made["prompts-left-out"])] == [("context too long", 1)]
    expected = tables["prompt_diversity"]["reason"].drop_nulls().to_list()
    assert ("diversity-left-out" in made) is bool(expected)


def test_parts_without_rows_are_one_sentence_each(canopy_study):
    tables = dict(canopy_study.cells["llama-base", "math"])
    tables["entropy_trajectory"] = tables["entropy_trajectory"].clear()
    tables["semantic_diversity"], tables["prompt_diversity"] = pl.DataFrame(), pl.DataFrame()
    del tables["semantic_entropy"], tables["prompt_semantic_entropy"]
    section = canopy_section("m", "t", tables, {})
    assert section.intro == " ".join(PARTS[name] for name in ("steps", "meaning", "judged"))
    assert not missing_of(section) and not {"trajectory", "diversity", "semantic-entropy"} & set(items_of(section))
    half = {**tables, "prompt_diversity": canopy_study.cells["llama-base", "math"]["prompt_diversity"]}
    section = canopy_section("m", "t", half, {})  # values of prompts without their mean are no study without texts
    assert PARTS["meaning"] not in section.intro
    assert [item.asset for item in missing_of(section)] == ["semantic_diversity"]
    stories = canopy_section("m", "t", canopy_study.cells["llama-base", "stories"], {})
    assert stories.intro == PARTS["judged"]


def test_artifacts_that_are_missing_are_shown_as_missing(canopy_study):
    tables = canopy_study.cells["llama-base", "math"]
    section = canopy_section("m", "t", {**tables, "design": None, "semantic_diversity": None}, {}, partition="m|t")
    assert {(item.asset, item.partition) for item in missing_of(section)} == {
        ("canopy_entropy", "m|t"), ("semantic_diversity", "m|t"),
    }  # fmt: skip
    assert "measures" in items_of(section) and not {"design", "diversity"} & set(items_of(section))
    nothing = canopy_section("m", "t", {}, {})
    assert {item.asset for item in nothing.items} == {
        "canopy_entropy", "entropy_trajectories", "length_entropy_correlation", "semantic_diversity",
    }  # fmt: skip
    assert nothing.intro == PARTS["judged"]
    hollow = canopy_section("m", "t", {**tables, "canopy_entropy": pl.DataFrame()}, {})
    [gone] = missing_of(hollow)
    assert (gone.asset, gone.reason) == ("canopy_entropy", "the artifact has no rows")


def test_counts_and_measures_are_those_of_the_tables(canopy_study):
    tables = canopy_study.cells["qwen-it", "stories"]
    section = canopy_section("m", "t", tables, {})
    made = items_of(section)
    [row] = cells_of(made["counts"])
    raw = canopy_study.tables.rollouts(7, end=0.004, level=0.7, drift=0.006)  # the cell's own rollouts
    assert (row["Prompts"], row["Rollouts"]) == (raw["prompt_id"].n_unique(), raw.height)
    assert (row["Cut"], row["Longest"]) == (raw["truncated"].sum(), raw["length"].max())
    ordered = sorted(raw["length"].to_list())
    assert row["Median length"] == ordered[(len(ordered) - 1) // 2]
    assert row["Share cut"] == pytest.approx(raw["truncated"].mean())
    other = canopy_study.tables.rollouts(0, end=0.12, level=1.7, drift=-0.012)
    [short] = cells_of(items_of(canopy_section("m", "t", canopy_study.cells["llama-base", "math"], {}))["counts"])
    assert short["Median length"] == sorted(other["length"].to_list())[(other.height - 1) // 2] < other["length"].max()
    all_cut = raw.group_by("prompt_id").agg(pl.col("truncated").all())["truncated"].sum()
    assert row["Prompts all cut"] == all_cut
    assert "Most rollouts (a share of 0.77) were cut" in section.intro
    rows = {row["Measure"]: row for row in cells_of(made["measures"])}
    summary = {row["measure"]: row for row in tables["canopy_entropy"].rows(named=True)}
    assert rows["Canopy entropy"]["Estimate"] == summary["canopy_entropy"]["est"]
    low, high = rows["Generation perplexity"]["95 % interval"].replace("−", "-").split(" to ")
    ends = summary["gen_ppl"]["ci_low"], summary["gen_ppl"]["ci_high"]
    assert (float(low), float(high)) == pytest.approx(ends, rel=1e-3)
    assert len(rows) == 9


def test_semantic_entropy_shows_what_missing_verdicts_leave_open(canopy_study):
    tables = canopy_study.cells["llama-base", "math"]
    rows = {row["Measure"]: row for row in cells_of(items_of(canopy_section("m", "t", tables, {}))["semantic-entropy"])}
    prompts = tables["prompt_semantic_entropy"]
    entropy = rows["Semantic entropy"]
    assert (entropy["Pairs"], entropy["without verdict"], entropy["left out"]) == (15 * prompts.height, 2, 1)
    low, high = map(float, entropy["Bounds, all prompts"].split(" to "))
    assert low == pytest.approx(prompts["semantic_entropy_low"].mean(), rel=1e-3)
    assert high == pytest.approx(prompts["semantic_entropy_high"].mean(), rel=1e-3) and high > low
    assert rows["Meanings"]["Bounds, all prompts"] is None


def test_split_and_design_say_what_cannot_be_reached(canopy_study):
    made = items_of(canopy_section("m", "t", canopy_study.cells["llama-base", "math"], {}))
    for row in cells_of(made["split"]):
        share = row["Between prompts"] / (row["Between prompts"] + row["Within a prompt"])
        assert row["Share between"] == pytest.approx(share)
    last = cells_of(made["design"])[-1]
    assert last["Prompts"] is None and last["Note"] == "the mean is zero"
    text = build_report([ReportSection("s", "s", (made["design"],))], [], "", "R")
    assert 'title="there is none, see the note">—</td>' in text


def test_overview_compares_every_model_task_and_pair(canopy_study):
    study = canopy_study
    section = canopy_overview(study.cells, study.provenance, study.overall, study.overall_provenance)
    made = items_of(section)
    # The hostile cell's task has one model, whose own section shows the same picture.
    assert list(made) == ACROSS and section.intro == ""
    table = study.overall["canopy_comparison"]
    rows = cells_of(made["canopy-table-1"])
    assert len(rows) == 5 * 4
    for row in rows[:4]:
        source = table.filter((pl.col("measure") == "canopy_entropy") & (pl.col("task") == row["Task"])
                              & (pl.col("instruct") == row["Instruct model"])).row(0, named=True)  # fmt: skip
        assert row["Base"] == source["base_est"] and row["Instruct"] == source["instruct_est"]
        assert row["Change, %"] == pytest.approx(100 * (row["Instruct"] - row["Base"]) / row["Base"])
        low, high = row["95 % interval of the change"].replace("−", "-").split(" to ")
        assert float(low) == pytest.approx(source["change_ci_low"], rel=1e-3)
        assert float(high) == pytest.approx(source["change_ci_high"], rel=1e-3)
    assert [row["Measure"] for row in cells_of(made["canopy-table-2"])] == ["Pearson correlation"] * 4
    assert "Change, %" not in cells_of(made["canopy-table-6"])[0]
    cut = {(row["Model"], row["Task"]): row for row in cells_of(made["canopy-table-5"])}
    assert len(cut) == 8
    for (model, task), row in cut.items():
        own = {r["measure"]: r["est"] for r in study.cells[model, task]["canopy_entropy"].rows(named=True)}
        assert (row["Truncation rate"], row["Bound on its bias (nats)"]) == (own["truncation_rate"], own["bias_bound"])
        over = row["Bound over canopy entropy"]
        assert over is None if own["bias_bound"] is None else over == own["bias_bound"] / own["canopy_entropy"]
    sizes = cells_of(made["canopy-sizes"])
    assert [row["Task"] for row in sizes] == ["math"] * 4 + ["stories"] * 4
    relations = {(row["Model"], row["Task"]): row for row in cells_of(made["canopy-relations"])}
    assert relations["llama-it", "stories"]["Semantic entropy (nats)"] is None
    assert relations["llama-it", "math"]["Semantic entropy (nats)"] is not None
    keys = [key for key in study.cells if key[1] == "math"]
    used = {study.provenance[key]["entropy_trajectory"].id for key in keys}
    assert set(made["canopy-trajectories-1"].provenance) == used


@pytest.mark.parametrize("name", ["model_name", None])
def test_pairs_stand_together_with_and_without_the_name_they_have_in_common(canopy_study, name):
    study = canopy_study
    models = study.overall["canopy_models"]
    overall = {**study.overall, "canopy_models": models if name else models.drop("model_name")}
    keys = [key for key in study.cells if key[1] == "math"]
    cells = {key: {"entropy_trajectory": study.cells[key]["entropy_trajectory"]} for key in keys}
    made = items_of(canopy_overview(cells, study.provenance, overall))
    # Both members are named: the base model's name alone would give it the values of the other.
    assert ">llama-base → llama-it<" in made["canopy-levels"].image
    title = re.sub(r"<[^>]+>|\s+", "", made["canopy-trajectories-1"].image)
    assert "llama-base→llama-it" in title and "qwen-base→qwen-it" in title
    for figure in ("canopy-levels", "canopy-trajectories-1"):
        assert ">llama-it<" not in made[figure].image
    alone = {"canopy_models": models.drop("model_name")}
    assert ">llama-it<" in items_of(canopy_overview({}, {}, alone))["canopy-levels"].image


def test_a_study_of_one_model_says_what_it_cannot_compare(canopy_study):
    key = ("llama-base", "math")
    models = canopy_study.overall["canopy_models"].filter((pl.col("model") == key[0]) & (pl.col("task") == key[1]))
    empty = {name: pl.DataFrame() for name in canopy_study.overall if name != "canopy_models"}
    made = canopy_part({key: canopy_study.cells[key]}, {}, {"canopy_models": models, **empty})
    assert made.scope == "Canopy study, 1 model on 1 task" and made.methods == "canopy"
    across, regression, published, own = made.chapters
    assert published.items == ()
    assert list(items_of(across)) == [
        "canopy-levels", "canopy-sizes", "canopy-correlations", "canopy-table-5", "canopy-relations",
    ]  # fmt: skip
    assert across.intro.startswith("No two models are a base model and one that names it")
    assert regression.items == () and regression.intro.startswith("The study has no prompts with both")
    assert [child.title for child in own.children] == ["math"]
    nothing = canopy_part({}, {}, {name: pl.DataFrame() for name in canopy_study.overall})
    assert [chapter.items for chapter in nothing.chapters] == [(), (), ()] and nothing.findings == ()
    assert nothing.chapters[0].intro.startswith("No model has been measured.")


def test_tables_of_the_study_that_are_missing_are_shown_as_missing(canopy_study):
    gone = {name: None for name in canopy_study.overall}
    made = canopy_part({}, {}, gone)
    across, regression, _ = made.chapters
    assert [item.asset for item in missing_of(across)] == ["canopy_comparison"] and across.intro == ""
    assert [item.asset for item in missing_of(regression)] == ["beta_panel", "beta_regression", "residual_diagnostics"]
    assert regression.intro == "" and made.findings == ()
    emptied = {name: pl.DataFrame() for name in canopy_study.overall}
    lost = regression_section({**emptied, "beta_panel": None})
    assert [item.asset for item in lost.items] == ["beta_panel"] and lost.intro == ""
    part = regression_section({**canopy_study.overall, "predictions": None})
    assert [item.asset for item in missing_of(part)] == ["beta_regression"]
    assert list(items_of(part)) == REGRESSION[1:]


def test_regression_has_every_table_of_the_paper(canopy_study):
    section = regression_section(canopy_study.overall, canopy_study.overall_provenance)
    made = items_of(section)
    assert list(made) == REGRESSION and section.intro == "" and not missing_of(section)
    papers = {item.paper for item in made.values()}
    for counterpart in ("Tables 3 and 7", "Table 8", "Table 9", "Figure 6"):
        assert f"Counterpart of {counterpart}" in papers
    source = {row["term"]: row for row in canopy_study.overall["coefficients"].filter(part="mean").rows(named=True)}
    rows = cells_of(made["canopy-mean"])
    assert len(rows) == len(source)
    for row in rows:
        own = source[row["Coefficient"]]
        assert (row["Estimate"], row["p"]) == (own["estimate"], own["p"])
        low, high = (float(end) for end in row["95 % Wald interval"].replace("−", "-").split(" to "))
        assert low == pytest.approx(own["estimate"] - 1.96 * own["se"], rel=2e-3, abs=2e-3)
        assert high == pytest.approx(own["estimate"] + 1.96 * own["se"], rel=2e-3, abs=2e-3)
    dropped = cells_of(made["canopy-precision"])[-1]
    assert dropped["Estimate"] is None and dropped["Note"].startswith("dropped: collinear")
    singular = cells_of(made["canopy-random"])[1]
    assert singular["Singular"] is True and singular["its logarithm"] is None
    assert {row["Kind"] for row in cells_of(made["canopy-notes"])} == {"singular variance", "collinear columns"}
    assert cells_of(made["canopy-residual-tests"])[-2]["p"] is None


def test_a_regression_that_could_not_be_fitted_says_why(canopy_study):
    notes = pl.DataFrame({"kind": ["not fitted"], "text": ["fewer rows (4) than parameters (17)"]})
    names = ("coefficients", "random_effects", "fit_summary", "predictions", "residual_tests", "scaled_residuals")
    empty = {name: canopy_study.overall[name].clear() for name in names}
    section = regression_section({**canopy_study.overall, **empty, "fit_notes": notes})
    assert section.intro == "The regression could not be fitted: fewer rows (4) than parameters (17)"
    assert list(items_of(section)) == ["canopy-regression-figure", "canopy-notes", "canopy-left-out"]
    assert "there is no fit" in items_of(section)["canopy-regression-figure"].image
    bare = {**canopy_study.overall, **empty, "fit_notes": notes.clear(), "panel_left_out": pl.DataFrame()}
    section = regression_section(bare)
    assert section.intro == "The regression has not been fitted."
    assert list(items_of(section)) == ["canopy-regression-figure"]


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("variantinstruct:ns(invN_sc, 4)3", "instruct × inverse length, spline 3"),
        ("ns(R_bar, df = 2)1", "mean entropy rate, spline 1"),
        ("variantinstruct:taskstories", "instruct × stories"),
        ("model_nameqwen", "qwen"),
        ("variant", "variant"),
        ("scale(x)", "scale(x)"),
    ],
)
def test_terms_in_words(term, words):
    assert term_words(term) == words


def test_undefined_values_are_dashes_with_their_reason(canopy_study):
    study = canopy_study
    numbers = [name for name, kind in study.overall["canopy_models"].schema.items() if kind == pl.Float64]
    bare = study.overall["canopy_models"].with_columns(pl.lit(None, pl.Float64).alias(name) for name in numbers)
    pairs = study.overall["canopy_comparison"]
    floats = [name for name, kind in pairs.schema.items() if kind == pl.Float64]
    nulls = pairs.with_columns(pl.lit(None, pl.Float64).alias(name) for name in floats)
    section = canopy_overview({}, {}, {"canopy_models": bare, "canopy_comparison": nulls})
    text = build_report([section], [], "", "R")
    assert 'title="undefined for this model and task">—</td>' in text
    assert 'title="undefined on the common prompts">—</td>' in text
    assert "No model has a value of these measures." in text and ">nan<" not in text


def test_a_broken_table_is_refused_by_name(canopy_study):
    with pytest.raises(ValueError, match=r"coefficients lacks the column\(s\) note"):
        coefficients(canopy_study.overall["coefficients"].drop("note"), "mean")
    tables = {**canopy_study.cells["llama-base", "math"]}
    tables["variance_split"] = tables["variance_split"].drop("floored")
    with pytest.raises(ValueError, match=r"variance_split lacks the column\(s\) floored"):
        canopy_section("m", "t", tables, {})


def test_sections_and_findings_survive_being_kept(part):
    kept = decode(encode({"chapters": list(part.chapters), "findings": list(part.findings)}))
    assert kept == {"chapters": list(part.chapters), "findings": list(part.findings)}
    shown = [item for section in flatten(part.chapters) for item in section.items if isinstance(item, ReportFigure)]
    assert shown and all(item.alt for item in shown)


def test_three_studies_share_a_page(part, order_study, page):
    order = order_part({}, {})
    html = study_report([shape_part({}, {}), order, part], "c", "t")
    assert all(f'id="{name}"' in html for name in ("methods", "order-methods", "canopy-methods"))
    assert "Canopy study, 5 models on 3 tasks" in html  # the hostile cell is a model and a task of its own
    assert 'href="#canopy-methods"' in html and {"canopy-across", "canopy-regression"} <= {
        attrs.get("id") for _, attrs in page.elements
    }
    known = {record.id for record in part.records}
    assert part.findings and all(finding.provenance and set(finding.provenance) <= known for finding in part.findings)


def test_large_studies_stay_small_on_the_page(canopy_study):
    names = [f"m{i}" for i in range(12)]
    models, pairs = canopy_study.overall["canopy_models"], canopy_study.overall["canopy_comparison"]
    one = models.filter((pl.col("model") == "llama-base") & (pl.col("task") == "math"))
    many = pl.concat([
        one.with_columns(model=pl.lit(n), task=pl.lit(t), model_name=pl.lit(names[i // 2 * 2]),
                         variant=pl.lit("instruct" if i % 2 else "base"))
        for i, n in enumerate(names) for t in "abcd"
    ])  # fmt: skip
    pair = pairs.filter((pl.col("instruct") == "llama-it") & (pl.col("task") == "math"))
    compared = pl.concat([pair.with_columns(base=pl.lit(names[i]), instruct=pl.lit(names[i + 1]), task=pl.lit(t))
                          for i in range(0, 12, 2) for t in "abcd"])  # fmt: skip
    made = canopy_part({}, {}, {"canopy_models": many, "canopy_comparison": compared})
    items = items_of(made.chapters[0])
    assert len(items["canopy-table-1"].rows) == 5 * 24 and not items["canopy-table-1"].omitted
    assert len(items["canopy-sizes"].rows) == 48 and made.scope == "Canopy study, 12 models on 4 tasks"
    assert len(made.findings) == 5  # three sizes, the correlation, truncation: counted, not listed
    assert sum(len(item.image) for item in items.values() if isinstance(item, ReportFigure)) < 600_000

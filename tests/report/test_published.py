"""Published values beside ours: found by hub id, compared by hand, and nothing claimed where a model is missing."""

import math

import canopy_tables
import polars as pl
import pytest

from calib_assets.report.published import published_section
from calib_assets.report.published_values import published_models, published_random_effects, published_regression

PAIR = {"ours-base": "Qwen/Qwen3-8B-Base", "ours": "Qwen/Qwen3-8B"}
ALL = {f"m{place}": hub for place, hub in enumerate(published_models()["hub_id"].unique(maintain_order=True))}


def overall() -> dict:
    models = pl.DataFrame(
        [("ours-base", "math", "base", "gen_ppl", 1.33, 0.01), ("ours", "math", "instruct", "gen_ppl", 1.17, None),
         ("other", "math", "base", "gen_ppl", 9.0, 0.1)],
        schema=["model", "task", "variant", "measure", "est", "se"], orient="row",
    )  # fmt: skip
    pairs = pl.DataFrame(
        [("ours-base", "ours", "math", "gen_ppl", -0.16, 0.01, -12.0, 0.5),
         ("ours-base", "ours", "coding", "pearson", 1.5, 0.0, 300.0, 1.0)],
        schema=["base", "instruct", "task", "measure", "change", "change_se", "percent_change", "percent_change_se"],
        orient="row",
    )  # fmt: skip
    return {"canopy_models": models, "canopy_comparison": pairs}


def row(section, task, model, label, quantity) -> tuple:
    rows = [row[5:] for item in section.items for row in item.rows if row[1:5] == (task, model, label, quantity)]
    assert len(rows) == 1
    return rows[0]


def test_values_by_hand():
    section = published_section(overall(), PAIR, {})
    value, se, own, own_se, difference, z = row(section, "math", "Qwen/Qwen3-8B-Base", "Generation perplexity", "value")
    assert (value, se, own, own_se) == (1.23, 0.0052, 1.33, 0.01)
    assert difference == pytest.approx(0.1) and z == pytest.approx(0.1 / math.hypot(0.0052, 0.01))
    assert row(section, "math", "Qwen/Qwen3-8B", "Generation perplexity", "value")[2:] == (1.17, None, 0.0, None)
    percent = row(section, "math", "Qwen/Qwen3-8B", "Generation perplexity", "change from base, %")
    assert percent[:4] == (-4.44, 0.47, -12.0, 0.5)
    assert row(section, "coding", "Qwen/Qwen3-8B", "Pearson correlation", "change from base")[:4] == (
        1.0,
        0.037,
        1.5,
        0.0,
    )
    assert row(section, "stories", "Qwen/Qwen3-8B", "Pearson correlation", "value")[2:] == (None, None, None, None)


def test_only_the_studys_models_and_no_regression_of_a_part_of_them():
    section = published_section(overall() | canopy_tables.regression(canopy_tables.beta_panel()), PAIR, {})
    assert [item.id for item in section.items] == ["published-1", "published-2-6", "published-5"]
    assert {row[2] for item in section.items for row in item.rows} == set(PAIR.values())
    assert "google/gemma-3-12b-it" in section.intro and "not compared" in section.intro


def test_the_regression_where_all_models_are_there():
    tables = overall() | canopy_tables.regression(canopy_tables.beta_panel())
    section = published_section(tables, ALL, {})
    fit = next(item for item in section.items if item.id == "published-regression")
    rows = {row[:2]: row[2:] for row in fit.rows}
    assert rows["mean", "entropy rate"][:4] == (0.70803, 0.0334, 0.7, 0.033)
    # The order of the factors of an interaction differs between the paper and our table.
    assert rows["precision", "entropy rate × instruct"][:4] == (-1.6085, 0.2047, -1.6, 0.2)
    assert rows["precision", "LLaMA-3.1-8B"][2] is None
    assert any(item.id == "published-random" for item in section.items)


@pytest.mark.parametrize(("reference", "found"), [("google/gemma-3-12b-pt", 0.25), ("Qwen/Qwen3-8B-Base", None)])
def test_families_are_called_by_their_base_models_here(reference, found):
    """The paper's contrasts are with Gemma: those with another family are other numbers."""
    tables = overall() | canopy_tables.regression(canopy_tables.beta_panel())
    names = {hub: name for name, hub in ALL.items()}
    bases = ("meta-llama/Llama-3.1-8B", "Qwen/Qwen3-8B-Base", "google/gemma-3-12b-pt")
    own = [("precision", f"model_name{names[hub]}", 0.25, 0.1, 2.5, 0.01, None) for hub in bases if hub != reference]
    schema = tables["coefficients"].schema
    tables["coefficients"] = pl.concat([tables["coefficients"], pl.DataFrame(own, schema=schema, orient="row")])
    fit = next(item for item in published_section(tables, ALL, {}).items if item.id == "published-regression")
    rows = {row[:2]: row[2:] for row in fit.rows}
    assert rows["precision", "LLaMA-3.1-8B"][:3] == (1.0091, 0.1162, found)
    assert rows["precision", "Qwen3-8B"][:3] == (0.7270, 0.1151, found)


def test_a_study_without_these_models_says_so():
    section = published_section({}, {"smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}, {})
    assert section.items == () and "This study has none of these models" in section.intro


def test_the_transcription_adds_up():
    """Changes that the paper prints against those of the levels that it prints, to the rounding of three digits."""
    printed = published_models()
    base = printed["hub_id"].str.replace("-Base$|-Instruct$|-it$|-pt$", "")
    wide = printed.with_columns(
        family=base,
        variant=pl.when(
            pl.col("hub_id").is_in(["Qwen/Qwen3-8B-Base", "meta-llama/Llama-3.1-8B", "google/gemma-3-12b-pt"])
        )
        .then(pl.lit("base"))
        .otherwise(pl.lit("instruct")),
    )
    checked = 0
    for key, rows in wide.group_by("table", "task", "family", "measure"):
        level = {row["variant"]: row["value"] for row in rows.iter_rows(named=True) if row["quantity"] == "level"}
        for row in rows.filter(pl.col("quantity") != "level").iter_rows(named=True):
            change = level["instruct"] - level["base"]
            if row["quantity"] == "percent_change":
                change, slack = 100 * change / level["base"], 0.6 + 0.01 * abs(row["value"])
            else:
                slack = 0.0105 if abs(row["value"]) < 1 else 0.055  # two digits are printed
            assert change == pytest.approx(row["value"], abs=slack), key
            checked += 1
    assert checked == 36 + 12 + 24


def test_table_8_and_its_square_roots():
    assert all(row["variance"] ** 0.5 == pytest.approx(row["sd"], rel=1e-3)
               for row in published_random_effects().iter_rows(named=True))  # fmt: skip
    assert published_regression().group_by("part").len().sort("part").rows() == [("mean", 15), ("precision", 15)]

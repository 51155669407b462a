"""What is recomputed after each kind of change to the canopy study: sampled rollouts stay."""

import json
import shutil

import dagster as dg
import polars as pl
import pytest
from workplace import Workplace

from calib_assets.assets import GRAPH
from calib_assets.assets.canopy.semantic_diversity import _encoded
from calib_assets.staleness.planner import plan
from resources.embedders import HashedNgrams
from resources.language_models import MarkovModel
from resources.services import LanguageModels


@pytest.fixture(scope="module")
def canopy(tmp_path_factory):
    """The canopy study alone, computed once."""
    place = Workplace(tmp_path_factory.mktemp("canopy"))
    place.edit(lambda study: study.update(tasks=[], sweeps=[]))
    with dg.DagsterInstance.ephemeral() as instance:
        summary, _ = place.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks, summary.left)
    return place


@pytest.fixture
def workplace(canopy, tmp_path):
    """A private copy of it."""
    shutil.copytree(canopy.folder, tmp_path / "copy")
    return Workplace(tmp_path / "copy", new=False)


CELLS = {"alpha|completion", "beta|completion"}
MODEL_WORK = {"rollouts", "rollout_embeddings", "similarity_labels"}


def row(study, name="completion"):
    return next(item for item in study["rollouts"] if item["name"] == name)


def refreshed(workplace, instance):
    summary, computed = workplace.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks)
    assert plan(workplace.view()) == []
    return computed


def numbers(workplace, asset, cell):
    return workplace.view().store.current(asset, cell).numbers


def rollouts(workplace, cell=("alpha", "completion")):
    return workplace.view().store.table("rollouts", cell, "rollouts")


def test_more_rollouts_sample_only_the_missing_ones(workplace, instance):
    before = rollouts(workplace)
    workplace.edit(lambda study: row(study).update(rollouts=17))
    computed = refreshed(workplace, instance)
    assert computed["rollouts"] == CELLS
    assert numbers(workplace, "rollouts", ("alpha", "completion"))["sampled now"] == 3 * 5
    after = rollouts(workplace)
    assert after.filter(pl.col("sample") < 12).equals(before)
    assert after.group_by("prompt_id").len()["len"].to_list() == [17] * 3


def test_fewer_rollouts_sample_nothing_and_going_back_restores(workplace, instance):
    before = rollouts(workplace)
    workplace.edit(lambda study: row(study).update(rollouts=7))
    refreshed(workplace, instance)
    assert numbers(workplace, "rollouts", ("alpha", "completion"))["sampled now"] == 0
    assert rollouts(workplace).equals(before.filter(pl.col("sample") < 7))
    workplace.edit(lambda study: row(study).update(rollouts=20))
    refreshed(workplace, instance)
    assert numbers(workplace, "rollouts", ("alpha", "completion"))["sampled now"] == 3 * 8


def test_another_prompt_leaves_the_others_rollouts(workplace, instance):
    before = rollouts(workplace)
    with (workplace.folder / "all.jsonl").open("a") as file:
        file.write('\n{"id": "more", "prompt": "u", "completion": "u:"}')
    refreshed(workplace, instance)
    assert numbers(workplace, "rollouts", ("alpha", "completion"))["sampled now"] == 12
    assert rollouts(workplace).filter(pl.col("prompt_id") != "more").equals(before)


def test_the_seed_samples_anew(workplace, instance):
    before = rollouts(workplace)
    workplace.edit(lambda study: row(study).update(seed=1))
    computed = refreshed(workplace, instance)
    assert computed["rollouts"] == CELLS
    assert rollouts(workplace)["ids"].to_list() != before["ids"].to_list()


@pytest.mark.parametrize("batch_rows", [5])
def test_the_batch_is_circumstance(workplace, instance, batch_rows):
    before = rollouts(workplace)
    workplace.models = LanguageModels(batch_rows=batch_rows)
    workplace.defs = workplace.definitions()
    assert plan(workplace.view()) == []
    workplace.edit(lambda study: row(study).update(seed=1))
    refreshed(workplace, instance)
    workplace.edit(lambda study: row(study).update(seed=0, rollouts=12, max_new_tokens=12))
    refreshed(workplace, instance)
    assert rollouts(workplace).equals(before)


def test_wanted_errors_touch_the_design_alone(workplace, instance):
    workplace.edit(lambda study: row(study).update(relative_se=[0.3]))
    computed = refreshed(workplace, instance)
    assert computed["canopy_entropy"] == CELLS
    assert not MODEL_WORK & set(computed)
    assert set(computed) <= {"canopy_entropy", *GRAPH.downstream(["canopy_entropy"])}


def test_a_formula_touches_the_regression_alone(workplace, instance):
    workplace.edit(lambda study: study["regression"].update(precision="R_sc"))
    computed = refreshed(workplace, instance)
    assert set(computed) == {"beta_regression", "residual_diagnostics", "report"} | ({"beta_panel"} & set(computed))


def test_another_judge_of_meaning_asks_no_model(workplace, instance):
    workplace.edit(lambda study: row(study, "letters")["semantic_entropy"].update(judge="strict"))
    computed = refreshed(workplace, instance)
    assert computed["similarity_labels"] == {"alpha|letters", "beta|letters"}
    assert "rollouts" not in computed and "rollout_embeddings" not in computed


def test_another_encoder_embeds_and_samples_nothing(workplace, instance):
    workplace.edit(lambda study: study["embedder"].update(source={"ngrams": 32}))
    computed = refreshed(workplace, instance)
    assert len(computed["rollout_embeddings"]) == 4
    assert "rollouts" not in computed


def test_external_data_count_by_their_content(workplace, instance):
    path = workplace.folder / "outside.parquet"
    table = pl.read_parquet(path)
    table.write_parquet(workplace.folder / "elsewhere.parquet")
    workplace.edit(lambda study: study["external"][0].update(file="elsewhere.parquet"))
    computed = refreshed(workplace, instance)
    assert set(computed) <= {"report"}  # which prints the file's name
    table.with_columns(length=pl.lit(8), step_entropy=pl.lit([0.5] * 8)).write_parquet(
        workplace.folder / "elsewhere.parquet"
    )
    computed = refreshed(workplace, instance)
    assert computed["external_data"] == {"outside"}
    assert not MODEL_WORK & set(computed)


class ShortModel(MarkovModel):
    """A chain with few positions."""

    max_positions = 11


class ShortModels(LanguageModels):
    """Models whose contexts are short."""

    def open(self, row, root, answer_prefix=""):
        return ShortModel(row.source.markov)


def test_prompts_without_room_are_left_out_and_said(workplace, instance):
    prompts = ["rrrrrrrr", "r"]
    lines = [json.dumps({"id": f"{len(text)}", "prompt": text, "completion": f"{text}:"}) for text in prompts]
    (workplace.folder / "prompts.jsonl").write_text("\n".join(lines))
    only = {"prompt_sets": [{"name": "every", "file": "prompts.jsonl"}]}
    workplace.edit(lambda study: study.update(**only, rollouts=[{**row(study), "max_new_tokens": 9}]))
    workplace.models = ShortModels()
    workplace.defs = workplace.definitions()
    refreshed(workplace, instance)
    prompts = workplace.view().store.table("rollouts", ("alpha", "completion"), "rollout_prompts")
    assert prompts["left_out"].to_list() == ["9 tokens and 9 new ones exceed the model's 11 positions", None]
    assert set(rollouts(workplace)["prompt_id"]) == {"1"}


def test_no_prompt_with_room_is_an_error(workplace, instance):
    workplace.edit(lambda study: study.update(rollouts=[{**row(study), "max_new_tokens": 40}]))
    workplace.models = ShortModels()
    workplace.defs = workplace.definitions()
    summary, _ = workplace.refresh(instance)
    assert any("every prompt is left out" in error and "max_new_tokens" in error for error in summary.failed.values())


def test_a_study_of_external_data_needs_no_model(workplace, tmp_path):
    def keep(study):
        for name in ("models", "tasks", "sweeps", "rollouts", "prompt_sets", "judges", "decoding", "logit_fits"):
            study.pop(name, None)

    workplace.edit(keep)
    with dg.DagsterInstance.ephemeral() as instance:
        summary, computed = workplace.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks)
    assert workplace.view().store.table("canopy_comparison", (), "canopy_comparison").height
    assert b"outside" in workplace.view().store.read("report", (), "report.html")


def test_a_regression_that_cannot_be_fitted_says_why_and_stops_nothing(workplace, instance):
    workplace.edit(lambda study: study["regression"].update(mean="D ~ ns(invN_sc, 20) * variant + (1 | prompt_uid)"))
    summary, computed = workplace.refresh(instance)
    assert not summary.failed and summary.failed_checks == ["beta_regression: regression_is_fitted"]
    notes = workplace.view().store.table("beta_regression", (), "fit_notes")
    assert notes["kind"].to_list() == ["not fitted"] and "no maximum of the likelihood" in notes["text"][0]
    assert b"not fitted" in workplace.view().store.read("report", (), "report.html")
    assert plan(workplace.view()) == []


def test_texts_without_a_direction_are_left_out_with_the_reason():
    found = _encoded(HashedNgrams(64), ["abc", "", "abc"])
    assert found["reason"].to_list() == [None, "empty text", None]
    assert [vector is None for vector in found["embedding"]] == [False, True, False]
    assert found["embedding"][0].to_list() == HashedNgrams(64).encode(["abc"])[0].tolist()

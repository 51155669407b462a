"""What is recomputed after each kind of change to a sweep: the dear work (model, judges) only where it must be."""

import json

import pytest

from calib_assets.assets import GRAPH
from calib_assets.staleness.planner import plan

MODEL_SWEEP = {node.key for node in GRAPH.nodes.values() if node.axes == ("model", "sweep")}
LETTERS = {"alpha|letters", "beta|letters"}
MODEL_WORK = {"prefixes", "sweep_tree", "completions", "sampled_completions", "decoding_samples", "sample_embeddings"}


def below(*keys):
    return GRAPH.downstream(keys) - set(keys)


def sweep(study, name="letters"):
    return next(row for row in study["sweeps"] if row["name"] == name)


def refreshed(workplace, instance):
    summary, computed = workplace.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks)
    assert plan(workplace.view()) == []
    return computed


def test_another_judge_is_asked_and_nothing_is_generated(workplace, instance):
    workplace.edit(lambda study: study["judges"][1].update(matching="strict"))
    computed = refreshed(workplace, instance)
    assert computed["judge_labels"] == computed["sample_labels"] == LETTERS
    assert not MODEL_WORK & set(computed)


def test_the_first_judge_decides_what_the_oracle_samples(workplace, instance):
    workplace.edit(lambda study: sweep(study).update(judges=["lenient"]))
    computed = refreshed(workplace, instance)
    # The two judges agree on these texts or not: samples are made anew exactly where the oracle's tokens changed.
    changed = {cell for cell in computed.get("oracle_tokens", ()) if cell in computed.get("decoding_samples", ())}
    assert changed == computed.get("decoding_samples", set())
    assert not {"sweep_tree", "completions"} & set(computed)


def test_the_precision_touches_what_reports_it(workplace, instance):
    workplace.edit(lambda study: sweep(study).update(precision=0.6))
    computed = refreshed(workplace, instance)
    assert computed["precision_recall_frontier"] == LETTERS
    assert set(computed) <= {"precision_recall_frontier", "greedy_robustness"} | below(
        "precision_recall_frontier", "greedy_robustness"
    )


def test_the_floor_touches_the_comparison_alone(workplace, instance):
    workplace.edit(lambda study: sweep(study)["decoding"].update(validity_floor=0.5))
    computed = refreshed(workplace, instance)
    assert set(computed) == {"decoding_diversity", "order_section", "report"}


def test_more_temperatures_sample_but_grow_no_tree(workplace, instance):
    workplace.edit(lambda study: sweep(study)["decoding"].update(temperatures=[1.0, 3.0]))
    computed = refreshed(workplace, instance)
    assert computed["decoding_samples"] == LETTERS
    assert not {"prefixes", "sweep_tree", "completions", "judge_labels"} & set(computed)


def test_a_deeper_tree_keeps_its_contexts(workplace, instance):
    workplace.edit(lambda study: sweep(study).update(branches=[None, 5]))
    computed = refreshed(workplace, instance)
    assert computed["sweep_tree"] == LETTERS and "prefixes" not in computed


def test_an_edited_prompt_and_an_unselected_one(workplace, instance):
    file = workplace.folder / "prompts.jsonl"
    file.write_text(file.read_text() + "\n" + json.dumps({"prompt": "an open one"}))
    assert plan(workplace.view()) == []
    file.write_text(file.read_text().replace('"answers": ["r", "e", "d"]', '"answers": ["r", "e"]'))
    computed = refreshed(workplace, instance)
    assert set(computed["prefixes"]) == {f"{m}|{s}" for m in ("alpha", "beta") for s in ("letters", "one-step")}


def test_a_new_sweep_touches_its_cells_and_the_fan_ins(workplace, instance):
    workplace.edit(lambda study: study["sweeps"].append({**sweep(study, "one-step"), "name": "again"}))
    computed = refreshed(workplace, instance)
    for key, cells in computed.items():
        if GRAPH.axes(key):
            assert cells == {"alpha|again", "beta|again"}, key
    assert set(computed) == MODEL_SWEEP | {"judge_agreement", "model_scaling", "report", "explorer"} & set(computed)


def test_without_sweeps_the_shape_study_stands_alone(workplace, instance):
    nothing = dict.fromkeys(("sweeps", "rollouts", "external", "judges", "prompt_sets"), [])
    workplace.edit(lambda study: study.update(**nothing, embedder=None))
    computed = refreshed(workplace, instance)
    assert all(not GRAPH.axes(key) for key in computed)
    page = workplace.store.open().read("report", (), "report.html").decode()
    assert "Order study" not in page and "Canopy study" not in page


def test_without_tasks_the_order_study_stands_alone(workplace, instance):
    workplace.edit(lambda study: study.update(tasks=[]))
    computed = refreshed(workplace, instance)
    assert set(computed) == {"report", "explorer"}


def test_the_plan_states_tokens_and_judge_calls(workplace):
    workplace.edit(
        lambda study: (
            study["judges"].append({"name": "server", "kind": "llm", "model": "m", "endpoint": "http://localhost:1"}),
            sweep(study).update(judges=["strict", "server"], max_new_tokens=5),
        )
    )
    work = {item.name: item.work for item in plan(workplace.view()) if item.work is not None}
    # 3 seeds x 10 candidates x 8 kept of the next 10: 240 leaves at the most.
    assert work["completions[alpha|letters]"].forward_tokens == 240 * (2 + 5)
    assert work["judge_labels[alpha|letters]"].judge_calls == 240
    assert work["sampled_labels[alpha|letters]"].judge_calls == 3 * 20 * 3
    assert work["sample_labels[alpha|letters]"].judge_calls == (2 + 1) * 2 * 6 * 3


@pytest.mark.parametrize("key", sorted(MODEL_SWEEP))
def test_every_cell_has_a_result_of_its_own(finished, key):
    store = finished[0].store.open()
    for cell in GRAPH.cells(key, finished[0].study.load()):
        assert store.current(key, cell) is not None

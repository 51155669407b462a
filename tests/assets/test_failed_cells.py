"""A failing model next to good ones, a removed one, and jobs that do a part: on the real graph, with real runs."""

from dataclasses import replace

import dagster as dg
import pytest
from workplace import model_row, write_useless_chain

from calib_assets.assets import GRAPH, transient
from calib_assets.assets.memo import context_for
from calib_assets.cli import main
from calib_assets.definitions import build_defs
from calib_assets.report.study import study_report
from calib_assets.staleness.failure import read_failures
from calib_assets.staleness.graph import Graph
from calib_assets.staleness.planner import plan
from calib_assets.staleness.selection import Selection, SelectionError
from jobs.runner import refresh

HOSTILE = "<script>alert(1)</script>"


def page_of(workplace):
    store = workplace.store.open()
    return store.read("report", (), "report.html").decode()


def stale_names(workplace):
    return {item.name for item in plan(workplace.view())}


def test_a_failing_model_next_to_a_good_one(workplace, instance, capsys, monkeypatch):
    write_useless_chain(workplace.folder, "mute")
    workplace.edit(lambda study: study["models"].append(model_row("mute")))
    summary, computed = workplace.refresh(instance)
    assert not summary.ok and list(summary.failed) == ["cells_model_task[mute|digits]"]
    assert "mute|colours" in computed["decoding_sweep"] and "mute|letters" in computed["canopy_entropy"]
    failures = read_failures(workplace.store.open())
    assert {name: failure.attempts for name, failure in failures.items()} == {
        ("exact_logit_cache", ("mute", "digits")): 1
    }
    # Everything but what needs the failed cell is there, and the report says so.
    below = {f"{key}[mute|digits]" for key in GRAPH.nodes if GRAPH.axes(key) == ("model", "task")}
    assert stale_names(workplace) == below
    text = page_of(workplace)
    assert "<strong>1 computation failed</strong>" in text and "<code>exact_logit_cache[mute|digits]</code>" in text
    assert "mute" in text and "shape_section[mute|digits]" not in text.replace("exact_logit_cache[mute|digits]", "")
    monkeypatch.setenv("CALIB_STUDY", str(workplace.file))
    monkeypatch.setenv("CALIB_STORE", str(workplace.folder / "store"))
    assert main(["status"]) == 1
    printed = capsys.readouterr().out
    assert "FAILED exact_logit_cache[mute|digits] once, at 20" in printed
    assert "decoding_sweep[mute|digits]: missing; behind a failure" in printed
    # A second refresh tries the failed cell once more, and nothing else.
    again, computed = workplace.refresh(instance)
    assert again.runs == 1 and computed == {} and list(again.failed) == ["cells_model_task[mute|digits]"]
    assert [failure.attempts for failure in read_failures(workplace.store.open()).values()] == [2]
    # A model that can spell: its cells, and what compares them; the failure is gone from the report.
    workplace.write_chain("mute", seed=5)
    summary, computed = workplace.refresh(instance)
    assert summary.ok and plan(workplace.view()) == []
    assert computed["shape_section"] == {"mute|digits", "mute|colours"} and "report" in computed
    assert "computation failed" not in page_of(workplace)
    assert read_failures(workplace.store.open()) == {}


def test_errors_are_text_in_the_report():
    from calib_assets.report import LeftOut

    left_out = [LeftOut(f"work[{HOSTILE}]", f"ValueError: {HOSTILE}"), LeftOut("work[b]")]
    left_out += [LeftOut(f"late[{number}]") for number in range(40)]
    text = study_report([], "", "t", left_out=left_out)
    assert HOSTILE not in text and text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert (
        "<strong>1 computation failed</strong>" in text and "<strong>41 results are not computed yet</strong>" in text
    )
    assert "<code>late[28]</code>" in text and "<code>late[29]</code>" not in text and "and 11 more" in text
    assert "computation" not in study_report([], "", "t")


def test_a_removed_model_leaves_partitions_and_comparisons_and_comes_back_for_nothing(workplace, instance):
    kept = workplace.file.read_text()
    workplace.refresh(instance)
    before = page_of(workplace)

    def remove(study):
        study["models"] = [row for row in study["models"] if row["name"] == "alpha"]

    workplace.edit(remove)
    summary, computed = workplace.refresh(instance)
    assert summary.ok and set(computed) <= {key for key in GRAPH.nodes if not GRAPH.axes(key)}
    assert instance.get_dynamic_partitions("model") == ["alpha"]
    scaling = workplace.store.open().table("model_scaling", (), "model_scaling")
    assert set(scaling["model"]) == {"alpha"}
    assert workplace.store.open().current("exact_logit_cache", ("beta", "digits")) is not None
    workplace.file.write_text(kept)
    summary, computed = workplace.refresh(instance)
    assert summary.ok and sorted(instance.get_dynamic_partitions("model")) == ["alpha", "beta"]
    assert plan(workplace.view()) == [] and page_of(workplace) == before
    statuses = {
        record.asset_materialization.tags["calib/cache"]
        for record in instance.fetch_materializations(dg.AssetKey("report"), limit=1).records
    }
    assert statuses == {"restored"}


def selected(workplace, **fields):
    view = workplace.view()
    return {item.name for item in Selection(**fields).of(plan(view), view.graph)}


def test_selections_are_what_they_name_with_what_they_need(workplace):
    def change(study):
        study["decoding"].update(temperatures=[0.5, 1.0, 3.0])
        study["sweeps"][0].update(seeds=2)
        study["rollouts"][1].update(rollouts=11)

    workplace.edit(change)
    every = stale_names(workplace)

    def part(name):
        asset = name.partition("[")[0]
        stem, _, kind = asset.partition("_")
        return stem if kind in ("section", "explorer") else GRAPH.nodes[asset].group

    assert selected(workplace) == every
    assert selected(workplace, part="shape") == {name for name in every if part(name) in ("shape", "report")}
    assert {part(name) for name in selected(workplace, part="order", comparisons=False)} == {"order"}
    model = selected(workplace, model="beta", comparisons=False)
    assert model == {name for name in every if "[beta|" in name} and model
    whole = {name for name in every if "[" not in name}
    assert selected(workplace, model="beta") - model == whole
    # Nothing that needs a model, directly or behind something stale; and the comparisons.
    assert selected(workplace, report_only=True) == whole | {
        name for name in every if "[" in name and (part(name) == "shape" or name.startswith("prefixes"))
    }
    with pytest.raises(SelectionError, match="'gamma' is not in this study; its models are alpha, beta"):
        Selection(model="gamma").check(GRAPH, workplace.study.load())
    with pytest.raises(SelectionError, match="parts are shape, order, canopy"):
        Selection(part="form").check(GRAPH, workplace.study.load())


def test_report_only_leaves_out_and_names_what_is_not_computed(workplace, instance):
    workplace.write_chain("gamma", seed=7)
    workplace.edit(lambda study: study["models"].append(model_row("gamma")))
    missing = {item.name for item in plan(workplace.view()) if item.cell}
    summary = refresh(
        workplace.view(), workplace.defs.resolve_job_def, instance, lambda line: None, Selection(report_only=True)
    )
    assert not summary.failed and set(summary.computed) >= {"report", "model_scaling"}
    text = page_of(workplace)
    assert "<code>shape_section[gamma|digits]</code>" in text and "results are not computed yet" in text
    # Contexts of given prompts need no model; nothing else of the new one was touched.
    assert missing - {item.name for item in plan(workplace.view())} == {"prefixes[gamma|letters]"}
    explorer = workplace.store.open().read("explorer", (), "explorer.html").decode()
    assert "<code>shape_explorer[gamma|digits]</code>" in explorer and "Not computed yet" in explorer
    assert "report" in stale_names(workplace)  # it waits for the new model


def test_the_job_of_one_model_computes_it_and_an_unknown_one_is_refused(workplace):
    workplace.edit(lambda study: study["decoding"].update(validity_floors=[0.002]))
    with dg.instance_for_test() as home:
        job = workplace.defs.resolve_job_def("refresh_model")
        ops = {"refresh_model_waves": {"config": {"model": "beta", "comparisons": False}}}
        assert job.execute_in_process(instance=home, run_config={"ops": ops}).success
        left = {item.name for item in plan(workplace.view()) if item.cell}
        assert left and all("[alpha|" in name for name in left)
        runs = [run for run in home.get_runs() if run.job_name == "cells_model_task"]
        assert {run.tags["dagster/partition"] for run in runs} == {"beta|digits", "beta|colours"}
        for run in runs:
            assert run.tags["calib/study"] == "chains" and len(run.tags["calib/fingerprint"]) == 16
            assert "floors_spec.validity_floors: [0.001, 0.5] → [0.002]" in run.tags["calib/why"]
        ops["refresh_model_waves"]["config"]["model"] = "gamma"
        with pytest.raises(SelectionError, match="its models are alpha, beta"):
            job.execute_in_process(instance=home, run_config={"ops": ops})
        with pytest.raises(dg.DagsterInvalidConfigError, match="part not in enum type StudyPart got form"):
            workplace.defs.resolve_job_def("refresh_study").execute_in_process(
                instance=home, run_config={"ops": {"refresh_study_waves": {"config": {"part": "form"}}}}
            )


def test_a_disturbance_that_passes_is_tried_again_in_the_same_run(workplace, instance, monkeypatch):
    monkeypatch.setattr(transient, "WAIT_SECONDS", 0)
    raised = [ConnectionResetError("the file system was away"), ConnectionResetError("and again")]

    def sometimes(run):
        if run.cell == ("alpha", "digits") and raised:
            raise RuntimeError("could not read") from raised.pop()
        return GRAPH.nodes["logit_fits"].body(run)

    node = replace(GRAPH.nodes["logit_fits"], body=sometimes, version="flaky")
    graph = Graph({**GRAPH.nodes, "logit_fits": node}, GRAPH.specs)
    services = (workplace.study, workplace.store, workplace.models)
    defs = build_defs(graph, *services)
    selection = Selection(model="alpha", part="shape", comparisons=False)
    summary = refresh(
        context_for(graph, *services), defs.resolve_job_def, instance, lambda line: None, selection
    )
    assert summary.ok and raised == [] and "logit_fits[alpha|digits]" in summary.computed
    assert read_failures(workplace.store.open()) == {}

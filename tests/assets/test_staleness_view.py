"""What the UI says is stale is what the planner says, and it is said once."""

import dagster as dg
import pytest

from calib_assets.assets import GRAPH
from calib_assets.staleness.planner import plan
from jobs import staleness_view
from jobs.staleness_view import CHECK, MOST_ROWS, OVERVIEW, check_key, is_due, overview, report, reports, verdict


@pytest.fixture
def edited(workplace):
    """A workplace whose validity floors changed: no model work."""
    workplace.edit(lambda study: study["decoding"].update(validity_floors=[0.002, 0.5]))
    return workplace


def rows(metadata) -> list[dict]:
    return [record.data for record in metadata["what is stale"].records]


def test_overview_counts_what_the_plan_counts(edited):
    view = edited.view()
    stale = plan(view)
    page = overview(stale, view)
    assert page["stale"] == len(stale) > 0 and page["study"] == "chains" and page["model work"] == "none"
    assert page["of"] == sum(len(GRAPH.cells(key, view.study)) for key in GRAPH.nodes)
    by_name = {row["asset"]: row for row in rows(page)}
    assert set(by_name) == {item.key for item in stale}
    gap = by_name["calibration_gap"]
    assert gap["stale"] == "4 of 4" and gap["why"] == "floors_spec.validity_floors: [0.001, 0.5] → [0.002, 0.5]"
    assert "report_spec.decoding.validity_floors: [0.001, 0.5] → [0.002, 0.5]" in by_name["report"]["why"]


def test_verdict_names_cells_reasons_and_cost(edited):
    edited.edit(lambda study: study["sweeps"][0].update(max_new_tokens=5))
    view = edited.view()
    items = [item for item in plan(view) if item.key == "completions"]
    found = verdict("completions", items, view)
    assert not found.passed and found.severity == dg.AssetCheckSeverity.WARN
    assert found.description == "2 of 4 stale"
    shown = {row["partition"]: row for row in rows(found.metadata)}
    assert set(shown) == {"alpha|letters", "beta|letters"}
    work = GRAPH.nodes["completions"].work(view, ("alpha", "letters")).forward_tokens
    assert shown["alpha|letters"]["why"] == "completion_spec.max_new_tokens: 4 → 5"
    assert shown["alpha|letters"]["model work"] == f"at most {work:,} tokens"
    took = view.store.current("completions", ("alpha", "letters")).seconds
    assert shown["alpha|letters"]["took"] == f"{took:,.1f} s"


def test_long_lists_are_cut_and_say_so(edited):
    view = edited.view()
    (item,) = [item for item in plan(view) if item.name == "calibration_gap[alpha|digits]"]
    found = rows(verdict("calibration_gap", [item] * (MOST_ROWS + 3), view).metadata)
    assert len(found) == MOST_ROWS + 1 and found[-1]["partition"] == "and 3 more"


def test_reports_say_everything_once_and_then_only_changes(workplace, instance):
    view = workplace.view()
    first = reports(plan(view), view, instance)
    assert {event.asset_key.to_user_string() for event in first} == {*GRAPH.nodes, OVERVIEW}
    report(plan(view), view, instance)
    assert reports(plan(view), view, instance) == []

    workplace.edit(lambda study: study["decoding"].update(validity_floors=[0.002, 0.5]))
    view = workplace.view()
    stale = plan(view)
    changed = reports(stale, view, instance)
    assert {event.asset_key.to_user_string() for event in changed} == {*{item.key for item in stale}, OVERVIEW}
    report(stale, view, instance)
    assert reports(stale, view, instance) == []
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([check_key("calibration_gap")])
    said = latest[check_key("calibration_gap")].event.dagster_event.event_specific_data
    assert (said.passed, said.description) == (False, "4 of 4 stale")


def test_while_runs_are_going_a_report_can_wait(workplace, instance, monkeypatch):
    view = workplace.view()
    assert is_due(instance, is_busy=True)  # nothing has been said yet
    report(plan(view), view, instance)
    assert not is_due(instance, is_busy=True) and is_due(instance, is_busy=False)
    monkeypatch.setattr(staleness_view, "BUSY_SECONDS", 0)
    assert is_due(instance, is_busy=True)


def test_a_refresh_leaves_the_ui_saying_that_all_is_fresh(edited, instance):
    view = edited.view()
    report(plan(view), view, instance)
    summary, computed = edited.refresh(instance)
    assert summary.ok and "calibration_gap" in computed
    page = instance.fetch_observations(dg.AssetKey(OVERVIEW), limit=1).records[0].asset_observation.metadata
    assert page["stale"].value == 0 and "what is stale" not in page
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([check_key(key) for key in GRAPH.nodes])
    evaluations = [record.event.dagster_event.event_specific_data for record in latest.values()]
    assert len(evaluations) == len(GRAPH.nodes) and all(found.passed for found in evaluations)


def test_runs_of_the_refresh_do_not_plan_in_every_step(edited, instance):
    edited.refresh(instance)
    for run in instance.get_runs():
        names = {event.event_specific_data.check_name for event in _evaluated(instance, run.run_id)}
        assert CHECK not in names
    everything = [name for run in instance.get_runs() for name in _evaluated(instance, run.run_id)]
    assert {event.event_specific_data.check_name for event in everything} >= {"gaps_add_up"}


def test_the_check_can_be_executed_and_agrees(edited, instance):
    defs = edited.definitions()
    job = defs.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=set(), asset_check_selection={check_key("calibration_gap")})
    (found,) = subset.execute_in_process(instance=instance).get_asset_check_evaluations()
    view = edited.view()
    wanted = verdict("calibration_gap", [item for item in plan(view) if item.key == "calibration_gap"], view)
    assert (found.passed, found.description, found.metadata) == (False, wanted.description, wanted.metadata)


def _evaluated(instance, run_id: str) -> list:
    wanted = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    found = instance.get_records_for_run(run_id, of_type=wanted).records
    return [record.event_log_entry.dagster_event for record in found]

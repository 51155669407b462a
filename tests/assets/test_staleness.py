"""What is recomputed after each kind of change, on the real graph and real Dagster runs (DESIGN §3, issue point 8)."""

import json

import dagster as dg
import pytest

from calib_assets.assets import GRAPH
from calib_assets.staleness.planner import plan
from jobs.runner import sync_partitions

MODEL_TASK = {node.key for node in GRAPH.nodes.values() if node.axes == ("model", "task")}
ALL_CELLS = {f"{model}|{task}" for model in ("alpha", "beta") for task in ("digits", "colours")}


def below(*keys):
    """The assets that descend from these, without them."""
    return GRAPH.downstream(keys) - set(keys)


def cells(view, key):
    return {"|".join(cell) for cell in GRAPH.cells(key, view.study)}


def test_first_run_computes_every_cell_once(finished):
    place, computed = finished
    view = place.view()
    assert computed == {key: cells(view, key) for key in GRAPH.nodes if cells(view, key)}


def test_unchanged_study_runs_nothing(workplace, instance):
    assert plan(workplace.view()) == []
    summary, computed = workplace.refresh(instance)
    assert summary.ok and summary.runs == 0 and computed == {}


def test_blind_materialize_all_is_all_hits(workplace, instance):
    sync_partitions(workplace.view(), instance)
    for job, keys in (("cells_model_task", sorted(ALL_CELLS)), ("cells_whole_study", [None])):
        for key in keys:
            result = workplace.defs.resolve_job_def(job).execute_in_process(instance=instance, partition_key=key)
            tags = [
                event.step_materialization_data.materialization.tags["calib/cache"]
                for event in result.get_asset_materialization_events()
            ]
            assert tags and set(tags) == {"hit"}


def test_temperature_grid_touches_the_sweep_and_what_follows(workplace, instance):
    workplace.edit(lambda study: study["decoding"].update(temperatures=[0.5, 1.0, 3.0]))
    reasons = {item.key: item.reasons for item in plan(workplace.view())}
    assert reasons["decoding_sweep"] == ("grid_spec.temperatures: [0.5, 1.0, 2.0] → [0.5, 1.0, 3.0]",)
    summary, computed = workplace.refresh(instance)
    assert summary.ok
    assert set(computed) == {"decoding_sweep", *below("decoding_sweep")}
    assert computed["decoding_sweep"] == ALL_CELLS


def test_floors_do_not_touch_the_sweep(workplace, instance):
    workplace.edit(lambda study: study["decoding"].update(validity_floors=[0.002]))
    _, computed = workplace.refresh(instance)
    assert "decoding_sweep" not in computed and "exact_logit_cache" not in computed
    assert computed["calibration_gap"] == computed["validity_diversity_frontier"] == ALL_CELLS


def test_new_model_touches_only_its_cells_and_the_fan_ins(workplace, instance):
    workplace.write_chain("gamma", seed=7)
    workplace.edit(
        lambda study: study["models"].append(
            {"name": "gamma", "source": {"markov": "gamma.json"}, "variant": "base", "family": "chains"}
        )
    )
    summary, computed = workplace.refresh(instance)
    assert summary.ok
    for key, found in computed.items():
        if GRAPH.axes(key):
            assert all(cell.split("|")[0] == "gamma" for cell in found), key
    assert {key for key in GRAPH.nodes if "model" in GRAPH.axes(key)} <= set(computed)


def test_changed_weights_touch_all_of_that_model(workplace, instance):
    chain = json.loads((workplace.folder / "beta.json").read_text())
    chain["transition"] = [list(reversed(row)) for row in chain["transition"]]
    (workplace.folder / "beta.json").write_text(json.dumps(chain))
    stale = {(item.key, item.cell) for item in plan(workplace.view())}
    assert {cell[0] for key, cell in stale if GRAPH.axes(key)} == {"beta"}
    summary, computed = workplace.refresh(instance)
    assert summary.ok
    assert computed["exact_logit_cache"] == {"beta|digits", "beta|colours"}


def test_identical_content_ends_the_wave(workplace, instance):
    # A base model never sees the chat prompt: the task's spec changes, the logits do not.
    workplace.edit(lambda study: study["tasks"][0].update(prompt="other words"))
    waiting = [item for item in plan(workplace.view()) if item.blocked]
    assert {item.key for item in waiting} >= MODEL_TASK - {"exact_logit_cache"}
    summary, computed = workplace.refresh(instance)
    assert summary.ok
    assert computed == {"exact_logit_cache": {"alpha|digits", "beta|digits"}, "report": {""}}


def test_judges_and_licences_touch_only_the_report(workplace, instance):
    workplace.edit(lambda study: study["judges"].append({"name": "unused", "kind": "llm", "model": "m"}))
    workplace.edit(lambda study: study["models"][0].update(licence="MIT"))
    _, computed = workplace.refresh(instance)
    assert set(computed) == {"report"}


def test_storage_and_budgets_are_circumstance(workplace):
    before = plan(workplace.view())
    workplace.edit(lambda study: study.update(storage={"root": "elsewhere"}))
    assert before == plan(workplace.view()) == []


def test_switching_back_restores_without_computing(workplace, instance):
    workplace.edit(lambda study: study["decoding"].update(temperatures=[0.5, 1.0, 3.0]))
    workplace.refresh(instance)
    workplace.edit(lambda study: study["decoding"].update(temperatures=[0.5, 1.0, 2.0]))
    stale = plan(workplace.view())
    assert next(item for item in stale if item.key == "decoding_sweep").restorable
    workplace.refresh(instance)
    assert plan(workplace.view()) == []
    statuses = {}
    for event in instance.fetch_materializations(dg.AssetKey("decoding_sweep"), limit=20).records:
        statuses.setdefault(event.asset_materialization.tags["calib/cache"], []).append(event.partition_key)
    assert len(statuses["restored"]) == len(statuses["computed"]) == 4


def test_a_deleted_file_is_made_anew(workplace, instance):
    store = workplace.store.open()
    manifest = store.current("calibration_gap", ("alpha", "digits"))
    (store.folder("calibration_gap", ("alpha", "digits"), manifest.fingerprint) / "calibration_gap.parquet").unlink()
    (item,) = [item for item in plan(workplace.view()) if not item.blocked]
    assert item.key == "calibration_gap" and item.reasons == ("file calibration_gap.parquet is missing",)
    _, computed = workplace.refresh(instance)
    assert computed == {"calibration_gap": {"alpha|digits"}}


def test_a_flipped_bit_is_found_and_never_served(workplace):
    store = workplace.store.open()
    manifest = store.current("decoding_sweep", ("alpha", "digits"))
    path = store.folder("decoding_sweep", ("alpha", "digits"), manifest.fingerprint) / "decoding_sweep.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Exception, match="checksum is .* damaged after it was written; delete it and refresh"):
        store.table("decoding_sweep", ("alpha", "digits"), "decoding_sweep")
    (item,) = [item for item in plan(workplace.view(), verify=True) if not item.blocked]
    assert item.key == "decoding_sweep" and "checksum of file decoding_sweep.parquet" in item.reasons[0]


def test_dagster_sees_the_same_identity(workplace, instance):
    sync_partitions(workplace.view(), instance)
    job = workplace.defs.resolve_job_def("cells_model_task")
    result = job.execute_in_process(instance=instance, partition_key="alpha|digits")
    store = workplace.store.open()
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        key = materialization.asset_key.to_user_string()
        manifest = store.current(key, ("alpha", "digits"))
        assert materialization.tags["dagster/data_version"] == manifest.data_version
        assert materialization.tags["calib/fingerprint"] == manifest.fingerprint
        assert materialization.metadata["fingerprint"].value == manifest.fingerprint


def test_partition_mapping_agrees_with_dagster(workplace, instance):
    """The planner's one rule (shared axes equal, others fan in) against Dagster's own inferred mappings."""
    from dagster._core.definitions.partitions.context import partition_loading_context

    view = workplace.view()
    sync_partitions(view, instance)
    graph = workplace.defs.resolve_asset_graph()
    with partition_loading_context(dynamic_partitions_store=instance):
        for key, node in GRAPH.nodes.items():
            for cell in GRAPH.cells(key, view.study):
                ours = {}
                for dep, dep_cell in GRAPH.upstream(key, cell, view.study):
                    ours.setdefault(dep, set()).add("|".join(dep_cell))
                for dep in node.deps:
                    if not GRAPH.axes(dep):
                        assert ours[dep] == {""}
                        continue
                    parents = graph.get_parent_partition_keys_for_child(
                        "|".join(cell) or None, dg.AssetKey(dep), dg.AssetKey(key)
                    )
                    assert ours.get(dep, set()) == {
                        str(name) for name in parents.partitions_subset.get_partition_keys()
                    }, (
                        key,
                        dep,
                    )


def test_a_rule_that_the_grid_does_not_name_is_no_part_of_the_sweep(workplace):
    from calib_assets.decoding import RULES
    from calib_assets.staleness.identity import identity

    def rules_in_identity():
        names = identity(workplace.view(), "decoding_sweep", ("alpha", "digits"))["code"]
        classes = {rule.__module__ + "." + rule.__qualname__: rule.name for rule in RULES.values()}
        return {classes[name] for name in names if name in classes}

    # `Unrestricted` is also used by name, for the probabilities of sequences.
    assert rules_in_identity() == {"unrestricted", "top_p", "top_k", "oracle_cutoff", "validity_oracle"}
    workplace.edit(lambda study: study["decoding"]["rules"].update(min_p=[0.1]))
    assert "min_p" in rules_in_identity()


def test_finding_and_writing_files_is_no_part_of_a_cache_but_scoring_is(workplace):
    from calib_assets.staleness.code_version import code_parts
    from resources.language_models import TransformersModel

    reached = code_parts(TransformersModel)
    for module in ("tree_attention (module)", "packing", "conversion", "tokenization"):
        assert any(name.startswith(f"resources.language_models.{module}") for name in reached), module
    for module in ("sources", "loading"):
        assert not any(name.startswith(f"resources.language_models.{module}") for name in reached), module

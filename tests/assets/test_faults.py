"""Bad input stops before any work with an error to act on; interrupted work loses nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calib_assets.assets import GRAPH
from calib_assets.cli import main
from calib_assets.staleness.planner import plan
from calib_assets.staleness.run import UpstreamMissing, materialize
from resources.language_models import SourceError

ROOT = Path(__file__).parents[2]


def first_failure(workplace, instance) -> str:
    summary, computed = workplace.refresh(instance)
    assert not summary.ok and "decoding_sweep" not in computed
    return next(iter(summary.failed.values()))


def test_answer_that_the_tokenizer_cannot_spell(workplace, instance):
    workplace.edit(lambda study: study["tasks"][1].update(answers=["red", "yellow"], tokenizations="canonical"))
    text = first_failure(workplace, instance)
    assert "y" in text and "remedy" in text


def test_budget_is_checked_before_the_model_runs(workplace, instance):
    # What any tokenizer needs is 11 contexts, which the study file is held against; this one needs 23.
    workplace.edit(lambda study: (study.update(budgets={"trie_nodes": 12}), study["tasks"][0].update(lead="  ")))
    workplace.edit(lambda study: study["tasks"].pop(1))
    text = first_failure(workplace, instance)
    assert "at 23 contexts, budgets.trie_nodes is 12" in text and "raise the budget, or shorten the task" in text


def test_missing_model_file_is_named_by_the_plan(workplace):
    (workplace.folder / "beta.json").unlink()
    with pytest.raises(SourceError, match=r"beta\.json.*remedy"):
        plan(workplace.view())


def test_corrupted_model_file_is_named_by_the_plan(workplace):
    (workplace.folder / "beta.json").write_text('{"tokens": ["a"], "transition": [[0.5]], "initial": [1.0]}')
    with pytest.raises(SourceError, match=r"beta\.json.*remedy"):
        plan(workplace.view())


def test_unknown_model_and_task_names_say_what_there_is(workplace):
    study = workplace.study.load()
    with pytest.raises(KeyError, match="unknown model 'gamma'; this study has alpha, beta"):
        study.model("gamma")
    with pytest.raises(KeyError, match="unknown task 'x'; this study has digits, colours"):
        study.task("x")


def test_asset_launched_before_its_upstream(workplace, tmp_path):
    from calib_assets.staleness.identity import Context
    from calib_assets.staleness.store import ArtifactStore

    view = workplace.view()
    empty = Context(view.graph, view.study, ArtifactStore(tmp_path / "empty"), view.slicer, view.tools)
    with pytest.raises(
        UpstreamMissing, match=r"calibration_gap\[alpha\|digits\] reads decoding_sweep\[alpha\|digits\]"
    ):
        materialize(empty, "calibration_gap", ("alpha", "digits"), log=lambda line: None)


def test_body_may_read_only_what_it_depends_on(workplace):
    from calib_assets.staleness.run import Run

    run = Run(workplace.view(), "calibration_gap", ("alpha", "digits"), workplace.folder, "f", lambda line: None)
    assert run.slice("floors_spec") == {"validity_floors": [0.001, 0.5]}
    with pytest.raises(LookupError, match="calibration_gap reads grid_spec without depending on it"):
        run.slice("grid_spec")


def test_command_line_says_what_is_wrong_and_exits_with_2(workplace, capsys, monkeypatch):
    monkeypatch.delenv("CALIB_STUDY", raising=False)
    monkeypatch.delenv("CALIB_STORE", raising=False)
    workplace.edit(lambda study: study["models"][0].update(dtype="float8"))
    try:
        assert main(["--study", str(workplace.file), "--store", str(workplace.folder / "store"), "status"]) == 2
    finally:
        os.environ.pop("CALIB_STUDY", None), os.environ.pop("CALIB_STORE", None)
    assert "models[0] (alpha).dtype: not an allowed value (got 'float8')" in capsys.readouterr().err


def test_status_prints_reasons_and_model_work(workplace, capsys, monkeypatch):
    monkeypatch.setenv("CALIB_STUDY", str(workplace.file))
    monkeypatch.setenv("CALIB_STORE", str(workplace.folder / "store"))
    assert main(["status"]) == 0
    # 10 assets of the shape study in 4 cells, 15 of the order study in 4, 9 of the canopy study in 4, one external
    # data set, and 7 of the whole study
    assert "all 153 asset cells are up to date" in capsys.readouterr().out
    workplace.edit(lambda study: study["tasks"][0].update(length=1))
    assert main(["status"]) == 1
    printed = capsys.readouterr().out
    assert "exact_logit_cache[alpha|digits, beta|digits]: task_spec.length: 2 → 1" in printed
    # "d: 7" has one context for the lead and one for the digit; the chains have 22 tokens of 4 bytes.
    assert "model work: exact_logit_cache[alpha|digits]: at most 4 tokens, 176 B of logits" in printed
    assert "decoding_sweep[alpha|digits, beta|digits]: waits for what is upstream" in printed
    assert main(["refresh", "--dry-run"]) == 0
    assert "nothing was run" in capsys.readouterr().out


def test_killed_at_any_point_nothing_is_lost_and_nothing_wrong_is_served(finished, tmp_path, instance):
    done, _ = finished
    shutil.copytree(done.folder, tmp_path / "again", ignore=shutil.ignore_patterns("store"))
    place = type(done)(tmp_path / "again", new=False)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "CALIB_STUDY": str(place.file),
        "CALIB_STORE": str(place.folder / "store"),
        "PYTHONWARNINGS": "ignore",
    }
    store, kept = place.store.open(), {}
    for wanted in (3, 26, 55):  # the last one in the middle of a sweep
        process = subprocess.Popen(
            [Path(sys.executable).parent / "calib-assets", "refresh"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 90
        while process.poll() is None and len(list(store.root.glob("*/*/*/current.json"))) < wanted:
            if time.monotonic() > end:
                process.kill()
                pytest.fail(f"fewer than {wanted} results after 90 s: is a killed run still holding a pool?")
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in store.root.glob("*/*/*/current.json"):
            kept.setdefault(path, path.read_bytes())
    assert len(kept) >= 55
    summary, _ = place.refresh(instance)
    assert summary.ok
    for path, manifest in kept.items():
        assert path.read_bytes() == manifest, "a finished result was computed again"
    reference = done.store.open()
    for key in GRAPH.nodes:
        if key in ("shape_section", "order_section", "canopy_section", "report"):
            continue  # they print run ids
        for cell in GRAPH.cells(key, place.study.load()):
            assert store.current(key, cell).data_version == reference.current(key, cell).data_version, key
            assert store.damage(store.current(key, cell), full=True) is None


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_logit_shard_is_never_read_and_is_repaired(workplace, tmp_path, monkeypatch, capsys, damage):
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("CALIB_STUDY", str(workplace.file))
    monkeypatch.setenv("CALIB_STORE", str(workplace.folder / "store"))
    (shard,) = (workplace.folder / "store" / "exact_logit_cache" / "alpha" / "digits").glob(
        "*/cache/shard-*.safetensors"
    )
    whole = shard.read_bytes()
    broken = bytearray(whole)
    broken[-5] ^= 4
    shard.write_bytes(broken if damage == "flip" else whole[:-8])
    # A reader that is sent to it refuses, naming the file; nothing downstream is computed from it.
    workplace.edit(lambda study: study["decoding"].update(temperatures=[0.5, 1.0, 3.0]))
    if damage == "flip":
        assert main(["refresh"]) == 1
        assert "shard-00000.safetensors" in capsys.readouterr().err
    assert main(["refresh", "--verify"]) == 0
    assert shard.read_bytes() == whole
    assert main(["status", "--verify"]) == 0

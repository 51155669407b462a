"""The command line against a terminal, a person at it, and an environment that is not as it should be."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from workplace import Workplace

from calib_assets import results
from calib_assets.cli import main
from calib_assets.readable import readable
from calib_assets.staleness.planner import plan
from calib_assets.staleness.run import materialize
from resources.endpoints.errors import SettingsError
from resources.services import LanguageModels, Sandboxes

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "calib_assets.cli"]
ROLLOUTS = 600


def environment(**fields) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **fields}


@pytest.fixture
def sampling(tmp_path):
    """A study of one model and many rollouts: seconds of one body."""
    place = Workplace(tmp_path / "study")

    def only_rollouts(study):
        study.update(models=study["models"][:1], rollouts=study["rollouts"][:1])
        study["rollouts"][0].update(rollouts=ROLLOUTS, max_new_tokens=100)
        for part in ("tasks", "sweeps", "external", "regression"):
            del study[part]

    place.edit(only_rollouts)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    return place


def licensed(place, licence: str) -> None:
    """A model with weights (of no use) besides: the command line says its licence."""
    (place.folder / "weights").mkdir()
    for name in ("config.json", "model.safetensors"):
        (place.folder / "weights" / name).touch()
    row = {"name": "weights", "source": {"path": "weights"}, "variant": "base", "licence": licence}
    place.edit(lambda study: study["models"].append(row))


def test_an_interrupted_refresh_says_one_line_and_loses_nothing(sampling, tmp_path):
    store = tmp_path / "store"
    command = [*COMMAND, "--study", str(sampling.file), "--store", str(store), "refresh"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(DAGSTER_HOME=str(tmp_path / "home")),
        start_new_session=True,  # so that all its processes are hit, as Ctrl-C hits those of a terminal
    )
    try:
        end = time.monotonic() + 120
        while not list(store.rglob("*.sha256")):
            assert process.poll() is None and time.monotonic() < end, process.communicate()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, said
    lines = [line for line in said.splitlines() if not line.startswith("  alpha completion: rollouts")]
    assert lines == ["interrupted; what was computed is kept, and the next refresh goes on from there"]
    assert "Traceback" not in out and not list(store.rglob("current.json")) and not (store / ".failed").exists()

    kept = len(list(store.rglob("*.sha256")))
    sampling.store = type(sampling.store)(root=str(store), study=sampling.study)
    found = materialize(sampling.view(), "rollouts", ("alpha", "completion"), log=lambda line: None).manifest.numbers
    assert found["rollouts"] == 3 * ROLLOUTS and kept > 0
    assert found["sampled now"] <= found["rollouts"] - 24 * kept  # blocks are of 32 rollouts, the last ones of 24


@pytest.mark.parametrize(
    ("home", "words"),
    [
        ("absent", ["which is no folder; make it (`mkdir -p ", "or unset it"]),
        ("file", ["which is no folder"]),
        ("", ["DAGSTER_HOME is not set and there is no dagster.yaml in", "export DAGSTER_HOME="]),
    ],
)
def test_a_home_of_dagster_that_is_none_is_named(sampling, tmp_path, monkeypatch, capsys, home, words):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / home) if home else "")
    monkeypatch.setenv("CALIB_STUDY", "")
    monkeypatch.setenv("CALIB_STORE", "")
    monkeypatch.chdir(tmp_path)
    assert main(["--study", str(sampling.file), "--store", str(tmp_path / "store"), "refresh"]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words) and said.count("\n") == 1, said


def test_what_steers_a_terminal_is_shown_and_not_done(sampling, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CALIB_STUDY", "")
    licensed(sampling, "MIT \x1b]0;owned\x07\x1b[2J\u202e")
    assert main(["--study", str(sampling.file), "validate"]) == 0
    assert r"weights: MIT \x1b]0;owned\x07\x1b[2J\u202e" in capsys.readouterr().out
    sampling.edit(lambda study: study.update({"\x1b[31mred": 1}))
    assert main(["--study", str(sampling.file), "validate"]) == 2
    said = capsys.readouterr().err
    assert r"\x1b[31mred: unknown field" in said and said == readable(said)


def test_a_sheet_keeps_its_characters_in_a_file_and_shows_them_on_a_terminal(monkeypatch, capfdbinary):
    """Texts of models stand in it; what annotators score is found again by its digest."""

    class Finished:
        def __init__(self, study, store): ...

        def annotation_sheet(self, items, seed):
            return pl.DataFrame({"response": ["\x1b[31mred"]})

    monkeypatch.setattr(results, "Results", Finished)
    assert main(["annotation-sheet"]) == 0
    assert capfdbinary.readouterr().out == b"response\n\x1b[31mred\n"
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["annotation-sheet"]) == 0
        terminal.flush()
        shown = os.read(ours, 1000)
        monkeypatch.undo()
    os.close(ours)
    assert shown.split() == [b"response", rb"\x1b[31mred"]


@pytest.mark.parametrize("wrong", [["--items", "0"], ["--items", "-3"], ["--items", "x"], ["--seed", "-1"]])
def test_a_sheet_of_no_size_is_refused(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["annotation-sheet", *wrong])
    assert caught.value.code == 2 and "write " in capsys.readouterr().err


def test_a_sheet_of_a_study_without_sweeps_says_so(sampling, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CALIB_STUDY", "")
    monkeypatch.setenv("CALIB_STORE", "")
    assert main(["--study", str(sampling.file), "--store", str(tmp_path / "store"), "annotation-sheet"]) == 2
    assert "has no model and sweep that completions would be of" in capsys.readouterr().err


def test_a_reader_that_goes_away_and_a_terminal_of_few_characters_end_in_no_traceback(sampling):
    licensed(sampling, "für alle → frei")
    command = [*COMMAND, "--study", str(sampling.file), "validate"]
    latin = environment(PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    found = subprocess.run(command, env=latin, capture_output=True, check=False)
    assert found.returncode == 0 and b"f\xfcr alle \\u2192 frei" in found.stdout and found.stderr == b""
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_rows_decoded_together_are_set_by_the_environment_and_are_no_identity(sampling, monkeypatch, capsys):
    before = {(item.key, item.cell): item.fingerprint for item in plan(sampling.view())}
    monkeypatch.setenv("CALIB_BATCH_ROWS", "5")
    sampling.models = LanguageModels()
    assert sampling.models.batch_rows == 5 and LanguageModels(batch_rows=9).batch_rows == 9
    assert {(item.key, item.cell): item.fingerprint for item in plan(sampling.view())} == before
    for wrong in ("0", "-1", "many", "1.5", "٣"):
        monkeypatch.setenv("CALIB_BATCH_ROWS", wrong)
        with pytest.raises(SettingsError, match=f"CALIB_BATCH_ROWS: '{wrong}'; remedy: write a whole number above 0"):
            LanguageModels()
    monkeypatch.setenv("CALIB_STORE", "")
    assert main(["--study", str(sampling.file), "--store", str(sampling.folder / "store"), "status"]) == 2
    assert "CALIB_BATCH_ROWS" in capsys.readouterr().err
    monkeypatch.setenv("CALIB_BATCH_ROWS", "")
    assert LanguageModels().batch_rows == 64


def test_sandboxes_at_a_time_that_are_no_number_are_named(monkeypatch):
    monkeypatch.setenv("CALIB_SANDBOXES", "all")
    with pytest.raises(SettingsError, match="CALIB_SANDBOXES: 'all'; remedy"):
        _ = Sandboxes().workers
    monkeypatch.setenv("CALIB_SANDBOXES", "3")
    assert Sandboxes().workers == 3

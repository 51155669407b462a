"""What an unchanged rerun costs: the same command twice on one store; the second must run nothing and load nothing.

Baseline: the first run, with the conversion of the weights. The study is the shape part of the demo with its first
model and a few tasks.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from benchmarks.machine import ROOT
from benchmarks.rows import Check, Row, Run
from benchmarks.turns import in_turns

SMALL = {"tasks": ["weekdays"]}
FULL = {"tasks": None}


def refresh(study: Path, store: Path, home: Path) -> str:
    """Output of one ``calib-assets refresh``."""
    places = {"DAGSTER_HOME": str(home), "CALIB_STUDY": str(study), "CALIB_STORE": str(store)}
    command = [Path(sys.executable).parent / "calib-assets", "refresh"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **places, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"calib-assets refresh ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def small_study(folder: Path, tasks: Sequence[str] | None) -> Path:
    """The demo's shape part with its first model and some of its tasks (None: all)."""
    study = yaml.safe_load((ROOT / "studies" / "demo.yaml").read_text())
    study["models"] = [{**study["models"][0], "pair": None}]
    study["tasks"] = [task for task in study["tasks"] if tasks is None or task["name"] in tasks]
    study = {name: study[name] for name in ("name", "title", "models", "tasks", "decoding") if name in study}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def files_of(store: Path) -> dict[str, str]:
    """SHA-256 of every result's files, by path."""
    found = sorted(path for path in store.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def rows(run: Run, tasks: Sequence[str] | None = ("digits-2", "weekdays")) -> Iterator[Row]:
    """One row."""
    home, store = run.folder / "home", run.folder / "store"
    home.mkdir()
    study = small_study(run.folder, tasks)
    first = in_turns(run=[lambda: refresh(study, store, home)])["run"]
    before = files_of(store)
    again = in_turns(run=[lambda: refresh(study, store, home)])["run"]
    after, said = files_of(store), again.values[0]
    computed = re.search(r"(\d+) computed in (\d+) runs", first.values[0])
    runs = 0 if "nothing was run" in said else int((re.search(r"in (\d+) runs", said) or [0, 1])[1])
    changed = sum(before.get(name) != after.get(name) for name in before.keys() | after.keys())
    yield Row(
        "unchanged `calib-assets refresh`",
        f"one model, {len(yaml.safe_load(study.read_text())['tasks'])} tasks, {computed[1] if computed else 0} results",
        "its first run (with the conversion of the weights)",
        again.median,
        first.median,
        (
            Check("runs", runs, 0),
            Check("models loaded", len(re.findall("loading", said, re.IGNORECASE)), 0),
            Check("files of results that changed", changed, 0),
            Check("results that the first run left out", float(computed is None or not before), 0),
        ),
    )

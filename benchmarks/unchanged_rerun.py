"""What an unchanged rerun costs: the same command twice on one store; the second must run nothing and load nothing.

Baseline: the first run. By default two tasks of the demo's first model; ``--study`` and ``--store`` measure any study
(with an empty or missing store for a true first run).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def refresh(study: Path, store: Path, home: Path) -> tuple[float, str]:
    """Seconds and output of one ``calib-assets refresh``."""
    environment = {**os.environ, "DAGSTER_HOME": str(home), "CALIB_STUDY": str(study), "CALIB_STORE": str(store)}
    started = time.perf_counter()
    done = subprocess.run(
        [Path(sys.executable).parent / "calib-assets", "refresh"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, done.stdout


def small_study(folder: Path) -> Path:
    """The demo with its first model and two of its tasks."""
    study = yaml.safe_load((ROOT / "studies" / "demo.yaml").read_text())
    study["models"] = study["models"][:1]
    study["tasks"] = [task for task in study["tasks"] if task["name"] in ("digits-2", "weekdays")]
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def main() -> None:
    """Run twice, check that the second did nothing, print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        home = folder / "home"
        home.mkdir()
        study, store = options.study or small_study(folder), options.store or folder / "store"
        first, output = refresh(study, store, home)
        computed = re.search(r"(\d+) computed in (\d+) runs", output)
        second, again = refresh(study, store, home)
    if "nothing was run" not in again or "loading" in again.lower():
        raise SystemExit(f"the unchanged rerun did something:\n{again}")
    print(f"first run:        {first:7.1f} s, {computed.group(0) if computed else 'nothing to do'}")
    print(f"unchanged rerun:  {second:7.1f} s, no run, no asset executed, no model loaded")
    print(f"ratio:            {first / second:7.1f}")


if __name__ == "__main__":
    main()

"""Two processes that are asked for the same cell at once: one computes, the other finds the result."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import sys, time
from pathlib import Path
import polars as pl
from calib_assets.staleness.graph import Graph, Node
from calib_assets.staleness.identity import Context
from calib_assets.staleness.run import Result, materialize
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import load_study

folder = Path(sys.argv[1])

def body(run):
    with (folder / "bodies").open("a") as file:
        file.write("begun ")
    time.sleep(1)
    return Result(tables={"work": pl.DataFrame({"x": [1]})})

view = Context(
    Graph({"work": Node("work", (), (), body, version="1")}),
    load_study(sys.argv[2]), ArtifactStore(folder / "store"), lambda *_: {},
)
(folder / f"ready-{sys.argv[3]}").touch()
while len(list(folder.glob("ready-*"))) < 3:
    time.sleep(0.01)
print(materialize(view, "work", (), log=lambda line: None).status)
"""


def test_one_computes_and_the_others_find_the_result(tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(tmp_path), str(ROOT / "studies" / "demo.yaml"), str(number)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    said = sorted(process.communicate(timeout=120)[0].strip() for process in started)
    assert said == ["computed", "hit", "hit"]
    assert (tmp_path / "bodies").read_text() == "begun "

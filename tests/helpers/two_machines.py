"""A small graph whose bodies say that they ran, and machines on which it is computed.

As a program (``two_machines.py URL WORKING_FOLDER ENDING``) it computes ``parts`` up to the third part, says so, and
fails or waits to be killed.
"""

import sys
import threading
from dataclasses import replace
from pathlib import Path

import polars as pl

from calib_assets.staleness.graph import Graph, Node
from calib_assets.staleness.identity import Context
from calib_assets.staleness.planner import plan
from calib_assets.staleness.remote_store import RemoteStore
from calib_assets.staleness.run import Result, materialize
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study
from resources.artifacts.objects import Objects, is_url

STATE = {"value": 1, "calls": [], "meddle": None, "after_part": None, "pieces": 2}
STUDY = Study.model_validate(
    {"name": "s", "title": "S", "external": [{"name": "x", "kind": "panel", "file": "x.csv"}],
     "embedder": {"name": "e", "source": {"ngrams": 8}}}
)


def source(run):
    STATE["calls"].append("source")
    return Result(tables={"source": pl.DataFrame({"x": [STATE["value"]]})})


def double(run):
    STATE["calls"].append("double")
    table = run.table("source").with_columns(pl.col("x") * 2)
    if STATE["meddle"]:
        STATE["meddle"]()
    return Result(tables={"double": table})


def parts(run):
    def one(number):
        STATE["calls"].append(f"part {number}")
        return {"rows": pl.DataFrame({"x": [number]})}

    found = []
    for number in range(5):
        found.append(run.part(f"part-{number}", lambda number=number: one(number))["rows"])
        if STATE["after_part"]:
            STATE["after_part"](number)
    return Result(tables={"parts": pl.concat(found)})


def pieces(run):
    def one(number):
        STATE["calls"].append(f"piece {number}")
        return pl.DataFrame({"x": [number]})

    kept = run.pieces()
    found = [kept.get(f"{number:03d}", lambda number=number: one(number)) for number in range(STATE["pieces"])]
    kept.prune()
    return Result(tables={"pieces": pl.concat(found)})


GRAPH = Graph(
    {
        "source": Node("source", (), (), source),
        "double": Node("double", (), ("source",), double),
        "parts": Node("parts", (), (), parts, version="1"),
        "pieces": Node("pieces", (), (), pieces, version="1"),
    }
)
PLANNED = Graph({key: GRAPH.nodes[key] for key in ("source", "double")})


def machine(place: str, folder: Path, objects: Objects | None = None) -> Context:
    """The graph on a machine whose working folder is ``folder`` (a store on a disk needs none)."""
    store = RemoteStore(objects or Objects(place), folder) if is_url(place) else ArtifactStore(place)
    return Context(GRAPH, STUDY, store, lambda study, spec, cell: {})


def run(view: Context, key: str, **options) -> str:
    return materialize(view, key, (), log=lambda line: None, **options).status


def stale(view: Context, verify: bool = False) -> list[str]:
    """Which of ``source`` and ``double`` are stale."""
    return [item.key for item in plan(replace(view, graph=PLANNED), verify=verify)]


def _stop(ending: str):
    def after_part(number: int) -> None:
        if number == 2:
            print("three parts are done", flush=True)
            if ending == "error":
                raise RuntimeError("stopped")
            threading.Event().wait()

    return after_part


if __name__ == "__main__":
    url, folder, ending = sys.argv[1:]
    STATE["after_part"] = _stop(ending)
    run(machine(url, Path(folder)), "parts")

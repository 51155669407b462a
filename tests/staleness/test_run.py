"""Computing one cell: hits, restored results, locks, and inputs that move under a running computation."""

import threading
from pathlib import Path

import polars as pl
import pytest

from calib_assets.staleness.graph import Graph, Node
from calib_assets.staleness.identity import Context
from calib_assets.staleness.planner import plan
from calib_assets.staleness.run import Result, UpstreamChanged, materialize
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import load_study

DEMO = Path(__file__).parents[2] / "studies" / "demo.yaml"
STATE = {"value": 1, "calls": [], "meddle": None}


def source(run):
    STATE["calls"].append("source")
    return Result(tables={"source": pl.DataFrame({"x": [STATE["value"]]})})


def double(run):
    STATE["calls"].append("double")
    table = run.table("source").with_columns(pl.col("x") * 2)
    if STATE["meddle"]:
        STATE["meddle"]()
    return Result(tables={"double": table})


GRAPH = Graph({"source": Node("source", (), (), source), "double": Node("double", (), ("source",), double)})


@pytest.fixture
def view(tmp_path):
    STATE.update(value=1, calls=[], meddle=None)
    return Context(GRAPH, load_study(DEMO), ArtifactStore(tmp_path), lambda study, spec, cell: {})


def run(view, key, **options):
    return materialize(view, key, (), log=lambda line: None, **options).status


def test_second_launch_is_a_hit_and_runs_no_body(view):
    assert [run(view, "source"), run(view, "double")] == ["computed", "computed"]
    assert [run(view, "source"), run(view, "double")] == ["hit", "hit"]
    assert STATE["calls"] == ["source", "double"] and plan(view) == []


def test_force_computes_again_and_identical_content_stays_fresh_below(view):
    run(view, "source"), run(view, "double")
    assert run(view, "source", force=True) == "computed"
    assert run(view, "double") == "hit"


def test_new_content_is_stale_below_and_the_old_result_is_kept(view):
    run(view, "source"), run(view, "double")
    STATE["value"] = 5
    run(view, "source", force=True)
    assert [(item.key, item.reasons) for item in plan(view)] == [("double", ("upstream source changed",))]
    assert run(view, "double") == "computed"
    assert view.store.table("double", (), "double")["x"].to_list() == [10]
    STATE["value"] = 1
    run(view, "source", force=True)
    assert run(view, "double") == "restored"
    assert view.store.table("double", (), "double")["x"].to_list() == [2]


def test_inputs_that_change_while_computing_store_nothing(view):
    run(view, "source")

    def another_run():
        STATE.update(value=7, meddle=None)
        run(view, "source", force=True)

    STATE["meddle"] = another_run
    with pytest.raises(UpstreamChanged, match="double.*changed while it was computed.*refresh again"):
        run(view, "double")
    assert view.store.current("double", ()) is None
    assert run(view, "double") == "computed"
    assert view.store.table("double", (), "double")["x"].to_list() == [14]


def test_two_launches_at_once_compute_once(view):
    run(view, "source")
    begun, statuses = threading.Event(), []
    STATE["meddle"] = lambda: (begun.set(), threading.Event().wait(0.5))

    def first():
        statuses.append(run(view, "double"))

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(120)
    statuses.append(run(view, "double"))
    thread.join()
    assert sorted(statuses) == ["computed", "hit"] and STATE["calls"].count("double") == 1

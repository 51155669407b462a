"""Parts of a long computation survive an interruption, whole or not at all."""

from pathlib import Path

import polars as pl
import pytest

from calib_assets.staleness.graph import Graph, Node
from calib_assets.staleness.identity import Context
from calib_assets.staleness.run import PARTS, Result, materialize
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import load_study

DEMO = Path(__file__).parents[2] / "studies" / "demo.yaml"


class Interrupted(Exception):
    """Stands for a kill: what is on the disk stays."""


def context_of(store, body):
    node = Node("long", (), (), body, version="1")
    return Context(Graph({"long": node}), load_study(DEMO), store, lambda *_: {})


@pytest.fixture
def place(tmp_path):
    calls, stop_at = [], [None]

    def body(run):
        tables = []
        for part in range(4):
            if stop_at[0] == part:
                raise Interrupted

            def compute(part=part):
                calls.append(part)
                return {"a": pl.DataFrame({"x": [part]}), "b": pl.DataFrame({"y": [part * 10]})}

            tables.append(run.part(f"part-{part}", compute))
        joined = [pl.concat([t["a"], t["b"]], how="horizontal") for t in tables]
        return Result(tables={"long": pl.concat(joined)})

    store = ArtifactStore(tmp_path)
    return store, context_of(store, body), calls, stop_at


def test_a_rerun_goes_on_behind_the_last_part(place):
    store, context, calls, stop_at = place
    stop_at[0] = 3
    with pytest.raises(Interrupted):
        materialize(context, "long", (), log=lambda line: None)
    assert calls == [0, 1, 2]
    stop_at[0] = None
    materialize(context, "long", (), log=lambda line: None)
    assert calls == [0, 1, 2, 3]
    assert store.table("long", (), "long").rows() == [(0, 0), (1, 10), (2, 20), (3, 30)]
    assert not list(store.root.rglob(PARTS))  # the result holds what they held


def test_a_part_that_is_not_whole_is_made_anew(place):
    store, context, calls, stop_at = place
    stop_at[0] = 2
    with pytest.raises(Interrupted):
        materialize(context, "long", (), log=lambda line: None)
    (marker,) = store.root.rglob("part-1.json")
    marker.unlink()  # killed between the tables and the marker
    stop_at[0] = None
    materialize(context, "long", (), log=lambda line: None)
    assert calls == [0, 1, 1, 2, 3]


def test_a_forced_run_uses_no_old_part(place):
    _, context, calls, _ = place
    materialize(context, "long", (), log=lambda line: None)
    materialize(context, "long", (), log=lambda line: None, force=True)
    assert calls == [0, 1, 2, 3] * 2

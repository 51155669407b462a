"""One snapshot for a plan: each manifest read once, each slice cut once, work in proportion to the study."""

import sys
from collections import Counter
from pathlib import Path

import polars as pl

from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import Graph, Node, cell_name
from calib_assets.staleness.identity import Context, Snapshot
from calib_assets.staleness.planner import plan
from calib_assets.staleness.run import Result, materialize
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import load_study

DEMO = Path(__file__).parents[2] / "studies" / "demo.yaml"


def body(run):
    return Result(tables={run.key: pl.DataFrame({"x": [1]})})


def node(key, axes, deps):
    return Node(key, axes, deps, body, version="1", libraries=("no-such-library",))


CELL = ("model", "task")
GRAPH = Graph(
    {
        "work": node("work", CELL, ("model_spec", "task_spec")),
        "sums": node("sums", CELL, ("work", "grid_spec")),
        "by_model": node("by_model", ("model",), ("sums",)),
        "compare": node("compare", (), ("sums", "by_model", "grid_spec")),
        "page": node("page", (), ("work", "compare", "model_spec")),
    },
    specs={"model_spec": ("model",), "task_spec": ("task",), "grid_spec": ()},
)

GOLDEN = {
    "work": "8c49549edcbe8f35",
    "sums": "a8e5b440925fc8de",
    "by_model": "dc71c776088185f3",
    "compare": "ea1525ad03c43b83",
    "page": "3798e502a5c90d89",
}


class Watched(ArtifactStore):
    """The store, counting what is read."""

    def __init__(self, root):
        super().__init__(root)
        self.read_manifests = Counter()

    def current(self, asset, cell):
        self.read_manifests[asset, cell] += 1
        return super().current(asset, cell)


def view_of(root, models, tasks=2):
    study = load_study(DEMO)
    rows = tuple(study.models[0].model_copy(update={"name": f"m{number}", "pair": None}) for number in range(models))
    study = study.model_copy(update={"models": rows, "tasks": study.tasks[:tasks], "rollouts": (), "sweeps": ()})
    cuts = Counter()

    def cut(study, spec, cell):
        cuts[spec, cell] += 1
        return {"spec": spec, "cell": list(cell), "é": 1.5}

    return Context(GRAPH, study, Watched(root), cut), cuts


def pairs(view):
    return [(key, cell) for key in GRAPH.nodes for cell in GRAPH.cells(key, view.study)]


def compute_all(view):
    for key, cell in pairs(view):
        materialize(view, key, cell, log=lambda line: None)


def test_every_manifest_is_read_once_and_every_slice_cut_once(tmp_path):
    view, cuts = view_of(tmp_path, models=3)
    compute_all(view)
    view.store.read_manifests.clear(), cuts.clear()
    assert plan(view) == []
    assert view.store.read_manifests == Counter(pairs(view))
    assert cuts == Counter((spec, cell) for spec in GRAPH.specs for cell in GRAPH.cells(spec, view.study))


def work_of(view) -> int:
    """Instructions of the interpreter during a plan: a measure of work that does not depend on the machine's load."""
    count = 0

    def traced(frame, event, argument):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        plan(view)
    finally:
        sys.settrace(before)
    return count


def test_work_grows_in_proportion_to_the_study(tmp_path):
    """Fresh and stale: equal steps in models are equal steps in work (the comparisons are part of it)."""
    for name, prepare in (("fresh", compute_all), ("missing", lambda view: None)):
        counts = []
        for models in (4, 8, 12):
            view, _ = view_of(tmp_path / name / str(models), models)
            prepare(view)
            plan(view)  # what is remembered for good, such as hashes of code
            counts.append(work_of(view))
        first, second = counts[1] - counts[0], counts[2] - counts[1]
        assert abs(second - first) < 0.02 * first, (name, counts)


def by_definition(view, key, cell):
    """A hash of name, cell and inputs, everything looked up anew."""
    slices, upstream = {}, {}
    for dep, dep_cell in GRAPH.upstream(key, cell, view.study):
        if dep in GRAPH.specs:
            slices.setdefault(dep, {})[cell_name(dep_cell)] = view.slicer(view.study, dep, dep_cell)
        else:
            found = view.store.current(dep, dep_cell)
            upstream.setdefault(dep, {})[cell_name(dep_cell)] = found.data_version if found else None
    libraries = {name: "absent" for name in GRAPH.nodes[key].libraries}
    inputs = {"code": {"version": "1"}, "libraries": libraries, "upstream": upstream, "slices": slices}
    return digest([key, list(cell), inputs])


def test_fingerprints_are_those_of_the_definition_and_of_earlier_versions(tmp_path):
    view, _ = view_of(tmp_path, models=2)
    for key, cell in pairs(view):
        assert Snapshot(view).expected(key, cell) == by_definition(view, key, cell)
    compute_all(view)
    snapshot = Snapshot(view)
    for key, cell in pairs(view):
        assert snapshot.expected(key, cell) == by_definition(view, key, cell)
    # Written down when each cell was still looked up by itself: what is stored since then stays fresh.
    assert {key: snapshot.expected(key, snapshot.cells(key)[0]) for key in GRAPH.nodes} == GOLDEN


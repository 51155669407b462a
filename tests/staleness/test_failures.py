"""Failed cells: recorded, left out by fan-ins, blocking only what needs them, and forgotten when they succeed."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from calib_assets.staleness.failure import read_failures
from calib_assets.staleness.graph import Graph, Node
from calib_assets.staleness.identity import Context, Snapshot, fingerprint
from calib_assets.staleness.planner import plan
from calib_assets.staleness.run import Result, UpstreamMissing, materialize
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import load_study
from jobs.launch import launches

DEMO = Path(__file__).parents[2] / "studies" / "demo.yaml"
STATE = {}


def one(name, table):
    return Result(tables={name: pl.DataFrame(table)})


def work(run):
    if run.cell in STATE["broken"]:
        raise ValueError(STATE["broken"][run.cell])
    return one("work", {"x": [STATE["value"]]})


def sums(run):
    return one("sums", {"x": [run.table("work")["x"].sum()]})


def compare(run):
    found = run.table("sums")
    return one("compare", {"rows": [found.height], "total": [found["x"].sum() if found.width else 0]})


def page(run):
    lines = [f"{failure.name} {failure.error}" for failure in run.failures]
    return one("page", {"compared": [run.table("compare")["rows"][0]], "says": ["; ".join(lines)]})


CELL = ("model", "task")
GRAPH = Graph(
    {
        "work": Node("work", CELL, ("model_spec",), work, version="1"),
        "sums": Node("sums", CELL, ("work",), sums, version="1"),
        "compare": Node("compare", (), ("sums",), compare, version="1"),
        "page": Node("page", (), ("sums", "compare"), page, version="1", names_failures=True),
    },
    specs={"model_spec": ("model",)},
)


@pytest.fixture
def view(tmp_path):
    STATE.update(broken={}, value=1, revision={})
    study = load_study(DEMO)
    study = study.model_copy(update={"tasks": study.tasks[:2]})
    return Context(
        GRAPH, study, ArtifactStore(tmp_path), lambda study, spec, cell: {"revision": STATE["revision"].get(cell[0], 1)}
    )


def cells(view):
    return GRAPH.cells("work", view.study)


def run(view, key, cell=(), **options):
    return materialize(view, key, cell, log=lambda line: None, **options).status


def wave(view, **options):
    """Run what is ready as a refresh does; what was computed."""
    done = []
    for launch in launches(plan(view, **options), GRAPH):
        for key in launch.assets:
            try:
                done.append((key, launch.cell, run(view, key, launch.cell)))
            except (ValueError, UpstreamMissing):
                done.append((key, launch.cell, "failed"))
    return done


def settle(view):
    """Waves until nothing is ready; (asset, cell, how) of all of them."""
    done = []
    while found := wave(view):
        done += found
    return done


def shown(view, key):
    return view.store.table(key, (), key).row(0, named=True)


def test_a_failed_cell_is_recorded_and_the_others_are_compared_without_it(view):
    bad, *good = cells(view)
    STATE["broken"] = {bad: "<no> such token"}
    done = settle(view)
    assert ("work", bad, "failed") in done and ("sums", bad, "failed") in done  # the second has nothing to read
    assert shown(view, "compare") == {"rows": len(good), "total": len(good)}
    assert shown(view, "page")["says"] == f"work[{'|'.join(bad)}] <no> such token"
    left = {(item.key, item.cell): item for item in plan(view)}
    assert set(left) == {("work", bad), ("sums", bad)}
    assert left["work", bad].has_failed and not left["sums", bad].has_failed
    (failure,) = left["work", bad].failures
    assert left["sums", bad].failures == (failure,)
    assert (failure.kind, failure.error, failure.attempts) == ("ValueError", "<no> such token", 1)
    assert settle(view) == []  # nobody launches it again


def test_success_makes_the_comparison_stale_by_itself(view):
    bad, *_ = cells(view)
    STATE["broken"] = {bad: "no"}
    settle(view)
    before = view.store.current("compare", ()).fingerprint
    STATE["broken"] = {}
    assert run(view, "work", bad) == "computed" and read_failures(view.store) == {}
    settle(view)
    assert plan(view) == [] and view.store.current("compare", ()).fingerprint != before
    assert shown(view, "compare")["rows"] == len(cells(view)) and shown(view, "page")["says"] == ""


def test_an_older_result_of_a_failed_cell_is_never_shown_as_the_present_one(view):
    settle(view)
    bad, *good = cells(view)
    STATE.update(value=100, revision={bad[0]: 2}, broken={bad: "no"})
    same_model = [cell for cell in cells(view) if cell[0] == bad[0] and cell != bad]
    settle(view)
    assert view.store.current("sums", bad) is not None  # the older one stays
    others = len(good) - len(same_model)
    assert shown(view, "compare") == {"rows": len(good), "total": others + 100 * len(same_model)}
    STATE["revision"] = {}  # back to what has a result: the failure says nothing of that
    settle(view)
    assert plan(view) == [] and shown(view, "compare")["total"] == len(cells(view))


def test_changed_inputs_make_a_failed_cell_due_again_and_others_wait_for_it(view):
    bad, *_ = cells(view)
    STATE["broken"] = {bad: "no"}
    settle(view)
    STATE["revision"] = {bad[0]: 2}
    by_pair = {(item.key, item.cell): item for item in plan(view)}
    assert by_pair["work", bad].failures == () and by_pair["sums", bad].failures == ()
    assert by_pair["compare", ()].blocked
    assert ("work", bad, "failed") in settle(view)
    (failure,) = read_failures(view.store).values()
    assert failure.attempts == 1  # a first attempt on these inputs


def test_a_failure_counts_attempts_and_keeps_its_beginning(view):
    bad, *_ = cells(view)
    STATE["broken"] = {bad: "first"}
    settle(view)
    (first,) = read_failures(view.store).values()
    STATE["broken"] = {bad: "second"}
    assert {item.key for item in plan(view, again={("work", bad)}) if not item.failures} >= {"work", "sums", "compare"}
    with pytest.raises(ValueError, match="second"):
        run(view, "work", bad)
    (second,) = read_failures(view.store).values()
    assert (second.attempts, second.error, second.since) == (2, "second", first.since)
    # The page names the error, so it is stale; the comparison is not.
    assert [(key, how) for key, _, how in settle(view)] == [("page", "computed")]
    assert "second" in shown(view, "page")["says"]


def test_when_every_cell_fails_the_comparison_is_empty_and_says_so(view):
    STATE["broken"] = dict.fromkeys(cells(view), "no")
    settle(view)
    assert shown(view, "compare") == {"rows": 0, "total": 0}
    assert shown(view, "page")["says"].count("no") == len(cells(view))


def test_a_failed_comparison_blocks_what_needs_it_on_shared_axes(view, monkeypatch):
    broken = Graph(
        {**GRAPH.nodes, "compare": replace(GRAPH.nodes["compare"], body=lambda run: 1 / 0)}, specs=GRAPH.specs
    )
    view = replace(view, graph=broken)
    for launch in [*launches(plan(view), broken)]:
        for key in launch.assets:
            run(view, key, launch.cell)
    with pytest.raises(ZeroDivisionError):
        run(view, "compare")
    with pytest.raises(UpstreamMissing, match="page.* reads compare"):
        run(view, "page")
    assert {item.key: item.has_failed for item in plan(view)} == {"compare": True, "page": False}
    assert launches(plan(view), broken) == []


def test_a_second_failure_behind_a_pending_change_does_not_let_the_comparison_go_ahead(view):
    """`sums` failed on data that are about to change: the comparison waits for the new ones."""
    node = replace(GRAPH.nodes["sums"], body=lambda run: 1 / 0)
    view = replace(view, graph=Graph({**GRAPH.nodes, "sums": node}, specs=GRAPH.specs))
    cell = cells(view)[0]
    run(view, "work", cell)
    with pytest.raises(ZeroDivisionError):
        run(view, "sums", cell)
    assert next(item for item in plan(view) if (item.key, item.cell) == ("sums", cell)).has_failed
    STATE["revision"] = {cell[0]: 2}
    item = next(item for item in plan(view) if (item.key, item.cell) == ("sums", cell))
    assert item.failures == () and item.waits == (("work", cell),)


def test_cells_without_a_result_are_left_out_on_request_and_make_it_stale_later(view):
    first, *_ = cells(view)
    run(view, "work", first), run(view, "sums", first)
    run(view, "compare")
    assert shown(view, "compare")["rows"] == 1
    assert next(item for item in plan(view) if item.key == "compare").blocked
    settle(view)
    assert shown(view, "compare")["rows"] == len(cells(view)) and plan(view) == []


def test_a_record_that_cannot_be_read_is_no_failure(view):
    bad, *_ = cells(view)
    STATE["broken"] = {bad: "no"}
    settle(view)
    (path,) = (view.store.root / ".failed").iterdir()
    path.write_text("{")
    assert read_failures(view.store) == {} and ("work", bad, "failed") in settle(view)


def test_interrupted_or_early_launches_record_nothing(view, monkeypatch):
    cell = cells(view)[0]
    with pytest.raises(UpstreamMissing):
        run(view, "sums", cell)

    def interrupted(run):
        raise KeyboardInterrupt

    stopped = replace(view, graph=Graph({"work": replace(GRAPH.nodes["work"], body=interrupted)}, specs=GRAPH.specs))
    with pytest.raises(KeyboardInterrupt):
        materialize(stopped, "work", cell, log=lambda line: None)
    STATE["broken"] = {cell: "no"}
    with pytest.raises(ValueError):
        run(view, "work", cell, tried_again=lambda error: True)
    assert read_failures(view.store) == {}


def test_a_failing_repetition_leaves_the_good_result_in_use(view):
    settle(view)
    cell = cells(view)[0]
    STATE["broken"] = {cell: "no"}
    with pytest.raises(ValueError):
        run(view, "work", cell, force=True)
    assert plan(view) == [] and run(view, "compare") == "hit"


def test_the_fingerprint_from_texts_is_the_one_from_inputs(view):
    STATE["broken"] = {cells(view)[0]: "ärger\n\"quoted\""}
    settle(view)
    snapshot = Snapshot(view)
    for key in GRAPH.nodes:
        for cell in GRAPH.cells(key, view.study):
            inputs = snapshot.inputs(key, cell)
            assert snapshot.expected(key, cell) == fingerprint(key, cell, inputs)
            assert json.loads(json.dumps(inputs)) == inputs


def test_a_slice_that_cannot_be_cut_holds_up_only_its_cells(view):
    """A model whose file is gone: asked for by name it raises, in a deployment the others go on."""
    settle(view)
    bad, *good = [cell for cell in cells(view)]
    STATE.update(value=3, revision={cell[0]: 2 for cell in good})

    def cut(study, spec, cell):
        if cell == bad[:1]:
            raise FileNotFoundError("weights of <bad> are gone")
        return {"revision": STATE["revision"].get(cell[0], 1)}

    view = replace(view, slicer=cut)
    with pytest.raises(FileNotFoundError, match="weights"):
        plan(view)
    while found := wave(view, tolerant=True):
        assert all(cell[:1] != bad[:1] for _, cell, _ in found)
    left = plan(view, tolerant=True)
    assert {item.cell[0] for item in left} == {bad[0]} and all(item.failures for item in left)
    others = sum(cell[0] != bad[0] for cell in cells(view))
    assert shown(view, "compare") == {"rows": others, "total": 3 * others}
    assert shown(view, "page")["says"] == f"model_spec[{bad[0]}] weights of <bad> are gone"

"""Pieces outlive results, are whole or absent, and belong to everything but the dependencies that they ignore."""

import polars as pl
import pytest

from calib_assets.staleness.graph import Graph, Node
from calib_assets.staleness.identity import Context
from calib_assets.staleness.pieces import Pieces
from calib_assets.staleness.run import Result, materialize
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study

SLICES = {"what_spec": {"seed": 1}, "count_spec": {"n": 3}}
COMPUTED = []


def squares(run):
    """The squares of 0 .. n - 1, each a piece."""
    pieces = run.pieces("count_spec")

    def one(number):
        COMPUTED.append(number)
        return pl.DataFrame({"value": [number**2 + run.slice("what_spec")["seed"]]})

    frames = [pieces.get(f"{i:03d}", lambda i=i: one(i)) for i in range(run.slice("count_spec")["n"])]
    pieces.prune()
    return Result(tables={"squares": pl.concat(frames)})


GRAPH = Graph(
    nodes={"squares": Node("squares", (), ("what_spec", "count_spec"), squares)},
    specs={"what_spec": (), "count_spec": ()},
)
STUDY = Study.model_validate(
    {"name": "s", "title": "S", "external": [{"name": "x", "kind": "panel", "file": "x.csv"}],
     "embedder": {"name": "e", "source": {"ngrams": 8}}}
)


@pytest.fixture
def place(tmp_path):
    COMPUTED.clear()
    said = {name: dict(value) for name, value in SLICES.items()}
    context = Context(GRAPH, STUDY, ArtifactStore(tmp_path), lambda study, spec, cell: said[spec])

    def make(**changes):
        for spec, value in changes.items():
            said[spec] = value
        COMPUTED.clear()
        outcome = materialize(context, "squares", (), log=lambda line: None)
        return outcome.status, context.store.table("squares", (), "squares")["value"].to_list(), list(COMPUTED)

    return make, context


def test_more_computes_only_what_is_missing(place):
    make, _ = place
    assert make() == ("computed", [1, 2, 5], [0, 1, 2])
    assert make(count_spec={"n": 5}) == ("computed", [1, 2, 5, 10, 17], [3, 4])
    assert make(count_spec={"n": 2}) == ("computed", [1, 2], [])


def test_another_identity_shares_nothing(place):
    make, _ = place
    make()
    assert make(what_spec={"seed": 7}) == ("computed", [7, 8, 11], [0, 1, 2])


def test_the_pieces_of_the_identity_before_are_kept_and_older_ones_are_not(place):
    make, context = place
    make()
    make(what_spec={"seed": 7})
    assert make(what_spec={"seed": 1}, count_spec={"n": 4})[2] == [3]
    make(what_spec={"seed": 8})
    make(what_spec={"seed": 9})
    assert make(what_spec={"seed": 1}, count_spec={"n": 5})[2] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("harm", ["flip", "cut", "no seal", "no data"])
def test_a_damaged_piece_is_made_anew(place, harm):
    make, context = place
    make()
    pieces = Pieces(context, "squares", (), ["count_spec"])
    path, seal = pieces.path("001"), pieces.folder / "001.sha256"
    data = path.read_bytes()
    {
        "flip": lambda: path.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:]),
        "cut": lambda: path.write_bytes(data[:-5]),
        "no seal": seal.unlink,
        "no data": path.unlink,
    }[harm]()
    assert pieces.names() == ["000", "002"]
    assert make(count_spec={"n": 4}) == ("computed", [1, 2, 5, 10], [1, 3])

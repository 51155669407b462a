"""A store that is read-only or full, on real file systems: one clear error before work, and nothing lost."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from private_mounts import with_read_only, with_small_disk
from two_machines import STATE, machine, run, stale
from workplace import model_row, write_chain

from calib_assets.staleness.manifest import FORMAT, Manifest, NewerFormat
from resources.artifacts.atomic import DiskSpaceError, StorageError

ROOT = Path(__file__).parents[2]
HELPERS = ROOT / "tests" / "helpers"


def python(code: str, *arguments) -> list:
    return [sys.executable, "-W", "ignore", "-c", code, *arguments]


def ended(command: list, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{HELPERS}", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def disk(tmp_path):
    STATE.update(value=1, calls=[], meddle=None)
    return machine(str(tmp_path / "disk"), tmp_path / "unused")


def test_reading_works_on_a_read_only_store_and_computing_says_why_it_cannot(disk):
    run(disk, "source")
    code = """
import sys
from two_machines import *
view = machine(sys.argv[1], None)
print(stale(view), view.store.table("source", (), "source")["x"].to_list(), run(view, "source"))
try:
    run(view, "double")
except Exception as error:
    print(type(error).__name__, error, STATE["calls"])
"""
    found = ended(with_read_only(disk.store.root, python(code, disk.store.root)))
    assert found.stderr == ""
    first, second = found.stdout.splitlines()
    assert first == "['double'] [1] hit"
    assert second == (
        f"StorageError {disk.store.root}: results cannot be written here (Read-only file system); reading works, "
        "computing does not. Mount it for writing or correct its permissions, or name another store with CALIB_STORE []"
    )


def test_an_earlier_result_cannot_be_switched_to_on_a_read_only_store(disk):
    run(disk, "source"), run(disk, "double")
    for value in (2, 1):
        STATE["value"] = value
        run(disk, "source", force=True)
        if value == 2:
            run(disk, "double")
    code = 'import sys; from two_machines import *; run(machine(sys.argv[1], None), "double")'
    found = ended(with_read_only(disk.store.root, python(code, disk.store.root)))
    assert found.stderr.splitlines()[-1].startswith(
        f"resources.artifacts.atomic.StorageError: {disk.store.root}: results cannot be written here"
    )


def test_the_command_line_on_a_read_only_store(tmp_path):
    write_chain(tmp_path / "alpha.json", 0)
    store = tmp_path / "store"
    store.mkdir()
    digits = {"name": "digits", "kind": "digits", "length": 1, "separator": ",", "prompt": "p", "completion": "d:"}
    study = {"name": "s", "title": "S", "models": [model_row("alpha")], "tasks": [digits]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    code = """
import sys
from calib_assets.cli import main
print([main([*sys.argv[1:], command]) for command in ("status", "refresh")])
"""
    found = ended(with_read_only(store, python(code, "--study", tmp_path / "study.yaml", "--store", store)))
    assert found.stdout.splitlines()[-1] == "[1, 2]", found.stderr
    assert f"asset cells are stale in {store}" in found.stdout
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"{store}: results cannot be written here (Read-only file system)")


def test_a_full_disk_is_named_what_is_there_stays_and_a_rerun_goes_on(tmp_path):
    code = """
import json, sys
import numpy as np
import polars as pl
from two_machines import *
from calib_assets.staleness.graph import Graph, Node

def big(run):
    rows = []
    for number in range(6):
        def one(number=number):
            STATE["calls"].append(number)
            return {"rows": pl.DataFrame({"x": np.random.default_rng(number).normal(size=60_000)})}
        rows.append(run.part(f"part-{number}", one)["rows"])
    return Result(tables={"big": pl.DataFrame({"rows": [sum(table.height for table in rows)]})})

root = Path(sys.argv[1])
graph = Graph({**GRAPH.nodes, "big": Node("big", (), (), big, version="1")})
view = Context(graph, STUDY, ArtifactStore(root / "store"), lambda study, spec, cell: {})
run(view, "source")
before = {path: path.read_bytes() for path in view.store.root.rglob("*") if path.is_file()}
(root / "other").write_bytes(b"x" * 1_900_000)
STATE["calls"].clear()
try:
    run(view, "big")
except Exception as error:
    print(type(error).__name__, str(error).split(":")[0].partition(str(view.store.root))[1], "remedy" in str(error))
done = len(list((view.store.folder("big", ()) ).rglob("*.json")))
print(json.dumps([STATE["calls"], done, view.store.current("big", ()) is None, not list(root.rglob("*.tmp"))]))
print(all(path.read_bytes() == data for path, data in before.items()), stale(view))
(root / "other").unlink()
STATE["calls"].clear()
print(run(view, "big"), STATE["calls"], view.store.table("big", (), "big")["rows"].to_list())
"""
    (tmp_path / "disk").mkdir()
    found = ended(with_small_disk(tmp_path / "disk", "4m", python(code, tmp_path / "disk")))
    assert found.stderr == ""
    error, state, kept, again = found.stdout.splitlines()
    assert error.split() == ["DiskSpaceError", str(tmp_path / "disk" / "store"), "True"]
    calls, done, no_result, no_rests = json.loads(state)
    assert calls == list(range(len(calls))) and 2 <= len(calls) <= 5 and done == len(calls) - 1
    assert no_result and no_rests and kept == "True ['double']"
    assert again == f"computed {list(range(done, 6))} [360000]"


def test_a_store_on_a_disk_without_any_room_stops_before_work(tmp_path):
    code = """
import os, sys
from two_machines import *
root = Path(sys.argv[1])
(root / "store").mkdir()
with (root / "other").open("wb") as file:
    try:
        while True:
            os.write(file.fileno(), b"x" * 4096)
    except OSError:
        pass
try:
    run(machine(str(root / "store"), None), "source")
except Exception as error:
    print(type(error).__name__, error, STATE["calls"])
"""
    (tmp_path / "disk").mkdir()
    found = ended(with_small_disk(tmp_path / "disk", "1m", python(code, tmp_path / "disk")))
    assert found.stdout.startswith("DiskSpaceError") and found.stdout.endswith(" []\n"), found.stderr
    assert str(tmp_path / "disk" / "store") in found.stdout and "free disk space" in found.stdout


def test_a_result_of_the_version_before_formats_is_a_hit(disk):
    run(disk, "source")
    path = disk.store.folder("source", ()) / "current.json"
    for file in (path, path.parent / disk.store.current("source", ()).fingerprint / "manifest.json"):
        text = file.read_text()
        assert f'"format": {FORMAT},' in text
        file.write_text(text.replace(f' "format": {FORMAT},\n', ""))
    assert disk.store.current("source", ()).format == 0 and run(disk, "source") == "hit"
    assert stale(disk) == ["double"] and run(disk, "double") == "computed"


def test_a_manifest_as_the_first_release_wrote_it():
    old = (
        b'{"asset": "a", "cell": ["m", "t"], "fingerprint": "f", "data_version": "d", "inputs": {}, "files": {},\n'
        b' "numbers": {}, "run_id": "r", "produced_at": "p", "seconds": 1.5, "libraries": {"polars": "2.1.0"}}'
    )
    manifest = Manifest.from_bytes(old)
    assert (manifest.format, manifest.cell, manifest.seconds, manifest.extra) == (0, ("m", "t"), 1.5, {})


def test_fields_that_a_later_version_added_are_kept(disk):
    run(disk, "source")
    manifest = disk.store.current("source", ())
    later = json.loads(manifest.to_bytes()) | {"energy_joules": 3}
    read = Manifest.from_bytes(json.dumps(later).encode())
    assert read.extra == {"energy_joules": 3} and json.loads(read.to_bytes()) == later
    assert Manifest.from_bytes(read.to_bytes()) == read and replace(read, extra={}) == manifest


def test_a_later_format_is_neither_recomputed_nor_misread(disk):
    run(disk, "source"), run(disk, "double")
    path = disk.store.folder("source", ()) / "current.json"
    data = path.read_bytes().replace(f'"format": {FORMAT}'.encode(), f'"format": {FORMAT + 6}'.encode())
    path.write_bytes(data)
    STATE["calls"].clear()
    for use in (lambda: run(disk, "source"), lambda: stale(disk), lambda: disk.store.table("source", (), "source")):
        with pytest.raises(NewerFormat, match=rf"source.* of format {FORMAT + 6}.*to {FORMAT}; upgrade calib-assets"):
            use()
    assert issubclass(NewerFormat, StorageError) and STATE["calls"] == [] and path.read_bytes() == data


def test_locks_of_a_machine_that_was_restarted_hold_nobody_up(disk):
    code = """
import os, sys
from two_machines import machine
with machine(sys.argv[1], None).store.lock("source", ()):
    os.abort()
"""
    ended(python(code, disk.store.root))
    lock = disk.store.root / ".locks" / "source.lock"
    assert lock.exists() and run(disk, "source") == "computed"


def test_a_file_size_limit_is_told_as_a_full_disk(disk):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        with pytest.raises(DiskSpaceError, match="source.*remedy: free disk space"):
            run(disk, "source")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run(disk, "source") == "computed"

"""Results on a real S3 server, seen from two machines: two working folders that share nothing else."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from two_machines import GRAPH, STATE, machine, run, stale

from calib_assets.staleness.remote_manifests import RemoteManifests
from calib_assets.staleness.remote_work import INTERVAL_S
from calib_assets.staleness.store import ArtifactStore, ResultError
from resources.artifacts.leases import LeaseLost
from resources.artifacts.objects import Objects

ROOT = Path(__file__).parents[2]
HELPER = ROOT / "tests" / "helpers" / "two_machines.py"


@pytest.fixture
def machines(bucket, tmp_path):
    """Two machines on one bucket."""
    STATE.update(value=1, calls=[], meddle=None)
    return machine(bucket, tmp_path / "one"), machine(bucket, tmp_path / "two")


class CountingObjects(Objects):
    """The storage, counting the names that are read."""

    def __init__(self, url):
        super().__init__(url)
        self.read = []

    def get(self, name):
        self.read.append(name)
        return super().get(name)

    def download(self, name, file):
        self.read.append(name)
        return super().download(name, file)


def test_what_one_machine_has_computed_is_a_hit_on_the_other(machines):
    one, two = machines
    assert [run(one, "source"), run(one, "double")] == ["computed", "computed"]
    assert [run(two, "source"), run(two, "double")] == ["hit", "hit"]
    assert STATE["calls"] == ["source", "double"] and stale(two) == []
    assert two.store.table("double", (), "double")["x"].to_list() == [2]


def test_the_files_and_the_manifest_are_those_of_a_store_on_disk(machines, tmp_path):
    one, _ = machines
    run(one, "source")
    disk = machine(str(tmp_path / "disk"), tmp_path / "unused")
    run(disk, "source")
    stored, local = one.store.current("source", ()), disk.store.current("source", ())
    assert (stored.files, stored.fingerprint, stored.data_version) == (
        local.files,
        local.fingerprint,
        local.data_version,
    )
    for name in stored.files:
        assert one.store.objects.get(f"results/source/{stored.fingerprint}/{name}") == (
            disk.store.folder("source", (), local.fingerprint) / name
        ).read_bytes()


def test_a_file_is_downloaded_once_and_never_for_a_plan(bucket, machines, tmp_path):
    one, _ = machines
    run(one, "source"), run(one, "double")
    objects = CountingObjects(bucket)
    three = machine(bucket, tmp_path / "three", objects)
    assert stale(three) == [] and not [name for name in objects.read if name.startswith("results/")]
    objects.read.clear()
    for _ in range(3):
        assert three.store.table("source", (), "source")["x"].to_list() == [1]
        assert three.store.scan("source", (), "source").collect()["x"].to_list() == [1]
    assert [name.rpartition("/")[2] for name in objects.read] == ["source.parquet"]


def test_manifests_are_fetched_together_and_again_only_where_they_changed(bucket, tmp_path):
    many = machine(bucket, tmp_path / "one")
    manifest = _published(many)
    for number in range(40):
        many.store._manifests.write("source", (f"cell{number}",), "current.json", manifest.to_bytes())
    objects = CountingObjects(bucket)
    reader = machine(bucket, tmp_path / "two", objects).store
    with reader.snapshot():
        assert all(reader.current("source", (f"cell{number}",)) == manifest for number in range(40))
    assert len(objects.read) == 42  # and the two of the cell that was computed
    objects.read.clear()
    changed = manifest.to_bytes().replace(b'"run_id": ""', b'"run_id": "later"')
    many.store._manifests.write("source", ("cell7",), "current.json", changed)
    again = machine(bucket, tmp_path / "two", objects).store
    with again.snapshot():
        assert again.current("source", ("cell7",)).run_id == "later"
        assert again.current("source", ("cell8",)) == manifest
    assert objects.read == ["manifests/source/cell7/current.json"]


def test_a_manifest_that_is_replaced_while_it_is_read_is_never_kept_under_the_wrong_etag(bucket, tmp_path):
    class Replacing(Objects):
        """Another machine replaces the object between this one's listing and its reading."""

        def get(self, name):
            if self.replacement is not None:
                data, self.replacement = self.replacement, None
                self.put(name, data)
            return super().get(name)

    objects = Replacing(bucket)
    objects.replacement = None
    first, later = RemoteManifests(objects, tmp_path / "copies"), RemoteManifests(objects, tmp_path / "copies")
    first.write("a", (), "current.json", b"one")
    objects.replacement = b"two"
    assert first.read("a", (), "current.json") == b"two"
    objects.put("manifests/a/current.json", b"one")  # the setting is switched back: the first etag again
    assert later.read("a", (), "current.json") == b"one"


def test_a_setting_that_is_switched_back_is_restored_and_older_results_go(machines):
    one, two = machines
    run(one, "source"), run(one, "double")
    first = one.store.current("double", ())
    STATE["value"] = 5
    run(two, "source", force=True)
    assert run(two, "double") == "computed"
    STATE["value"] = 1
    run(one, "source", force=True)
    assert run(one, "double") == "restored"
    assert one.store.current("double", ()).to_bytes() == first.to_bytes()
    results = {name.partition("/")[0] for name in one.store.objects.list("results/double")}
    assert len(results) == 2 and first.fingerprint in results
    for value in (6, 7):  # one earlier result is kept
        time.sleep(1.1)  # a server's times are whole seconds: of two results of one second either may go
        STATE["value"] = value
        run(two, "source", force=True), run(two, "double")
    results = {name.partition("/")[0] for name in one.store.objects.list("results/double")}
    assert len(results) == 2 and first.fingerprint not in results


def test_two_machines_at_once_compute_once(machines):
    one, two = machines
    run(one, "source")
    begun, statuses = threading.Event(), []
    STATE["meddle"] = lambda: (begun.set(), threading.Event().wait(2.0))
    thread = threading.Thread(target=lambda: statuses.append(run(one, "double")))
    thread.start()
    assert begun.wait(120)
    statuses.append(run(two, "double"))
    thread.join()
    assert sorted(statuses) == ["computed", "hit"] and STATE["calls"].count("double") == 1


@pytest.mark.parametrize("when", ["while it computes", "while it uploads"])
def test_a_run_that_was_taken_for_dead_publishes_nothing(bucket, machines, tmp_path, when):
    class Stalling(Objects):
        """A machine that stops in the middle of an upload."""

        def upload(self, name, file):
            super().upload(name, file)
            if STATE["meddle"] is not None:
                stalled()

    one = machine(bucket, tmp_path / "one", Stalling(bucket) if when == "while it uploads" else None)
    _, two = machines
    run(one, "source")

    def stalled():
        """This machine stops; another one waits until its lease is over, and computes."""
        STATE["meddle"] = None
        lease = one.store._leases["double", ()]
        lease._stop.set(), lease._thread.join()
        lease._renewed -= 2 * lease.expiry_s
        names, _ = lease._top()
        lease.objects.create(f"leases/double/{int(names[-1][:-5]) + 1:010d}.json", b'{"released": true}')
        assert run(two, "double") == "computed"

    if when == "while it computes":
        STATE["meddle"] = stalled
    else:
        STATE["meddle"] = lambda: None
    with pytest.raises(LeaseLost, match="another one took over; nothing was stored; refresh again"):
        run(one, "double")
    assert run(one, "double") == "hit" and STATE["calls"].count("double") == 2


@pytest.mark.parametrize("harm", ["damaged", "deleted"])
def test_a_damaged_object_is_refused_and_made_anew(machines, harm):
    one, two = machines
    run(one, "source")
    manifest = one.store.current("source", ())
    name = f"results/source/{manifest.fingerprint}/source.parquet"
    data = one.store.objects.get(name)
    if harm == "damaged":
        one.store.objects.put(name, data[:-9] + b"x" + data[-8:])
    else:
        one.store.objects.delete([name])
    with pytest.raises(ResultError, match=r"source\.parquet .*damaged or deleted.*refresh --verify"):
        two.store.table("source", (), "source")
    assert stale(two, verify=True) == ["source", "double"]
    two.store.drop(two.store.current("source", ()))
    assert run(two, "source") == "computed" and one.store.objects.get(name) == data


def test_an_upload_that_is_cut_off_is_no_result(bucket, machines, tmp_path):
    class CutOff(Objects):
        def put(self, name, data):
            if name.startswith("manifests/"):
                raise ConnectionError("cut off")
            super().put(name, data)

    three, (one, _) = machine(bucket, tmp_path / "three", CutOff(bucket)), machines
    with pytest.raises(ConnectionError):
        run(three, "source")
    assert one.store.objects.list("results/source") and one.store.current("source", ()) is None
    assert run(one, "source") == "computed"


@pytest.mark.parametrize("ending", ["error", "kill -9"])
def test_half_done_work_goes_on_on_another_machine(bucket, tmp_path, ending):
    STATE.update(value=1, calls=[], meddle=None)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", HELPER, bucket, tmp_path / "one", ending],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline().strip() == "three parts are done"
    if ending == "kill -9":
        objects = Objects(bucket)
        end = time.monotonic() + 60 + 2 * INTERVAL_S
        while sum(name.endswith(".json") and "/parts/" in name for name in objects.list("unfinished")) < 3:
            assert time.monotonic() < end, "the finished parts were not uploaded"
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    process.wait(120)
    process.stdout.close()
    two = machine(bucket, tmp_path / "two")
    assert run(two, "parts") == "computed"
    assert STATE["calls"] == ["part 3", "part 4"]
    assert two.store.table("parts", (), "parts")["x"].to_list() == [0, 1, 2, 3, 4]
    assert two.store.objects.list("unfinished") == {}


def test_pieces_are_shared(machines):
    one, two = machines
    assert run(one, "pieces") == "computed" and STATE["calls"] == ["piece 0", "piece 1"]
    STATE.update(calls=[], pieces=3)
    two.store.drop(two.store.current("pieces", ()))
    assert run(two, "pieces") == "computed" and STATE["calls"] == ["piece 2"]
    STATE["pieces"] = 2


def test_a_missing_package_and_an_unknown_place_are_named():
    with pytest.raises(Exception, match=r"foo://x/y: Protocol not known: foo; use a folder or a URL"):
        Objects("foo://x/y")
    with pytest.raises(Exception, match=r"gs://x/y: gcsfs is not installed; pip install 'calib-assets\[cluster\]'"):
        Objects("gs://x/y")


def test_a_bucket_that_is_not_there_stops_before_any_work(bucket, tmp_path):
    STATE.update(value=1, calls=[], meddle=None)
    nowhere = machine(bucket.replace("calib-", "nobody-"), tmp_path / "one")
    with pytest.raises(Exception, match="nobody-.*failed.*check that the bucket exists, credentials, AWS_ENDPOINT_URL"):
        run(nowhere, "source")
    assert STATE["calls"] == []


def _published(view):
    run(view, "source")
    return view.store.current("source", ())


def test_the_graph_is_the_same_on_a_disk(tmp_path):
    STATE.update(value=1, calls=[], meddle=None)
    disk = machine(str(tmp_path / "disk"), tmp_path / "unused")
    assert isinstance(disk.store, ArtifactStore) and list(GRAPH.nodes) == ["source", "double", "parts", "pieces"]
    assert run(disk, "parts") == "computed" and isinstance(disk.store.table("parts", (), "parts"), pl.DataFrame)

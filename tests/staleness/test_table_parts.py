"""Tables in parts are one table to readers, and a damaged part is found."""

import polars as pl
import pytest

from calib_assets.assets import streamed as module
from calib_assets.assets.streamed import scan_parts, streamed
from calib_assets.staleness.content import table_digest
from calib_assets.staleness.identity import Context
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.run import Run
from calib_assets.staleness.store import ArtifactStore, ResultError

SCHEMA = {"name": pl.String, "value": pl.Int64}
FRAMES = [pl.LazyFrame({"value": list(range(n)), "name": [str(n)] * n}) for n in (3, 1, 4, 2)]


def written(folder, frames, monkeypatch, rows):
    monkeypatch.setattr(module, "PART_ROWS", rows)
    store = ArtifactStore(folder)
    run = Run(Context(None, None, store, None), "big", ("m",), store.folder("big", ("m",), "f"), "f", print)
    result = streamed(run, "big", iter(frames), SCHEMA)
    store.publish(Manifest("big", ("m",), "f", result.written_digest, {}, result.written))
    return store, result


@pytest.mark.parametrize(("rows", "files"), [(1, 4), (4, 3), (100, 1)])
def test_parts_are_one_table(tmp_path, monkeypatch, rows, files):
    store, result = written(tmp_path, FRAMES, monkeypatch, rows)
    whole = pl.concat([frame.select("name", "value") for frame in FRAMES]).collect()
    assert len(result.written) == files
    assert store.table("big", ("m",), "big").equals(whole)
    assert store.scan("big", ("m",), "big").collect().equals(whole)
    assert scan_parts(store.folder("big", ("m",), "f"), "big").slice(2, 5).collect().equals(whole.slice(2, 5))


def test_the_digest_is_of_the_frames_and_not_of_the_files(tmp_path, monkeypatch):
    one, other = (written(tmp_path / str(rows), FRAMES, monkeypatch, rows)[1] for rows in (1, 100))
    assert one.written_digest == other.written_digest
    changed = written(tmp_path / "c", [*FRAMES[:3], FRAMES[3].with_columns(value=7)], monkeypatch, 100)[1]
    assert changed.written_digest != one.written_digest
    swapped = written(tmp_path / "s", FRAMES[::-1], monkeypatch, 100)[1]
    assert swapped.written_digest != one.written_digest


def test_no_frames_are_a_table_without_rows(tmp_path, monkeypatch):
    store, _ = written(tmp_path, [], monkeypatch, 10)
    assert table_digest(store.table("big", ("m",), "big")) == table_digest(pl.DataFrame(schema=SCHEMA))


def test_a_damaged_or_missing_part_is_named(tmp_path, monkeypatch):
    store, _ = written(tmp_path, FRAMES, monkeypatch, 1)
    path = store.folder("big", ("m",), "f") / "big-00002.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    for read in (store.table, store.scan):
        with pytest.raises(ResultError, match="big-00002.parquet"):
            read("big", ("m",), "big")
    path.unlink()
    assert "big-00002.parquet is missing" in store.damage(store.current("big", ("m",)))
    with pytest.raises(ResultError, match="has no file 'other.parquet'"):
        store.scan("big", ("m",), "other")


def test_parts_of_two_results_are_never_mixed(tmp_path, monkeypatch):
    """Another run switches the result in use while a table is read, part by part."""

    class Switching(ArtifactStore):
        def current(self, asset, cell):
            manifests.append(manifests.pop(0))
            return manifests[-1]

    store, _ = written(tmp_path, FRAMES, monkeypatch, 1)
    first = store.current("big", ("m",))
    run = Run(Context(None, None, store, None), "big", ("m",), store.folder("big", ("m",), "g"), "g", print)
    result = streamed(run, "big", iter([frame.with_columns(value=9) for frame in FRAMES]), SCHEMA)
    store.publish(Manifest("big", ("m",), "g", result.written_digest, {}, result.written))
    manifests = [first, store.current("big", ("m",))]
    for read in (Switching(tmp_path).table, lambda *place: Switching(tmp_path).scan(*place).collect()):
        for _ in range(2):
            values = read("big", ("m",), "big")["value"]
            assert (values == 9).all() or not (values == 9).any()

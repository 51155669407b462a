"""The pages in use lie side by side, whole, and nothing else does."""

import os

from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.pages import side_by_side
from calib_assets.staleness.store import ArtifactStore


def publish(store, asset, mark, files):
    written = store.write_files(asset, (), mark, files)
    store.publish(Manifest(asset, (), mark, mark, {}, written))


def shown(store):
    return {path.name: path.read_bytes() for path in (store.root / "pages").iterdir()}


def test_pages_in_use_are_copied_replaced_and_removed(tmp_path):
    store = ArtifactStore(tmp_path)
    assert side_by_side(store) == {}
    publish(store, "report", "r1", {"report.html": b"first"})
    assert side_by_side(store) == {"report": tmp_path / "pages" / "report.html"}
    assert shown(store) == {"report.html": b"first"}
    parts = {"explorer-a.js": b"A", "explorer-b.js": b"B"}
    publish(store, "explorer", "e1", {"explorer.html": b"page", **parts})
    publish(store, "report", "r2", {"report.html": b"other"})  # of the same length
    assert set(side_by_side(store)) == {"report", "explorer"}
    assert shown(store) == {"report.html": b"other", "explorer.html": b"page", **parts}
    publish(store, "explorer", "e2", {"explorer.html": b"page 2", "explorer-b.js": b"B"})
    own = {"notes.txt": b"a reader's own"}
    (tmp_path / "pages" / "notes.txt").write_bytes(own["notes.txt"])
    side_by_side(store)
    assert shown(store) == own | {"report.html": b"other", "explorer.html": b"page 2", "explorer-b.js": b"B"}
    store.drop(store.current("report", ()))
    assert set(side_by_side(store)) == {"explorer"} and "report.html" not in shown(store)


def test_what_is_the_same_is_left_alone_and_results_are_never_linked(tmp_path):
    store = ArtifactStore(tmp_path)
    publish(store, "report", "r", {"report.html": b"text"})
    page = side_by_side(store)["report"]
    os.utime(page, (1, 1))
    side_by_side(store)
    assert page.stat().st_mtime == 1
    page.write_bytes(b"edited by hand")
    assert side_by_side(store)["report"].read_bytes() == b"text" == store.read("report", (), "report.html")

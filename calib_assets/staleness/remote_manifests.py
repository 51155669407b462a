"""Manifests on object storage, with copies on this machine that are known by their etag.

A listing says which manifests there are and what changed, a thousand at a time; only what changed is fetched, many at
once. A copy's name holds the etag, so that a copy is never out of date: it is another one's.
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calib_assets.staleness.graph import Cell
from resources.artifacts.objects import Entry, Objects

PREFIX = "manifests"
MAX_AGE_S = 2.0  # how long a listing is believed outside of a snapshot


class RemoteManifests:
    """Small files of each cell (``manifests/<asset>/<cell>/<name>``): the manifest in use and those of all results.

    Args:
        objects: The storage.
        folder: For copies; several processes may share it.
    """

    def __init__(self, objects: Objects, folder: Path):
        self.objects, self.folder = objects, folder
        self._listed: dict[str, tuple[float, dict[str, Entry]]] = {}
        self._here = threading.local()

    def read(self, asset: str, cell: Cell, name: str) -> bytes | None:
        """One file of a cell; None if there is none."""
        listed = self._entries(asset)
        key = "/".join((*cell, name))
        return self._copy(f"{asset}/{key}", listed[key].etag) if key in listed else None

    def names(self, asset: str, cell: Cell) -> dict[str, Entry]:
        """Names of a cell's files."""
        start = "".join(f"{part}/" for part in cell)
        found = {key[len(start) :]: entry for key, entry in self._entries(asset).items() if key.startswith(start)}
        return {name: entry for name, entry in found.items() if "/" not in name}

    def write(self, asset: str, cell: Cell, name: str, data: bytes) -> None:
        """Write one file of a cell."""
        self.objects.put("/".join((PREFIX, asset, *cell, name)), data)
        self._listed.pop(asset, None)

    def delete(self, asset: str, cell: Cell, *names: str) -> None:
        """Delete files of a cell."""
        self.objects.delete("/".join((PREFIX, asset, *cell, name)) for name in names)
        self._listed.pop(asset, None)

    def refresh(self, asset: str | None = None) -> None:
        """Believe no listing any more, or not that of one asset."""
        if asset is None:
            self._listed.clear()
        else:
            self._listed.pop(asset, None)

    @property
    def frozen(self) -> bool:
        """Whether this thread is inside a snapshot."""
        return getattr(self._here, "snapshot", None) is not None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """In this thread, everything as it is now: one listing of all, and what changed fetched at once."""
        if self.frozen:
            yield
            return
        by_asset: dict[str, dict[str, Entry]] = {}
        for name, entry in self.objects.list(PREFIX).items():
            asset, _, key = name.partition("/")
            by_asset.setdefault(asset, {})[key] = entry
        wanted = [(f"{asset}/{key}", entry.etag) for asset, listed in by_asset.items() for key, entry in listed.items()]
        missing = [pair for pair in wanted if not self._place(*pair).exists()]
        self.objects.each(lambda pair: self._copy(*pair), missing)
        self._here.snapshot = by_asset
        try:
            yield
        finally:
            self._here.snapshot = None

    def _entries(self, asset: str) -> dict[str, Entry]:
        if self.frozen:
            return self._here.snapshot.get(asset, {})
        at, listed = self._listed.get(asset, (0.0, {}))
        if time.monotonic() - at > MAX_AGE_S or asset not in self._listed:
            at, listed = time.monotonic(), self.objects.list(f"{PREFIX}/{asset}")
            self._listed[asset] = at, listed
        return listed

    def _copy(self, name: str, etag: str) -> bytes | None:
        """The object with this etag, from its copy or from the storage; None if it has just gone.

        An object that has just been replaced is read as it now is, and kept under its own etag.
        """
        place = self._place(name, etag)
        try:
            return place.read_bytes()
        except FileNotFoundError:
            pass
        while True:
            data = self.objects.get(f"{PREFIX}/{name}")
            # Most storage's etag is the MD5 of the content. Where it is not, ask whether it is still the same object.
            if data is None or hashlib.md5(data, usedforsecurity=False).hexdigest() == etag:
                break
            now = self.objects.etag(f"{PREFIX}/{name}")
            if now == etag:
                break
            etag = now
        if data is not None:
            self._keep(self._place(name, etag), data)
        return data

    def _keep(self, place: Path, data: bytes) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{threading.get_ident()}.{time.monotonic_ns()}.tmp")
        temporary.write_bytes(data)
        temporary.replace(place)
        for older in place.parent.glob(f"{place.name.rpartition('@')[0]}@*"):
            if older != place:
                older.unlink(missing_ok=True)

    def _place(self, name: str, etag: str) -> Path:
        return self.folder / f"{name}@{hashlib.sha256(etag.encode()).hexdigest()[:16]}"

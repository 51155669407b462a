"""Results on object storage, with a working folder on this machine.

Bodies read and write files as on one disk, in the working folder. What other machines need is uploaded when it is
whole, and what others have made is downloaded when it is first read, its checksum compared. Layout::

    <url>/manifests/<asset>/<cell>/current.json           manifest of the result in use
    <url>/manifests/<asset>/<cell>/<fingerprint>.json     manifest of each result, written after its files
    <url>/manifests/.failed/...                           records of failed cells
    <url>/results/<asset>/<cell>/<fingerprint>/...        its files
    <url>/unfinished/<asset>/<cell>/<fingerprint>/...     what interrupted computations have done so far
    <url>/pieces/...  verdicts/...  leases/...            as their modules say

The working folder is a cache: it may be deleted whenever nothing runs, at the cost of downloads.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from calib_assets.staleness.graph import Cell
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.remote_manifests import RemoteManifests
from calib_assets.staleness.remote_work import WorkMirror, machine_name
from calib_assets.staleness.store import CURRENT, MANIFEST, ArtifactStore, ResultError
from resources.artifacts.atomic import write_bytes
from resources.artifacts.leases import Lease, require_conditional_puts
from resources.artifacts.objects import Entry, Objects


class RemoteStore(ArtifactStore):
    """Results below a URL.

    Args:
        objects: The storage.
        root: Working folder on this machine; runs on one machine may share it, machines may not.
        keep_previous: As for :class:`ArtifactStore`.
    """

    def __init__(self, objects: Objects, root: str | Path, keep_previous: int = 1):
        super().__init__(root, keep_previous)
        self.objects = objects
        self._manifests = RemoteManifests(objects, self.root / ".manifests")
        self._leases: dict[tuple[str, Cell], Lease] = {}
        self._mirrors: dict[tuple[str, Cell], WorkMirror] = {}
        self._downloading = threading.Lock()

    @property
    def location(self) -> str:
        return self.objects.url

    def address(self, manifest: Manifest) -> str:
        return f"{self.objects.url}/{_results(manifest)}"

    def current(self, asset: str, cell: Cell) -> Manifest | None:
        return _parsed(self._manifests.read(asset, cell, CURRENT))

    def complete(self, asset: str, cell: Cell, fingerprint: str) -> Manifest | None:
        manifest = _parsed(self._manifests.read(asset, cell, f"{fingerprint}.json"))
        return manifest if manifest is not None and self.damage(manifest) is None else None

    def damage(self, manifest: Manifest, full: bool = False) -> str | None:
        """As on a disk; in a snapshot, where the files of many cells would be asked for, only a full check does so."""
        if self._manifests.frozen and not full:
            return None
        found = self.objects.list(_results(manifest))
        for name, stored in manifest.files.items():
            if name not in found:
                return f"file {name} is missing"
            if found[name].size != stored["bytes"]:
                return f"file {name} has {found[name].size} bytes, stored {stored['bytes']}"
        if full:
            summed = [name for name, stored in manifest.files.items() if stored.get("sha256")]
            digests = self.objects.each(lambda name: self.objects.sha256(f"{_results(manifest)}/{name}"), summed)
            for name, digest in zip(summed, digests, strict=True):
                if digest != manifest.files[name]["sha256"]:
                    return f"checksum of file {name} differs from the stored one"
        return None

    def publish(self, manifest: Manifest) -> None:
        """Upload what is not there, then the result's manifest, then switch; older results go as on a disk."""
        asset, cell = manifest.asset, manifest.cell
        own, data = f"{manifest.fingerprint}.json", manifest.to_bytes()
        there, names = _parsed(self._manifests.read(asset, cell, own)), self._manifests.names(asset, cell)
        if lease := self._leases.get((asset, cell)):
            lease.ensure_held()
        if there is None or there.files != manifest.files:
            if there is not None:
                self._manifests.delete(asset, cell, own)
            folder = self.folder(asset, cell, manifest.fingerprint)
            upload = lambda name: self.objects.upload(f"{_results(manifest)}/{name}", folder / name)  # noqa: E731
            self.objects.each(upload, manifest.files)
            with self._writing(folder):
                write_bytes(folder / MANIFEST, data)
            if lease:
                lease.ensure_held()
        self._manifests.write(asset, cell, own, data)
        self._manifests.write(asset, cell, CURRENT, data)
        if self.folder(asset, cell).is_dir():
            self._prune(manifest)
        self._prune_remote(manifest, names)

    def drop(self, manifest: Manifest) -> None:
        current = self.current(manifest.asset, manifest.cell)
        gone = [f"{manifest.fingerprint}.json"]
        if current is not None and current.fingerprint == manifest.fingerprint:
            gone.append(CURRENT)
        self._manifests.delete(manifest.asset, manifest.cell, *gone)

    def clear_unfinished(self, asset: str, cell: Cell, keep: str) -> None:
        super().clear_unfinished(asset, cell, keep)
        mirror = self._mirrors.pop((asset, cell), None)
        if mirror is None or mirror.left_something:
            self._delete_below("/".join(("unfinished", asset, *cell)))

    def records(self, folder: str) -> dict[str, bytes]:
        found = {name: self.record(folder, name) for name in self._manifests.names(folder, ())}
        return {name: data for name, data in found.items() if data is not None}

    def record(self, folder: str, name: str) -> bytes | None:
        return self._manifests.read(folder, (), name)

    def write_record(self, folder: str, name: str, data: bytes) -> None:
        self._manifests.write(folder, (), name, data)

    def delete_record(self, folder: str, name: str) -> None:
        if name in self._manifests.names(folder, ()):
            self._manifests.delete(folder, (), name)

    @contextmanager
    def lock(self, asset: str, cell: Cell, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        def told(host: str) -> None:
            if waiting is not None:
                waiting(f"{asset}[{'|'.join(cell)}] is being computed on {host}; waiting for it")

        with ExitStack() as held:
            held.enter_context(super().lock(asset, cell, waiting))
            lease = held.enter_context(Lease(self.objects, "/".join((asset, *cell)), told))
            self._leases[asset, cell] = lease
            held.callback(self._leases.pop, (asset, cell))
            self._manifests.refresh(asset)
            yield

    def require_writable(self) -> None:
        super().require_writable()
        require_conditional_puts(self.objects)

    def refresh(self) -> None:
        self._manifests.refresh()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._manifests.snapshot():
            yield

    @contextmanager
    def working(self, asset: str, cell: Cell, fingerprint: str, log: Callable[[str], None]) -> Iterator[Path]:
        folder, prefix = self.folder(asset, cell, fingerprint), "/".join(("unfinished", asset, *cell, fingerprint))
        mirror, failed = WorkMirror(self.objects, prefix, folder, machine_name(self.root), log), True
        self._mirrors[asset, cell] = mirror
        mirror.begin()
        try:
            yield folder
            failed = False
        finally:
            mirror.end(failed)

    def pull(self, folder: Path) -> None:
        prefix = self._prefix(folder)
        # Seals come last: what they seal must be there.
        listed = sorted(self.objects.list(prefix).items(), key=lambda item: item[0].endswith(".sha256"))
        wanted = [name for name, entry in listed if not _has_size(folder / name, entry.size)]
        for seals in (False, True):
            names = [name for name in wanted if name.endswith(".sha256") == seals]
            self.objects.each(lambda name: self.objects.download(f"{prefix}/{name}", folder / name), names)

    def push(self, *files: Path) -> None:
        for file in files:
            self.objects.upload(self._prefix(file), file)

    def keep_newest(self, parent: Path, folder: Path, others: int) -> None:
        if parent.is_dir():
            super().keep_newest(parent, folder, others)
        ages: dict[str, float] = {}
        for name, entry in self.objects.list(self._prefix(parent)).items():
            top = name.partition("/")[0]
            ages[top] = max(ages.get(top, 0.0), entry.modified)
        ages.pop(folder.name, None)
        for top in sorted(ages, key=ages.__getitem__, reverse=True)[others:]:
            self._delete_below(f"{self._prefix(parent)}/{top}")

    def _bring(self, manifest: Manifest, names: Iterable[str]) -> None:
        folder = self.folder(manifest.asset, manifest.cell, manifest.fingerprint)
        missing = [name for name in names if not _has_size(folder / name, manifest.files[name]["bytes"])]
        if not missing:
            return
        with self._downloading, self._file_lock(f"download+{manifest.asset}", manifest.cell):
            missing = [name for name in missing if not _has_size(folder / name, manifest.files[name]["bytes"])]
            with self._writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                write_bytes(folder / MANIFEST, manifest.to_bytes())
                self.objects.each(lambda name: self._download(manifest, name, folder / name), missing)

    def _download(self, manifest: Manifest, name: str, path: Path) -> None:
        place, stored = f"{manifest.asset}[{'|'.join(manifest.cell)}]", manifest.files[name]["sha256"]
        found = self.objects.download(f"{_results(manifest)}/{name}", path)
        if found != stored:
            path.unlink(missing_ok=True)
            what = "is missing" if found is None else f"has checksum {found[:12]}…, stored {stored[:12]}…"
            raise ResultError(
                f"{self.address(manifest)}/{name} {what}, so it was damaged or deleted after it was written; "
                f"`calib-assets refresh --verify` makes {place} anew"
            )

    def _prune_remote(self, manifest: Manifest, names: dict[str, Entry]) -> None:
        others = [name for name in names if _is_fingerprint(name) and name != f"{manifest.fingerprint}.json"]
        for name in sorted(others, key=lambda name: names[name].modified, reverse=True)[self.keep_previous :]:
            self._manifests.delete(manifest.asset, manifest.cell, name)
            self._delete_below("/".join(("results", manifest.asset, *manifest.cell, name.removesuffix(".json"))))

    def _delete_below(self, prefix: str) -> None:
        self.objects.delete([f"{prefix}/{name}" for name in self.objects.list(prefix)])

    def _prefix(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix().lstrip(".")


def _results(manifest: Manifest) -> str:
    return "/".join(("results", manifest.asset, *manifest.cell, manifest.fingerprint))


def _parsed(data: bytes | None) -> Manifest | None:
    try:
        return None if data is None else Manifest.from_bytes(data)
    except ValueError:
        return None


def _is_fingerprint(name: str) -> bool:
    return name.endswith(".json") and all(digit in "0123456789abcdef" for digit in name.removesuffix(".json"))


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size

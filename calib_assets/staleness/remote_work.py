"""Half-done work on object storage: what a running body has finished so far, for another machine to go on from.

Bodies write whole files into their folder as they go (shards, parts, progress). While one runs, a thread uploads what
is new every few seconds, oldest first, so that a file that speaks of others never arrives before them.
"""

import json
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from resources.artifacts.atomic import StorageError, write_bytes
from resources.artifacts.objects import Objects

INTERVAL_S = 5.0
HOLDER = ".holder.json"


class WorkMirror:
    """Copies the folder of one computation to the storage while it runs.

    Args:
        objects: The storage.
        prefix: Where the copies go.
        folder: Of the computation; it need not exist yet.
        machine: Names the working folder of this machine.
        log: Called with one line when something goes wrong; the computation goes on.

    Attributes:
        left_something: Whether there is anything of this cell to delete, once the result is stored.
    """

    def __init__(self, objects: Objects, prefix: str, folder: Path, machine: str, log: Callable[[str], None]):
        self.objects, self.prefix, self.folder, self.machine, self.log = objects, prefix, folder, machine, log
        self._done: dict[str, tuple[int, int, int]] = {}
        self._stop, self._held = threading.Event(), False
        self.left_something = False
        self._thread = threading.Thread(target=self._run, name=f"mirror {prefix}", daemon=True)

    def begin(self) -> None:
        """Take over what another machine has left, and begin to copy."""
        cell, _, own = self.prefix.rpartition("/")
        there = self.objects.list(cell)
        self.left_something = bool(there)
        listed = {name[len(own) + 1 :]: entry for name, entry in there.items() if name.startswith(f"{own}/")}
        holder = json.loads(self.objects.get(f"{self.prefix}/{HOLDER}") or b"{}") if HOLDER in listed else {}
        files = {name: entry for name, entry in listed.items() if name != HOLDER}
        if files and holder.get("machine") != self.machine:
            self.log(f"going on from what {holder.get('host', 'another machine')} has done ({len(files)} files)")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.objects.each(lambda name: self.objects.download(f"{self.prefix}/{name}", self.folder / name), files)
        for name, entry in files.items():
            path = self.folder / name
            if path.is_file() and path.stat().st_size == entry.size:
                self._done[name] = _mark(path)
        self._thread.start()

    def end(self, failed: bool) -> None:
        """Stop copying; after a failure, copy what is left first."""
        self._stop.set()
        self._thread.join()
        if failed:
            self._copy_new()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._copy_new()

    def _copy_new(self) -> None:
        try:
            for name in self._new():
                if not self._held:
                    self._hold()
                mark = _mark(self.folder / name)
                self.objects.upload(f"{self.prefix}/{name}", self.folder / name)
                self._done[name] = mark
        except (StorageError, FileNotFoundError) as error:  # a file may be renamed meanwhile: next time
            if isinstance(error, StorageError):
                self.log(f"half-done work could not be copied: {error}")

    def _new(self) -> list[str]:
        """Names of files that are new, oldest first.

        The folder is read twice: a file of the first reading may speak of files that are older than it and that the
        first reading has missed, but the second one has not.
        """
        first = self._files()
        if not first:
            return []
        newest = max(mark[1] for mark in first.values())
        found = {name: mark for name, mark in self._files().items() if mark[1] <= newest}
        return sorted((name for name in found if self._done.get(name) != found[name]), key=lambda name: found[name][1])

    def _files(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        for path in self.folder.rglob("*") if self.folder.is_dir() else ():
            if not path.name.endswith((".tmp", ".lock")):
                try:
                    if path.is_file():
                        found[path.relative_to(self.folder).as_posix()] = _mark(path)
                except FileNotFoundError:  # renamed or removed meanwhile
                    continue
        return found

    def _hold(self) -> None:
        said = json.dumps({"machine": self.machine, "host": machine_host()})
        self.objects.put(f"{self.prefix}/{HOLDER}", said.encode())
        self._held = self.left_something = True


def machine_name(root: Path) -> str:
    """A name for a working folder that no other one has, on any machine."""
    place = root / ".machine"
    try:
        return place.read_text()
    except FileNotFoundError:
        root.mkdir(parents=True, exist_ok=True)
        write_bytes(place, uuid.uuid4().hex.encode())
        return place.read_text()


def machine_host() -> str:
    """This machine's name, for people."""
    import socket

    return socket.gethostname()


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino

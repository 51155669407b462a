"""Leases on object storage: one holder at a time, and a holder that died loses it by itself.

A lease is a series of numbered objects below one name. Taking it means creating the next number, which the storage
grants once (a put that fails if the object exists); whoever holds number n has lost the lease when n + 1 exists. The
holder rewrites its object every few seconds. Others judge by *their own* clock how long the object has not changed, so
that clocks need not agree. A holder on this machine whose process is gone (killed, or the machine restarted) is
replaced at once.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from resources.artifacts.atomic import StorageError
from resources.artifacts.objects import Objects

HEARTBEAT_S, EXPIRY_S, POLL_S = 10.0, 60.0, 1.0
_checked: set[str] = set()


class LeaseLost(StorageError):
    """This process was silent for so long that another one took its place."""


class Lease:
    """One lease, for use in a ``with`` statement; it may be entered again after it was left.

    Args:
        objects: Where leases are kept.
        name: What is leased.
        waiting: Called once with the holder's name, if there is one to wait for.
        heartbeat_s: Seconds between two signs of life.
        expiry_s: A holder that gave no sign of life for so long is dead.

    Raises:
        StorageError: The storage ignores conditional puts, so that nothing can be leased on it.
    """

    def __init__(
        self,
        objects: Objects,
        name: str,
        waiting: Callable[[str], None] | None = None,
        heartbeat_s: float = HEARTBEAT_S,
        expiry_s: float = EXPIRY_S,
    ):
        self.objects, self.name, self.waiting = objects, name, waiting
        self.heartbeat_s, self.expiry_s = heartbeat_s, expiry_s
        self._number, self._beat, self._renewed = 0, 0, 0.0
        self._token, self._process = uuid.uuid4().hex, this_process()
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Lease":
        require_conditional_puts(self.objects)
        seen, since, told = None, time.monotonic(), False
        while True:
            names, state = self._top()
            if state != seen:
                seen, since = state, time.monotonic()
            if state is None or state.get("released") or self._is_dead(state, time.monotonic() - since):
                if self._take(names):
                    return self
                continue
            if self.waiting is not None and not told:
                self.waiting(str(state.get("process", {}).get("host", "another machine")))
                told = True
            time.sleep(POLL_S if time.monotonic() - since < 10 else 3 * POLL_S)

    def __exit__(self, *exc) -> None:
        self._stop.set()
        self._thread.join()
        if not self._lost.is_set():
            with suppress(StorageError):  # then it ends by its expiry
                self._write(released=True)

    def ensure_held(self) -> None:
        """Raise if another process has taken the lease.

        Raises:
            LeaseLost: Then nothing may be published.
        """
        if time.monotonic() - self._renewed > self.expiry_s / 2 and not self._lost.is_set():
            self._renew()
        if self._lost.is_set():
            raise LeaseLost(
                f"{self.name}: this run gave no sign of life for {self.expiry_s:.0f} s (stopped, or cut off from "
                f"{self.objects.url}), so another one took over; nothing was stored; refresh again"
            )

    def _top(self) -> tuple[list[str], dict | None]:
        """Names of the lease's objects, and what the highest says; ([], None) for a lease that nobody ever had."""
        names = sorted(self.objects.list(f"leases/{self.name}"))
        names = [name for name in names if "/" not in name]
        if not names:
            return [], None
        try:
            return names, json.loads(self.objects.get(f"leases/{self.name}/{names[-1]}") or b"{}")
        except ValueError:
            return names, {}

    def _is_dead(self, state: dict, silent_s: float) -> bool:
        return silent_s > float(state.get("expiry_s", self.expiry_s)) or is_gone(state.get("process", {}))

    def _take(self, names: list[str]) -> bool:
        self._number, self._beat = 1 + (int(Path(names[-1]).stem) if names else 0), 0
        if not self.objects.create(self._object(self._number), self._state()):
            return False
        self._renewed = time.monotonic()
        self._stop.clear(), self._lost.clear()
        self.objects.delete(f"leases/{self.name}/{name}" for name in names)
        self._thread = threading.Thread(target=self._live, name=f"lease {self.name}", daemon=True)
        self._thread.start()
        return True

    def _live(self) -> None:
        while not self._stop.wait(self.heartbeat_s) and not self._lost.is_set():
            with suppress(StorageError):  # tried again at the next beat; too long a silence is a loss
                self._renew()

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > self.expiry_s or self.objects.etag(self._object(self._number + 1)):
            # After so long a silence somebody may be about to take it, so it is given up even if nobody has.
            self._lost.set()
        else:
            self._write()
            self._renewed = time.monotonic()

    def _write(self, released: bool = False) -> None:
        self._beat += 1
        self.objects.put(self._object(self._number), self._state(released))

    def _state(self, released: bool = False) -> bytes:
        state = {"token": self._token, "beat": self._beat, "process": self._process, "expiry_s": self.expiry_s}
        return json.dumps(state | ({"released": True} if released else {})).encode()

    def _object(self, number: int) -> str:
        return f"leases/{self.name}/{number:010d}.json"


def require_conditional_puts(objects: Objects) -> None:
    """Try once per process and place whether a create fails where the object exists.

    Raises:
        StorageError: If it does not (an old server, or a gateway that drops the header).
    """
    if objects.url in _checked:
        return
    name = f"leases/.probe-{uuid.uuid4().hex}"
    first, second = objects.create(name, b"1"), objects.create(name, b"2")
    objects.delete([name])
    if not first or second:
        raise StorageError(
            f"{objects.url}: the server ignores conditional puts (If-None-Match: *), so that two runs could compute "
            "one result at once; use a server that knows them (AWS S3, current MinIO, Ceph, Google Cloud Storage), or "
            "a shared disk"
        )
    _checked.add(objects.url)


def this_process() -> dict[str, str | int]:
    """What tells this process from every other one that ever was on this machine."""
    return {"host": socket.gethostname(), "boot": _boot(), "pid": os.getpid(), "start": _start(os.getpid())}


def is_gone(process: dict) -> bool:
    """Whether a process of this machine has ended; False where that cannot be told from here."""
    if process.get("host") != socket.gethostname() or not process.get("boot") or not _boot():
        return False
    machine, _, namespace = str(process["boot"]).partition("/")
    here, _, own = _boot().partition("/")
    if machine != here:
        # The same name and another boot: a restart, unless two machines share a name (containers often do).
        return False
    return namespace == own and _start(int(process.get("pid", 0))) != process.get("start")


def _boot() -> str:
    """This boot of the machine and the process namespace in it; empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _start(process: int) -> str:
    """When a process began, in ticks since the boot; empty if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""

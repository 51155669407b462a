"""Who is asking what: owners that can be seen to be alive, and claims on items with the budget that they hold.

A claim keeps two processes from paying for the same item. It ends when its outcome is stored, when its owner gives it
up, when its time is over, or when its owner is dead: an owner holds a lock on a file of its own, and the kernel frees
that lock whatever kills the process.
"""

import fcntl
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Claim(Enum):
    """Answer to a request for an item."""

    TAKEN = "taken"  # yours: make the call
    SETTLED = "settled"  # it has an outcome
    BUSY = "busy"  # another owner is asking
    WAIT = "wait"  # the budget is held by calls in flight: ask again when they are settled
    EXHAUSTED = "exhausted"  # the budget is spent


@dataclass(frozen=True)
class Budget:
    """Hard limits on what one server's model may spend on one store; None: no limit."""

    tokens: int | None = None
    cost: float | None = None

    def reached(self, tokens: int, cost: float) -> str | None:
        """The field that these amounts exceed, with its value; None if they fit.

        >>> Budget(tokens=100).reached(101, 0.0), Budget(tokens=100, cost=1.0).reached(100, 1.0)
        ('max_tokens_total (100)', None)
        """
        if self.tokens is not None and tokens > self.tokens:
            return f"max_tokens_total ({self.tokens:,})"
        if self.cost is not None and cost > self.cost * (1 + 1e-12):  # rounding of the sum of many small costs
            return f"max_cost ({self.cost:,})"
        return None


class Owner:
    """A holder of claims; alive as long as its lock is held.

    Args:
        folder: Where the lock files of all owners of a store are.
    """

    def __init__(self, folder: Path):
        self.folder, self.name, self.pid = folder, uuid.uuid4().hex, os.getpid()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / self.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        """Stop being alive; only the process that began may remove the file."""
        os.close(self._file)
        if self.pid == os.getpid():
            (self.folder / self.name).unlink(missing_ok=True)


def is_alive(folder: Path, name: str) -> bool:
    """Whether an owner's lock is held. The file of a dead owner is removed."""
    try:
        file = os.open(folder / name, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    with suppress(FileNotFoundError):
        (folder / name).unlink()
    return False

"""Many programs, each in a sandbox of its own, after every wall has been tried."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from resources.sandbox.errors import SandboxFailed
from resources.sandbox.limits import Limits
from resources.sandbox.probe import try_walls
from resources.sandbox.programs import Outcome, Program
from resources.sandbox.running import run_program

_proven = threading.Lock()
_holds: set[str] = set()


class Sandbox:
    """Runs programs behind walls that have been tried on this machine.

    Args:
        limits: Of each test.

    Raises:
        SandboxUnavailable: On first use, if a wall does not stand. There is no weaker mode.
    """

    def __init__(self, limits: Limits | None = None):
        self.limits = limits or Limits()

    def run(self, program: Program) -> Outcome:
        """Run a program against its tests, up to the first that fails.

        Raises:
            SandboxUnavailable: If this machine has no sandbox.
            SandboxFailed: If the sandbox broke down, which says nothing of the program.
        """
        prove()
        return run_program(program, self.limits)

    def run_many(self, programs: Sequence[Program], workers: int = 1) -> Iterator[tuple[int, Outcome | SandboxFailed]]:
        """Run programs side by side.

        Args:
            programs: Any number.
            workers: Sandboxes at a time (circumstance).

        Yields:
            (index, outcome, or why there is none), in any order.
        """
        prove()
        with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
            waiting = {pool.submit(_outcome, program, self.limits): index for index, program in enumerate(programs)}
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
            finally:
                pool.shutdown(cancel_futures=True)


def prove() -> None:
    """Try every wall, once in this process.

    Raises:
        SandboxUnavailable: Naming the first wall that does not stand.
    """
    with _proven:
        if not _holds:
            try_walls()
            _holds.add("all walls")


def _outcome(program: Program, limits: Limits) -> Outcome | SandboxFailed:
    try:
        return run_program(program, limits)
    except SandboxFailed as failure:
        return failure

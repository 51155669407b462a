"""Lines to and from the process inside, with a deadline and a limit on what it may say."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from resources.sandbox.errors import SandboxFailed

PROJECT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, {root!r}); from resources.sandbox.inside.launch import main; main()"
STARTING_S = 60.0  # of a process, on a machine that is busy
_LINE_EXTRA = 1 << 16


def interpreter() -> str:
    """The interpreter itself, not the link of a virtual environment."""
    return os.path.realpath(sys.executable)


class Channel:
    """One process inside; use as a context, which ends it with all that it began.

    Args:
        job: First line.
        longest: Bytes that one answer may have.
    """

    def __init__(self, job: dict, longest: int):
        self._longest, self._read = longest + _LINE_EXTRA, bytearray()
        self._errors = tempfile.TemporaryFile()
        # An empty environment and no other open file: there is nothing to find.
        self._process = subprocess.Popen(
            [interpreter(), "-I", "-S", "-B", "-c", _START.format(root=str(PROJECT))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={},
            cwd="/",
            start_new_session=True,
        )
        try:
            self.send(job)
        except BaseException:
            self.close()
            raise

    def send(self, line: dict) -> None:
        """One line in."""
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SandboxFailed(f"its process has ended: {self._said()}") from None

    def receive(self, seconds: float) -> dict:
        """One line out.

        Raises:
            SandboxFailed: If none comes, or none that can be read.
        """
        deadline, poll = time.monotonic() + seconds, select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._read:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise SandboxFailed(f"no answer within {seconds:.0f} s")
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise SandboxFailed(f"its process has ended without an answer: {self._said()}")
            self._read += data
            if len(self._read) > self._longest:
                raise SandboxFailed(f"an answer of more than {self._longest:,} bytes")
        line, _, rest = self._read.partition(b"\n")
        self._read = bytearray(rest)
        return json.loads(line)

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-500:].decode("utf-8", "replace").strip() or "it said nothing"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self) -> None:
        """End the process, and so all that it began."""
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # what it began dies with it
        except ProcessLookupError:
            pass
        self._process.wait()
        self._errors.close()

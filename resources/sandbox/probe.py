"""Every wall, tried on this machine with programs that push against it."""

import os
import socket
import sys
from collections.abc import Callable

from resources.sandbox.errors import SandboxFailed, SandboxUnavailable
from resources.sandbox.limits import Limits
from resources.sandbox.programs import Outcome, Program, StdinTest
from resources.sandbox.remedies import remedy_for
from resources.sandbox.running import run_program

_SMALL = Limits(cpu_seconds=1, wall_seconds=20, memory_mb=256, output_kb=64, files_mb=2, threads=8)
_HELPERS = """
def refused(attempt, *kinds):
    try:
        attempt()
    except kinds or (OSError,):
        return
    print("not refused:", attempt.__doc__ or attempt)
"""
_NETWORK = """
import socket
def host():
    "a connection to this machine"
    socket.create_connection(("127.0.0.1", PORT), timeout=1)
refused(host)
def away():
    "a connection elsewhere"
    socket.create_connection(("192.0.2.1", 80), timeout=1)
refused(away)
"""
_FILES = """
import os
for path in ("/", "/usr/lib", "/lib", os.__file__[:-5], "/dev"):
    def write():
        open(path + "/probe", "w")
    write.__doc__ = "writing into " + path
    refused(write)
    if not os.statvfs(path).f_flag & os.ST_RDONLY:
        print("not read-only:", path)
for path in ("/proc", "/etc/passwd", "/etc/shadow", "/home", "/sys", "/var", HOME, HERE):
    if os.path.exists(path):
        print("can be seen:", path)
seen = sorted(name for name in os.environ if name != "LC_CTYPE")
if seen:
    print("environment:", seen)
def fill():
    "more files than allowed"
    for number in range(8):
        open(f"/tmp/{number}", "wb").write(bytes(1 << 20))
refused(fill)
"""
_PROCESSES = """
import os, socket
def own():
    "a socket"
    socket.socket()
refused(own)
def fork():
    "a second process"
    os.fork()
refused(fork)
def run():
    "another program"
    os.execv("/proc/self/exe", ["python"])
refused(run)
def stop():
    "signals to processes outside"
    os.kill(CALLER, 0)
refused(stop)
def user():
    "another user"
    os.setuid(0)
refused(user)
"""
_MEMORY = """
def take():
    "more memory than allowed"
    bytearray(1 << 30)
refused(take, MemoryError)
"""


def try_walls() -> None:
    """Push against every wall.

    Raises:
        SandboxUnavailable: Naming the first that does not stand, and what to do.
    """
    if not sys.platform.startswith("linux"):
        raise SandboxUnavailable("Linux", f"this is {sys.platform}", remedy_for("Linux"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        known = f"PORT, CALLER, HOME, HERE = {port}, {os.getpid()}, {_home()!r}, {os.path.dirname(__file__)!r}\n"
        for wall, text in (
            ("the network", _NETWORK),
            ("files", _FILES),
            ("processes", _PROCESSES),
            ("memory", _MEMORY),
        ):
            _silent(wall, known + _HELPERS + text)
    _stopped("processor time", "while True: pass", lambda outcome: outcome.kind == "timeout")
    _stopped("output", "while True: print('x' * 1000)", lambda outcome: outcome.kind == "error")
    _stopped("time by the clock", "import time; time.sleep(60)", lambda outcome: outcome.kind == "timeout", 0.5)


def _home() -> str:
    home = os.path.expanduser("~")
    # The interpreter may live below a home folder; then the way to it can be seen, and nothing beside it.
    return "/nonexistent" if os.path.realpath(sys.executable).startswith(home + "/") else home


def _silent(wall: str, text: str) -> None:
    outcome = _tried(wall, text, _SMALL)
    if not outcome.passed:
        raise SandboxUnavailable(wall, outcome.detail, remedy_for(wall))


def _stopped(wall: str, text: str, holds: Callable[[Outcome], bool], seconds: float = _SMALL.wall_seconds) -> None:
    limits = Limits(**{**_SMALL.record(), "wall_seconds": seconds})
    outcome = _tried(wall, text, limits)
    if not holds(outcome):
        raise SandboxUnavailable(wall, f"the limit does not hold ({outcome.kind}: {outcome.detail})", remedy_for(wall))


def _tried(wall: str, text: str, limits: Limits) -> Outcome:
    try:
        return run_program(Program(text, (StdinTest("", ""),)), limits)
    except SandboxFailed as failure:
        raise SandboxUnavailable(wall, str(failure), remedy_for(wall)) from failure

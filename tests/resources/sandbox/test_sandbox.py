"""Refusing to run without walls, running many, and what is said where the sandbox itself breaks down."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from resources.sandbox import channel, probe, running, sandbox
from resources.sandbox.comparing import same_output, same_value
from resources.sandbox.errors import SandboxFailed, SandboxUnavailable
from resources.sandbox.limits import Limits
from resources.sandbox.programs import CallTest, Program, StdinTest
from resources.sandbox.sandbox import Sandbox

TRY = """
from resources.sandbox.sandbox import Sandbox
from resources.sandbox.programs import Program, StdinTest
from resources.sandbox.errors import SandboxUnavailable
try:
    print("ran:", Sandbox().run(Program("print(1)", (StdinTest("", "1"),))))
except SandboxUnavailable as refusal:
    print(refusal)
"""


def test_it_refuses_where_the_kernel_gives_no_namespaces():
    # A user namespace whose own limit of further ones is 0: as a machine that does not allow them.
    said = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c",
         f'echo 0 > /proc/sys/user/max_user_namespaces && exec "{sys.executable}" -c "$TRY"'],
        env={**os.environ, "TRY": TRY}, capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert said.startswith("no sandbox, so no program is run: namespaces: "), said
    assert "unshare" in said and "user.max_user_namespaces" in said and "ran:" not in said


@pytest.mark.parametrize(
    "module, name, wall",
    [
        ("walls", "CLONE_NEWNET = 0", "the network"),
        ("walls", "make_read_only = lambda *a, **k: None", "files"),
        ("walls", "LIBRARIES += ('/etc',)", "files"),
        ("tests", "_limit = lambda limits: None", "memory"),
        ("tests", "install = lambda: None", "processes"),
    ],
)
def test_a_wall_that_is_missing_is_found(monkeypatch, module, name, wall):
    """The same process inside, with one wall taken out: the probe names it."""
    start = channel._START.replace(
        "from resources.sandbox.inside.launch import main",
        f"import resources.sandbox.inside.{module} as place; exec({name!r}, place.__dict__); "
        "from resources.sandbox.inside.launch import main",
    )
    monkeypatch.setattr(channel, "_START", start)
    if wall == "the network":  # the filter stands before it: take both away
        monkeypatch.setattr(
            channel,
            "_START",
            start.replace(
                "import main;", "import main; import resources.sandbox.inside.tests as t; t.install = lambda: None;"
            ),
        )
    with pytest.raises(SandboxUnavailable) as refusal:
        probe.try_walls()
    assert refusal.value.wall == wall, refusal.value


def test_the_probe_runs_once_in_a_process(monkeypatch):
    sandbox.prove()
    monkeypatch.setattr(sandbox, "try_walls", lambda: pytest.fail("tried again"))
    assert Sandbox().run(Program("print(1)", (StdinTest("", "1"),))).passed


def test_a_failed_probe_runs_no_program(monkeypatch):
    monkeypatch.setattr(sandbox, "_holds", set())
    monkeypatch.setattr(channel, "_START", "raise SystemExit(5)")
    for attempt in (lambda box, p: box.run(p), lambda box, p: list(box.run_many([p]))):
        with pytest.raises(SandboxUnavailable, match="no program is run"):
            attempt(Sandbox(), Program("print(1)", (StdinTest("", "1"),)))


def test_many_programs_side_by_side():
    programs = [Program("print(int(input()) ** 2)", (StdinTest(str(n), str(n * n + n % 2)),)) for n in range(8)]
    found = dict(Sandbox().run_many(programs, workers=2))
    assert {index: outcome.passed for index, outcome in found.items()} == {n: n % 2 == 0 for n in range(8)}


def test_a_sandbox_that_breaks_down_is_no_verdict(monkeypatch):
    sandbox.prove()
    monkeypatch.setattr(channel, "_START", "import sys; sys.stdin.readline(); print('{{\"ready\": true}}', flush=True)")
    program = Program("print(1)", (StdinTest("", "1"),))
    with pytest.raises(SandboxFailed, match="its process has ended"):
        running.run_program(program, Limits())
    ((_, failure),) = Sandbox().run_many([program])
    assert isinstance(failure, SandboxFailed)


def test_killing_the_caller_ends_its_sandboxes(tmp_path):
    """The process inside, which sleeps for ten minutes, dies with a caller that is killed."""
    text = textwrap.dedent("""
        from resources.sandbox.limits import Limits
        from resources.sandbox.programs import Program, StdinTest
        from resources.sandbox.running import run_program
        print("begun", flush=True)
        run_program(Program("import time; time.sleep(600)", (StdinTest("", ""),)), Limits(wall_seconds=600))
    """)
    caller = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
    caller.stdout.readline()
    inside = _wait(lambda: _children(caller.pid))
    below = _wait(lambda: _children(inside[0]))
    os.kill(caller.pid, signal.SIGKILL)
    caller.wait()
    caller.stdout.close()
    assert _wait(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in inside + below))


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True).stdout.split()
    return [int(child) for child in found]


def _wait(condition, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(
    "found, expected, same",
    [
        ("1\n2\n", "1\n2", True),
        ("\n 1 \n2  \n\n", "1\n2", True),
        ("1 2", "1\n2", False),
        ("1.0 2", "1 2.00", True),
        ("1e2", "100", True),
        ("0.30000000000000004", "0.3", False),
        ("50000000000000001", "50000000000000000", False),
        ("YES", "Yes", False),
        ("nan", "nan", True),  # the same text
        ("nan", "NaN", False),
        ("", "", True),
        ("1\n\n2", "1\n2", False),
        ("1", "1\n2", False),
        ("1\n2\n3", "1\n2", False),
    ],
)
def test_outputs_are_compared_as_contest_sites_do(found, expected, same):
    assert same_output(found, expected) is same


def test_values_that_cannot_be_read_are_errors_of_their_own():
    with pytest.raises(ValueError):
        same_value("[1", [1])
    with pytest.raises(ValueError, match="nested"):
        same_value("[" * 100_000 + "]" * 100_000, [])


def test_programs_and_limits_that_make_no_sense():
    with pytest.raises(ValueError, match="without tests"):
        Program("print(1)", ())
    with pytest.raises(ValueError, match="all calls"):
        Program("print(1)", (CallTest((1,), 1),))
    with pytest.raises(ValueError, match="memory_mb is 64"):
        Limits(memory_mb=64)
    with pytest.raises(ValueError, match="cpu_seconds is 0"):
        Limits(cpu_seconds=0)

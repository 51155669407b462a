"""Programs that push against the walls of the real sandbox: what they want does not happen, the verdict is right."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from resources.sandbox.limits import Limits
from resources.sandbox.programs import CallTest, Program, StdinTest
from resources.sandbox.sandbox import Sandbox

SMALL = Limits(cpu_seconds=1, wall_seconds=60, memory_mb=256, output_kb=64, files_mb=2, threads=8)


def printed(text: str, expected: str = "", stdin: str = "", limits: Limits = SMALL):
    return Sandbox(limits).run(Program(text, (StdinTest(stdin, expected),)))


def returned(text: str, *args, expected, limits: Limits = SMALL):
    return Sandbox(limits).run(Program(text, (CallTest(args, expected),), "f"))


def refused(attempt: str, setup: str = "") -> str:
    """A program that prints "refused" where the attempt raises OSError, and what it got otherwise."""
    lines = ["import os, socket, ctypes, resource", setup, "try:", f"    print('got', {attempt})"]
    return "\n".join([*lines, "except (OSError, ValueError):", "    print('refused')", ""])


@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "__import__('subprocess').run(['/bin/true'])",
        "__import__('multiprocessing').get_context('fork').Process(target=print).start()",
        "os.setuid(0)",
        "os.kill(os.getppid(), 9) or os.kill(1, 0) and 1 or os.fork()",
        "resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))",
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "socket.getaddrinfo('example.com', 80)",
        "os.memfd_create('x')",
        "open('/etc/shadow').read()",
        "open('/etc/passwd').read()",
        "os.listdir('/proc')",
        "os.listdir('/home')",
        "open('/written', 'w')",
        "open(os.__file__, 'a')",
        "open('/usr/lib/written', 'w')",
        "os.chmod('/usr/lib', 0o777)",
        "os.mknod('/tmp/disk', 0o600 | 0o060000, os.makedev(8, 0))",
        "os.chroot('/tmp')",
    ],
)
def test_the_kernel_refuses(attempt):
    outcome = printed(refused(attempt), "refused\n")
    assert outcome.passed, outcome


@pytest.mark.parametrize("name", ["ptrace", "unshare", "mount", "bpf", "process_vm_readv", "shmget", "io_uring_setup"])
def test_raw_system_calls_are_refused(name):
    from resources.sandbox.inside.calls import MACHINES, REFUSED

    number = REFUSED[name][MACHINES[os.uname().machine][0]]
    text = f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint(libc.syscall({number}, *[0] * 6))\n"
    assert printed(text + "print(ctypes.get_errno())", "-1\n1\n").passed  # EPERM


def test_this_machines_servers_cannot_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert printed(refused(f"socket.create_connection(('127.0.0.1', {port}), timeout=2)"), "refused\n").passed
        socket.create_connection(("127.0.0.1", port)).close()  # it was there


def test_secrets_of_the_caller_cannot_be_seen(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (tmp_path / "store").write_text("results")
    seen = f"import os\nprint(sorted(set(os.environ) - {{'LC_CTYPE'}}), os.path.exists({str(tmp_path)!r}))"
    assert printed(seen, "[] False\n").passed
    here = Path(__file__).resolve()
    assert printed(f"import os; print(os.path.exists({str(here)!r}))", "False\n").passed
    assert here.exists()


def test_the_callers_open_files_are_not_inherited(tmp_path):
    path = tmp_path / "secret"
    path.write_text("secret")
    with path.open() as file:
        os.set_inheritable(file.fileno(), True)
        text = "import os\nfor n in range(4, 64):\n    try:\n        os.fstat(n); print(n)\n    except OSError: pass"
        assert printed(text).passed


def test_files_are_written_in_one_small_place_and_do_not_outlive_a_test():
    text = "import os\nprint(os.listdir('.'))\nopen('note', 'w').write('x')\n"
    text += "os.makedirs('a/b')\nprint(open('note').read())"
    program = Program(text, (StdinTest("", "[]\nx\n"), StdinTest("", "[]\nx\n")))
    assert Sandbox(SMALL).run(program).passed
    many = "for n in range(9):\n    open(str(n), 'wb').write(bytes(1 << 20))"
    assert printed(many).kind == "error"
    one = "open('big', 'wb').write(bytes(3 << 20))"
    assert printed(one).kind == "error"


def test_a_fork_bomb_is_one_process():
    text = "import os\nfor _ in range(10000):\n    try: os.fork()\n    except OSError: pass\nprint('one')"
    assert printed(text, "one\n").passed


def test_a_thread_bomb_ends_where_the_limit_is():
    text = (
        "import threading, time\nthreading.stack_size(65536)\nstarted = 0\ntry:\n    for _ in range(5000):\n"
        "        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n        started += 1\n"
        "except RuntimeError:\n    print(started < 16)\n"
    )
    assert printed(text, "True\n").passed


@pytest.mark.parametrize(
    "text, kind",
    [
        ("x = bytearray(1 << 30)", "memory"),
        ("x = []\nwhile True:\n    x.append('y' * 100000 + str(len(x)))", "memory"),
        ("while True:\n    pass", "timeout"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass", "timeout"),
        ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", "timeout"),
        ("while True:\n    print('x' * 1000)", "error"),
        ("import sys\nwhile True:\n    sys.stderr.write('x' * 1000)", "error"),
        ("def f(n): return f(n + 1)\nf(0)", "error"),
        ("import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return [f(n + 1)]\nf(0)", ("memory", "error", "timeout")),
        ("import ctypes\nctypes.string_at(0)", "error"),
        ("import os\nos._exit(3)", "error"),
        ("raise SystemExit(1)", "error"),
        ("import os\nos.kill(os.getpid(), 9)", "error"),
        ("1 / 0", "error"),
        ("this is no Python", "error"),
        ("print('\\ud800')", "wrong_answer"),
        ("import os\nos.write(1, bytes(range(256)))", "wrong_answer"),
    ],
)
def test_verdicts_of_programs_that_fail(text, kind):
    outcome = printed(text, "done\n")
    assert outcome.kind in ((kind,) if isinstance(kind, str) else kind), outcome
    assert outcome.tests_passed == 0 and outcome.detail.startswith("test 1: ")


def test_sleeping_and_closed_outputs_end_by_the_clock():
    quick = Limits(**{**SMALL.record(), "wall_seconds": 0.5})
    for text in ("import time\ntime.sleep(60)", "import os, time\nos.closerange(0, 64)\ntime.sleep(60)"):
        started = time.monotonic()
        assert printed(text, limits=quick).kind == "timeout"
        assert time.monotonic() - started < 50


def test_leaving_early_is_no_pass():
    assert printed("print('done')\nraise SystemExit(0)", "done\n").passed
    assert printed("raise SystemExit(0)\nprint('done')", "done\n").kind == "wrong_answer"
    for text in ("import sys\nsys.exit(0)", "import os\nos._exit(0)", "def f(x):\n    import os\n    os._exit(0)"):
        assert returned(text, 1, expected=2).kind == "error"


@pytest.mark.parametrize(
    "text",
    [
        "class Same:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(x): return Same()",
        "class Same(int):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(x): return Same(0)",
        "import builtins, json\njson.dumps = lambda *a, **k: '{\"value\": 2}x'\ndef f(x): return 0",
        "import json.encoder\njson.encoder.JSONEncoder.encode = lambda *a: 'true'\ndef f(x): return 0",
        "import builtins\nbuiltins.print = lambda *a: None\nbuiltins.isinstance = lambda *a: True\ndef f(x): return 0",
        "import os\nos.write(3, b'{\"passed\": true}')\ndef f(x): return 0",
        'import os\nos.write(1, b\'{"ready": true}\\n{"out": "2", "exit": 0}\\n\')\ndef f(x): return 0',
        "import os\nfor n in range(4, 64):\n    try: os.write(n, b'{\"exit\": 0}\\n')\n    except OSError: pass\n"
        "def f(x): return 0",
        "import sys\nsys.modules['__main__'].__dict__['passed'] = True\ndef f(x): return None",
        "import gc\nfound = [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o]\n"
        "def f(x): return found[0]['expected'] if found else 0",
        "import sys\ndef f(x):\n    frame = sys._getframe(1)\n    while frame:\n        if 'test' in frame.f_locals:\n"
        "            return frame.f_locals['test'].get('expected')\n        frame = frame.f_back\n    return 0",
        "def f(x): return {1, 2}",
        "def f(x): return float('nan')",
        "def f(x): return ''.join(['[' * 90000, ']' * 90000])",
        "def f(x):\n    deep = []\n    for _ in range(100000): deep = [deep]\n    return deep",
        "def f(x): return 10 ** 5000",
    ],
)
def test_a_verdict_cannot_be_forged(text):
    outcome = returned(text, 1, expected=2)
    assert outcome.kind in ("wrong_answer", "error"), outcome


def test_values_are_compared_as_json():
    assert returned("def f(x): return (x, [x + 0.0])", 2, expected=[2, [2]]).passed
    assert returned("def f(x): return {'a': None, 'b': 'ü'}", 0, expected={"b": "ü", "a": None}).passed
    assert returned("class Solution:\n    def f(self, x): return x + 1", 1, expected=2).passed
    assert returned("def f(x): return str(x)", 1, expected=1).kind == "wrong_answer"
    assert returned("def g(x): return x", 1, expected=1).kind == "error"


def test_programs_end_as_the_interpreter_ends_them():
    thread = "import threading\ndef main(): print(int(input()) + 1)\nthreading.Thread(target=main).start()"
    assert printed(thread, "3\n", "2\n").passed
    assert printed("import atexit\natexit.register(print, 'bye')", "bye\n").passed
    assert printed("if __name__ == '__main__':\n    print('main')", "main\n").passed


def test_a_test_that_fails_is_named_and_the_rest_is_not_run():
    tests = tuple(StdinTest(f"{n}\n", f"{n}\n") for n in (1, 2, 3))
    outcome = Sandbox(SMALL).run(Program("n = int(input())\nprint(n if n != 2 else 0)", tests))
    assert (outcome.kind, outcome.tests, outcome.tests_passed) == ("wrong_answer", 3, 1)
    assert outcome.detail == "test 2: gave '0'"


def test_tests_start_from_a_fresh_program():
    tests = (CallTest((1,), 1), CallTest((2,), 1))
    assert (
        Sandbox(SMALL).run(Program("seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)", tests, "f")).passed
    )


def test_nothing_stays_behind():
    before = _sandboxes()
    quick = Limits(**{**SMALL.record(), "wall_seconds": 0.5})
    text = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nprint('left')"
    assert printed(text, "left\n", limits=quick).kind == "timeout"
    deadline = time.monotonic() + 40
    while _sandboxes() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _sandboxes() - before


def _sandboxes() -> set[str]:
    """Processes of sandboxes that were begun by this one."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    return {
        line.split()[0]
        for line in listed.splitlines()
        if "sandbox.inside.launch" in line and f" {os.getpid()} " in line
    }

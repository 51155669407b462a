"""One program and its tests, one child for each: the first process of the sandbox, which no child can signal.

Reads the program and then tests, one JSON line each; answers each with one line on what came out. It knows no expected
value and decides nothing.
"""

import atexit
import json
import os
import resource
import select
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import BinaryIO

from resources.sandbox.inside.calls import install

OUT_OF_MEMORY = b'{"raised": "MemoryError", "text": ""}'
ERROR_TEXT = 2000  # characters of a traceback or of the error output that are kept
MEBIBYTE = 1 << 20
SHARE_OF_STACK = 4  # the stack may grow to this part of the memory, for deep recursions


def serve(job: dict, asked: BinaryIO, say) -> None:
    """Answer tests until there are no more.

    Args:
        job: Keys program, prelude, entry (None: the program reads its standard input) and limits.
        asked: Lines of tests: ``{"stdin": …}`` or ``{"args": […]}``.
        say: Called with the answer to each.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one signal that Python handles, and a child could send
    for line in asked:
        say(_tested(job, json.loads(line)))
        with suppress(OSError):
            _clear(".")


def _clear(folder: str) -> None:
    """Take away what a test wrote; what resists stays, and harms nobody."""
    for entry in os.scandir(folder):
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def _tested(job: dict, test: dict) -> dict:
    """What came out of one test: outputs, exit, resources."""
    limits, text = job["limits"], test.get("stdin") or ""
    given = os.memfd_create("stdin")
    _write_all(given, text.encode("utf-8", "surrogateescape"))
    os.lseek(given, 0, os.SEEK_SET)
    pipes = {name: os.pipe() for name in ("out", "err", "record")}
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(job, test, given, {name: ends[1] for name, ends in pipes.items()})
    os.close(given)
    for _, end in pipes.values():
        os.close(end)
    read, stopped = _drained({ends[0]: name for name, ends in pipes.items()}, started, limits)
    if stopped:
        os.kill(child, signal.SIGKILL)
    status, used, late = _ended(child, started + limits["wall_seconds"])
    for end, _ in pipes.values():
        os.close(end)
    return {
        "out": read["out"].decode("utf-8", "replace"),
        "err": read["err"].decode("utf-8", "replace")[-ERROR_TEXT:],
        "record": read["record"].decode("utf-8", "replace"),
        "exit": os.waitstatus_to_exitcode(status),
        "stopped": stopped or ("wall" if late else None),
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.monotonic() - started,
    }


def _write_all(end: int, data: bytes) -> None:
    while data:
        data = data[os.write(end, data) :]


def _drained(ends: dict[int, str], started: float, limits: dict) -> tuple[dict[str, bytearray], str | None]:
    """What was written until all ends are closed, or why that was not waited for."""
    read = {name: bytearray() for name in ends.values()}
    most, open_ends = limits["output_kb"] * 1024, dict(ends)
    poll = select.poll()
    for end in open_ends:
        poll.register(end, select.POLLIN)
    while open_ends:
        left = started + limits["wall_seconds"] - time.monotonic()
        if left <= 0:
            return read, "wall"
        for end, _ in poll.poll(left * 1000):
            data = os.read(end, 1 << 16)
            if not data:
                poll.unregister(end)
                del open_ends[end]
                continue
            name = ends[end]
            read[name] += data
            if len(read[name]) > most:
                del read[name][most:]
                return read, "output"
    return read, None


def _ended(child: int, deadline: float) -> tuple[int, resource.struct_rusage, bool]:
    """Exit status and use of the child, which may close its outputs and live on; whether it had to be stopped."""
    while True:
        found, status, used = os.wait4(child, os.WNOHANG)
        if found:
            return status, used, False
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            return status, used, True
        time.sleep(0.001)


def _child(job: dict, test: dict, given: int, ends: dict[str, int]) -> None:
    """Run the program in this process, and end it."""
    record = 3
    try:
        for name, place in (("out", 11), ("err", 12), ("record", 13)):
            os.dup2(ends[name], place)
        os.dup2(given, 10)
        for place, final in ((10, 0), (11, 1), (12, 2), (13, record)):
            os.dup2(place, final, inheritable=False)
        os.closerange(record + 1, 64)
        _limit(job["limits"])
        install()
        _reset_streams()
        os._exit(_run(job, test, record))
    except MemoryError:
        os.write(record, OUT_OF_MEMORY)
    except BaseException:
        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
    os._exit(1)


def _limit(limits: dict) -> None:
    memory, cpu = limits["memory_mb"] * MEBIBYTE, limits["cpu_seconds"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["files_mb"] * MEBIBYTE,) * 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_NPROC, (limits["threads"],) * 2)
    stack, hard = memory // SHARE_OF_STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (stack if hard == resource.RLIM_INFINITY else min(stack, hard), hard))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _reset_streams() -> None:
    sys.stdin, sys.stdout, sys.stderr = (
        open(place, mode, encoding="utf-8", errors=errors, closefd=False)
        for place, mode, errors in ((0, "r", "surrogateescape"), (1, "w", "replace"), (2, "w", "replace"))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    sys.argv, sys.path = ["program.py"], [path for path in sys.path if path.startswith(sys.base_prefix)]
    for name in [name for name in sys.modules if name.split(".")[0] == "resources"]:
        del sys.modules[name]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(job: dict, test: dict, record: int) -> int:
    """Exit code of the program; a call's value, or what was raised, goes into the record."""
    write, dumps = os.write, json.dumps  # a program that replaces these harms only itself
    space = type(sys)("__main__")
    sys.modules["__main__"] = space
    try:
        exec(compile(job["prelude"], "<prelude>", "exec"), space.__dict__)
        exec(compile(job["program"], "program.py", "exec"), space.__dict__)
        if job["entry"] is not None:
            value = _entry(space, job["entry"])(*test["args"])
            try:
                _write_all(record, dumps({"value": value}).encode())
            except (TypeError, ValueError, RecursionError) as error:
                text = f"{type(value).__name__} is no JSON value ({error})"
                _write_all(record, dumps({"raised": "NotJson", "text": text[:ERROR_TEXT]}).encode())
        _finish()
        return 0
    except MemoryError:
        write(record, OUT_OF_MEMORY)
    except SystemExit as stop:
        _finish()
        return _exit_code(stop, job["entry"] is not None)
    except BaseException as error:
        write(record, dumps({"raised": type(error).__name__, "text": _told(error)}).encode())
    return 1


def _finish() -> None:
    """What the interpreter does at its end: wait for threads, run exit functions, write what is held back."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()


def _told(error: BaseException) -> str:
    """What was raised, and where in the program; no paths of this machine."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "program.py"]
    text = "".join(traceback.format_exception_only(error)).strip()[-ERROR_TEXT:]
    return f"{text} (line {lines[-1]})" if lines else text


def _entry(space: object, name: str):
    """The function of that name, or the method of a class ``Solution``, as contest sites want it."""
    solution = getattr(space, "Solution", None)
    return getattr(solution(), name) if hasattr(solution, name) else getattr(space, name)


def _exit_code(stop: SystemExit, was_asked_for_a_value: bool) -> int:
    if was_asked_for_a_value:
        return 1
    if stop.code is None or stop.code == 0:
        return 0
    return stop.code & 0xFF if isinstance(stop.code, int) and stop.code & 0xFF else 1

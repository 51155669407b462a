"""Entry of the sandbox's process: puts up the walls, then serves tests behind them.

Standard input: one JSON line with the job, then one for each test. Standard output: one JSON line for each answer; the
first says that the walls stand, or which one does not.
"""

import json
import os
import signal
import sys

from resources.sandbox.inside.calls import supported
from resources.sandbox.inside.system import PR_SET_PDEATHSIG, prctl
from resources.sandbox.inside.tests import serve
from resources.sandbox.inside.walls import give_up_rights, interpreter_paths, new_namespaces, new_root

_NAMESPACES, _ROOT, _RIGHTS = "namespaces", "a root of its own", "giving up rights"


def main() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the caller's death is this process's death, and so every child's
    asked, answers = os.fdopen(0, "rb", closefd=False), os.dup(1)

    def say(answer: dict) -> None:
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(answers, data) :]

    if not supported():
        return say({"wall": "a filter of system calls", "detail": f"none is known for {os.uname().machine}"})
    first = asked.readline()
    if not first:
        return None
    job = json.loads(first)
    try:
        new_namespaces()
    except OSError as error:
        return say({"wall": _NAMESPACES, "detail": str(error)})
    if os.geteuid() not in (0, 1000):
        return say({"wall": _NAMESPACES, "detail": f"unexpected user {os.geteuid()}"})
    child = os.fork()  # the first process of the new process namespace
    if child == 0:
        os._exit(_inside(job, asked, say))
    os.close(0)
    _, status = os.waitpid(child, 0)
    os._exit(0 if status == 0 else 1)


def _inside(job: dict, asked, say) -> int:
    wall = _ROOT
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        new_root(interpreter_paths(), job["limits"]["files_mb"])
        wall = _RIGHTS
        give_up_rights()
    except OSError as error:
        say({"wall": wall, "detail": str(error)})
        return 1
    say({"ready": True})
    serve(job, asked, say)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One program in its own process: inputs in, outputs out, and what these are worth.

Expected values stay here: the process inside is told inputs and says outputs. To pass, a program has to say the right
ones, whatever it does to the interpreter that it runs in.
"""

import json

from resources.sandbox.channel import STARTING_S, Channel
from resources.sandbox.comparing import same_output, same_value
from resources.sandbox.errors import SandboxUnavailable
from resources.sandbox.limits import Limits
from resources.sandbox.programs import CallTest, Outcome, Program, StdinTest
from resources.sandbox.remedies import remedy_for

_ESCAPED = 6  # bytes of one byte of output in JSON, at the most
_AROUND_A_TEST = 30.0  # seconds of the process inside, on a machine that is busy
_DETAIL = 300  # characters
_CPU_SIGNAL, _CPU_KILL = -24, -9  # SIGXCPU, and SIGKILL a second later where that was caught


def run_program(program: Program, limits: Limits) -> Outcome:
    """Run a program against its tests, up to the first that fails; only ``probe`` may before the walls are tried.

    Raises:
        SandboxUnavailable: If a wall could not be put up.
        SandboxFailed: If the process inside broke down.
    """
    job = {
        "program": program.text,
        "prelude": program.prelude,
        "entry": program.entry_point,
        "limits": limits.record(),
    }
    with Channel(job, 3 * limits.output_kb * 1024 * _ESCAPED) as channel:
        ready = channel.receive(STARTING_S)
        if "wall" in ready:
            raise SandboxUnavailable(ready["wall"], ready["detail"], remedy_for(ready["wall"]))
        for number, test in enumerate(program.tests):
            channel.send(test.asked())
            kind, detail = _verdict(test, channel.receive(limits.wall_seconds + _AROUND_A_TEST), limits)
            if kind != "passed":
                return Outcome(kind, len(program.tests), number, f"test {number + 1}: {detail}"[:_DETAIL])
    return Outcome("passed", len(program.tests), len(program.tests))


def _verdict(test: StdinTest | CallTest, answer: dict, limits: Limits) -> tuple[str, str]:
    """What one answer says, and why."""
    code, raised = answer["exit"], _raised(answer["record"])
    if answer["stopped"] == "wall":
        return "timeout", f"not done after {limits.wall_seconds:g} s"
    # The kernel's limit counts ticks, the use it reports is exact: on a busy machine the two are far apart.
    if code == _CPU_SIGNAL or (code == _CPU_KILL and answer["cpu"] >= limits.cpu_seconds / 2):
        return "timeout", f"used {limits.cpu_seconds} s of processor time"
    if raised.get("raised") == "MemoryError":
        return "memory", f"more than {limits.memory_mb} MB"
    if answer["stopped"] == "output":
        return "error", f"an output of more than {limits.output_kb} KB"
    if raised.get("raised") == "NotJson":
        return "wrong_answer", raised["text"]
    if "raised" in raised:
        return "error", raised["text"]
    if code != 0:
        how = f"ended by signal {-code}" if code < 0 else f"exit status {code}"
        return "error", f"{how} {answer['err'].strip().splitlines()[-1:] or ''}".strip()
    return _compared(test, answer)


def _raised(record: str) -> dict:
    """What the record says was raised; a record that a program has tampered with says nothing."""
    if not record.startswith('{"raised"'):
        return {}
    try:
        return {key: str(value) for key, value in json.loads(record).items()}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _compared(test: StdinTest | CallTest, answer: dict) -> tuple[str, str]:
    if isinstance(test, StdinTest):
        same, shown = same_output(answer["out"], test.expected), answer["out"]
    else:
        head, tail = '{"value": ', "}"
        if not answer["record"].startswith(head) or not answer["record"].endswith(tail):
            return "error", "it ended before it returned a value"
        shown = answer["record"][len(head) : -len(tail)]
        try:
            same = same_value(shown, test.expected)
        except ValueError as error:
            return "wrong_answer", f"what it returned cannot be read ({str(error)[:80]})"
    return ("passed", "") if same else ("wrong_answer", f"gave {shown.strip()[:100]!r}")

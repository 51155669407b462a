"""A program, its tests, and what became of it."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["passed", "wrong_answer", "error", "timeout", "memory", "no_code"]
KINDS: tuple[Kind, ...] = ("passed", "wrong_answer", "error", "timeout", "memory", "no_code")


@dataclass(frozen=True)
class StdinTest:
    """The program reads ``stdin`` and has to print ``expected``."""

    stdin: str
    expected: str

    def asked(self) -> dict:
        """What goes into the sandbox."""
        return {"stdin": self.stdin}


@dataclass(frozen=True)
class CallTest:
    """The entry point is called with ``args`` and has to return ``expected``; all are JSON values."""

    args: tuple[Any, ...]
    expected: Any

    def asked(self) -> dict:
        """What goes into the sandbox."""
        return {"args": list(self.args)}


@dataclass(frozen=True)
class Program:
    """One program and its tests.

    Attributes:
        text: Python.
        tests: All of one kind.
        entry_point: Function that call tests call, or method of a class ``Solution``; None where all read stdin.
        prelude: Python that runs before it (imports that a benchmark promises).
    """

    text: str
    tests: tuple[StdinTest, ...] | tuple[CallTest, ...]
    entry_point: str | None = None
    prelude: str = ""

    def __post_init__(self):
        if not self.tests:
            raise ValueError("a program without tests cannot pass; give it at least one")
        wanted = StdinTest if self.entry_point is None else CallTest
        if not all(isinstance(test, wanted) for test in self.tests):
            raise ValueError("tests of one program are all calls of an entry point, or all read stdin without one")


@dataclass(frozen=True)
class Outcome:
    """What the tests say of a program.

    Attributes:
        kind: Of the first test that failed, or ``passed``.
        tests: Number of tests.
        tests_passed: Tests before the first that failed.
        detail: What went wrong, for people.
    """

    kind: Kind
    tests: int
    tests_passed: int
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.kind == "passed"

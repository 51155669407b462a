"""Programming problems with tests: one JSON object a line, checked before any work.

A line holds ``id``, ``prompt``, ``tests`` and, for tests that call a function, ``entry_point``::

    {"id": "add", "prompt": "Write a Python function add(a, b) that …", "entry_point": "add",
     "tests": [{"args": [1, 2], "expected": 3}], "solution": "def add(a, b): return a + b", "licence": "MIT"}
    {"id": "echo", "prompt": "Read a line and print it.", "tests": [{"stdin": "hi\\n", "expected": "hi\\n"}]}
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resources.sandbox.programs import CallTest, Program, StdinTest

TEXTS = ("completion", "answer_prefix", "stop", "prelude", "solution", "licence")
FIELDS = ("id", "prompt", "entry_point", "tests", "wrong", *TEXTS)


class ProblemError(ValueError):
    """A file of problems that cannot be used; carries where (file and line), value, message and remedy."""

    def __init__(self, where: str, value: object, message: str, remedy: str):
        self.where, self.value, self.message, self.remedy = where, value, message, remedy
        super().__init__(f"{where}: {message} (got {str(value)[:80]!r}); {remedy}")


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        id: Name of it, unique in its set.
        prompt: What a chat model is asked.
        tests: All call ``entry_point``, or all read standard input.
        entry_point: The function that is called; None: the program reads its input.
        completion: Python that a base model continues; its program begins with it.
        answer_prefix: Beginning of a chat model's answer, given to it.
        stop: Text that ends a base model's program; empty: see ``metrics.program_text``.
        prelude: Python that runs before each program.
        solution: A right program, for the test of the tests.
        wrong: Wrong programs, for the same.
        licence: Terms of the problem.
    """

    id: str
    prompt: str
    tests: tuple[StdinTest, ...] | tuple[CallTest, ...]
    entry_point: str | None = None
    completion: str = ""
    answer_prefix: str = ""
    stop: str = ""
    prelude: str = ""
    solution: str | None = None
    wrong: tuple[str, ...] = ()
    licence: str = ""

    def question(self) -> dict:
        """What a model's answer depends on, as plain data: nothing of the tests."""
        fields = ("id", "prompt", "entry_point", "completion", "answer_prefix", "stop")
        return {name: getattr(self, name) for name in fields}

    def checking(self) -> dict:
        """What a verdict depends on, as plain data."""
        tests = [{**test.asked(), "expected": test.expected} for test in self.tests]
        return {"entry_point": self.entry_point, "prelude": self.prelude, "tests": tests}

    def program(self, text: str) -> Program:
        """A program for this problem, ready to be tested."""
        return Program(text, self.tests, self.entry_point, self.prelude)


def start_of(problem: Problem) -> str:
    """Python that a base model continues: the problem's own, or the question as a comment with the function's head."""
    if problem.completion:
        return problem.completion
    comment = "\n".join(f"# {line}".rstrip() for line in problem.prompt.strip().splitlines())
    return f"{comment}\n" if problem.entry_point is None else f"{comment}\ndef {problem.entry_point}("


def read_problems(path: str | Path) -> tuple[Problem, ...]:
    """Read and check a file of problems.

    Raises:
        ProblemError: Naming file, line, field, value and remedy.
    """
    path = Path(path)
    problems = [problem_of(record, f"{path.name}:{line}") for line, record in json_lines(path)]
    check_problems(problems, path.name)
    return tuple(problems)


def check_problems(problems: list[Problem], file: str) -> None:
    """There is a problem, and no id stands for two."""
    if not problems:
        raise ProblemError(file, "no line", "there is no problem", "write one JSON object a line")
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise ProblemError(file, problem.id, "`id` is used twice", "give each problem its own")
        seen.add(problem.id)


def json_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """(line, object) of a JSONL file, a line at a time."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield line, _object(text, f"{path.name}:{line}")
    except UnicodeDecodeError as error:
        raise ProblemError(path.name, error.reason, "the file is not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise ProblemError(path.name, error.strerror, "the file cannot be read", "name an existing JSONL") from None


def _object(text: str, where: str) -> dict:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProblemError(where, text, f"not JSON ({error})", "write one JSON object a line") from None
    if not isinstance(record, dict):
        raise ProblemError(where, text, "not a JSON object", 'write {"id": …, "prompt": …, "tests": […]}')
    return record


def problem_of(record: dict, where: str) -> Problem:
    """The problem in one record of our format.

    Raises:
        ProblemError: Naming the field.
    """
    for name in record:
        if name not in FIELDS:
            raise ProblemError(where, name, f"unknown field `{name}`", f"fields are {', '.join(FIELDS)}")
    for name in ("id", "prompt"):
        if not isinstance(record.get(name), str) or not record[name].strip():
            raise ProblemError(where, record.get(name), f"`{name}` is no text", "write it as a JSON string")
    texts = {name: record[name] for name in TEXTS if record.get(name) is not None}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise ProblemError(where, text, f"`{name}` is no text", "write a JSON string, or leave it out")
    wrong = record.get("wrong", [])
    if not isinstance(wrong, list) or not all(isinstance(text, str) for text in wrong):
        raise ProblemError(where, wrong, "`wrong` is no list of texts", "write a list of programs, or leave it out")
    entry = record.get("entry_point")
    if entry is not None and not (isinstance(entry, str) and entry.isidentifier()):
        raise ProblemError(where, entry, "`entry_point` is no name of a function", 'write for example "add"')
    tests = _tests(record.get("tests"), entry, where)
    return Problem(record["id"], record["prompt"], tests, entry, wrong=tuple(wrong), **texts)


def _tests(found: object, entry: str | None, where: str) -> tuple:
    if not isinstance(found, list) or not found:
        raise ProblemError(where, found, "`tests` is no list of tests", "give at least one test")
    return tuple(_test(test, entry, f"{where}: tests[{index}]") for index, test in enumerate(found))


def _test(test: object, entry: str | None, where: str) -> StdinTest | CallTest:
    wanted = {"stdin", "expected"} if entry is None else {"args", "expected"}
    if not isinstance(test, dict) or set(test) != wanted:
        kind = "reads its input (no `entry_point`)" if entry is None else f"calls `{entry}`"
        raise ProblemError(
            where, test, f"a test of a problem that {kind} has {' and '.join(sorted(wanted))}", "write exactly these"
        )
    if entry is not None:
        if not isinstance(test["args"], list):
            raise ProblemError(where, test["args"], "`args` is no list", "write the arguments as a JSON list")
        return CallTest(tuple(test["args"]), test["expected"])
    for name in ("stdin", "expected"):
        if not isinstance(test[name], str):
            raise ProblemError(where, test[name], f"`{name}` is no text", "write a JSON string")
    return StdinTest(test["stdin"], test["expected"])


def digest_of(records: Iterable[object]) -> str:
    """64 hexadecimal digits of plain data."""
    text = json.dumps(list(records), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def without_checks(problem: Problem) -> Problem:
    """A problem less its solutions, which only tests of the tests need."""
    return replace(problem, solution=None, wrong=())

"""LiveCodeBench's problems as ours. Its private tests are pickled texts, which are read and never unpickled.

A row of its files has question_id, question_content, platform, contest_date, difficulty, starter_code,
public_test_cases (JSON), private_test_cases (JSON, or base64 of zlib of a pickled JSON text) and metadata (JSON; it
holds ``func_name`` where tests call a function). The dataset is `livecodebench/code_generation_lite` on the hub:
release_v1 is its first file, each later release adds one.
"""

import json
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from calib_assets.study.pickled_text import PickleRefused, packed_text
from calib_assets.study.problems import Problem, ProblemError, check_problems, json_lines
from resources.sandbox.programs import CallTest, StdinTest

FILES = ("test.jsonl", "test2.jsonl", "test3.jsonl", "test4.jsonl", "test5.jsonl", "test6.jsonl")
NEEDED = ("question_id", "question_content", "public_test_cases", "private_test_cases", "contest_date")
_RELEASE = re.compile(r"^release_v([1-9]\d*)$|^v([1-9]\d*)(?:_v([1-9]\d*))?$")
_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "typing", "builtins"),
)
# The benchmark promises its programs these names, and deep recursion.
PRELUDE = (
    "".join(f"from {name} import *\n" for name in _STARRED)
    + f"import {', '.join(_STARRED[:-2])}\nsys.setrecursionlimit(50000)\n"
)
_WITH_STARTER = (
    "Complete the starter code. Answer with the whole program in one code block.\n\n```python\n{starter}\n```"
)
_WITHOUT = (
    "Write a Python program that reads the input from standard input and prints the answer to standard output. Answer "
    "with the whole program in one code block."
)


def release_files(release: str) -> tuple[str, ...]:
    """Files of a release: ``release_v3`` holds the first three, ``v3`` the third alone, ``v2_v4`` these three.

    Raises:
        ValueError: If there is no such release.

    >>> release_files("release_v2"), release_files("v6")
    (('test.jsonl', 'test2.jsonl'), ('test6.jsonl',))
    """
    match = _RELEASE.match(release)
    if match:
        upto, first, last = (int(number) if number else None for number in match.groups())
        start, end = (1, upto) if upto else (first, last or first)
        if start <= end <= len(FILES):
            return FILES[start - 1 : end]
    raise ValueError(f"no release {release!r}; write release_v1 to release_v{len(FILES)}, v6 or v4_v6")


def read_livecodebench(
    paths: Iterable[str | Path],
    *,
    first_date: date | None = None,
    last_date: date | None = None,
    difficulty: Iterable[str] | None = None,
    private: bool = True,
) -> tuple[Problem, ...]:
    """Problems of LiveCodeBench's files, filtered as the benchmark does.

    Args:
        paths: JSONL files.
        first_date, last_date: Of the contest, both included.
        difficulty: ``easy``, ``medium``, ``hard``; None: all.
        private: Also the private tests; else the public ones alone.

    Raises:
        ProblemError: Naming file, line, field, value and remedy; also for a pickle that holds more than a text.
    """
    problems, names = [], []
    wanted = None if difficulty is None else set(difficulty)
    for path in map(Path, paths):
        names.append(path.name)
        for line, row in json_lines(path):
            where = f"{path.name}:{line}"
            for name in NEEDED:
                if not isinstance(row.get(name), str):
                    raise ProblemError(where, row.get(name), f"`{name}` is no text", "take a LiveCodeBench file")
            day = _date(row["contest_date"], where)
            if (first_date and day < first_date) or (last_date and day > last_date):
                continue
            if wanted is None or row.get("difficulty") in wanted:
                problems.append(_problem(row, private, where))
    check_problems(problems, " + ".join(names))
    return tuple(problems)


def _date(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise ProblemError(where, text, "`contest_date` is no date", "write it as 2024-05-31T00:00:00") from None


def _problem(row: dict, private: bool, where: str) -> Problem:
    metadata = _json(row.get("metadata") or "{}", "metadata", where, dict)
    entry, starter = metadata.get("func_name"), row.get("starter_code") or ""
    cases = _json(row["public_test_cases"], "public_test_cases", where, list)
    if private:
        cases = cases + _private(row["private_test_cases"], where)
    tests = tuple(_test(case, entry, f"{where}: test {index + 1}") for index, case in enumerate(cases))
    if not tests:
        raise ProblemError(where, "[]", "there is no test", "take the private tests as well")
    ask = _WITH_STARTER.format(starter=starter.strip()) if starter.strip() else _WITHOUT
    question = row["question_content"].strip()
    quoted = question.replace('"""', "'''")
    return Problem(
        id=row["question_id"],
        prompt=f"{question}\n\n{ask}",
        tests=tests,
        entry_point=entry,
        completion=f'r"""\n{quoted}\n"""\n{starter.rstrip()}\n' if starter.strip() else f'r"""\n{quoted}\n"""\n',
        prelude=PRELUDE,
        licence="LiveCodeBench",
    )


def _json(text: str, name: str, where: str, kind: type):
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProblemError(where, text, f"`{name}` is no JSON ({error})", "take a whole LiveCodeBench file") from None
    if not isinstance(found, kind):
        raise ProblemError(where, text, f"`{name}` is no JSON {kind.__name__}", "take a whole LiveCodeBench file")
    return found


def _private(text: str, where: str) -> list:
    if text.lstrip().startswith("["):  # the full dataset has them as JSON
        return _json(text, "private_test_cases", where, list)
    try:
        packed = packed_text(text)
    except PickleRefused as error:
        remedy = "take the file that the dataset's authors published"
        raise ProblemError(where, text, f"`private_test_cases` is refused: {error}", remedy) from None
    return _json(packed, "private_test_cases", where, list)


def _test(case: object, entry: str | None, where: str) -> StdinTest | CallTest:
    if not isinstance(case, dict) or not all(isinstance(case.get(name), str) for name in ("input", "output")):
        raise ProblemError(where, case, "a test has `input` and `output`", "take a whole LiveCodeBench file")
    if entry is None:
        return StdinTest(case["input"], case["output"])
    args = tuple(_value(line, where) for line in case["input"].split("\n"))
    return CallTest(args, _value(case["output"], where))


def _value(text: str, where: str):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProblemError(
            where, text, f"a value of a call is no JSON ({error})", "take a whole LiveCodeBench file"
        ) from None

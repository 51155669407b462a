"""The problems of a ``coding`` row, and what identifies them: questions apart from tests.

Editing a test makes verdicts stale, not the programs that were sampled.
"""

import datetime
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from calib_assets.study.coding import CodingRow
from calib_assets.study.livecodebench import read_livecodebench
from calib_assets.study.problems import Problem, digest_of, read_problems, without_checks
from resources.artifacts.atomic import file_sha256

READING = 1  # of LiveCodeBench, whose files count by their place or bytes: raise it when they give other problems


def problems_of(row: CodingRow, fetched: Sequence[str] = ()) -> tuple[Problem, ...]:
    """All problems of a row, before ``max_problems``.

    Args:
        row: The study's row.
        fetched: Where the files of a hub dataset are.

    Raises:
        ProblemError: Naming file, line, field, value and remedy.
    """
    if row.problems is not None:
        return tuple(without_checks(problem) for problem in read_problems(row.problems))
    bench = row.livecodebench
    first, last = (date and datetime.date.fromisoformat(date) for date in (bench.first_date, bench.last_date))
    return read_livecodebench(
        bench.files or fetched,
        first_date=first,
        last_date=last,
        difficulty=bench.difficulty,
        private=bench.tests == "all",
    )


def questions_source(row: CodingRow) -> object:
    """What identifies the questions: their content, or LiveCodeBench's files with what is selected of them."""
    if row.problems is not None:
        return digest_of(problem.question() for problem in problems_of(row))
    return _bench_source(row, {"first_date", "last_date", "difficulty"})


def checks_source(row: CodingRow) -> object:
    """What identifies the tests."""
    if row.problems is not None:
        return digest_of([problem.id, problem.checking()] for problem in problems_of(row))
    return _bench_source(row, {"first_date", "last_date", "difficulty", "tests"})


def problem_count(row: CodingRow) -> int:
    """Problems of a row, at the most; what a hub dataset holds is not known before it is fetched, and counts as one."""
    known = len(problems_of(row)) if row.problems is not None else row.max_problems or 1
    return min(row.max_problems or known, known)


def _bench_source(row: CodingRow, selecting: set[str]) -> object:
    bench = row.livecodebench
    pinned = {"id", "revision", "release"} if bench.files is None else set()
    data = bench.model_dump(mode="json", include=selecting | pinned)
    if READING != 1:
        data["reading"] = READING
    return data if bench.files is None else {**data, "files": [_content(path) for path in bench.files]}


def _content(path: str) -> str:
    """Digest of a file that may be large: read again only when it has changed."""
    found = Path(path).stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, modified: int) -> str:
    return file_sha256(path)

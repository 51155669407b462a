"""Rows of many runs in one file, so that a table can be finished over several runs.

``results.json`` holds every row with the run that it comes from: its date, commit, machine and load.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rows import Row


@dataclass(frozen=True)
class Invocation:
    """When and where rows were measured.

    Attributes:
        date: UTC, to the minute.
        commit: Of the code; ``+`` where files differed from it.
        level: ``default`` or ``full`` sizes.
        machine: Processor, memory and versions.
        load: Load average of the last minute when the run began.
    """

    date: str
    commit: str
    level: str
    machine: str
    load: float


@dataclass(frozen=True)
class Measured:
    """A row, its benchmark, and how busy the machine was.

    Attributes:
        others: Cores that other work used while the benchmark ran.
    """

    benchmark: str
    invocation: Invocation
    others: float
    row: Row

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.benchmark, self.row.what, self.row.size, self.row.baseline


@dataclass
class Results:
    """All rows, what failed last, and how long each benchmark took.

    Attributes:
        rows: Newest last within a benchmark.
        failures: Why a benchmark's last run gave no, or not all, rows.
        seconds: Of a benchmark's last whole run, by ``"level/benchmark"``; for the estimate of the next.
    """

    rows: list[Measured] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def put(self, benchmark: str, found: Sequence[Measured], level: str, failure: str | None) -> None:
        """Replace a benchmark's rows of this level; after a failure only those that were measured anew."""
        keys = {one.key for one in found}

        def stays(one: Measured) -> bool:
            same = one.benchmark == benchmark and one.invocation.level == level
            return one.key not in keys and (failure is not None or not same)

        self.rows = [one for one in self.rows if stays(one)] + list(found)
        self.failures.pop(benchmark, None)
        if failure is not None:
            self.failures[benchmark] = failure

    def keep(self, benchmarks: Sequence[str]) -> None:
        """Drop what belongs to benchmarks that are no more."""
        self.rows = [one for one in self.rows if one.benchmark in benchmarks]
        self.failures = {name: why for name, why in self.failures.items() if name in benchmarks}
        self.seconds = {name: took for name, took in self.seconds.items() if name.split("/")[1] in benchmarks}

    def write(self, path: Path) -> None:
        """Write all, atomically."""
        invocations = list(dict.fromkeys(one.invocation for one in self.rows))
        rows = [
            {"benchmark": one.benchmark, "run": invocations.index(one.invocation), "others": one.others}
            | one.row.to_dict()
            for one in self.rows
        ]
        content: dict[str, Any] = {"runs": list(map(asdict, invocations)), "rows": rows}
        content |= {"failures": self.failures, "seconds": self.seconds}
        write_whole(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read what was written; nothing where no file is.

        Raises:
            ValueError: The file is damaged; names it and the remedy.
        """
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text())
            invocations = [Invocation(**one) for one in content["runs"]]
            rows = [
                Measured(one.pop("benchmark"), invocations[one.pop("run")], one.pop("others"), Row.from_dict(one))
                for one in content["rows"]
            ]
            return cls(rows, content["failures"], content["seconds"])
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error}); restore it (git checkout) or delete it") from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise

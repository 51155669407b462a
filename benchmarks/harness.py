"""Run benchmarks, each in a process of its own, and put their rows into one table.

A benchmark that crashes, is killed, hangs or breaks a check does not keep the others from running; the exit status is 1
then, and the last lines name it. Threads are pinned by the environment before a benchmark's process starts.
"""

import argparse
import ast
import datetime
import importlib.util
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from benchmarks.machine import ROOT, busy_seconds, commit, cores, machine
from benchmarks.page import number, page, said
from benchmarks.results import Invocation, Measured, Results, write_whole
from benchmarks.rows import NotHere, Row, Run

FOLDER = Path(__file__).parent
LEVELS = ("small", "default", "full")
LIMIT_S = {"small": 600, "default": 1800, "full": 6 * 3600}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
NOT_HERE = 77  # exit status of a benchmark whose baseline is not installed


@dataclass(frozen=True)
class Outcome:
    """What the process of one benchmark left: its rows, why it failed or did not run, and what it took.

    Attributes:
        cpu_seconds: Of its process and those that it waited for.
        others: Cores that other work used meanwhile, on average.
    """

    rows: list[Row]
    failure: str | None
    not_here: str | None
    seconds: float
    cpu_seconds: float
    others: float


def benchmarks_in(folder: Path) -> dict[str, Path]:
    """Files with a function ``rows``, by name; nothing is imported."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        parts = ast.parse(path.read_text(), str(path)).body
        if any(isinstance(part, ast.FunctionDef) and part.name == "rows" for part in parts):
            found[path.stem] = path
    return found


def load(path: Path) -> ModuleType:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(f"benchmarks.{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def sizes_of(module: ModuleType, level: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of ``rows``: those of the level, then the given ones.

    Raises:
        ValueError: A given name is none of the benchmark's sizes.
    """
    known = [name for name in inspect.signature(module.rows).parameters][1:]
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{module.__name__} has no size {unknown[0]!r}; it has: {', '.join(known)}")
    return {**getattr(module, level.upper(), {}), **given}


def child(path: Path, level: str, given: Mapping[str, Any], cache_dir: Path, out: Path) -> int:
    """Run one benchmark here and append each row to a file as soon as it is there."""
    module = load(path)
    threads = int(os.environ[THREAD_VARIABLES[0]])
    with tempfile.TemporaryDirectory() as folder, open(out, "a") as file:
        run = Run(threads, cache_dir, Path(folder))
        try:
            for row in module.rows(run, **sizes_of(module, level, given)):
                file.write(json.dumps(row.to_dict()) + "\n")
                file.flush()
                print(f"  {told(row)}", flush=True)
        except NotHere as error:
            out.with_suffix(".missing").write_text(str(error))
            return NOT_HERE
    return 0


def told(row: Row) -> str:
    """A row for the terminal."""
    ratio = "" if row.ratio is None else f", ratio {number(row.ratio)}"
    if row.missed:
        ratio += f" BELOW the {number(row.target)} asked for"
    times = [f"{number(took)} s" for took in (row.ours_s, row.baseline_s) if took is not None]
    same = "; ".join(map(said, row.checks)) or f"not checked: {row.unchecked}"
    scaled = f" ({row.scaled})" if row.scaled else ""
    found = "; ".join(filter(None, (" and ".join(times) + ratio, same)))
    return f"{row.what}, {row.size}, against {row.baseline}{scaled}: {found}"


def threads_of(path: Path) -> int:
    """The file's ``THREADS``, or one for each core."""
    for part in ast.parse(path.read_text()).body:
        if isinstance(part, ast.Assign) and getattr(part.targets[0], "id", "") == "THREADS":
            return min(ast.literal_eval(part.value), cores())
    return cores()


def run_apart(path: Path, level: str, given: Mapping[str, Any], cache_dir: Path, limit_s: float) -> Outcome:
    """One benchmark in a process (and a group of processes) of its own."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads_of(path))), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows"
        out.touch()
        spec = json.dumps([str(path), level, dict(given), str(cache_dir), str(out)])
        started, busy, ours = time.perf_counter(), busy_seconds(), _children_seconds()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "--child", spec], cwd=ROOT, env=environment, start_new_session=True
        )
        failure = None
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            failure = f"took longer than {limit_s:.0f} s and was ended"
        finally:
            _end(process)
        seconds = time.perf_counter() - started
        cpu_seconds = _children_seconds() - ours
        others = max(0.0, busy_seconds() - busy - cpu_seconds) / seconds
        rows = _rows_in(out)
        missing = out.with_suffix(".missing").read_text() if process.returncode == NOT_HERE else None
    if failure is None and process.returncode not in (0, NOT_HERE):
        code = process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        failure = f"{how}; its last words stand above"
    if failure is None and missing is None and not rows:
        failure = "gave no row"
    return Outcome(rows, failure, missing, seconds, cpu_seconds, others)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _end(process: subprocess.Popen) -> None:
    """End a process and all that it started, if anything of it is left."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _rows_in(out: Path) -> list[Row]:
    """Rows in a file whose last line may be torn."""
    whole = out.read_text().rpartition("\n")[0]
    return [Row.from_dict(json.loads(line)) for line in whole.splitlines()]


def left(names: Iterable[str], level: str, results: Results) -> str:
    """How long these took last time, in words; empty where that is not known of one."""
    known = [results.seconds.get(f"{level}/{name}") for name in names]
    return "" if None in known else f"about {_minutes(sum(known))}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def run_all(options: argparse.Namespace, files: Mapping[str, Path], given: Mapping[str, Any]) -> int:
    """Run the benchmarks one after the other; 1 if one failed or broke a check."""
    results, write = Results.read(options.results), options.level != "small" and not given
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
    invocation = Invocation(now, commit(), options.level, machine(), round(os.getloadavg()[0], 2))
    print(f"{invocation.machine}; load average {invocation.load:.1f}", flush=True)
    wrong, missed, missing, started = [], [], [], time.perf_counter()
    for place, (name, path) in enumerate(files.items(), start=1):
        rest = left(list(files)[place - 1 :], options.level, results)
        this = left([name], options.level, results)
        estimate = f" ({this}; all that is left: {rest})" if rest else f" ({this})" if this else ""
        print(f"[{place}/{len(files)}] {name}{estimate}", flush=True)
        outcome = run_apart(path, options.level, given, options.cache_dir, options.limit or LIMIT_S[options.level])
        took = f"{outcome.seconds:.0f} s, {outcome.cpu_seconds:.0f} CPU s"
        print(f"  {took}; other work used {outcome.others:.1f} cores", flush=True)
        wrong += [f"FAILED: {name} {outcome.failure}"] * (outcome.failure is not None)
        wrong += [f"BROKEN: {name}, {row.what}: {said(check, mark='')}" for row in outcome.rows for check in row.broken]
        missed += [f"below the ratio asked for: {name}, {told(row)}" for row in outcome.rows if row.missed and write]
        missing += [f"not run: {name}: {outcome.not_here}"] * (outcome.not_here is not None)
        if write:
            results = Results.read(options.results)
            found = [Measured(name, invocation, round(outcome.others, 2), row) for row in outcome.rows]
            incomplete = outcome.failure or outcome.not_here
            results.put(name, found, options.level, incomplete)
            if incomplete is None:
                # On a busy machine the seconds that passed say little of the next run.
                results.seconds[f"{options.level}/{name}"] = round(min(outcome.seconds, outcome.cpu_seconds), 1)
            results.keep(list(benchmarks_in(options.folder)))
            results.write(options.results)
            write_whole(options.page, page(results))
    print(f"{len(files)} benchmarks in {_minutes(time.perf_counter() - started)}" + f"; see {options.page}" * write)
    print("\n".join([*missing, *missed, *wrong]))
    return int(bool(wrong))


def main(arguments: list[str] | None = None) -> int:
    """Read the command line; 0 if every check holds, 1 if not, 2 for a wrong command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends with this process
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help="names of benchmarks (default: all), and sizes as key=value")
    parser.add_argument("--level", choices=LEVELS, default="default", help="sizes; small writes no table")
    parser.add_argument("--small", dest="level", action="store_const", const="small", help="a quick look")
    parser.add_argument("--full", dest="level", action="store_const", const="full", help="slow baselines run in full")
    parser.add_argument("--limit", type=float, help="seconds after which a benchmark is ended")
    parser.add_argument("--cache-dir", type=Path, default=ROOT / ".store" / ".cache", help="converted weights")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where benchmarks are")
    parser.add_argument("--results", type=Path, default=FOLDER / "results.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        path, level, given, cache_dir, out = json.loads(options.child)
        return child(Path(path), level, given, Path(cache_dir), Path(out))
    files = benchmarks_in(options.folder)
    names = [word for word in options.what if "=" not in word]
    given = {key: yaml.safe_load(value) for key, _, value in (w.partition("=") for w in options.what if "=" in w)}
    if unknown := [name for name in names if name not in files]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(files)}")
    if given and len(names) != 1:
        parser.error("sizes (key=value) go with the name of one benchmark")
    for name in ("results", "page", "cache_dir", "folder"):
        setattr(options, name, getattr(options, name).resolve())
    return run_all(options, {name: files[name] for name in names or files}, given)

"""A mutation run: does any test notice a small mistake in ``calib_assets.decoding`` or ``calib_assets.metrics``?

The tests and doctests of both rooms are collected once. One pass under coverage.py says which tests reach which line;
then each mutant gets a process of its own, forked from the collected tests, in which the code of one function is
exchanged, and the tests that reach the place run until one fails. A mutant that no test notices survives.
Results are lines of JSON, written one by one: an interrupted run goes on where it stopped.
``make mutation`` samples; ``docs/mutation.md`` holds the survivors and what became of them.
"""

import argparse
import gc
import hashlib
import itertools
import json
import os
import random
import select
import signal
import sys
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(name, "1")  # before the libraries load

ROOMS = ("decoding", "metrics")
LONGEST = 120.0  # seconds of CPU for one mutant: one that hangs is noticed, not waited for


def codes(code: types.CodeType, found: dict | None = None) -> dict[tuple[str, int], types.CodeType]:
    """Every function's code inside a code object, by qualified name and first line."""
    found = {} if found is None else found
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found[constant.co_qualname, constant.co_firstlineno] = constant
            codes(constant, found)
    return found


class Run:
    """The plugin: takes the place of pytest's loop over the tests."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.results = Path(options.results)

    def pytest_pycollect_makemodule(self, module_path, parent) -> None:
        """Properties try few examples, always the same, and shrink nothing; set after the conftests set theirs."""
        from hypothesis import HealthCheck, Phase, settings

        settings.register_profile(
            "mutation",
            deadline=None,
            max_examples=self.options.examples,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session) -> bool:
        from operators import mutants

        self.items = {item.nodeid: item for item in session.items}
        self.session = session
        sources = {
            ".".join(path.relative_to(ROOT / "calib_assets").with_suffix("").parts): path
            for room in ROOMS
            for path in sorted((ROOT / "calib_assets" / room).rglob("*.py"))
            if path.name != "__init__.py"
        }
        self.functions: dict[tuple[str, str, int], list] = {}
        gc.collect()
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType and thing.__code__.co_filename.startswith(str(ROOT)):
                code = thing.__code__
                self.functions.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(thing)
        gc.freeze()
        self.reach, self.seconds = self._baseline()
        done = [json.loads(line) for line in self.results.read_text().splitlines()] if self.results.exists() else []
        done = {entry["key"]: entry for entry in done}
        todo = []
        for name, path in sources.items():
            source = path.read_text()
            digest = hashlib.sha256(source.encode()).hexdigest()[:12]
            every = mutants(source, name)
            random.Random(f"{self.options.seed} {name}").shuffle(every)
            inside = (mutant for mutant in every if self._code_of(path, source, mutant) is not None)
            for place, mutant in enumerate(itertools.islice(inside, self.options.sample)):
                old = done.get(mutant.key)
                fresh = old is not None and old["source"] == digest
                if not fresh or (self.options.survivors and old["outcome"] == "survived"):
                    todo.append((place, name, path, source, digest, mutant))
        todo.sort(key=lambda entry: entry[0])  # the first of every module, then the second, …
        print(f"{len(todo)} mutants to try, {len(done)} tried before", flush=True)
        stop = time.monotonic() + self.options.minutes * 60
        with self.results.open("a") as file:
            for _, name, path, source, digest, mutant in todo:
                if time.monotonic() > stop:
                    break
                entry = self._try(path, source, mutant)
                line = int(mutant.key.split(":")[1])
                entry = {"key": mutant.key, "module": name, "source": digest, "line": line} | entry
                file.write(json.dumps(entry) + "\n")
                file.flush()
        return True

    def _code_of(self, path: Path, source: str, mutant) -> list | None:
        """The functions that the mutant changes, each with its new code; none where it stands outside functions."""
        cached = getattr(self, "_original", (None,))
        if cached[0] != path:
            self._original = cached = (path, codes(compile(source, str(path), "exec")))
        changed = []
        for key, code in codes(compile(mutant.tree(), str(path), "exec")).items():
            old = cached[1].get(key)
            if old is not None and old != code and old.co_freevars == code.co_freevars:
                changed += [(function, code) for function in self.functions.get((str(path), *key), [])]
        return changed or None

    def _baseline(self) -> tuple[dict, dict]:
        """Which tests reach each line, and how long each takes: all tests once, without a mutant, in a fork."""
        import coverage

        data = self.results.with_suffix(".coverage")
        times = self.results.with_suffix(".times.json")
        if not (self.options.reuse and data.exists() and times.exists()):
            data.unlink(missing_ok=True)
            pid = os.fork()
            if not pid:
                status = 3
                try:
                    cover = coverage.Coverage(data_file=str(data), include=[str(ROOT / "calib_assets/*")], branch=True)
                    cover.start()
                    took = {}
                    for nodeid, item in self.items.items():
                        cover.switch_context(nodeid)
                        start = time.process_time()
                        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                        took[nodeid] = time.process_time() - start
                        if self.session.testsfailed:
                            print("fails without a mutant:", nodeid, flush=True)
                            took[nodeid] = -1.0
                            self.session.testsfailed = 0
                    cover.stop()
                    cover.save()
                    times.write_text(json.dumps(took))
                    status = 0
                finally:
                    os._exit(status)
            _, status = os.waitpid(pid, 0)
            if status:
                sys.exit("the tests did not run without a mutant")
        found = coverage.CoverageData(str(data))
        found.read()
        reach = {file: found.contexts_by_lineno(file) for file in found.measured_files()}
        return reach, json.loads(times.read_text())

    def _try(self, path: Path, source: str, mutant) -> dict:
        """Outcome of one mutant: killed (by which test), timeout, survived, or unreached by any test."""
        lines = self.reach.get(str(path), {})
        tests = {test for line in range(mutant.lines[0], mutant.lines[1] + 1) for test in lines.get(line, ()) if test}
        if not tests:
            return {"operator": mutant.operator, "change": mutant.change, "outcome": "unreached"}
        tests = sorted((t for t in tests if self.seconds.get(t, -1) >= 0), key=lambda test: self.seconds[test])
        changed = self._code_of(path, source, mutant)
        reading, writing = os.pipe()
        start = time.monotonic()
        pid = os.fork()
        if not pid:
            status = 3
            try:
                os.close(reading)
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 1)
                os.dup2(null, 2)
                import resource

                limit = int(LONGEST + 5 * sum(self.seconds[test] for test in tests))
                resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
                resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
                for function, code in changed:
                    function.__code__ = code
                for test in tests:
                    item = self.items[test]
                    signal.setitimer(signal.ITIMER_PROF, 20 + 10 * self.seconds[test])
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                    if self.session.testsfailed:
                        os.write(writing, test.encode())
                        os._exit(1)
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        killer = b""
        limit = time.monotonic() + 900
        while time.monotonic() < limit and not select.select([reading], [], [], 1)[0]:
            pass
        if select.select([reading], [], [], 0)[0]:
            killer = os.read(reading, 4096)
        else:
            os.kill(pid, signal.SIGKILL)
        os.close(reading)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        outcome = {0: "survived", 1: "killed"}.get(code, "timeout" if code < 0 else "broken")
        spent = round(time.monotonic() - start, 2)
        return {
            "operator": mutant.operator,
            "change": mutant.change,
            "outcome": outcome,
            "tests": len(tests),
            "killer": killer.decode(),
            "seconds": spent,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=10, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=25, help="examples of each property")
    parser.add_argument("--minutes", type=float, default=600, help="stop after so long; a later run goes on")
    parser.add_argument("--results", default=".mutation.jsonl")
    parser.add_argument("--survivors", action="store_true", help="try those again that survived")
    parser.add_argument("--reuse", action="store_true", help="trust which tests reached which line in the last run")
    options = parser.parse_args()
    import pytest

    os.chdir(ROOT)
    rooms = [f"tests/{room}" for room in ROOMS] + [f"calib_assets/{room}" for room in ROOMS]
    sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", "-o", "timeout=0", *rooms], plugins=[Run(options)]))


if __name__ == "__main__":
    main()

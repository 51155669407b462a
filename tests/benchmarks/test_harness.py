"""The harness is loud: a broken check, a crash, NaN or a hang of one benchmark ends with status 1 and names it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.harness import benchmarks_in
from benchmarks.machine import ROOT
from benchmarks.page import number, page
from benchmarks.results import Invocation, Measured, Results
from benchmarks.rows import Check, Row
from benchmarks.turns import in_turns

BENCHMARK = """
from benchmarks.rows import Check, NotHere, Row

SMALL = {{"number": 5}}


def rows(run, number=0.0):
    yield Row("sums", "10 numbers", "naive 1.0", 1.0, 3.0, (Check("difference", number, 1e-9),), target=2.0)
    {then}
"""


def written(folder: Path, **then: str) -> None:
    """A benchmark of each name, and what it does after its first row."""
    folder.mkdir(exist_ok=True)
    for name, what in then.items():
        (folder / f"{name}.py").write_text(BENCHMARK.format(then=what or "return"))


def bench(place: Path, *words: str) -> subprocess.CompletedProcess:
    """The command on the benchmarks in ``place/suite``; its table is ``place/page.md``."""
    command = [sys.executable, "-m", "benchmarks", *words, "--folder", str(place / "suite")]
    command += ["--results", str(place / "results.json"), "--page", str(place / "page.md")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def table(place: Path) -> list[str]:
    """Lines of the page that are rows of its table."""
    return [line for line in (place / "page.md").read_text().splitlines() if line.startswith("| sums")]


def test_a_suite_that_holds_ends_with_0_and_a_table(tmp_path):
    written(tmp_path / "suite", one="", two="")
    done = bench(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        len(table(tmp_path)) == 2
        and "| 3 (asked for: 2) | difference 0 (limit 1.0e-09) | all run | a |" in table(tmp_path)[0]
    )
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("then", "named"),
    [
        ("yield Row('sums', 'two', 'naive', 1.0, 3.0, (Check('difference', 2e-9, 1e-9),))", "BROKEN: bad, sums: "),
        (
            "yield Row('sums', 'two', 'naive', 1.0, 3.0, (Check('difference', float('nan'), 1e-9),))",
            "BROKEN: bad, sums: ",
        ),
        ("raise MemoryError('too large')", "FAILED: bad ended with status 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "FAILED: bad was killed by SIGKILL"),
        ("import time; time.sleep(600)", "FAILED: bad took longer than 20 s"),
    ],
    ids=["difference", "nan", "crash", "kill", "hang"],
)
def test_a_benchmark_that_goes_wrong_is_named_and_the_others_are_written(tmp_path, then, named):
    written(tmp_path / "suite", bad=then, good="")
    done = bench(tmp_path, "--limit", "20" if "sleep" in then else "120")
    assert done.returncode == 1, done.stdout + done.stderr
    assert named in done.stdout.splitlines()[-1]
    page = (tmp_path / "page.md").read_text()
    assert "(`good`)" in page and "sums (`bad`) | 10 numbers" in page  # its first row was finished
    assert ("**BROKEN**" in page) == ("BROKEN" in named) and ("- `bad`: " in page) == ("FAILED" in named)


def test_one_benchmark_keeps_the_rows_of_the_others(tmp_path):
    written(tmp_path / "suite", one="", two="")
    bench(tmp_path)
    before = json.loads((tmp_path / "results.json").read_text())
    before["runs"][0]["date"] = "2001-01-01 00:00"
    (tmp_path / "results.json").write_text(json.dumps(before))
    assert bench(tmp_path, "two").returncode == 0
    assert [line[-4:] for line in table(tmp_path)] == [" a |", " b |"]
    assert "**a**: 2001-01-01 00:00 UTC" in (tmp_path / "page.md").read_text()


def test_a_failure_keeps_the_old_rows_and_a_success_forgets_it(tmp_path):
    written(tmp_path / "suite", one="yield Row('sums', 'two', 'naive', checks=(Check('difference', 0, 0),))")
    assert bench(tmp_path).returncode == 0
    written(tmp_path / "suite", one="raise RuntimeError('no')")
    assert bench(tmp_path).returncode == 1
    assert len(table(tmp_path)) == 2 and "- `one`: ended with status 1" in (tmp_path / "page.md").read_text()
    written(tmp_path / "suite", one="")
    assert bench(tmp_path).returncode == 0
    assert len(table(tmp_path)) == 1 and "`one`: " not in (tmp_path / "page.md").read_text()


def test_a_baseline_that_is_not_installed_fails_nothing_and_keeps_its_row(tmp_path):
    written(tmp_path / "suite", one="raise NotHere('install naive')")
    done = bench(tmp_path)
    assert done.returncode == 0 and "not run: one: install naive" in done.stdout
    assert len(table(tmp_path)) == 1 and "- `one`: install naive" in (tmp_path / "page.md").read_text()


def test_a_quick_look_writes_nothing_and_still_fails(tmp_path):
    written(tmp_path / "suite", one="")
    done = bench(tmp_path, "one", "--small")
    assert done.returncode == 1 and "BROKEN: one, sums: difference 5" in done.stdout
    assert bench(tmp_path, "one", "number=0.0").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["suite"]


def test_wrong_commands_name_what_there_is(tmp_path):
    written(tmp_path / "suite", one="")
    assert "no benchmark 'three'; there are: one" in bench(tmp_path, "three").stderr
    assert "go with the name of one benchmark" in bench(tmp_path, "number=1").stderr
    assert "has no size 'nubmer'; it has: number" in bench(tmp_path, "one", "nubmer=1").stderr
    (tmp_path / "results.json").write_text("{")
    assert "restore it (git checkout) or delete it" in bench(tmp_path).stderr


def test_a_benchmark_without_rows_fails(tmp_path):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "none.py").write_text("def rows(run):\n    yield from ()\n")
    (tmp_path / "suite" / "helper.py").write_text("raise SystemExit('never imported')\n")
    done = bench(tmp_path)
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "FAILED: none gave no row"


def test_a_row_has_checks_or_a_reason():
    with pytest.raises(ValueError, match="needs checks"):
        Row("sums", "1", "naive", 1.0, 2.0)
    with pytest.raises(ValueError, match="not both"):
        Row("sums", "1", "naive", checks=(Check("difference", 0, 0),), unchecked="no two sides")


def test_limits_include_themselves_and_exclude_nan():
    assert Check("d", 1e-9, 1e-9).holds and not Check("d", 1.1e-9, 1e-9).holds
    assert not Check("d", float("nan"), 1.0).holds and not Check("d", float("inf"), 1.0).holds
    row = Row("sums", "1", "naive", 2.0, 5.0, unchecked="no two sides", target=2.6)
    assert row.ratio == 2.5 and row.missed


def test_rows_survive_the_file(tmp_path):
    row = Row("a | b", "1", "naive", 2.0, None, (Check("d", 1e-300, 0.1),), scaled="3 of 4", clock="CPU")
    one = Measured("x", Invocation("2026-01-01 00:00", "abc+", "full", "m", 0.25), 0.5, row)
    Results([one], {"x": "why"}, {"full/x": 2.0}).write(tmp_path / "results.json")
    read = Results.read(tmp_path / "results.json")
    assert read == Results([one], {"x": "why"}, {"full/x": 2.0})
    assert "| a \\| b (`x`) | 1 | naive | 2 s CPU |  |  | d 1.0e-300 (limit 0.1) | 3 of 4 | a |" in page(read)


def test_of_two_levels_the_newer_row_is_shown():
    row = Row("sums", "1", "naive", 2.0, 4.0, unchecked="no two sides")
    old, new = (
        Measured("x", Invocation(date, "abc", level, "m", 0.25), 0.5, row)
        for date, level in (("2026-01-01 00:00", "default"), ("2026-01-02 00:00", "full"))
    )
    for rows in ([old, new], [new, old]):
        assert page(Results(rows)).count("| sums") == 1 and "full sizes" in page(Results(rows))


def test_turns_alternate_and_keep_what_was_found():
    order = []
    sides = in_turns(a=[lambda: order.append("a") or 1] * 3, b=[lambda: order.append("b") or 2] * 2)
    assert order == ["a", "b", "b", "a", "a"]
    assert sides["a"].values == [1, 1, 1] and len(sides["b"].seconds) == 2
    assert sides["a"].total == pytest.approx(sum(sides["a"].seconds))


def test_the_page_is_what_its_results_say():
    """Numbers are measured, and never written by hand."""
    results = Results.read(ROOT / "benchmarks" / "results.json")
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(results)
    assert {one.benchmark for one in results.rows} <= set(benchmarks_in(ROOT / "benchmarks"))


def test_numbers_are_short():
    values = (0, 3, 2.5e-16, 0.0123, 1.5, 283.4, 11_207, 2.2e7, float("nan"), float("inf"))
    assert [number(value) for value in values] == [
        "0", "3", "2.5e-16", "0.0123", "1.5", "283", "11,207", "2.2e+07", "nan", "inf",
    ]  # fmt: skip


def test_the_benchmark_ends_with_the_harness(tmp_path):
    marker = tmp_path / "pid"
    written(
        tmp_path / "suite", one=f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    command = [sys.executable, "-m", "benchmarks", "--small", "--folder", str(tmp_path / "suite")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as harness:
        while not (marker.exists() and marker.read_text()):
            assert harness.poll() is None
            time.sleep(0.05)
        harness.terminate()
        assert harness.wait(30) == 143
    assert not psutil.pid_exists(int(marker.read_text()))

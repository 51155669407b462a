"""Every benchmark's check holds at a small size, and breaks when what it measures is made wrong.

The benchmarks of real models and of whole processes run in `make bench` and in the slow tests.
"""

import dataclasses
import importlib
import itertools
import json
import subprocess
import sys
import threading
import types
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import polars as pl
import pytest

from benchmarks.harness import benchmarks_in
from benchmarks.machine import ROOT
from benchmarks.rows import NotHere, Row, Run

PURE = ("canopy_coverage", "decoding_grid", "exact_d4_memory", "kendall_tau", "million_leaf_tree", "paired_bootstrap")


def measured(name: str, folder) -> list[Row]:
    """Rows of a benchmark at its small size; those before a missing baseline, if one is."""
    module, found = importlib.import_module(f"benchmarks.{name}"), []
    try:
        found.extend(module.rows(Run(1, folder / "cache", folder), **module.SMALL))
    except NotHere:
        pass
    return found


@pytest.mark.parametrize("name", [*PURE, "self_bleu"])
def test_checks_hold(name, tmp_path):
    rows = measured(name, tmp_path)
    assert rows and [(row.what, row.broken) for row in rows if row.broken] == []


def shifted(by):
    """Add to an array."""
    return lambda found: found + by


def sweep_off(found):
    return dataclasses.replace(found, points=found.points.with_columns(pl.col("validity") + 1e-8))


WRONG = {
    "kendall_tau": ("kendall_tau", shifted(1e-10)),
    "self_bleu": ("self_bleu_scores", shifted(1e-10)),
    "exact_d4_memory": ("sweep", sweep_off),
    "paired_bootstrap": (
        "paired_comparison",
        lambda found: found.with_columns(pl.selectors.ends_with("_se") * (1 + 1e-7)),
    ),
    "million_leaf_tree": ("node_summaries", lambda found: found.with_columns(pl.col("auc") + 1e-9)),
    "decoding_grid": ("select_everywhere", lambda found: dataclasses.replace(found, log_mass=found.log_mass + 1e-6)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_result_breaks_the_check(name, tmp_path, monkeypatch):
    module = importlib.import_module(f"benchmarks.{name}")
    what, spoil = WRONG[name]
    right = getattr(module, what)
    monkeypatch.setattr(module, what, lambda *arguments, **named: spoil(right(*arguments, **named)))
    assert any(row.broken for row in measured(name, tmp_path))


def test_intervals_that_are_too_narrow_break_the_coverage(tmp_path, monkeypatch):
    from benchmarks import canopy_coverage

    right = canopy_coverage.canopy_measures

    def narrow(*arguments):
        found = right(*arguments)
        middle = [pl.col("est") + (pl.col(end) - pl.col("est")) / 2 for end in ("ci_low", "ci_high")]
        return types.SimpleNamespace(
            summary=found.summary.with_columns(middle[0].alias("ci_low"), middle[1].alias("ci_high"))
        )

    monkeypatch.setattr(canopy_coverage, "canopy_measures", narrow)
    assert all(row.broken for row in measured("canopy_coverage", tmp_path))


def test_a_wrong_mean_breaks_the_coverage(tmp_path, monkeypatch):
    from benchmarks import canopy_coverage

    right = canopy_coverage.study
    monkeypatch.setattr(canopy_coverage, "study", lambda *sizes: (1.5 * right(*sizes)[0], right(*sizes)[1]))
    assert any(row.broken for row in measured("canopy_coverage", tmp_path))


def test_samples_of_two_distributions_differ():
    from benchmarks.rollout_decoding import one_distribution

    rng = np.random.default_rng(0)

    def drawn(rate):
        return [(int(rng.random() < rate),) * int(rng.geometric(rate)) for _ in range(400)]

    assert all(check.holds for check in one_distribution(drawn(0.2), drawn(0.2)))
    lengths, firsts = one_distribution(drawn(0.2), drawn(0.4))
    assert not lengths.holds and not firsts.holds


def test_the_two_planners_agree_on_a_small_store(tmp_path):
    """In one process, unlike in the benchmark; nothing is stale before damage, and the same cells after it."""
    from benchmarks import planner_scale as scale

    scale.write_study(tmp_path, 1)
    scale.fill(scale.open_view(tmp_path))
    assert [scale.measure(what, tmp_path)["stale"] for what in scale.PLANS] == [[], []]
    assert scale.damage(tmp_path) > 0
    found = [scale.measure(what, tmp_path)["stale"] for what in scale.PLANS]
    assert found[0] == found[1] and found[0]


@contextmanager
def chat(steady: bool):
    """Endpoint of a server that says the same to everybody, or to nobody."""
    count = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            said = f"Reason. grammar: 90 semantic: 90 overall: {10 if steady else 10 + next(count)}"
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
            body = json.dumps(answer | {"usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("steady", [True, False])
def test_replies_of_a_judge_are_compared(tmp_path, steady):
    from benchmarks import judge_throughput

    with chat(steady) as endpoint:
        run = Run(1, tmp_path / "cache", tmp_path)
        (row,) = judge_throughput.rows(run, endpoint=endpoint, model="m", items=3, rounds=2, concurrency=2)
    assert [check.what for check in row.broken] == ([] if steady else ["raw replies that differ"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(set(benchmarks_in(ROOT / "benchmarks")) - {*PURE, "self_bleu"}))
def test_benchmarks_of_models_and_processes_hold(name, tmp_path):
    command = [sys.executable, "-m", "benchmarks", name, "--small", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_every_benchmark_is_seen():
    names = set(benchmarks_in(ROOT / "benchmarks"))
    assert {*PURE, "self_bleu", "planner_scale", "rollout_decoding", "judge_throughput"} <= names
    assert not names & {"harness", "rows", "page", "results", "turns", "machine"}

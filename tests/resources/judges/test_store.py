"""Verdicts survive kill -9, forks, threads and other processes; budgets hold over all of them."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest

from resources.judges import Budget, Claim, Reply, ReplyStoreError, Verdict, VerdictStore

OK = Verdict("ok", 100, 99, 98, "reason", "raw", "detail", 10, 5, 0.25)
JUDGE = "judge"

# A judge in a process of its own: python -c SCRIPT folder url ids…
SCRIPT = """
import sys
from resources.judges import Item, LlmJudge, LlmJudgeSettings, RetryPolicy, VerdictStore
folder, url, prefix, count, script = sys.argv[1:]
settings = LlmJudgeSettings("j", "m", url, concurrency=4, max_missing_share=1.0)
with VerdictStore(folder) as store:
    judge = LlmJudge(settings, store, retries=RetryPolicy(base_s=0.002))
    items = [Item("p", f"[[id={prefix}/{i} scores={i % 101},5,6 script={script}]]") for i in range(int(count))]
    print("ready", flush=True)
    found = judge.judge(items)
    print(*(v.grammar for v in found))
"""


def start(folder, server, prefix: str, count: int, script: str) -> subprocess.Popen:
    arguments = [sys.executable, "-c", SCRIPT, str(folder), server.url, prefix, str(count), script]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen) -> list[int]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [int(score) for score in output.split()]


def paid(server, prefix: str) -> list[int]:
    return [entry["paid"] for entry in server.stats(prefix + "/")["ids"].values()]


def test_killed_judge_loses_only_calls_in_flight(tmp_path, server):
    process = start(tmp_path, server, "kill", 200, "slow:0.05")
    while len(paid(server, "kill")) < 40:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with VerdictStore(tmp_path) as store:
        with store._database.transaction() as db:
            stored = {row[0] for row in db.execute("SELECT key FROM verdicts")}
            assert len(stored) == db.execute("SELECT calls FROM spent").fetchone()[0]
    server.rest()
    before = sum(paid(server, "kill"))
    assert before - 4 <= len(stored) <= before < 200  # at most the four in flight were lost
    started = time.perf_counter()
    assert finish(start(tmp_path, server, "kill", 200, "slow:0.05")) == [i % 101 for i in range(200)]
    assert time.perf_counter() - started < 90  # claims of the dead, which last for 120 s, are not waited for
    again = paid(server, "kill")
    assert len(again) == 200 and sum(again) - 200 == before - len(stored)


def test_two_processes_pay_for_each_item_once(tmp_path, server):
    processes = [start(tmp_path, server, "pair", 300, "slow:0.01") for _ in range(2)]
    assert [finish(process) for process in processes] == [[i % 101 for i in range(300)]] * 2
    assert paid(server, "pair") == [1] * 300


@pytest.fixture
def two(tmp_path):
    with VerdictStore(tmp_path) as a, VerdictStore(tmp_path) as b:
        yield a, b


def test_everything_of_a_verdict_comes_back(two):
    a, b = two
    missing = [Verdict(status, raw="x", detail="why") for status in ("unparsable", "refused", "truncated")]
    for i, verdict in enumerate([OK, *missing]):
        a.settle(f"k{i}", JUDGE, verdict, item="i")
    assert b.get([f"k{i}" for i in range(9)]) == {f"k{i}": verdict for i, verdict in enumerate([OK, *missing])}
    with pytest.raises(ValueError, match="not final"):
        a.settle("k", JUDGE, Verdict("failed"), item="i")


def test_the_first_verdict_stays_and_every_reply_is_kept(two):
    a, b = two
    replies = [Reply("empty", "one", 10, 5, 0.1), Reply("ok", "two", 20, 6, 0.2), Reply("ok", "late", 1, 1, 0.3)]
    a.record("k", JUDGE, replies[0])
    a.settle("k", JUDGE, OK, replies[1], item="i")
    b.settle("k", JUDGE, Verdict("refused"), replies[2], item="i")
    assert a.get(["k"])["k"] == OK and a.replies("k") == replies


def test_ledger_is_the_sum_of_replies(tmp_path):
    identity = {"model": "m"}
    with VerdictStore(tmp_path) as store:
        judge = store.who(identity)
        store.record("a", judge, Reply("ok", "", 10, 5, 0.5))
        store.record("b", judge, Reply("lost", "", 100, 50, 1.0, measured=False))
        store.record("c", store.who({"model": "other"}), Reply("ok", "", 7, 7, 7.0))
        ledger = store.ledger(identity)
    assert (ledger.calls, ledger.prompt_tokens, ledger.completion_tokens, ledger.cost) == (2, 10, 5, 0.5)
    assert (ledger.assumed_tokens, ledger.assumed_cost, ledger.tokens) == (150, 1.0, 165)


def test_keys_tell_everything_apart(tmp_path):
    base = ({"m": 1}, "p", "r", None)
    others = [({"m": 2}, "p", "r", None), ({"m": 1}, "pr", "", None), ({"m": 1}, "p", "r", False)]
    assert len({VerdictStore.key(*parts) for parts in [base, *others]}) == 4
    assert VerdictStore.key({"a": 1, "b": 2}, "p", "r") == VerdictStore.key({"b": 2, "a": 1}, "p", "r")


def test_claims_exclude_each_other_until_they_end(two):
    a, b = two
    assert a.claim("k", JUDGE) is Claim.TAKEN
    assert a.claim("k", JUDGE) is b.claim("k", JUDGE) is Claim.BUSY
    assert a.claim("k", JUDGE, renew=True) is Claim.TAKEN and b.claim("k", JUDGE, renew=True) is Claim.BUSY
    b.release(["k"])  # not b's to give up
    assert b.claim("k", JUDGE) is Claim.BUSY
    a.release(["k"])
    assert b.claim("k", JUDGE, lifetime_s=0.05) is Claim.TAKEN
    time.sleep(0.06)
    assert a.claim("k", JUDGE) is Claim.TAKEN  # b's time is over
    a.close()
    assert b.claim("k", JUDGE) is Claim.TAKEN  # a is gone
    b.settle("k", JUDGE, OK, item="i")
    assert a.claim("k", JUDGE) is Claim.SETTLED


def test_budget_counts_what_is_spent_and_what_is_in_flight(two):
    a, b = two
    budget = Budget(tokens=100)
    assert a.claim("k1", JUDGE, 60, budget=budget) is Claim.TAKEN
    assert b.claim("k2", JUDGE, 60, budget=budget) is Claim.WAIT
    assert b.claim("k2", JUDGE, 101, budget=budget) is Claim.EXHAUSTED
    assert b.claim("k2", "other", 60, budget=budget) is Claim.TAKEN  # another judge has a budget of its own
    a.settle("k1", JUDGE, OK, Reply("ok", "", 20, 10), item="i")
    assert b.claim("k3", JUDGE, 70, budget=budget) is Claim.TAKEN
    b.record("k3", JUDGE, Reply("empty", "", 40, 0))  # the reservation is used up by what it cost
    assert a.claim("k4", JUDGE, 30, budget=budget) is Claim.TAKEN
    assert b.claim("k3", JUDGE, 1, budget=budget, renew=True) is Claim.WAIT
    a.close()  # its claim holds nothing any more
    assert b.claim("k3", JUDGE, 30, budget=budget, renew=True) is Claim.TAKEN
    assert b.claim("k3", JUDGE, 31, budget=budget, renew=True) is Claim.EXHAUSTED


def _in_child(store, key, pipe):
    pipe.send((store.claim("k", JUDGE).name, store.get([key])[key].overall))
    store.settle("from-child", JUDGE, OK, item="i")
    store.close()


def test_a_forked_child_opens_the_file_anew(tmp_path):
    with VerdictStore(tmp_path) as store:
        store.claim("k", JUDGE)
        store.settle("done", JUDGE, OK, item="i")
        here, there = get_context("fork").Pipe()
        child = get_context("fork").Process(target=_in_child, args=(store, "done", there))
        child.start()
        assert here.poll(20) and here.recv() == ("BUSY", 98)
        child.join()
        assert child.exitcode == 0 and store.get(["from-child"]) == {"from-child": OK}
        assert store.claim("k", JUDGE, renew=True) is Claim.TAKEN
        for end in (here, there):
            end.close()


def test_damaged_file_names_itself_and_the_remedy(tmp_path):
    (tmp_path / "verdicts.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ReplyStoreError, match=r"verdicts\.sqlite.*move a damaged"):
        VerdictStore(tmp_path).get(["k"])


def test_a_failed_transaction_leaves_nothing(tmp_path):
    with VerdictStore(tmp_path) as store:
        with store._database.transaction() as db:
            db.execute("CREATE TRIGGER full BEFORE INSERT ON verdicts BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        with pytest.raises(ReplyStoreError, match="disk is full"):
            store.settle("k", JUDGE, OK, Reply("ok", "raw", 1, 1), item="i")
        assert store.replies("k") == []
        with sqlite3.connect(store._database.file) as db:
            assert db.execute("SELECT count(*) FROM spent").fetchone() == (0,)
        db.close()

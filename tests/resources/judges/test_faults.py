"""The judge's client against a real server that misbehaves in every way that is scripted."""

import asyncio
import logging
import random
import socket
import threading
import time
from dataclasses import astuple

import pytest
from judge_faults import ENDS, FAULTS, ONE_TEXT

from resources.judges import (
    BudgetReached,
    EndpointError,
    Item,
    RetryPolicy,
    SettingsError,
    TooManyMissing,
    is_valid,
)


@pytest.mark.parametrize("script", ONE_TEXT)
def test_one_item(script, judge, item, id_of, server):
    status, calls = ONE_TEXT[script]
    judged = item(script, scores=(100, 99, 98))
    client = judge(retries=RetryPolicy(base_s=0.002, cap_s=0.02, max_retry_after_s=60))
    [verdict] = client.judge([judged])
    assert verdict.status == status, verdict
    scores = (verdict.grammar, verdict.semantic, verdict.overall)
    assert scores == ((100, 99, 98) if status == "ok" else (None, None, None))
    assert is_valid(verdict, 98) is (True if status == "ok" else None)
    assert server.stats(id_of(judged))["ids"][id_of(judged)]["calls"] == calls

    # A final verdict is read from the store; a failure is tried again, and fails again.
    [again] = client.judge([judged])
    counted = server.stats(id_of(judged))["ids"][id_of(judged)]["calls"]
    assert again.status == status and counted == (calls if status != "failed" else 2 * calls)
    if status != "failed":
        assert again == verdict


def test_hanging_server_is_left_after_the_timeout(judge, item):
    started = time.perf_counter()
    [verdict] = judge(timeout_s=1).judge([item("hang|hang|ok")])
    assert verdict.status == "ok" and 2 <= time.perf_counter() - started < 30  # a hanging call lasts for 30 s


def test_retry_after_is_honoured_in_seconds_and_as_a_date(judge, item):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    policy = RetryPolicy(sleep=sleep, uniform=lambda: 0.5, base_s=1.0, cap_s=3.0, max_retry_after_s=1e4)
    [verdict] = judge(retries=policy).judge([item("429:7|429|500|429date:1000|500|ok")])
    assert verdict.status == "ok"
    # Attempts 2, 3 and 5 have no Retry-After: half of min(cap, 1 * 2^(n-1)).
    assert waits[:3] == [7.0, 1.0, 1.5] and waits[4] == 1.5
    assert 900 < waits[3] <= 1000  # dates have whole seconds, and their delivery takes time


def test_nobody_calls_while_a_servers_retry_after_is_waited_for(judge, item, server, id_of):
    items = [item("ok"), item("429:3|ok"), *(item("slow:0.05") for _ in range(30))]
    assert all(v.status == "ok" for v in judge(concurrency=2).judge(items))
    counted = server.stats(id_of(items[0]).partition("/")[0])["ids"]
    refused, again = counted[id_of(items[1])]["times"]
    assert again - refused > 2.95
    others = [time for name, entry in counted.items() if name != id_of(items[1]) for time in entry["times"]]
    # A call may have been on its way when the server asked for three seconds of silence.
    assert not [time for time in others if refused + 1.5 < time < refused + 2.95]


def test_empty_reply_is_asked_for_once_more_in_plain_text(judge, item, id_of, server):
    judged = item("emptyschema")
    client = judge()
    [verdict] = client.judge([judged])
    first, second = (r["body"] for r in server.stats(id_of(judged))["ids"][id_of(judged)]["requests"])
    assert first["response_format"]["json_schema"]["schema"]["required"][0] == "reason"
    assert "response_format" not in second and "Reason: ..." in second["messages"][0]["content"]
    assert "plain text" in verdict.detail
    assert [reply.outcome for reply in client.verdicts.replies(client.key(judged))] == ["empty", "ok"]


def test_rejected_format_is_remembered_for_the_run(judge, item, id_of, server):
    items = [item("noschema") for _ in range(5)]
    assert all(v.status == "ok" for v in judge(concurrency=1).judge(items))
    calls = [server.stats(id_of(i))["ids"][id_of(i)]["calls"] for i in items]
    assert calls == [2, 1, 1, 1, 1]


def test_structured_schema_never_falls_back(judge, item, id_of, server):
    empty, rejected = item("emptyschema"), item("noschema")
    statuses = [v.status for v in judge(structured="schema").judge([empty, rejected])]
    assert statuses == ["unparsable", "failed"]
    [text] = judge(structured="text").judge([item("noschema")])
    assert text.status == "ok"


@pytest.mark.parametrize(
    "script, said",
    [("401", "JUDGE_TEST_KEY"), ("403", "model"), ("404", "/v1"), ("402", "money"), ("quota", "money")],
)
def test_wrong_key_model_or_account_is_told_by_the_first_call(script, said, judge, item, id_of, server):
    items = [item(script) for _ in range(20)]
    with pytest.raises(EndpointError, match=said) as caught:
        judge().judge(items)
    assert "test-judge" in str(caught.value) and server.url.split("/")[2] in str(caught.value)
    assert server.stats(id_of(items[0]).rpartition("/")[0])["ids"].keys() == {id_of(items[0])}


def test_key_is_in_no_error_log_reply_or_file(judge, item, server, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    wrong = "sk-wrong-key-0123456789"
    with pytest.raises(EndpointError, match="JUDGE_TEST_KEY") as caught:
        judge(environment={"JUDGE_TEST_KEY": wrong}).judge([item("key")])
    assert "[key]" in str(caught.value) and wrong not in repr(caught.value) and caught.value.__cause__ is None
    client = judge()
    echoed = [item("echokey"), item("escapedkey"), item("badkey|key")]
    for verdict in client.judge(echoed):
        assert verdict.status == "ok" and server.key not in str(astuple(verdict))
    assert "[key]" in client.judge(echoed)[0].reason and "[key]" in client.judge(echoed)[1].reason
    for key in (server.key, wrong):
        assert key not in caplog.text and key not in repr(client) + repr(client.settings) + str(client.identity())
        for file in (tmp_path / "verdicts").iterdir():
            assert file.is_dir() or key.encode() not in file.read_bytes()


def test_no_key_of_another_service_is_sent(judge, item, id_of, server, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "secret-of-another-service")
    judged = item()
    assert judge(api_key_env=None).judge([judged])[0].status == "ok"
    [sent] = server.stats(id_of(judged))["ids"][id_of(judged)]["requests"]
    assert "authorization" not in sent["headers"] and "secret-of-another-service" not in str(sent)


def test_missing_key_is_told_only_when_a_call_is_needed(judge, item):
    judged = item()
    with pytest.raises(SettingsError, match="JUDGE_TEST_KEY is not set"):
        judge(environment={}).judge([judged])
    first = judge().judge([judged])
    assert judge(environment={}, endpoint="http://127.0.0.1:9/v1").judge([judged]) == first


def test_unreachable_host_fails_at_once(judge, item):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    with pytest.raises(EndpointError, match=f"127.0.0.1:{port}.*remedy: correct the field endpoint"):
        judge(endpoint=f"http://127.0.0.1:{port}/v1", retries=RetryPolicy()).judge([item() for _ in range(50)])
    assert time.perf_counter() - started < 5


def test_server_that_stops_answering_ends_the_run(judge, item, server, id_of):
    items = [*(item() for _ in range(5)), *(item("500") for _ in range(200))]
    client = judge(concurrency=2, max_attempts=2)
    with pytest.raises(EndpointError, match="10 items in a row failed.*HTTP 500"):
        client.judge(items)
    assert client.pending(items) == 200
    tried = server.stats(id_of(items[0]).rpartition("/")[0])["ids"]
    assert len(tried) < 20


def test_share_of_missing_verdicts_is_a_gate(judge, item):
    items = [*(item() for _ in range(8)), item("word"), item("refuse")]
    assert len(judge(max_missing_share=0.2).judge(items)) == 10
    with pytest.raises(TooManyMissing, match=r"2 of 10 verdicts are missing \(1 refused, 1 unparsable\)"):
        judge(max_missing_share=0.19).judge(items)


@pytest.mark.parametrize("field, limit", [("max_tokens_total", 20_000), ("max_cost", 0.02)])
def test_budget_stops_cleanly_and_a_rerun_resumes(field, limit, judge, item, id_of, server, verdicts):
    items = [item("slow:0.01") for _ in range(150)]
    price = {"price_per_million": (1.0, 1.0)}  # so that cost is tokens / 1e6
    with pytest.raises(BudgetReached, match=field) as caught:
        judge(**{field: limit}, **price).judge(items)
    spent = judge(**price).ledger()
    counted = server.stats(id_of(items[0]).rpartition("/")[0])["ids"]
    paid = sum(entry["paid"] for entry in counted.values())
    assert 100 < paid < 150 and caught.value.done == paid == 150 - judge().pending(items)
    assert spent.prompt_tokens == 100 * paid and spent.completion_tokens == 20 * paid and spent.calls == paid
    assert spent.tokens <= 20_000 and spent.cost == pytest.approx(120e-6 * paid)
    # As near to the limit as the largest possible call allows; nothing is left of a reservation.
    assert spent.tokens > 20_000 - 6_000

    with pytest.raises(BudgetReached):
        judge(**{field: limit}, **price).judge(items)  # nothing more is paid for
    assert judge(**price).ledger() == spent
    assert all(v.status == "ok" for v in judge(**{field: 10 * limit}, **price).judge(items))
    counted = server.stats(id_of(items[0]).rpartition("/")[0])["ids"]
    assert [entry["paid"] for entry in counted.values()] == [1] * 150


def test_lost_answers_count_against_the_limit_at_their_worst(judge, item):
    client = judge(max_tokens=50)
    client.judge([item("close|nousage")])
    ledger = client.ledger()
    assert (ledger.calls, ledger.prompt_tokens, ledger.completion_tokens) == (2, 0, 0)
    assert 2 * (100 + 50) < ledger.assumed_tokens < 2 * 10_000


def test_concurrency_is_used_and_not_exceeded(judge, item, server, id_of):
    items = [item("slow:0.4") for _ in range(15)]
    judge(concurrency=5).judge(items)
    assert server.stats(id_of(items[0]).partition("/")[0])["most_in_flight"] == 5


def test_identical_items_are_judged_once_and_order_is_kept(judge, item, id_of, server):
    a, b = item(scores=(1, 2, 3)), item(scores=(4, 5, 6))
    seen = []
    verdicts = judge().judge([a, b, a, a, b], progress=lambda done, total: seen.append((done, total)))
    assert [v.grammar for v in verdicts] == [1, 4, 1, 1, 4]
    assert seen == [(0, 2), (1, 2), (2, 2)] and judge().judge([]) == []
    assert [server.stats(id_of(i))["ids"][id_of(i)]["calls"] for i in (a, b)] == [1, 1]
    [cut] = judge().judge([Item(a.prompt, a.response, truncated=True)])  # the rubric shows it: another verdict
    assert cut.grammar == 1 and server.stats(id_of(a))["ids"][id_of(a)]["calls"] == 2


def test_works_inside_a_running_loop_and_from_threads(judge, item, id_of, server):
    items = [item("slow:0.01") for _ in range(60)]

    async def notebook():
        return judge().judge(items[:20])

    assert [v.status for v in asyncio.run(notebook())] == ["ok"] * 20
    results = {}
    threads = [threading.Thread(target=lambda i=i: results.update({i: judge().judge(items)})) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1] == results[2] and len(results[0]) == 60
    counted = server.stats(id_of(items[0]).rpartition("/")[0])["ids"]
    assert {entry["paid"] for entry in counted.values()} == {1}


def test_ten_thousand_items_under_random_faults(judge, item, id_of, server):
    rng = random.Random(7)
    items, truth = [], []
    for _ in range(10_000):
        scores = tuple(rng.randrange(101) for _ in range(3))
        faults = rng.choices(FAULTS, k=rng.randrange(6)) if rng.random() < 0.15 else []
        end = rng.choices(list(ENDS), weights=[70, 4, 4, 4, 2, 1, 1, 1, 1, 1, 0.1])[0]
        items.append(item("|".join([*faults, end]), scores))
        truth.append((ENDS[end], *(scores if ENDS[end] == "ok" else (None,) * 3)))
    order = rng.choices(range(10_000), k=2_000)  # some are asked for twice
    asked, expected = items + [items[i] for i in order], truth + [truth[i] for i in order]
    client = judge(concurrency=16, max_attempts=6)
    started, cpu = time.perf_counter(), time.process_time()
    found = client.judge(asked)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert [(v.status, v.grammar, v.semantic, v.overall) for v in found] == expected
    counted = server.stats(id_of(items[0]).rpartition("/")[0])["ids"]
    assert len(counted) == 10_000
    final = [status != "failed" for status, *_ in truth]
    assert [counted[id_of(i)]["paid"] for i in items] == [int(is_final) for is_final in final]
    assert client.pending(items) == final.count(False)
    stored = client.verdicts.get([client.key(i) for i in items])
    assert len(stored) == sum(final)
    ledger = client.ledger()
    measured = sum(final) + sum(i.response.count(word) for i in items for word in ("two", "none", "emptyschema"))
    assert ledger.prompt_tokens == 100 * measured
    calls = sum(entry["calls"] for entry in counted.values())
    print(f"\n10,000 items, {calls:,} calls in {seconds:.1f} s ({cpu:.1f} s of CPU): {ledger}")
    assert cpu < 60  # on an idle core this is the time that passes; a shared machine must not fail the test

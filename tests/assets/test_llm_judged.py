"""A study judged by a server: a real OpenAI-compatible HTTP server on loopback, whose verdicts the texts determine."""

import json

import pytest
from chat_server import ChatServer

from calib_assets.plan_lines import render
from calib_assets.staleness.planner import plan

KEY = "sk-loopback-1234567890abcdef"


class Server(ChatServer):
    """Valid iff the response has an even number of characters; counts the calls of each text."""

    key, usage = KEY, (100, 20)

    def __init__(self):
        super().__init__()
        self.calls = {}

    def record(self, body):
        user = body["messages"][-1]["content"]
        prompt = user[: user.index("PROMPT ENDS")].partition("\n")[2]
        key = (prompt, _response(user), "was cut off" in user)
        self.calls[key] = self.calls.get(key, 0) + 1

    def message(self, body):
        text = _response(body["messages"][-1]["content"])
        score = 100 if len(text) % 2 == 0 else 40
        reason = f"{len(text)} characters"
        return json.dumps({"reason": reason, "grammar": 100, "semantic": score, "overall": score}), {}


def _response(user: str) -> str:
    begin = user.index("RESPONSE BEGINS")
    return user[user.index("\n", begin) + 1 : user.index("\nRESPONSE ENDS")]


@pytest.fixture
def server():
    with Server().running() as running:
        yield running


@pytest.fixture
def judged(workplace, server, monkeypatch):
    """The workplace with a server as the second judge of one sweep, and only that sweep."""
    monkeypatch.setenv("CALIB_TEST_JUDGE_KEY", KEY)
    row = {"name": "server", "kind": "llm", "model": "m", "endpoint": server.url, "api_key_env": "CALIB_TEST_JUDGE_KEY"}
    prices = {"price_per_million": {"prompt": 1.0, "completion": 10.0}, "budget": {"tokens": 10_000_000}}

    def change(study):
        study["judges"].append({**row, **prices})
        study["sweeps"] = [{**study["sweeps"][1], "judges": ["strict", "server"]}]

    workplace.edit(change)
    return workplace


def labels_of(workplace, model="alpha"):
    table = workplace.store.open().table("judge_labels", (model, "one-step"), "judge_labels")
    return [row for row in table.iter_rows(named=True) if row["judge"] == "server"]


def responses_of(workplace, model="alpha"):
    return workplace.store.open().table("completions", (model, "one-step"), "completions")


def test_labels_are_the_servers_and_no_text_is_paid_twice(judged, server, instance):
    summary, _ = judged.refresh(instance)
    assert summary.ok, summary.failed
    for model in ("alpha", "beta"):
        said = responses_of(judged, model).select("seed", "node", "response").rows()
        text = {(seed, node): response for seed, node, response in said}
        rows = labels_of(judged, model)
        assert len(rows) == len(text) > 40
        for row in rows:
            assert row["status"] == "ok" and row["is_valid"] == (len(text[row["seed"], row["node"]]) % 2 == 0)
    assert set(server.calls.values()) == {1}

    # Another threshold judges the same verdicts anew, and another concurrency nothing at all: no call is made.
    before = dict(server.calls)
    judged.edit(lambda study: study["judges"][-1].update(threshold=30))
    summary, computed = judged.refresh(instance)
    assert summary.ok and "judge_labels" in computed and server.calls == before
    assert all(row["is_valid"] for row in labels_of(judged))
    judged.edit(lambda study: study["judges"][-1].update(concurrency=2))
    assert plan(judged.view()) == []


def test_a_server_that_breaks_down_loses_no_verdict(judged, server, instance):
    server.answers_left = 7
    summary, _ = judged.refresh(instance)
    assert not summary.ok and sum(server.calls.values()) == 7
    server.answers_left = None
    summary, _ = judged.refresh(instance)
    assert summary.ok, summary.failed
    assert set(server.calls.values()) == {1}


def test_a_budget_stops_cleanly_and_a_larger_one_goes_on(judged, server, instance):
    judged.edit(lambda study: study["judges"][-1].update(budget={"tokens": 4000}, max_tokens=64))
    summary, _ = judged.refresh(instance)
    reasons = " ".join(summary.failed.values())
    assert not summary.ok and "BudgetReached" in reasons
    spent = sum(server.calls.values())
    assert 0 < spent * 120 <= 4000
    judged.edit(lambda study: study["judges"][-1].update(budget={"tokens": 10_000_000}))
    summary, _ = judged.refresh(instance)
    assert summary.ok and set(server.calls.values()) == {1}


def test_a_wrong_key_is_named_and_never_shown(judged, server, instance, monkeypatch):
    wrong = "sk-wrong-abcdef0123456789"
    monkeypatch.setenv("CALIB_TEST_JUDGE_KEY", wrong)
    summary, _ = judged.refresh(instance)
    text = " ".join(summary.failed.values())
    assert not summary.ok and "server" in text and "CALIB_TEST_JUDGE_KEY" in text and wrong not in text
    monkeypatch.setenv("CALIB_TEST_JUDGE_KEY", KEY)
    summary, _ = judged.refresh(instance)
    assert summary.ok
    for file in judged.folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert KEY.encode() not in data and wrong.encode() not in data, file


def test_the_plan_says_that_a_judge_cannot_be_asked(judged, monkeypatch):
    view = judged.view()
    assert not [line for line in render(plan(view), view) if line.startswith("note:")]
    monkeypatch.delenv("CALIB_TEST_JUDGE_KEY")
    (note,) = [line for line in render(plan(view), view) if line.startswith("note:")]
    assert "judge 'server'" in note and "CALIB_TEST_JUDGE_KEY is not set" in note
    judged.edit(lambda study: study["judges"][-1].update(endpoint=None, api_key_env=None))
    monkeypatch.delenv("CALIB_JUDGE_ENDPOINT", raising=False)
    view = judged.view()
    (note,) = [line for line in render(plan(view), view) if line.startswith("note:")]
    assert "CALIB_JUDGE_ENDPOINT" in note

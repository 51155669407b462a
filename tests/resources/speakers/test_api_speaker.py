"""Speakers behind a real HTTP server: faults, refusals, budgets, kill -9, keys. No answer is paid for twice."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resources.endpoints.errors import BudgetReached, EndpointError, SettingsError
from resources.endpoints.retries import RetryPolicy
from resources.speakers import ApiModelSettings, ApiSpeaker, Exchange, Question, Sample, SampleStore, Sampling

FAST = RetryPolicy(base_s=0.002, cap_s=0.02)
VARIABLE = "SPEAKER_TEST_KEY"
CITIES = {"Paris", "Oslo", "Lima"}

# python -c SCRIPT folder url prompt count
SCRIPT = """
import sys
from resources.endpoints.retries import RetryPolicy
from resources.speakers import ApiModelSettings, ApiSpeaker, Question, SampleStore, Sampling
folder, url, prompt, count = sys.argv[1:]
settings = ApiModelSettings("far", "m", url, concurrency=4)
with SampleStore(folder) as store:
    speaker = ApiSpeaker(settings, store, retries=RetryPolicy(base_s=0.002))
    print("ready", flush=True)
    found = speaker.answer([Question(prompt, (0, i)) for i in range(int(count))], Sampling())
    print(*(sample.text for sample in found))
"""


@pytest.fixture
def samples(tmp_path):
    with SampleStore(tmp_path / "samples") as store:
        yield store


@pytest.fixture
def speaker(server, samples):
    """``speaker(**settings)``: a speaker of the fault server with a correct key and short waits."""

    def make(environment=None, **fields) -> ApiSpeaker:
        defaults = {"name": "far", "model": "m", "endpoint": server.url, "api_key_env": VARIABLE, "timeout_s": 20}
        environment = {VARIABLE: server.key} if environment is None else environment
        return ApiSpeaker(ApiModelSettings(**{**defaults, **fields}), samples, retries=FAST, environment=environment)

    return make


@pytest.fixture
def prompt(orders):
    """``prompt(script)``: a question that the server answers as it is told to."""
    return lambda script="city": orders(script, [1])


def entry_of(server, prompt: str) -> dict:
    name = prompt.partition("id=")[2].partition(" ")[0]
    return server.stats(name)["ids"].get(name, {"calls": 0, "paid": 0, "requests": []})


def questions(prompt: str, count: int) -> list[Question]:
    return [Question(prompt, (0, i)) for i in range(count)]


# script -> (status, text, calls)
FAULTS = {
    "say:Paris": ("ok", "Paris", 1),
    "429|say:Paris": ("ok", "Paris", 2),
    "429:0.01|500|503|408|say:Paris": ("ok", "Paris", 5),
    "close|half|badjson|html|two|say:Paris": ("ok", "Paris", 6),
    "newfield|say:Paris": ("ok", "Paris", 2),
    "say:": ("empty", "", 1),
    "refuse": ("refused", "", 1),
    "filter": ("refused", None, 1),
    "blocked": ("refused", "", 1),
    "cut": ("truncated", None, 1),
    "decline": ("ok", "I'm sorry, but I can't help with that.", 1),
    "500": ("failed", "", 6),
    "400": ("failed", "", 1),
    "429:1000": ("failed", "", 1),
}


@pytest.mark.parametrize("script", FAULTS)
def test_faults_are_tried_again_and_what_came_is_called_what_it_is(speaker, prompt, server, script):
    status, text, calls = FAULTS[script]
    asked = prompt(script)
    (found,) = speaker().answer([Question(asked, (0, 0))], Sampling())
    assert found.status == status and text in (None, found.text)
    assert entry_of(server, asked)["calls"] == calls
    assert speaker().pending([Question(asked, (0, 0))], Sampling()) == (status == "failed")


def test_a_server_that_hangs_is_left_and_asked_again(speaker, prompt, server):
    asked = prompt("hang:20|say:Oslo")
    (found,) = speaker(timeout_s=0.3).answer([Question(asked, (0, 0))], Sampling())
    assert (found.status, found.text) == ("ok", "Oslo") and entry_of(server, asked)["calls"] == 2
    assert speaker().ledger().assumed_tokens > 64  # the lost answer was perhaps billed: at most its limit


def test_every_answer_has_a_seed_of_its_own_and_log_probabilities_are_kept(speaker, prompt, server):
    asked = prompt()
    found = speaker().answer(questions(asked, 30), Sampling(temperature=0.7, top_p=0.9, max_new_tokens=9))
    assert {sample.text for sample in found} == CITIES
    for question, sample in zip(questions(asked, 30), found, strict=True):
        assert sample.text == ("Paris", "Oslo", "Lima")[question.seed % 3]
        assert sample.log_probability == -0.75 and json.loads(sample.token_logprobs) == [-0.5, -0.25]
        # The server counts 20, thoughts among them: a log-probability per token divides by its own two.
        assert sample.n_tokens == 2 and sample.finish == "stop"
    body = entry_of(server, asked)["requests"][0]["body"]
    seeds = {question.seed for question in questions(asked, 30)}
    assert len(seeds) == 30 and body.pop("seed") in seeds
    sent = {"temperature": 0.7, "top_p": 0.9, "logprobs": True, "max_tokens": 9, "model": "m"}
    assert body == {**sent, "messages": [{"role": "user", "content": asked}]}


def test_fixed_sampling_sends_none_and_parameters_are_sent(speaker, prompt, server):
    asked = prompt("say:Lima")
    fields = {"fixed_sampling": True, "logprobs": False, "parameters": {"reasoning_effort": "low"}}
    (found,) = speaker(system_prompt="Be brief.", **fields).answer([Question(asked, (0, 0))], Sampling())
    body = entry_of(server, asked)["requests"][0]["body"]
    assert set(body) == {"model", "messages", "max_tokens", "reasoning_effort"}
    assert found.log_probability is None and found.n_tokens == 20
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_server_without_log_probabilities_is_asked_without(speaker, prompt, server):
    asked = prompt("nologprobs")
    found = speaker(concurrency=1).answer(questions(asked, 3), Sampling())
    assert all(sample.status == "ok" and sample.log_probability is None for sample in found)
    assert entry_of(server, asked)["calls"] == 4  # the first was refused; the others do not ask for them


def test_history_is_sent_as_the_conversation_that_it_was(speaker, prompt, server):
    asked = prompt("say:Lima")
    history = (Exchange(asked, "Paris"), Exchange(asked, "Oslo"))
    one, two = Question(asked, (0, 1, 2), history=history), Question(asked, (0, 1, 2))
    speaker().answer([one, two], Sampling())
    bodies = [request["body"]["messages"] for request in entry_of(server, asked)["requests"]]
    said = [{"role": "user", "content": asked}, {"role": "assistant", "content": "Paris"}]
    said += [{"role": "user", "content": asked}, {"role": "assistant", "content": "Oslo"}]
    assert sorted(bodies, key=len) == [said[:1], [*said, {"role": "user", "content": asked}]]


def test_more_samples_pay_for_the_missing_ones_only(speaker, prompt, server):
    asked = prompt()
    first = speaker().answer(questions(asked, 5), Sampling())
    spent = speaker().ledger()
    assert speaker(environment={}).answer(questions(asked, 5), Sampling()) == first  # needs no key
    assert speaker().ledger() == spent
    assert speaker().answer(questions(asked, 8), Sampling())[:5] == first
    assert entry_of(server, asked)["paid"] == 8 and speaker().ledger().calls == 8
    speaker().answer(questions(asked, 5), Sampling(temperature=0.5))
    assert entry_of(server, asked)["paid"] == 13  # asked in another way, it is another answer


def test_where_the_server_is_does_not_matter_to_what_is_known(speaker, prompt, server):
    asked = prompt()
    found = speaker().answer(questions(asked, 3), Sampling())
    elsewhere = speaker(endpoint="http://127.0.0.1:9/v1", concurrency=1, name="other", max_tokens_total=1)
    assert elsewhere.answer(questions(asked, 3), Sampling()) == found
    assert speaker(model="n").pending(questions(asked, 3), Sampling()) == 3


def test_a_budget_stops_cleanly_and_a_rerun_goes_on(speaker, prompt, server):
    asked = prompt()
    price = {"price_per_million": (1.0, 1.0), "concurrency": 4}
    with pytest.raises(BudgetReached, match=r"API model 'far': max_cost .* raise max_cost") as caught:
        speaker(max_cost=0.005, **price).answer(questions(asked, 60), Sampling())
    paid = entry_of(server, asked)["paid"]
    assert 0 < paid < 60 and caught.value.done == paid == 60 - speaker().pending(questions(asked, 60), Sampling())
    assert speaker(**price).ledger().cost == pytest.approx(paid * 120e-6) and paid * 120e-6 <= 0.005
    found = speaker(max_cost=1.0, **price).answer(questions(asked, 60), Sampling())
    assert len(found) == 60 and entry_of(server, asked)["paid"] == 60


def test_a_wrong_key_and_a_missing_one_are_told_at_once(speaker, prompt, server):
    asked = prompt("key|say:Paris")
    with pytest.raises(EndpointError, match="API model 'far' at .*HTTP 401.*SPEAKER_TEST_KEY") as caught:
        speaker(environment={VARIABLE: "sk-wrong-and-secret"}).answer(questions(asked, 9), Sampling())
    assert entry_of(server, asked)["calls"] == 1 and "sk-wrong" not in str(caught.value)
    with pytest.raises(SettingsError, match="SPEAKER_TEST_KEY is not set"):
        speaker(environment={}).answer(questions(prompt(), 1), Sampling())


@pytest.mark.parametrize("script", ["echokey", "escapedkey", "badkey|say:x"])
def test_keys_are_nowhere_in_the_store(speaker, prompt, server, samples, tmp_path, script):
    (found,) = speaker().answer([Question(prompt(script), (0, 0))], Sampling())
    assert server.key not in found.text and (found.text == "x" or "[key]" in found.text)
    samples.close()
    for path in (tmp_path / "samples").rglob("*"):
        assert not path.is_file() or server.key.encode() not in path.read_bytes(), path


def test_killed_speaker_loses_only_calls_in_flight(tmp_path, server, prompt):
    asked = prompt("slow:0.03")
    arguments = [sys.executable, "-c", SCRIPT, str(tmp_path), server.url, asked, "120"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        while entry_of(server, asked)["paid"] < 30:
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    server.rest()
    with SampleStore(tmp_path) as store:
        kept = 120 - ApiSpeaker(ApiModelSettings("far", "m", server.url), store).pending(
            questions(asked, 120), Sampling()
        )
    paid = entry_of(server, asked)["paid"]
    assert paid - 4 <= kept <= paid
    again = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)
    assert again.stdout.startswith("ready\n")
    assert entry_of(server, asked)["paid"] == paid + 120 - kept


def test_two_processes_pay_once(tmp_path, server, prompt):
    asked = prompt("slow:0.01")
    arguments = [sys.executable, "-c", SCRIPT, str(tmp_path), server.url, asked, "60"]
    both = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert said[0] == said[1] and [process.returncode for process in both] == [0, 0]
    assert entry_of(server, asked)["paid"] == 60


def test_a_failed_answer_is_missing_and_asked_for_again(speaker, prompt, server):
    asked = prompt("|".join(["500"] * 6 + ["say:Paris"]))
    question = Question(asked, (0, 0))
    (found,) = speaker().answer([question], Sampling())
    assert found.status == "failed" and "HTTP 500" in found.detail
    (found,) = speaker().answer([question], Sampling())
    assert found == Sample("ok", "Paris", "stop", -0.75, 2, "[-0.5, -0.25]", cost=0.0)


def test_seeds_differ_and_fit_31_bits():
    seeds = [Question("p", (7, 1, i)).seed for i in range(500)]
    assert len(set(seeds)) == 500 and all(0 <= seed < 2**31 for seed in seeds)
    assert math.isclose(sum(seeds) / 500 / 2**31, 0.5, abs_tol=0.1)


def test_the_samples_are_apart_from_the_verdicts(samples, speaker, prompt):
    speaker().answer([Question(prompt(), (0, 0))], Sampling())
    assert [path.name for path in Path(samples._database.folder).glob("*.sqlite")] == ["samples.sqlite"]

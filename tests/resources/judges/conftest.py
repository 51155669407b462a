"""Judges that talk to the real HTTP server with scripted faults."""

from functools import partial

import pytest

from resources.judges import Item, LlmJudge, LlmJudgeSettings, Pair, RetryPolicy, VerdictStore

FAST = RetryPolicy(base_s=0.002, cap_s=0.02)
KEY_VARIABLE = "JUDGE_TEST_KEY"


@pytest.fixture
def item(orders):
    """``item(script, scores)``: an item that the server judges as it is told to."""

    def make(script: str = "ok", scores=(100, 99, 100), text: str = "", **fields) -> Item:
        return Item("Write a line.", text + orders(script, scores), **fields)

    return make


@pytest.fixture
def pair(orders):
    """``pair(script, score)``: a pair that the server judges as it is told to."""

    def make(script: str = "ok", score: int = 90, first: str = "Ohio.") -> Pair:
        return Pair("Write a line.", first, orders(script, [score]))

    return make


@pytest.fixture
def id_of():
    """The id in the last text of an item or a pair."""
    return lambda judged: judged.texts[-1].partition("id=")[2].partition(" ")[0]


@pytest.fixture
def verdicts(tmp_path):
    with VerdictStore(tmp_path / "verdicts") as store:
        yield store


@pytest.fixture
def judge(server, verdicts):
    """``judge(**settings)``: a judge of the fault server with a correct key and short waits."""

    def make(store=None, retries=FAST, environment=None, **fields) -> LlmJudge:
        defaults = {"name": "test-judge", "model": "m", "endpoint": server.url, "api_key_env": KEY_VARIABLE}
        settings = LlmJudgeSettings(**{**defaults, "max_missing_share": 1.0, "timeout_s": 20, **fields})
        environment = {KEY_VARIABLE: server.key} if environment is None else environment
        return LlmJudge(settings, store or verdicts, retries=retries, environment=environment)

    return make


@pytest.fixture
def pair_judge(judge):
    """``pair_judge(**settings)``: the same with the rubric of pairs."""
    return partial(judge, rubric="similarity-v1", threshold=50)

"""A real HTTP server with scripted faults, and judges that talk to it."""

import json
import subprocess
import sys
import urllib.request
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from resources.judges import Item, LlmJudge, LlmJudgeSettings, Pair, RetryPolicy, VerdictStore

FAST = RetryPolicy(base_s=0.002, cap_s=0.02)
KEY_VARIABLE = "JUDGE_TEST_KEY"


@pytest.fixture(scope="session")
def server():
    """The process of fault_server.py: ``url``, ``key`` and ``stats(prefix)`` (what it counted for ids)."""
    script = Path(__file__).with_name("fault_server.py")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    port = process.stdout.readline().strip()
    url = f"http://127.0.0.1:{port}"

    def stats(prefix: str = "") -> dict:
        with urllib.request.urlopen(f"{url}/stats?{prefix}", timeout=10) as answer:
            return json.load(answer)

    yield SimpleNamespace(url=f"{url}/v1", stats=stats, key="sk-correct-horse-battery-staple")
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def orders(request):
    """``orders(script, scores)``: a text that tells the server how to answer; each call makes a new id."""
    numbers = count()

    def make(script: str, scores) -> str:
        name = f"{request.node.nodeid.rpartition('::')[2]}/{next(numbers)}".replace(" ", "")
        return f"[[id={name} scores={','.join(map(str, scores))} script={script}]]"

    return make


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

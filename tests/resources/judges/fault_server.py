"""An OpenAI-compatible server for tests, whose every answer is scripted by the text that it is asked about.

Run as a process of its own: ``python fault_server.py``; it prints its port. The judged text holds
``[[id=ID scores=G,S,O script=STEP|STEP|…]]``: the n-th call for an id takes the n-th step, later calls the last one.
One score instead of three makes the reply that of a rubric of pairs. The step ``say:TEXT`` answers TEXT, the step
``city`` one of three cities by the request's seed, both with log-probabilities where these are asked for.
What the server thinks of each id (calls, answers that were paid for) is at ``GET /stats?ID-PREFIX``.
"""

import asyncio
import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

SPEC = re.compile(r"\[\[id=(?P<id>\S+) scores=(?P<scores>[\d,]+) script=(?P<script>\S+)\]\]")
KEY = "sk-correct-horse-battery-staple"
CITIES = ("Paris", "Oslo", "Lima")
LOG = defaultdict(lambda: {"calls": 0, "paid": 0, "times": [], "requests": []})
FLYING = defaultdict(lambda: {"now": 0, "most": 0})  # by what stands before the "/" of an id


def content_of(step: str, scores: list[int], text: str, structured: bool) -> str:
    """What the judge says."""
    names = ("grammar", "semantic", "overall") if len(scores) == 3 else ("similar",)
    first, last = names[0], names[-1]
    named = dict(zip(names, scores, strict=True))
    reply = {"reason": "It is what it is.", **named}
    lines = "Reason: fine.\n" + "\n".join(f"{name.title()}: {score}" for name, score in named.items())
    return {
        "text": lines,
        "fenced": f"Here is my verdict.\n```json\n{json.dumps(reply, indent=1)}\n```\nI hope that helps!",
        "quote": json.dumps({**reply, "reason": f"The response says {text!r}"}),
        "empty": "",
        "emptyschema": "" if structured else lines,
        "word": json.dumps({**reply, last: "ninety"}),
        "range": json.dumps({**reply, last: 101}),
        "negative": lines.replace(f"{last.title()}: ", f"{last.title()}: -1"),
        "bool": json.dumps({**reply, first: True}),
        "cut": json.dumps(reply)[:-30],
        "cutthoughts": "",
        "wholecut": json.dumps(reply),
        "decline": "I'm sorry, but I can't help with that.",
        "refuse": "",
        "filter": "",
        "echokey": json.dumps({**reply, "reason": f"Your key is {KEY}"}),
        "escapedkey": json.dumps({**reply, "reason": "KEY"}),
        "thoughts": f"<think>Is it {json.dumps({**reply, last: 3})}?</think>{json.dumps(reply)}",
    }.get(step, json.dumps(reply))


def body_of(step: str, content: str, n_choices: int, logprobs: bool = False) -> bytes:
    """A chat completion."""
    finish = {"cut": "length", "cutthoughts": "length", "wholecut": "length", "filter": "content_filter"}
    message = {"role": "assistant", "content": None if step == "refuse" else content}
    if step == "refuse":
        message["refusal"] = "I will not judge this."
    choice = {"index": 0, "message": message, "finish_reason": finish.get(step, "stop")}
    if logprobs and step in ("say", "city"):
        choice["logprobs"] = {"content": [{"token": "t", "logprob": -0.5}, {"token": "u", "logprob": -0.25}]}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice] * n_choices}
    if step != "nousage":
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    text = json.dumps(body)
    if step == "escapedkey":
        text = text.replace("KEY", "".join(f"\\\\u{ord(c):04x}" for c in KEY).replace("\\\\", "\\"))
    return text.encode()


async def answer(request: dict, headers: dict) -> tuple[int, bytes, dict, str]:
    """(status, body, headers, how to end the connection)."""
    text = "\n".join(message["content"] for message in request["messages"])
    spec = SPEC.search(text)
    entry = LOG[spec["id"]]
    steps = spec["script"].split("|")
    step, _, value = steps[min(entry["calls"], len(steps) - 1)].partition(":")
    entry["calls"] += 1
    entry["times"].append(asyncio.get_running_loop().time())
    if len(entry["requests"]) < 4:
        entry["requests"].append({"body": request, "headers": headers})
    structured = "response_format" in request

    def error(status: int, message: str, more: dict | None = None, **fields):
        return status, json.dumps({"error": {"message": message, **fields}}).encode(), more or {}, ""

    key = headers.get("authorization", "").removeprefix("Bearer ")
    match step:
        case "key" if key != KEY:
            return error(401, f"Incorrect API key provided: {key}", code="invalid_api_key")
        case "429":
            return error(429, "slow down", {"Retry-After": value} if value else {})
        case "429date":
            date = format_datetime(datetime.now(UTC) + timedelta(seconds=float(value)), usegmt=True)
            return error(429, "slow down", {"Retry-After": date})
        case "quota":
            return error(429, "You exceeded your current quota", code="insufficient_quota")
        case "408" | "409" | "500" | "503" | "401" | "402" | "403" | "404" | "400" | "422":
            return error(int(step), f"status {step}")
        case "blocked":
            return error(400, "The text was filtered", code="content_filter")
        case "noschema" if structured:
            return error(422, "Unsupported fields in the request: {'response_format'}")
        case "newfield" if "max_tokens" in request:
            return error(400, "Unsupported parameter: use 'max_completion_tokens'", param="max_tokens")
        case "nologprobs" if "logprobs" in request:
            return error(400, "Unsupported parameter: 'logprobs'", param="logprobs")
        case "close":
            return 0, b"", {}, "close"
        case "half":
            return 200, b'{"choices": [', {}, "half"
        case "hang":
            await asyncio.sleep(float(value or 30))
        case "badjson":
            return 200, b'{"choices": [{"message": {"content": "', {}, ""
        case "badkey":
            return 200, f'{{"choices": [{{"message": {{"content": "{KEY}'.encode(), {}, ""
        case "html":
            return 200, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}, ""
        case "errorbody":
            return 200, b'{"error": {"message": "upstream failed"}}', {}, ""
        case "slow":
            await asyncio.sleep(float(value))
    scores = [int(score) for score in spec["scores"].split(",")]
    n_choices = {"two": 2, "none": 0}.get(step, 1)
    entry["paid"] += n_choices == 1 and not (step == "empty" or (step == "emptyschema" and structured))
    content = content_of(step, scores, text, structured)
    if step in ("say", "city", "nologprobs"):
        content = value if step == "say" else CITIES[request.get("seed", 0) % 3]
    return 200, body_of(step, content, n_choices, "logprobs" in request), {}, ""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, kept alive."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            data = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target = first.split()[:2]
            more, end = {}, ""
            if method == "GET":
                prefix = target.partition("?")[2]
                found = {name: entry for name, entry in LOG.items() if name.startswith(prefix)}
                most, now = FLYING[prefix]["most"], sum(flying["now"] for flying in FLYING.values())
                said = {"ids": found, "most_in_flight": most, "in_flight": now}
                status, body = 200, json.dumps(said).encode()
            else:
                request = json.loads(data)
                flying = FLYING[SPEC.search(request["messages"][-1]["content"])["id"].partition("/")[0]]
                flying["now"] += 1
                flying["most"] = max(flying.values())
                try:
                    status, body, more, end = await answer(request, headers)
                finally:
                    flying["now"] -= 1
            if end == "close":
                return
            more = {"Content-Type": "application/json", "Content-Length": len(body) + 99 * (end == "half"), **more}
            writer.write(
                f"HTTP/1.1 {status} X\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in more.items()).encode()
            )
            writer.write(b"\r\n" + body)
            await writer.drain()
            if end:
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve on a free port of the loopback interface until killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

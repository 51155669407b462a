"""A real OpenAI-compatible server on loopback that names cities: by the request's seed, and never the key."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-loopback-0987654321fedcba"
CITIES = ("Paris", "Oslo", "Lima", "Bern")
# Of 8 seeds 5 say the first: top share 5/8.
BY_SEED = (0, 0, 0, 0, 0, 1, 2, 3)


class AnswerServer(ThreadingHTTPServer):
    """Counts what it answered; ``answers_left`` limits it, and then it is out of service.

    Attributes:
        paid: Bodies of requests that were answered.
        say: Body of a request -> what is said, where it is not a city.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.paid, self.answers_left, self.say = threading.Lock(), [], None, None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._send(401, {"error": {"message": "wrong key", "type": "invalid_request_error"}})
        with self.server.lock:
            if self.server.answers_left is not None:
                if self.server.answers_left <= 0:
                    return self._send(400, {"error": {"message": "out of service", "type": "server_error"}})
                self.server.answers_left -= 1
            self.server.paid.append(body)
        earlier = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
        content = CITIES[BY_SEED[body["seed"] % 8]]
        if earlier:  # in a conversation it goes through its cities in turn
            content = CITIES[(CITIES.index(earlier[-1]) + 1) % 4]
        if self.server.say is not None:
            content = self.server.say(body)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        choice["logprobs"] = {"content": [{"token": content, "logprob": -0.5}]}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        head = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
        self._send(200, {**head, "choices": [choice], "usage": usage})

    def _send(self, status, data):
        payload = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *arguments):
        """Silence."""


@contextmanager
def answer_server():
    """A running server."""
    server = AnswerServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A real OpenAI-compatible server on loopback: it checks the key, may go out of service, and never says the key."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer(ThreadingHTTPServer):
    """What it says is in the subclasses.

    Attributes:
        key: The only one that it takes.
        answers_left: How many more it answers before it is out of service; None: all.
        usage: Tokens of each prompt and of each answer.
    """

    daemon_threads = True
    key = ""
    usage = (10, 2)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock, self.answers_left = threading.Lock(), None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def record(self, body: dict) -> None:
        """Remember a request that will be answered; the lock is held."""
        raise NotImplementedError

    def message(self, body: dict) -> tuple[str, dict]:
        """What is said to a request, and further fields of the choice."""
        raise NotImplementedError

    @contextmanager
    def running(self) -> Iterator["ChatServer"]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {self.server.key}":
            return self._send(401, {"error": {"message": "wrong key", "type": "invalid_request_error"}})
        with self.server.lock:
            if self.server.answers_left is not None:
                if self.server.answers_left <= 0:
                    return self._send(400, {"error": {"message": "out of service", "type": "server_error"}})
                self.server.answers_left -= 1
            self.server.record(body)
        content, fields = self.server.message(body)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}, **fields}
        prompt, answer = self.server.usage
        usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
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

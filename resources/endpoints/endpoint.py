"""One call of an OpenAI-compatible server: what it answered, or why the answer is of no use. No retries here."""

import asyncio
import json
from typing import Any, Literal

import httpx2
import openai

from resources.endpoints.errors import EndpointError
from resources.endpoints.form import Call
from resources.endpoints.reply import Answer, Unusable, read_body
from resources.endpoints.settings import EndpointSettings

_CONNECT_S = 10.0
_MARGIN_TOKENS = 256  # a chat template's own words
_SHOWN = 300  # characters of a server's message


class Again(Exception):
    """The call may succeed if it is made again.

    Attributes:
        detail: What happened.
        retry_after: The server's Retry-After header, if it sent one.
        lost: An answer was perhaps made and billed, but is not here (or says nothing of its tokens).
        unreachable: No connection came about.
        answer: What came, if it was an answer, though of no use.
    """

    def __init__(self, detail: str, *, retry_after=None, lost=False, unreachable=False, answer: Unusable | None = None):
        super().__init__(detail)
        self.detail, self.retry_after, self.lost = detail, retry_after, lost
        self.unreachable, self.answer = unreachable, answer


class Rejected(Exception):
    """The server does not accept this request; making it again would not help.

    Attributes:
        detail: Status and message.
        filtered: A content filter objects to the text.
    """

    def __init__(self, detail: str, filtered: bool = False):
        super().__init__(detail)
        self.detail, self.filtered = detail, filtered


class Endpoint:
    """A client of one server; open it inside the event loop that uses it.

    Args:
        settings: The server's.
        key: The API key; None sends none. It is removed from everything that comes back.
    """

    def __init__(self, settings: EndpointSettings, key: str | None):
        self._settings, self._key = settings, key
        self._limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
        self._unknown: set[str] = set()  # optional fields that the server does not take
        self._answered = False
        # No environment variable of another service may speak to this endpoint.
        headers = {}
        self._extra = {} if key else {"Authorization": openai.Omit()}
        if not (settings.host.endswith(".openai.com") or settings.host == "openai.com"):
            headers |= {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        timeout = httpx2.Timeout(settings.timeout_s, connect=min(settings.timeout_s, _CONNECT_S))
        limits = httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=settings.endpoint,
            max_retries=0,
            timeout=timeout,
            default_headers=headers,
            http_client=openai.DefaultAsyncHttpxClient(timeout=timeout, limits=limits),
        )

    def request(self, call: Call) -> dict[str, Any]:
        """Fields of a request, as this server wants them."""
        fields = {"model": self._settings.model, "messages": call.messages, self._limit_field: call.max_tokens}
        fields |= {name: value for name, value in call.fields.items() if name not in self._unknown}
        if call.schema is not None:
            form = {"name": "verdict", "strict": True, "schema": call.schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": form}
        return fields

    @staticmethod
    def most_tokens(call: Call) -> tuple[int, int]:
        """The most (prompt, completion) tokens that a call can use: a token holds at least one byte."""
        text = json.dumps([call.messages, call.schema], ensure_ascii=False)
        return len(text.encode(errors="replace")) + _MARGIN_TOKENS, call.max_tokens

    async def call(self, call: Call) -> Answer:
        """Send one request.

        Raises:
            Again: It may succeed later: 408, 409, 429, 5xx, time-outs, broken connections, malformed answers.
            Rejected: It will not: other 4xx.
            EndpointError: No call will: wrong key, unknown model, no money.
        """
        fields = self.request(call)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                # The typed method spends more CPU on checking our fields than the rest of a call takes.
                response = await self._client.post(
                    "/chat/completions", body=fields, cast_to=httpx2.Response, options={"headers": self._extra}
                )
        except (TimeoutError, openai.APITimeoutError) as error:
            unreachable = isinstance(error.__cause__, httpx2.ConnectTimeout)
            detail = f"no answer within {self._settings.timeout_s:g} s"
            raise Again(detail, lost=not unreachable, unreachable=unreachable) from None
        except openai.APIStatusError as error:
            if error.status_code in (400, 422) and self._adapts(fields, error):
                return await self.call(call)
            raise self._status(error) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__
            unreachable = isinstance(cause, httpx2.ConnectError | httpx2.UnsupportedProtocol)
            detail = f"connection failed ({type(cause).__name__}: {self._clean(str(cause))})"
            raise Again(detail, lost=not unreachable, unreachable=unreachable) from None
        self._answered = True
        try:
            return read_body(self._clean_body(response.text))
        except Unusable as unusable:
            raise Again(unusable.detail, lost=not unusable.measured, answer=unusable) from None

    def _adapts(self, fields: dict, error: openai.APIStatusError) -> bool:
        """Whether another request would do: the limit under its newer name, or without log-probabilities."""
        if "max_tokens" in fields and (error.param == "max_tokens" or "max_completion_tokens" in str(error)):
            self._limit_field = "max_completion_tokens"
            return True
        if "logprobs" in fields and (error.param == "logprobs" or "logprobs" in str(error)):
            self._unknown.add("logprobs")
            return True
        return False

    def _status(self, error: openai.APIStatusError) -> Exception:
        status, settings = error.status_code, self._settings
        detail = f"HTTP {status}: {self._clean(str(error.message))}"
        where = f"{settings.who} at {settings.host}"
        variable = settings.api_key_env
        if status == 401:
            remedy = f"put a valid key into the environment variable {variable}" if variable else "set api_key_env"
            return EndpointError(where, detail, remedy)
        if status == 402 or error.code == "insufficient_quota":
            return EndpointError(where, detail, "the account behind the key has no money left: add some, or wait")
        if status in (403, 404) and self._answered:
            return Rejected(detail)  # key and model are right: some gateways refuse single texts in this way
        if status == 403:
            return EndpointError(
                where, detail, f"the key may not use model {settings.model!r}: use another key or model"
            )
        if status == 404:
            remedy = f"correct the field model ({settings.model!r}) or endpoint (it usually ends in /v1)"
            return EndpointError(where, detail, remedy)
        if status in (408, 409, 429) or status >= 500:
            return Again(detail, retry_after=error.response.headers.get("retry-after"))
        return Rejected(detail, filtered=error.code == "content_filter")

    def _clean(self, text: str) -> str:
        """A message without the key, short enough to show."""
        text = text.replace(self._key, "[key]") if self._key else text
        return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"

    def _clean_body(self, body: str) -> str:
        """A body without the key, also where JSON escapes hide it."""
        if not self._key:
            return body
        body = body.replace(self._key, "[key]")
        try:
            plain = json.dumps(json.loads(body), ensure_ascii=False)
        except (ValueError, RecursionError):
            return body
        return plain.replace(self._key, "[key]") if self._key in plain else body

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

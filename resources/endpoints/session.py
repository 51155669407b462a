"""One run of many calls of a server: a queue, a few workers, retries, claims, and when to stop.

The first item is asked alone, so that a wrong key, model or host is told before the mass of calls is made. Then
``concurrency`` workers take items from one queue. An outcome is stored as soon as it arrives; whatever ends the run,
answers in flight are waited for and stored, unless the process is killed.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from resources.endpoints.claims import Budget, Claim
from resources.endpoints.endpoint import Again, Endpoint, Rejected
from resources.endpoints.errors import BudgetReached, EndpointError
from resources.endpoints.form import Asked, Call, Form, Outcome, Progress
from resources.endpoints.reply import Answer, is_empty
from resources.endpoints.retries import RetryPolicy
from resources.endpoints.settings import EndpointSettings
from resources.endpoints.store import Reply, ReplyStore

_POLL_S = 0.05  # how often an item of another process, or a held budget, is looked at again
_FIRST_FAILURES = 3  # failed items in a row, before any outcome, after which the endpoint counts as unusable
_Result = TypeVar("_Result")


class Session:
    """Asks about the items of one run.

    Args:
        settings: The server's.
        form: What is asked, and how answers are read.
        store: Where outcomes and replies go.
        work: Key of an outcome -> item; those without one.
        key: The API key, if any.
        retries: Waits between attempts.
        progress: Called with (done, total).
        done: Items of the run that had an outcome before.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        form: Form,
        store: ReplyStore,
        work: Mapping[str, Asked],
        key: str | None,
        retries: RetryPolicy,
        progress: Progress | None = None,
        done: int = 0,
    ):
        self.settings, self.form, self.store, self.work = settings, form, store, work
        self.failed: dict[str, Outcome] = {}
        self._retries, self._key, self._progress = retries, key, progress
        self._who = store.who(settings.identity())
        self._budget = Budget(settings.max_tokens_total, settings.max_cost)
        self._queue, self._done, self._total = deque(work), done, done + len(work)
        self._plain = form.structured == "text"
        self._stop: Exception | None = None
        self._proven = False  # an outcome has come from the endpoint
        self._failures = 0  # in a row
        self._open = asyncio.Event()  # closed while a server's Retry-After is waited for
        self._pauses = 0

    async def run(self) -> dict[str, Outcome]:
        """Ask about everything; returns the items that failed. The others are in the store.

        Raises:
            BudgetReached, EndpointError, ReplyStoreError: After all answers in flight are stored.
        """
        self._open.set()
        self._endpoint = Endpoint(self.settings, self._key)
        try:
            while self._queue and not self._proven and not self._stop:
                await self._take_one()
            workers = min(self.settings.concurrency, len(self._queue))
            await asyncio.gather(*(self._work() for _ in range(workers)))
        finally:
            await self._endpoint.close()
        if self._stop:
            raise self._stop
        return self.failed

    async def _work(self) -> None:
        while self._queue and not self._stop:
            await self._take_one()

    async def _take_one(self) -> None:
        """Ask about the next item; an exception stops all workers, each after its call in flight."""
        key = self._queue.popleft()
        try:
            await self._ask(key)
        except Exception as error:
            self._stop = self._stop or error

    async def _ask(self, key: str) -> None:
        item, structured = self.work[key], not self._plain
        attempt, note, held, settled = 0, "", False, False
        try:
            while not self._stop:
                await self._open.wait()
                call = self.form.call(item, structured)
                most = self._endpoint.most_tokens(call)
                claim = self._reserve(key, most, held)
                if claim is not Claim.TAKEN:
                    return await self._not_now(key, claim, most)
                held = True
                try:
                    answer = await self._endpoint.call(call)
                except Again as problem:
                    attempt += 1
                    self._record_loss(key, problem, call)
                    if not self._proven and problem.unreachable:
                        raise self._unusable(
                            problem.detail, "correct the field endpoint, or start the server"
                        ) from None
                    wait = self._retries.retry_after(problem.retry_after)
                    if attempt >= self.settings.max_attempts or (wait or 0) > self._retries.max_retry_after_s:
                        asked = f"; the server asks to wait {wait:.0f} s" if wait else ""
                        return self._fail(key, f"{problem.detail} (attempt {attempt}){asked}", problem)
                    await self._pause(attempt, wait)
                    continue
                except Rejected as problem:
                    if problem.filtered:
                        settled = True
                        return self._settle(key, self.form.unanswered("refused", problem.detail), None)
                    if not structured or self.form.structured != "auto":
                        return self._fail(key, problem.detail)
                    structured, note = False, "format rejected"
                    continue
                if note == "format rejected":
                    self._plain = True
                if structured and self.form.structured == "auto" and is_empty(answer):
                    self.store.record(key, self._who, self._reply(answer, "empty", call))
                    structured, note = False, "structured reply was empty"
                    continue
                settled = True
                return self._read(key, item, answer, note, call)
        finally:
            if held and not settled:
                self.store.release([key])

    # -- what a call may cost, and what it did --------------------------------------------------------------

    def _reserve(self, key: str, most: tuple[int, int], held: bool) -> Claim:
        lifetime = self.settings.timeout_s + self._retries.max_retry_after_s + self._retries.cap_s
        return self.store.claim(
            key,
            self._who,
            sum(most),
            self.settings.cost(*most),
            budget=self._budget,
            lifetime_s=lifetime,
            renew=held,
        )

    async def _not_now(self, key: str, claim: Claim, most: tuple[int, int]) -> None:
        """An item that has an outcome, is another process's, or cannot be paid for at this moment, or at all."""
        if claim is Claim.SETTLED:
            return self._finished()
        self._queue.append(key)
        if claim is Claim.EXHAUSTED:
            raise self._exhausted(most)
        await asyncio.sleep(_POLL_S)

    def _exhausted(self, most: tuple[int, int]) -> BudgetReached:
        ledger = self.store.ledger(self.settings.identity())
        cost = ledger.cost + ledger.assumed_cost + self.settings.cost(*most)
        limit = self._budget.reached(ledger.tokens + sum(most), cost)
        return BudgetReached(self.settings.who, 0, self._total, limit, str(ledger))

    def _reply(self, answer: Answer, outcome: str, call: Call) -> Reply:
        """A paid reply; where the server does not count, the most that it can have cost."""
        counts = answer.prompt_tokens, answer.completion_tokens
        counts = counts if answer.measured else self._endpoint.most_tokens(call)
        return Reply(outcome, answer.raw, *counts, self.settings.cost(*counts), answer.measured)

    def _record_loss(self, key: str, problem: Again, call: Call) -> None:
        if problem.answer is not None:
            self.store.record(key, self._who, self._reply(problem.answer, problem.detail[:80], call))
        elif problem.lost:
            most = self._endpoint.most_tokens(call)
            lost = Reply(problem.detail[:80], "", *most, self.settings.cost(*most), measured=False)
            self.store.record(key, self._who, lost)

    # -- the end of an item ---------------------------------------------------------------------------------

    def _read(self, key: str, item: Asked, answer: Answer, note: str, call: Call) -> None:
        reply = self._reply(answer, "", call)
        outcome = self.form.read(answer, item, reply.cost)
        details = "; ".join(part for part in (outcome.detail, f"plain text: {note}" if note else "") if part)
        self._settle(key, replace(outcome, detail=details), replace(reply, outcome=outcome.status))

    def _settle(self, key: str, outcome: Outcome, reply: Reply | None) -> None:
        self.store.settle(key, self._who, outcome, reply, item=self.work[key].digest)
        self._proven, self._failures = True, 0
        self._finished()

    def _fail(self, key: str, detail: str, problem: Again | None = None) -> None:
        """No outcome in this run. Many in a row mean that the endpoint is of no use (any more)."""
        raw = problem.answer.raw if problem is not None and problem.answer is not None else ""
        self.failed[key] = self.form.unanswered("failed", detail, raw)
        self._failures += 1
        self._finished()
        if self._failures >= (max(10, 2 * self.settings.concurrency) if self._proven else _FIRST_FAILURES):
            found = f"{self._failures} items in a row failed, the last with: {detail}"
            raise self._unusable(found, "see to the server and run again: what arrived is stored")

    def _finished(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)

    def _unusable(self, found: str, remedy: str) -> EndpointError:
        return EndpointError(f"{self.settings.who} at {self.settings.host}", found, remedy)

    async def _pause(self, attempt: int, retry_after: float | None) -> None:
        """Wait as the server asks (and let nobody call meanwhile), else back off."""
        if retry_after is None:
            return await self._retries.sleep(self._retries.backoff(attempt))
        self._pauses += 1
        self._open.clear()
        try:
            await self._retries.sleep(retry_after)
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._open.set()


def run_to_end(work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """Run a coroutine to its end, also where this thread's event loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    outcome: list[_Result] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target, name="session")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]

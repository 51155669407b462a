"""One run of an LLM judge over items or pairs: a queue, a few workers, retries, claims, and when to stop.

The first item is judged alone, so that a wrong key, model or host is told before the mass of calls is made. Then
``concurrency`` workers take items from one queue. A verdict is stored as soon as it arrives; whatever ends the run,
answers in flight are waited for and stored, unless the process is killed.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from resources.judges.base import Progress
from resources.judges.claims import Budget, Claim
from resources.judges.endpoint import Again, Endpoint, Rejected
from resources.judges.errors import BudgetReached, EndpointError
from resources.judges.items import Judged
from resources.judges.reply import Answer, is_empty, verdict_of
from resources.judges.retries import RetryPolicy
from resources.judges.settings import LlmJudgeSettings
from resources.judges.store import Reply, VerdictStore
from resources.judges.verdicts import AnyVerdict

_POLL_S = 0.05  # how often an item of another process, or a held budget, is looked at again
_FIRST_FAILURES = 3  # failed items in a row, before any verdict, after which the endpoint counts as unusable


class Session:
    """Judges the items of one call.

    Args:
        settings: The judge's row.
        store: Where verdicts and replies go.
        work: Verdict key -> item or pair, as the judge's rubric is of; those without a verdict.
        key: The API key, if any.
        retries: Waits between attempts.
        progress: Called with (done, total).
        done: Items of the call that had a verdict before.
    """

    def __init__(
        self,
        settings: LlmJudgeSettings,
        store: VerdictStore,
        work: Mapping[str, Judged],
        key: str | None,
        retries: RetryPolicy,
        progress: Progress | None = None,
        done: int = 0,
    ):
        self.settings, self.store, self.work = settings, store, work
        self.rubric = settings.rubric_text
        self.failed: dict[str, AnyVerdict] = {}
        self._retries, self._key, self._progress = retries, key, progress
        self._judge = store.judge_key(settings.identity())
        self._budget = Budget(settings.max_tokens_total, settings.max_cost)
        self._queue, self._done, self._total = deque(work), done, done + len(work)
        self._plain = settings.structured == "text"
        self._stop: Exception | None = None
        self._proven = False  # a verdict has come from the endpoint
        self._failures = 0  # in a row
        self._open = asyncio.Event()  # closed while a server's Retry-After is waited for
        self._pauses = 0

    async def run(self) -> dict[str, AnyVerdict]:
        """Judge everything; returns the items that failed. The others are in the store.

        Raises:
            BudgetReached, EndpointError, VerdictStoreError: After all answers in flight are stored.
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
        """Judge the next item; an exception stops all workers, each after its call in flight."""
        key = self._queue.popleft()
        try:
            await self._judge_one(key)
        except Exception as error:
            self._stop = self._stop or error

    async def _judge_one(self, key: str) -> None:
        item, schema = self.work[key], None if self._plain else self.rubric.schema
        attempt, note, held, settled = 0, "", False, False
        try:
            while not self._stop:
                await self._open.wait()
                messages = self.rubric.messages(item, structured=schema is not None)
                most = self._endpoint.most_tokens(messages, schema)
                claim = self._reserve(key, most, held)
                if claim is not Claim.TAKEN:
                    return await self._not_now(key, claim, most)
                held = True
                try:
                    answer = await self._endpoint.call(messages, schema)
                except Again as problem:
                    attempt += 1
                    self._record_loss(key, problem, messages, schema)
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
                        return self._settle(key, self.rubric.verdict("refused", detail=problem.detail), None)
                    if schema is None or self.settings.structured != "auto":
                        return self._fail(key, problem.detail)
                    schema, note = None, "format rejected"
                    continue
                if note == "format rejected":
                    self._plain = True
                if schema is not None and self.settings.structured == "auto" and is_empty(answer):
                    self.store.record(key, self._judge, self._reply(answer, "empty", messages, schema))
                    schema, note = None, "structured reply was empty"
                    continue
                settled = True
                return self._label(key, item, answer, note, messages, schema)
        finally:
            if held and not settled:
                self.store.release([key])

    # -- what a call may cost, and what it did --------------------------------------------------------------

    def _reserve(self, key: str, most: tuple[int, int], held: bool) -> Claim:
        lifetime = self.settings.timeout_s + self._retries.max_retry_after_s + self._retries.cap_s
        return self.store.claim(
            key,
            self._judge,
            sum(most),
            self.settings.cost(*most),
            budget=self._budget,
            lifetime_s=lifetime,
            renew=held,
        )

    async def _not_now(self, key: str, claim: Claim, most: tuple[int, int]) -> None:
        """An item that is judged, is another process's, or cannot be paid for at this moment, or at all."""
        if claim is Claim.JUDGED:
            return self._finished()
        self._queue.append(key)
        if claim is Claim.EXHAUSTED:
            raise self._exhausted(most)
        await asyncio.sleep(_POLL_S)

    def _exhausted(self, most: tuple[int, int]) -> BudgetReached:
        ledger = self.store.ledger(self.settings.identity())
        cost = ledger.cost + ledger.assumed_cost + self.settings.cost(*most)
        limit = self._budget.reached(ledger.tokens + sum(most), cost)
        return BudgetReached(self.settings.name, 0, self._total, limit, str(ledger))

    def _reply(self, answer: Answer, outcome: str, messages: list, schema: dict | None) -> Reply:
        """A paid reply; where the server does not count, the most that it can have cost."""
        counts = answer.prompt_tokens, answer.completion_tokens
        counts = counts if answer.measured else self._endpoint.most_tokens(messages, schema)
        return Reply(outcome, answer.raw, *counts, self.settings.cost(*counts), answer.measured)

    def _record_loss(self, key: str, problem: Again, messages: list, schema: dict | None) -> None:
        if problem.answer is not None:
            self.store.record(key, self._judge, self._reply(problem.answer, problem.detail[:80], messages, schema))
        elif problem.lost:
            most = self._endpoint.most_tokens(messages, schema)
            lost = Reply(problem.detail[:80], "", *most, self.settings.cost(*most), measured=False)
            self.store.record(key, self._judge, lost)

    # -- the end of an item ---------------------------------------------------------------------------------

    def _label(self, key: str, item: Judged, answer: Answer, note: str, messages: list, schema: dict | None) -> None:
        reply = self._reply(answer, "", messages, schema)
        verdict = verdict_of(answer, self.rubric, item, reply.cost)
        details = "; ".join(part for part in (verdict.detail, f"plain text: {note}" if note else "") if part)
        self._settle(key, replace(verdict, detail=details), replace(reply, outcome=verdict.status))

    def _settle(self, key: str, verdict: AnyVerdict, reply: Reply | None) -> None:
        self.store.settle(key, self._judge, verdict, reply, item=self.work[key].digest)
        self._proven, self._failures = True, 0
        self._finished()

    def _fail(self, key: str, detail: str, problem: Again | None = None) -> None:
        """No verdict in this run. Many in a row mean that the endpoint is of no use (any more)."""
        raw = problem.answer.raw if problem is not None and problem.answer is not None else ""
        self.failed[key] = self.rubric.verdict("failed", detail=detail, raw=raw)
        self._failures += 1
        self._finished()
        if self._failures >= (max(10, 2 * self.settings.concurrency) if self._proven else _FIRST_FAILURES):
            found = f"{self._failures} items in a row failed, the last with: {detail}"
            raise self._unusable(found, "see to the server and run again: verdicts that arrived are stored")

    def _finished(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)

    def _unusable(self, found: str, remedy: str) -> EndpointError:
        return EndpointError(f"judge {self.settings.name!r} at {self.settings.host}", found, remedy)

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

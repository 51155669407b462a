"""A judge behind any OpenAI-compatible endpoint."""

import os
from collections.abc import Mapping
from typing import Any

from resources.endpoints.errors import BudgetReached
from resources.endpoints.retries import RetryPolicy
from resources.endpoints.store import Ledger
from resources.judges.base import Progress
from resources.judges.items import Judged, Pair  # noqa: F401 -- Pair: the doctest
from resources.judges.reply import read_again
from resources.judges.rubric_form import RubricForm
from resources.judges.rubric_judge import RubricJudge
from resources.judges.settings import LlmJudgeSettings
from resources.judges.store import VerdictStore
from resources.judges.verdicts import AnyVerdict


class LlmJudge(RubricJudge):
    """Asks a server for scores, each distinct item or pair once in the life of a store.

    Known verdicts cost nothing and need no key. Besides what every judge raises, asking raises

    - EndpointError: wrong key, unknown model, unreachable host, told by the first call; or a server that stopped
      answering;
    - SettingsError: the key's environment variable is not set (and calls are needed);
    - BudgetReached: a hard limit; every answer is stored and a rerun goes on;
    - ReplyStoreError: the store cannot be read or written.

    Args:
        settings: The judge's row.
        verdicts: Store of verdicts; several judges, threads and processes may share one.
        retries: Waits between attempts (circumstance).
        environment: Where the key is looked up, and only when a call is needed.

    >>> import tempfile
    >>> settings = LlmJudgeSettings("gpt", "some-model", "http://127.0.0.1:8000/v1", rubric="similarity-v1")
    >>> with VerdictStore(tempfile.mkdtemp()) as store:
    ...     LlmJudge(settings, store).pending([Pair("p", "a", "b"), Pair("p", "b", "a"), Pair("p", "a", "b")])
    2
    """

    kind = "llm"

    def __init__(
        self,
        settings: LlmJudgeSettings,
        verdicts: VerdictStore,
        *,
        retries: RetryPolicy | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        self.settings, self.verdicts = settings, verdicts
        self.name, self.threshold = settings.name, settings.threshold
        self.rubric, self.max_missing_share = settings.rubric_text, settings.max_missing_share
        self._retries = retries or RetryPolicy()
        self._environment = os.environ if environment is None else environment

    def identity(self) -> dict[str, Any]:
        return self.settings.identity()

    def ledger(self) -> Ledger:
        """What this judge has spent on the store, in all runs."""
        return self.verdicts.ledger(self.identity())

    def _read_today(self, verdict: AnyVerdict, judged: Judged) -> AnyVerdict:
        return read_again(verdict, self.rubric, judged)

    def _judge_missing(self, work: Mapping[str, Judged], done: int, progress: Progress | None) -> dict[str, AnyVerdict]:
        from resources.endpoints.session import Session, run_to_end  # imports the client, which nobody else needs

        form, key = RubricForm(self.settings), self.settings.api_key(self._environment)
        arguments = (self.settings, form, self.verdicts, work, key, self._retries, progress, done)
        try:
            return run_to_end(lambda: Session(*arguments).run())
        except BudgetReached as reached:
            judged = done + len(self.verdicts.get(list(work), self.rubric.verdict))
            raise BudgetReached(self.settings.who, judged, done + len(work), reached.limit, reached.spent) from None

"""A speaker behind any OpenAI-compatible endpoint."""

import os
from collections.abc import Mapping, Sequence

from resources.endpoints.errors import BudgetReached
from resources.endpoints.form import Progress
from resources.endpoints.retries import RetryPolicy
from resources.endpoints.store import Ledger
from resources.speakers.question_form import QuestionForm
from resources.speakers.questions import Question, Sample, Sampling, Speaker
from resources.speakers.sample_store import SampleStore
from resources.speakers.settings import ApiModelSettings


class ApiSpeaker(Speaker):
    """Asks a server, each question once in the life of a store: known samples cost nothing and need no key.

    A server's samples cannot be made again (seeds are a hint to it at best): the stored sample is the artifact, and its
    key says what was asked.

    Args:
        settings: The API model's row.
        samples: Store of samples; several speakers, threads and processes may share one.
        retries: Waits between attempts (circumstance).
        environment: Where the key is looked up, and only when a call is needed.
    """

    def __init__(
        self,
        settings: ApiModelSettings,
        samples: SampleStore,
        *,
        retries: RetryPolicy | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        self.settings, self.samples = settings, samples
        self._retries = retries or RetryPolicy()
        self._environment = os.environ if environment is None else environment

    def ledger(self) -> Ledger:
        """What this model has cost on the store, in all runs."""
        return self.samples.ledger(self.settings.identity())

    def pending(self, questions: Sequence[Question], sampling: Sampling) -> int:
        """Questions without a sample: so many calls, at least, would it take to answer them."""
        keys = self._keys(questions, sampling)
        return len(keys) - len(self.samples.get(keys, Sample))

    def answer(
        self, questions: Sequence[Question], sampling: Sampling, progress: Progress | None = None
    ) -> list[Sample]:
        keys = self._keys(questions, sampling)
        known = self.samples.get(keys, Sample)
        missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in known}
        if progress:
            progress(len(known), len(keys))
        if missing:
            known |= self._ask(missing, sampling, len(known), progress)
        return [known[key] for key in keys]

    def _keys(self, questions: Sequence[Question], sampling: Sampling) -> list[str]:
        identity = self.settings.identity()
        return [self.samples.key(identity, question, sampling) for question in questions]

    def _ask(
        self, work: Mapping[str, Question], sampling: Sampling, done: int, progress: Progress | None
    ) -> dict[str, Sample]:
        from resources.endpoints.session import Session, run_to_end  # imports the client, which nobody else needs

        form, key = QuestionForm(self.settings, sampling), self.settings.api_key(self._environment)
        arguments = (self.settings, form, self.samples, work, key, self._retries, progress, done)
        try:
            failed = run_to_end(lambda: Session(*arguments).run())
        except BudgetReached as reached:
            now = done + len(self.samples.get(list(work), Sample))
            raise BudgetReached(self.settings.who, now, done + len(work), reached.limit, reached.spent) from None
        return failed | self.samples.get(list(work), Sample)

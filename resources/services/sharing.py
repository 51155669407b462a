"""Judges and speakers whose paid answers are shared between machines: nothing is paid for twice, wherever it is asked.

Before anything is asked, the answers of all machines are looked at; while this machine asks, the others are shown what
it gets. Those who are paid are asked by one machine at a time: two that ask at once could pay for one text twice, or
exceed a budget together. What is known needs no turn.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from resources.artifacts.leases import Lease
from resources.endpoints.form import Progress
from resources.endpoints.shared_replies import SharedReplies
from resources.judges import Item, Judge, Pair, PairVerdict, Verdict
from resources.judges.rubric_judge import RubricJudge
from resources.speakers import ApiSpeaker
from resources.speakers.questions import Question, Sample, Sampling, Speaker

PROGRESS = logging.getLogger("calib_assets.progress")
_Answers = TypeVar("_Answers")


class SharedJudge(Judge):
    """A judge whose verdicts are shared.

    Args:
        judge: The judge.
        shared: Verdicts of all machines.
    """

    def __init__(self, judge: RubricJudge, shared: SharedReplies):
        self.inner, self.shared = judge, shared
        self.kind, self.name, self.threshold = judge.kind, judge.name, judge.threshold

    def identity(self) -> dict[str, Any]:
        return self.inner.identity()

    def judge(self, items: Sequence[Item], *, progress: Progress | None = None) -> list[Verdict]:
        return self._share(items, lambda: self.inner.judge(items, progress=progress))

    def judge_pairs(self, pairs: Sequence[Pair], *, progress: Progress | None = None) -> list[PairVerdict]:
        return self._share(pairs, lambda: self.inner.judge_pairs(pairs, progress=progress))

    def _share(self, judged: Sequence, ask: Callable[[], list]) -> list:
        turn = f"judges/{self.inner.verdicts.who(self.identity())}" if self.kind == "llm" else None
        return shared_answers(self.shared, lambda: self.inner.pending(judged), ask, turn, f"judge {self.name}")


class SharedSpeaker(Speaker):
    """An API model whose samples are shared.

    Args:
        speaker: The speaker.
        shared: Samples of all machines.
    """

    def __init__(self, speaker: ApiSpeaker, shared: SharedReplies):
        self.inner, self.shared = speaker, shared

    def answer(
        self, questions: Sequence[Question], sampling: Sampling, progress: Progress | None = None
    ) -> list[Sample]:
        settings = self.inner.settings
        return shared_answers(
            self.shared,
            lambda: self.inner.pending(questions, sampling),
            lambda: self.inner.answer(questions, sampling, progress),
            f"speakers/{self.inner.samples.who(settings.identity())}",
            f"model {settings.name}",
        )


def shared_answers(
    shared: SharedReplies, pending: Callable[[], int], ask: Callable[[], _Answers], turn: str | None, who: str
) -> _Answers:
    """What ``ask`` gives, with the answers of all machines known to it, and its own shown to them.

    Args:
        pending: How many answers are not known.
        turn: Name of the lease that is held while asking; None: no turns are taken.
        who: For people.
    """
    shared.pull()
    if not pending():
        return ask()
    waiting = lambda host: PROGRESS.info("%s is asked on %s; waiting for that to end", who, host)  # noqa: E731
    with Lease(shared.objects, turn, waiting) if turn else nullcontext():
        shared.pull()
        with shared.pushing(PROGRESS.info):
            return ask()

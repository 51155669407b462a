"""A judge that is a language model of this project: a free reason, then scores in a form that always parses."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from calib_assets.decoding.policy import Greedy, Restricted
from resources.judges.base import Progress
from resources.judges.items import Judged
from resources.judges.rubric_judge import RubricJudge
from resources.judges.rubrics import RUBRICS
from resources.judges.score_form import FormsAfter, ScoreForm
from resources.judges.store import VerdictStore
from resources.judges.verdicts import AnyVerdict
from resources.language_models import Context, LanguageModel, ModelError, Request, TokenizationError

_VERSION = 1  # raise it when the same model and rubric would be asked differently
_ITEMS_AT_ONCE = 64  # verdicts are stored after so many; a killed run loses no more


class LocalJudge(RubricJudge):
    """Asks a :class:`~resources.language_models.LanguageModel`, greedily.

    An item or a pair whose text the model cannot take is "failed", with the reason in ``detail``; a model that takes
    none of a batch raises its ModelError. Known verdicts need no model but for its identity.

    Args:
        name: Row of the study.
        model: Makes (or returns) the model; called when a verdict is needed or the identity is asked for.
        verdicts: Store of verdicts.
        rubric: Key of :data:`~resources.judges.rubrics.RUBRICS`.
        threshold: A text is valid, a pair similar, iff all scores of its verdict reach it.
        reason_tokens: Longest reason; it ends at its first line end.
        max_missing_share: Largest share of items or pairs that are too long for the model or cannot be tokenized.
        batch_rows: Rows decoded together (circumstance).

    Raises:
        KeyError: No such rubric.
    """

    kind = "local"

    def __init__(
        self,
        name: str,
        model: Callable[[], LanguageModel],
        verdicts: VerdictStore,
        *,
        rubric: str = "validity-v1",
        threshold: float = 99,
        reason_tokens: int = 64,
        max_missing_share: float = 0.05,
        batch_rows: int = 32,
    ):
        self.name, self.threshold, self.verdicts, self.rubric = name, threshold, verdicts, RUBRICS[rubric]
        self.reason_tokens, self.max_missing_share, self.batch_rows = reason_tokens, max_missing_share, batch_rows
        self._make = model

    @cached_property
    def model(self) -> LanguageModel:
        """The judging model; its weights load when the first item is judged."""
        return self._make()

    def identity(self) -> dict[str, Any]:
        rubric = {"name": self.rubric.name, "version": self.rubric.version}
        how = {"version": _VERSION, "reason_tokens": self.reason_tokens}
        return {"kind": "local", "model": self.model.identity(), "rubric": rubric, **how}

    def _judge_missing(self, work: Mapping[str, Judged], done: int, progress: Progress | None) -> dict[str, AnyVerdict]:
        judge, todo, total = self.verdicts.who(self.identity()), list(work), done + len(work)
        failed: dict[str, AnyVerdict] = {}
        for start in range(0, len(todo), _ITEMS_AT_ONCE):
            part = todo[start : start + _ITEMS_AT_ONCE]
            for key, verdict in zip(part, self._one_by_one_if_needed([work[key] for key in part]), strict=True):
                if verdict.status == "failed":
                    failed[key] = verdict
                else:
                    self.verdicts.settle(key, judge, verdict, item=work[key].digest)
            if progress:
                progress(done + start + len(part), total)
        return failed

    def _one_by_one_if_needed(self, items: Sequence[Judged]) -> list[AnyVerdict]:
        """Verdicts of a batch; where the model refuses it (a text is too long), the refused items fail alone."""
        try:
            return self._verdicts(items)
        except ModelError as error:
            verdicts = []
            for item in items if len(items) > 1 else ():
                try:
                    verdicts += self._verdicts([item])
                except ModelError as alone:
                    verdicts.append(self.rubric.verdict("failed", detail=str(alone)))
            if all(verdict.status == "failed" for verdict in verdicts):
                raise error
            return verdicts

    # -- one batch of items, or of pairs ----------------------------------------------------------------------

    def _context(self, item: Judged) -> Context:
        """The rubric and an item, up to where the reason begins."""
        text = f"{self.rubric.system(structured=False)}\n\n{self.rubric.user(item)}"
        return self.model.tokenization.context(text, f"{text}\n\nReason:\n")

    @cached_property
    def _shared(self) -> tuple[int, ...]:
        """Tokens that every item's context begins with: what some very different items have in common."""
        texts = ("a", "1 2", "\n", "The", "{")
        first, *others = (self._context(self.rubric.example(text)).ids for text in texts)
        return first[: min(_common(first, other) for other in others)]

    @cached_property
    def _form(self) -> ScoreForm:
        context = self._with_reason(self._context(self.rubric.example("a")), "Fine.")
        return ScoreForm(self.rubric.scores, self.model.tokenization, context)

    def _with_reason(self, context: Context, reason: str) -> Context:
        """The context followed by a reason and the line end after it, tokenized as one text."""
        text = f"{reason}\n"
        return Context(context.text + text, (*context.ids, *self.model.tokenization.answer_ids(text, context)))

    def _verdicts(self, items: Sequence[Judged]) -> list[AnyVerdict]:
        """Verdicts of some items: first all reasons, then all scores."""
        contexts: dict[int, Context] = {}
        verdicts: dict[int, AnyVerdict] = {}
        for index, item in enumerate(items):
            try:
                contexts[index] = self._context(item)
            except TokenizationError as error:
                verdicts[index] = self.rubric.verdict("failed", detail=str(error))
        reasons = self._reasons(contexts)
        ready: dict[int, Context] = {}
        for index, reason in reasons.items():
            try:
                ready[index] = self._with_reason(contexts[index], reason)
            except TokenizationError as error:
                verdicts[index] = self.rubric.verdict("failed", detail=str(error), raw=reason)
        for index, written in self._scores(ready).items():
            raw = f"{reasons[index]}\n{self.model.tokenization.decode(written)}"
            verdicts[index] = self.rubric.verdict("ok", *self._form.read(written), reasons[index], raw)
        return [verdicts[index] for index in range(len(items))]

    def _reasons(self, contexts: dict[int, Context]) -> dict[int, str]:
        """The first line that the model writes after each context."""
        tokenization = self.model.tokenization

        def ends(ids: tuple[int, ...]) -> bool:
            return "\n" in tokenization.decode(ids).lstrip()

        found = {}
        for index, ids in self._continue(contexts, Greedy(), self.reason_tokens, ends).items():
            words = [token for token in ids if token not in tokenization.end_ids]
            lines = tokenization.decode(words).strip().splitlines()
            found[index] = lines[0].strip() if lines else "(no reason)"
        return found

    def _scores(self, contexts: dict[int, Context]) -> dict[int, tuple[int, ...]]:
        """Tokens of the filled form after each context."""
        if not contexts:
            return {}
        form = self._form
        start = self._split(contexts)
        policy = Restricted(FormsAfter(form, (context.ids[start:] for context in contexts.values())), Greedy())
        return self._continue(contexts, policy, form.longest, form.is_complete)

    def _split(self, contexts: dict[int, Context]) -> int:
        """Tokens of these contexts that are shared; the model computes them once."""
        return min((_common(self._shared, context.ids) for context in contexts.values()), default=0)

    def _continue(self, contexts: dict[int, Context], policy, limit: int, stop) -> dict[int, tuple[int, ...]]:
        start, order = self._split(contexts), list(contexts)
        requests = [Request(tuple(contexts[index].ids[start:])) for index in order]
        rows = self.model.continuations(
            self._shared[:start], requests, policy, limit, stop=stop, batch_rows=self.batch_rows
        )
        return {order[row.index]: row.ids for row in rows} if requests else {}


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))

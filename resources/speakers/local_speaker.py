"""A speaker whose weights are here."""

import os.path
from collections.abc import Callable, Sequence

from calib_assets.decoding.filtered import Filtered
from resources.endpoints.form import Progress
from resources.language_models import Continuation, LanguageModel, Request
from resources.speakers.questions import Question, Sample, Sampling, Speaker

NEWLINE = b"\n"


class LocalSpeaker(Speaker):
    """Asks a :class:`~resources.language_models.LanguageModel`; what questions have in common is computed once.

    An answer depends on the question, its stream and the sampling; which questions are asked together changes logits by
    rounding only.

    Args:
        open_model: Makes (or returns) the model; called when there is something to ask.
        is_base: The model continues texts and has no chat template.
        batch_rows: Answers that are decoded together (circumstance).
    """

    def __init__(self, open_model: Callable[[], LanguageModel], is_base: bool, batch_rows: int = 64):
        self._open, self._is_base, self._batch_rows = open_model, is_base, batch_rows

    def answer(
        self, questions: Sequence[Question], sampling: Sampling, progress: Progress | None = None
    ) -> list[Sample]:
        groups: dict[tuple[str, str | None], list[int]] = {}
        for index, question in enumerate(questions):
            groups.setdefault((question.prompt, question.completion), []).append(index)
        found: dict[int, Sample] = {}
        if groups:
            with self._open() as model:
                for indexes in groups.values():
                    samples = self._alike(model, [questions[index] for index in indexes], sampling)
                    found |= zip(indexes, samples, strict=True)
                    if progress:
                        progress(len(found), len(questions))
        return [found[index] for index in range(len(questions))]

    def _alike(self, model: LanguageModel, questions: Sequence[Question], sampling: Sampling) -> list[Sample]:
        """Answers of one prompt, whose contexts begin alike."""
        contexts = [self._context(model, question) for question in questions]
        shared = len(os.path.commonprefix(contexts))  # noqa: RUF071
        asked = zip(contexts, questions, strict=True)
        requests = [Request(context[shared:], question.stream) for context, question in asked]
        ends_line = _LineEnd(model) if self._is_base and sampling.line else None
        options = {"stop": ends_line, "batch_rows": self._batch_rows}
        policy, limit = policy_of(sampling), sampling.max_new_tokens
        found = model.continuations(contexts[0][:shared], requests, policy, limit, **options)
        by_index = {one.index: _sample(model, one, one_line=ends_line is not None) for one in found}
        return [by_index[index] for index in range(len(questions))]

    def _context(self, model: LanguageModel, question: Question) -> tuple[int, ...]:
        said = question.completion if self._is_base and question.completion is not None else question.prompt
        # A conversation asks the same again and again, so a base model continues the same text each time.
        history = [(said if self._is_base else earlier.prompt, earlier.answer) for earlier in question.history]
        return model.tokenization.context(question.prompt, question.completion, history).ids


class _LineEnd:
    """Whether the last token ends a line."""

    def __init__(self, model: LanguageModel):
        self._bytes = model.tokenization.token_bytes

    def __call__(self, ids: tuple[int, ...]) -> bool:
        return NEWLINE in (self._bytes(ids[-1]) or b"")


def policy_of(sampling: Sampling) -> Filtered:
    """Temperature, then top-k, then top-p, as transformers applies them."""
    filters = [("top_k", sampling.top_k), ("top_p", sampling.top_p)]
    return Filtered.of(sampling.temperature, [(name, value) for name, value in filters if value is not None])


def _sample(model: LanguageModel, found: Continuation, one_line: bool) -> Sample:
    ends = set(model.tokenization.end_ids)
    text = model.tokenization.decode([token for token in found.ids if token not in ends])
    if one_line:
        text = text.partition("\n")[0]
    status = "truncated" if found.finish == "length" else "ok" if text.strip() else "empty"
    return Sample(status, text, found.finish, found.log_probability, len(found.ids))

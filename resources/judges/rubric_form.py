"""What a server is asked as a judge: the rubric's messages and schema, and a verdict from its answer."""

from typing import Literal

from resources.endpoints.form import Call, Form
from resources.endpoints.reply import Answer
from resources.judges.items import Judged
from resources.judges.reply import verdict_of
from resources.judges.settings import LlmJudgeSettings
from resources.judges.verdicts import AnyVerdict


class RubricForm(Form):
    """Items or pairs under a judge's rubric.

    Args:
        settings: The judge's row.
    """

    def __init__(self, settings: LlmJudgeSettings):
        self.rubric, self.structured = settings.rubric_text, settings.structured
        self._max_tokens = settings.max_tokens
        fields = {"temperature": settings.temperature, "seed": settings.seed}
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def call(self, asked: Judged, structured: bool) -> Call:
        messages = self.rubric.messages(asked, structured=structured)
        return Call(messages, self._max_tokens, self.rubric.schema if structured else None, self._fields)

    def read(self, answer: Answer, asked: Judged, cost: float) -> AnyVerdict:
        return verdict_of(answer, self.rubric, asked, cost)

    def unanswered(self, status: Literal["refused", "failed"], detail: str, raw: str = "") -> AnyVerdict:
        return self.rubric.verdict(status, detail=detail, raw=raw)

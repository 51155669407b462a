"""What a server is asked as a speaker: the conversation as chat messages, and a sample from its answer."""

import json
import math
from typing import Any, Literal

from resources.endpoints.form import Call, Form
from resources.endpoints.reply import Answer
from resources.speakers.questions import Question, Sample, Sampling
from resources.speakers.settings import ApiModelSettings


class QuestionForm(Form):
    """Questions in plain text.

    Args:
        settings: The API model's row.
        sampling: How answers are sampled.
    """

    def __init__(self, settings: ApiModelSettings, sampling: Sampling):
        self._settings, self._sampling = settings, sampling

    def call(self, asked: Question, structured: bool) -> Call:
        system = self._settings.system_prompt
        messages = [] if system is None else [{"role": "system", "content": system}]
        for exchange in asked.history:
            messages += [_said("user", exchange.prompt), _said("assistant", exchange.answer)]
        return Call([*messages, _said("user", asked.prompt)], self._sampling.max_new_tokens, None, self._fields(asked))

    def _fields(self, asked: Question) -> dict[str, Any]:
        fields = dict(self._settings.parameters)
        if self._settings.logprobs:
            fields["logprobs"] = True
        if not self._settings.fixed_sampling:
            fields |= {"temperature": self._sampling.temperature, "seed": asked.seed}
            if self._sampling.top_p is not None:
                fields["top_p"] = self._sampling.top_p
        return fields

    def read(self, answer: Answer, asked: Question, cost: float) -> Sample:
        """An answer in words is an answer, also one that declines; a refusal is what the server marks as one."""
        values = answer.token_logprobs
        known = {
            "text": answer.content,
            "finish": answer.finish,
            "log_probability": math.fsum(values) if values else None,
            # A server's count holds the tokens of thoughts as well, whose log-probabilities are not in the sum.
            "n_tokens": len(values) if values else answer.completion_tokens if answer.measured else None,
            "token_logprobs": json.dumps(values) if values else "",
            "cost": cost,
        }
        if answer.refusal:
            return Sample("refused", detail=f"refusal: {answer.refusal[:200]}", **known)
        if answer.finish == "content_filter":
            return Sample("refused", detail="content filter", **known)
        if answer.finish == "length":
            return Sample("truncated", detail="cut at max_new_tokens", **known)
        return Sample("ok" if answer.content.strip() else "empty", **known)

    def unanswered(self, status: Literal["refused", "failed"], detail: str, raw: str = "") -> Sample:
        return Sample(status, detail=detail)


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}

"""From an answer to a verdict."""

from resources.endpoints.reply import Answer
from resources.judges.items import Judged
from resources.judges.parsing import Unparsable, is_refusal, parse_reply
from resources.judges.rubrics import Rubric
from resources.judges.score_words import score_words
from resources.judges.verdicts import AnyVerdict

NO_SCORES = "no scores:"  # how the detail of a refusal in words begins


def verdict_of(answer: Answer, rubric: Rubric, judged: Judged, cost: float = 0.0) -> AnyVerdict:
    """The verdict in an answer. Only the judge's message is read; see :mod:`~resources.judges.parsing`.

    A reply that was cut at max_tokens is "truncated", unless it is one whole JSON object: nothing of that was cut,
    whereas the last number of a plain text may have been.

    Args:
        answer: What the server said.
        rubric: What was asked for.
        judged: What was judged: its texts may be quoted in the answer.
        cost: Of the answer.

    >>> from resources.endpoints.reply import read_body
    >>> from resources.judges import RUBRICS, Pair
    >>> body = '{"choices": [{"message": {"content": "I cannot judge that."}, "finish_reason": "stop"}]}'
    >>> verdict_of(read_body(body), RUBRICS["similarity-v1"], Pair("p", "a", "b")).status
    'refused'
    """

    def verdict(status, detail="", **scores) -> AnyVerdict:
        tokens = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
        return rubric.verdict(status, raw=answer.content, detail=detail, cost=cost, **tokens, **scores)

    if answer.refusal:
        return verdict("refused", f"refusal: {answer.refusal[:200]}")
    if answer.finish == "content_filter":
        return verdict("refused", "content filter")
    cut = answer.finish == "length"
    try:
        scores = parse_reply(answer.content, rubric.scores, judged.texts)
    except Unparsable as error:
        if cut:
            return verdict("truncated", "the reply was cut at max_tokens")
        if is_refusal(answer.content) and not score_words(rubric.scores).claimed.search(answer.content):
            return verdict("refused", f"{NO_SCORES} {answer.content[:200]}")
        return verdict("unparsable", str(error) if answer.content.strip() else "empty reply")
    if cut and not scores.alone:
        return verdict("truncated", "the reply was cut at max_tokens")
    return verdict("ok", reason=scores.reason, **scores.values)


def read_again(verdict: AnyVerdict, rubric: Rubric, judged: Judged) -> AnyVerdict:
    """A stored verdict as its reply is read today: what was paid for once may have been read by an earlier version.

    What was no matter of reading (a refusal in a field of its own, a content filter) stays, and so does a verdict that
    says the same today.

    Args:
        verdict: Of the store; its ``raw`` is the judge's message.
        rubric: What was asked for.
        judged: What was judged.
    """
    is_of_the_server = verdict.status == "refused" and not verdict.detail.startswith(NO_SCORES)
    if verdict.status == "failed" or is_of_the_server:
        return verdict
    finish = "length" if verdict.status == "truncated" else "stop"
    counts = verdict.prompt_tokens, verdict.completion_tokens
    now = verdict_of(Answer(verdict.raw, finish, "", *counts, True, ""), rubric, judged, verdict.cost)
    said = ("status", "reason", *rubric.scores)
    return verdict if all(getattr(now, name) == getattr(verdict, name) for name in said) else now

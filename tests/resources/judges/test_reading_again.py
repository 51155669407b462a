"""A paid reply that an earlier version read wrongly is read by the rules of today, without another call."""

import dataclasses
import json

import pytest

from resources.judges import Item, LlmJudge, LlmJudgeSettings, Pair, PairVerdict, TooManyMissing, Verdict, VerdictStore

SETTINGS = LlmJudgeSettings("j", "m", "http://127.0.0.1:9/v1", max_missing_share=1.0)
ITEM = Item("prompt", "response")
GOOD = json.dumps({"reason": "fine", "grammar": 100, "semantic": 99, "overall": 98})


def judged(store, stored: Verdict, item=ITEM, **settings) -> Verdict:
    judge = LlmJudge(dataclasses.replace(SETTINGS, **settings), store)  # nobody answers there: a call would raise
    store.settle(judge.key(item), store.who(judge.identity()), stored, item=item.digest)
    (found,) = judge.judge([item])
    return found


@pytest.mark.parametrize(
    ("stored", "status", "scores"),
    [
        (Verdict("ok", 1, 2, 3, "fine", GOOD), "ok", (100, 99, 98)),
        (Verdict("unparsable", raw=GOOD, detail="an older rule"), "ok", (100, 99, 98)),
        (Verdict("ok", 100, 100, 100, raw=GOOD.replace("98", "101")), "unparsable", (None, None, None)),
        (Verdict("ok", 9, 9, 9, raw="I'm sorry, but I can't judge that."), "refused", (None, None, None)),
        (Verdict("refused", raw=GOOD, detail="no scores: an older rule"), "ok", (100, 99, 98)),
        (Verdict("truncated", raw=GOOD, detail="cut"), "ok", (100, 99, 98)),  # one whole object: nothing was cut
        (Verdict("truncated", raw="Grammar: 9\nSemantic: 9\nOverall: 9"), "truncated", (None, None, None)),
    ],
)
def test_the_reply_counts_and_not_how_it_was_read_once(tmp_path, stored, status, scores):
    with VerdictStore(tmp_path) as store:
        found = judged(store, dataclasses.replace(stored, prompt_tokens=7, completion_tokens=5, cost=0.5))
        assert (found.status, (found.grammar, found.semantic, found.overall)) == (status, scores)
        assert (found.prompt_tokens, found.completion_tokens, found.cost, found.raw) == (7, 5, 0.5, stored.raw)


@pytest.mark.parametrize(
    "stored",
    [
        Verdict("ok", 100, 99, 98, "fine", GOOD, "plain text: format rejected", 7, 5, 0.5),
        Verdict("refused", raw=GOOD, detail="refusal: in a field of its own"),
        Verdict("refused", raw="", detail="HTTP 400: content management"),
    ],
)
def test_what_says_the_same_or_was_no_matter_of_reading_stays_as_it_is(tmp_path, stored):
    with VerdictStore(tmp_path) as store:
        assert judged(store, stored) == stored


def test_pairs_are_read_again_and_missing_verdicts_are_counted_as_they_are_read_today(tmp_path):
    with VerdictStore(tmp_path) as store:
        judge = LlmJudge(dataclasses.replace(SETTINGS, rubric="similarity-v1", max_missing_share=0.0), store)
        pair = Pair("p", "a", "b")
        raw = '{"reason": "the same", "similar": 80}'
        store.settle(judge.key(pair), store.who(judge.identity()), PairVerdict("ok", 3, "x", raw), item=pair.digest)
        assert judge.judge_pairs([pair]) == [PairVerdict("ok", 80, "the same", raw)]
        with pytest.raises(TooManyMissing):
            judged(store, Verdict("ok", 9, 9, 9, raw="nine"), max_missing_share=0.0)

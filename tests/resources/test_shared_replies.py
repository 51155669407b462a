"""Verdicts of two machines on a real S3 server: the union everywhere, nothing twice, nothing lost by a kill."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from resources.artifacts.objects import Objects
from resources.endpoints.shared_replies import SharedReplies
from resources.endpoints.store import Reply
from resources.judges import Item, LlmJudge, LlmJudgeSettings, Verdict, VerdictStore
from resources.judges.verdicts import PairVerdict
from resources.services.sharing import SharedJudge, SharedSpeaker
from resources.speakers import ApiModelSettings, ApiSpeaker, SampleStore
from resources.speakers.questions import Question, Sampling

IDENTITY = {"model": "m"}
JUDGE = VerdictStore.who(IDENTITY)


def judged(store, text, score=80):
    key = store.key(IDENTITY, "p", text)
    store.settle(key, JUDGE, Verdict("ok", score, 2, 3, raw="ü", cost=0.1), Reply("ok", "ü", 10, 5, 0.1), item=text)
    return key


@pytest.fixture
def machines(bucket, tmp_path):
    made = []
    for name in ("one", "two"):
        store = VerdictStore(tmp_path / name)
        made.append((store, SharedReplies(store, Objects(bucket))))
    yield made
    for store, shared in made:
        store.close(), shared.close()


def test_every_machine_gets_every_verdict_and_reply_once(machines):
    (one, shared_one), (two, shared_two) = machines
    before = judged(one, "before sharing began")
    shared_one.push(), shared_two.pull()
    keys = [before, judged(one, "a"), judged(one, "b")]
    pair = one.pair_key(IDENTITY, "p", "a", "b")
    one.settle(pair, JUDGE, PairVerdict("ok", 100), Reply("ok", "", 1, 1, measured=False), item="ab")
    one.record("lost", JUDGE, Reply("no answer", "", 7, 7, measured=False))
    assert shared_one.push() == 7 and shared_one.push() == 0
    assert shared_two.pull() == 1 and shared_two.pull() == 0
    assert two.get(keys) == one.get(keys) and len(two.get(keys)) == 3
    assert two.get([pair], PairVerdict) == one.get([pair], PairVerdict) != {}
    assert two.replies(before) == one.replies(before) and two.replies("lost") == one.replies("lost") != []
    assert two.ledger(IDENTITY) == one.ledger(IDENTITY) and one.ledger(IDENTITY).calls == 5
    assert shared_two.push() == 0, "what came from outside is not sent back"


def test_the_first_verdict_that_is_known_stays(machines):
    (one, shared_one), (two, shared_two) = machines
    key = judged(one, "a", score=80)
    judged(two, "a", score=20)
    shared_one.push(), shared_two.pull(), shared_two.push(), shared_one.pull()
    assert (one.get([key])[key].grammar, two.get([key])[key].grammar) == (80, 20)
    assert one.ledger(IDENTITY).calls == two.ledger(IDENTITY).calls == 2  # both were paid


def test_an_upload_that_was_cut_off_is_repeated_as_the_same_segment(bucket, machines):
    class CutOff(Objects):
        fails = True

        def put(self, name, data):
            super().put(name, data)
            if self.fails:
                raise ConnectionError("cut off after the upload")

    (one, _), (two, shared_two) = machines
    objects = CutOff(bucket)
    again = SharedReplies(one, objects)
    judged(one, "a")
    with pytest.raises(ConnectionError):
        again.push()
    judged(one, "b")
    objects.fails = False
    again.push()
    assert shared_two.pull() == 2 and two.ledger(IDENTITY) == one.ledger(IDENTITY) and one.ledger(IDENTITY).calls == 2
    again.close()


def test_verdicts_are_uploaded_while_judging_goes_on(machines):
    (one, shared_one), (two, shared_two) = machines
    with shared_one.pushing(print, interval_s=0.1):
        key = judged(one, "a")
        end = time.monotonic() + 60
        while not shared_two.pull() and time.monotonic() < end:
            time.sleep(0.05)
        assert key in two.get([key])
    with pytest.raises(KeyboardInterrupt), shared_one.pushing(print, interval_s=100):
        last = judged(one, "b")
        raise KeyboardInterrupt
    shared_two.pull()
    assert last in two.get([last])


def at_once(*calls):
    """Results of calls that run in threads at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [call.result() for call in [pool.submit(call) for call in calls]]


def test_two_machines_that_judge_the_same_texts_at_once_pay_once(machines, server, orders):
    items = [Item("Write a line.", orders("slow:0.05", (100, 99, 100))) for _ in range(5)]
    settings = LlmJudgeSettings(name="far", model="m", endpoint=server.url, api_key_env="KEY", max_missing_share=1.0)
    judges = [
        SharedJudge(LlmJudge(settings, store, environment={"KEY": server.key}), shared) for store, shared in machines
    ]
    found = at_once(*(partial(judge.judge, items) for judge in judges))
    assert found[0] == found[1] and {verdict.status for verdict in found[0]} == {"ok"}
    assert paid(server, items[0].response) == 5
    assert [store.ledger(judges[0].identity()).calls for store, _ in machines] == [5, 5]


def test_two_machines_that_ask_an_api_model_at_once_pay_once(bucket, server, orders, tmp_path):
    asked = orders("city", [1])
    questions = [Question(asked, (0, number)) for number in range(6)]
    settings = ApiModelSettings("far", "m", server.url, "KEY")
    speakers = []
    for name in ("one", "two"):
        store = SampleStore(tmp_path / name)
        speaker = ApiSpeaker(settings, store, environment={"KEY": server.key})
        speakers.append(SharedSpeaker(speaker, SharedReplies(store, Objects(bucket))))
    found = at_once(*(partial(speaker.answer, questions, Sampling()) for speaker in speakers))
    assert found[0] == found[1] and len(found[0]) == 6 and {sample.status for sample in found[0]} == {"ok"}
    assert paid(server, asked) == 6
    for speaker in speakers:
        speaker.inner.samples.close(), speaker.shared.close()


def paid(server, text: str) -> int:
    """Answers that the server was paid for by the test that a text belongs to."""
    test = text.partition("id=")[2].partition("/")[0]
    return sum(entry["paid"] for entry in server.stats(test)["ids"].values())

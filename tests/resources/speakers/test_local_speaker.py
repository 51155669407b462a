"""Local speakers: answers of a chain whose distribution is known, lines, conversations, chat templates."""

import math
from collections import Counter

import pytest

from resources.language_models import MarkovChain, MarkovModel, ModelSettings
from resources.language_models.tokenization import TokenizerView
from resources.speakers import Exchange, LocalSpeaker, Question, Sampling

TOKENS = ("q", ":", "A", "B", "\n", "<end>")
SHARES = {"A": 0.7, "B": 0.3}


def chain(ends_line: bool = True) -> MarkovChain:
    """q → : → A or B → a line end (or the end token), and so on."""
    after = "\n" if ends_line else "<end>"
    one = {"q": ":", "A": after, "B": after, "\n": "q", "<end>": "q"}
    rows = [tuple(float(token == one.get(state)) for token in TOKENS) for state in TOKENS]
    rows[1] = (0.0, 0.0, 0.7, 0.3, 0.0, 0.0)
    return MarkovChain(TOKENS, tuple(rows), (1.0, 0.0, 0.0, 0.0, 0.0, 0.0), end=(5,))


def speaker(ends_line: bool = True, is_base: bool = True, **fields) -> LocalSpeaker:
    return LocalSpeaker(lambda: MarkovModel(chain(ends_line)), is_base, **fields)


def questions(count: int, **fields) -> list[Question]:
    return [Question("q:", (1, i), **fields) for i in range(count)]


LINE = Sampling(max_new_tokens=5, line=True)


def test_answers_follow_the_distribution_and_carry_their_probability():
    found = speaker().answer(questions(2000), LINE)
    counts = Counter(sample.text for sample in found)
    assert set(counts) == {"A", "B"} and abs(counts["A"] - 1400) < 4 * math.sqrt(2000 * 0.21)
    for sample in found[:100]:
        assert sample.status == "ok" and sample.finish == "stop" and sample.n_tokens == 2
        assert sample.log_probability == pytest.approx(math.log(SHARES[sample.text]), abs=1e-6)


def test_temperature_and_filters_change_the_sampling_and_not_the_probability():
    found = speaker().answer(questions(400), Sampling(max_new_tokens=5, line=True, top_p=0.6))
    assert {sample.text for sample in found} == {"A"}
    assert found[0].log_probability == pytest.approx(math.log(0.7), abs=1e-6)
    assert {sample.text for sample in speaker().answer(questions(50), Sampling(1.0, None, 1, 5, line=True))} == {"A"}
    cold = speaker().answer(questions(2000), Sampling(temperature=0.5, max_new_tokens=5, line=True))
    share = 0.49 / (0.49 + 0.09)
    assert abs(sum(s.text == "A" for s in cold) - 2000 * share) < 4 * math.sqrt(2000 * share * (1 - share))


def test_an_answer_does_not_depend_on_its_company():
    together = speaker(batch_rows=3).answer(questions(20), LINE)
    alone = [speaker().answer([question], LINE)[0] for question in questions(20)]
    assert together == alone


def test_a_line_or_the_end_token_ends_an_answer_and_the_limit_cuts_it():
    assert {s.finish for s in speaker(ends_line=False).answer(questions(5), LINE)} == {"end"}
    (cut,) = speaker().answer(questions(1), Sampling(max_new_tokens=1, line=True))
    assert cut.status == "truncated" and cut.finish == "length"
    (long,) = speaker().answer(questions(1), Sampling(max_new_tokens=6))  # without `line` a base model goes on
    assert long.status == "truncated" and "\nq:" in long.text
    (silent,) = speaker().answer([Question("q:A", (0,))], LINE)
    assert silent.status == "empty" and silent.text == ""


def test_history_is_the_text_before():
    asked = Question("p", (0, 0), "q:", (Exchange("p", "A"), Exchange("p", "B")))
    seen = []

    class Watched(MarkovModel):
        def continuations(self, context_ids, requests, *rest, **options):
            seen.append("".join(TOKENS[i] for i in (*context_ids, *requests[0].ids)))
            return super().continuations(context_ids, requests, *rest, **options)

    LocalSpeaker(lambda: Watched(chain()), True).answer([asked], LINE)
    assert seen == ["q:A\nq:B\nq:"]


def test_questions_of_several_prompts_come_back_in_order():
    asked = [Question(("q:", "q:A\nq:")[i % 2], (0, i)) for i in range(10)]
    found = speaker().answer(asked, LINE)
    assert found == [speaker().answer([question], LINE)[0] for question in asked]
    assert speaker().answer([], LINE) == []


def test_a_template_sees_the_conversation_and_a_single_turn_is_as_before(tokenizer_directory):
    directory = tokenizer_directory("byte_level", True)
    view = TokenizerView(directory, ModelSettings(variant="instruct", system_prompt="S", answer_prefix=" is"))
    start = view.special_tokens["bos_token"]
    told = view.context("Q", None, [("Q", " A"), ("Q", " B")]).text
    assert told == f"{start}[system]S<end>[user]Q<end>[assistant]is A<end>[user]Q<end>[assistant]is B<end>" + (
        "[user]Q<end>[assistant] is"
    )
    assert view.context("Q", None, ()) == view.context("Q")
    base = TokenizerView(directory, ModelSettings(variant="base"))
    assert base.context("Q", "C:", [("C:", " A")]).text == "C: A\nC:"

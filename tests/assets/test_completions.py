"""Where a completion stops: at the stop text of the whole answer, not at one that its parts only seem to make."""

import pytest

from calib_assets.assets.order.completions import continued
from calib_assets.assets.order.speaking import Speaker
from calib_assets.decoding.policy import Greedy
from calib_assets.study.prompts import Prompt
from resources.language_models.markov import MarkovModel
from resources.language_models.spec import MarkovChain

A, B, LINE, END = range(4)
TOKENS = ("a", "b", "\n", "<end>")
NEXT = {A: LINE, B: A, LINE: END, END: END}  # a is followed by a line break, and that by the end


def completed(next_token, prefix, path, stop, limit=5):
    transition = tuple(tuple(float(token == next_token[last]) for token in range(4)) for last in range(4))
    model = MarkovModel(MarkovChain(TOKENS, transition, (1.0, 0.0, 0.0, 0.0), end=(END,)))
    speaker = Speaker(model, Prompt("p", "b", stop=stop), (B, *prefix), prefix, "")
    (row,) = continued(speaker, 0, [(7, path, 0)], Greedy(), limit)
    return row["response"], row["completion"], row["finish"], row["n_tokens"]


@pytest.mark.parametrize(
    ("next_token", "prefix", "path", "stop", "expected"),
    [
        # The prefix ends in a line break and the completion begins with one, but the path lies between.
        (NEXT, (LINE,), (A,), "\n\n", ("\na\n", "\n<end>", "end", 2)),
        (NEXT | {LINE: B, B: LINE}, (A,), (B,), "\nb\n", ("ab", "\nb\n", "stop", 3)),
        # The stop text begins in the path: the answer ends there, whatever the model went on to say.
        (NEXT | {LINE: LINE}, (), (A, LINE), "\n\n", ("a", "\n\n", "stop", 2)),
        (NEXT | {LINE: B, B: B}, (), (A, LINE), "\nb", ("a", "bbbbb", "stop", 5)),
        # The path itself holds it: nothing is generated.
        (NEXT, (A, LINE), (LINE,), "\n\n", ("a", "", "end", 0)),
        (NEXT, (LINE,), (A,), "", ("\na\n", "\n<end>", "end", 2)),
    ],
)
def test_the_stop_text_is_that_of_the_whole_answer(next_token, prefix, path, stop, expected):
    assert completed(next_token, prefix, path, stop) == expected

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from calib_assets.decoding import PrefixTrie
from resources.language_models import (
    CorruptFileError,
    MarkovModel,
    ModelSource,
    SourceError,
    TokenizationError,
    open_model,
)
from resources.language_models.sources import content_digest


def test_logits_are_the_logarithms_of_the_table(chain):
    model = MarkovModel(chain)
    for last, row in enumerate(chain.transition):
        np.testing.assert_allclose(np.exp(model.next_logits([0, last])), row, rtol=1e-6)
    np.testing.assert_allclose(np.exp(model.next_logits([])), chain.initial, rtol=1e-6)


def test_trie_logits_depend_on_the_last_token_only(chain):
    trie = PrefixTrie.from_sequences([[0, 1, 2], [0, 1, 0], [3, 2, 5]])
    found = np.full((len(trie.internal), 6), np.nan)
    for rows, block in MarkovModel(chain).trie_logits([4], trie):
        found[rows] = block
    for row, node in enumerate(trie.internal):
        last = ([4, *trie.path(node)])[-1]
        np.testing.assert_allclose(np.exp(found[row]), chain.transition[last], rtol=1e-6)


def test_impossible_transitions_are_minus_infinity_without_a_warning():
    from resources.language_models import MarkovChain

    model = MarkovModel(MarkovChain(("a", "b"), ((0.0, 1.0), (0.5, 0.5)), (1.0, 0.0)))
    assert model.next_logits([0]).tolist() == [-np.inf, 0.0]


def test_greedy_longest_match(chain):
    tokenization = MarkovModel(chain).tokenization
    assert [tokenization.token_text(t) for t in tokenization.context_ids("abbca")] == ["ab", "bc", "a"]
    context = tokenization.context("c")
    assert tokenization.answer_ids("cab", context) == [2, 3]
    assert tokenization.decode([0, 5, 4]) == "a<end>bc"
    with pytest.raises(TokenizationError, match=r"answer 'bca'.*merge with the end of the context"):
        tokenization.answer_ids("bca", tokenization.context("a"))
    with pytest.raises(TokenizationError, match="no token for 'x'"):
        tokenization.context("ax")


def test_a_file_and_inline_parameters_have_one_identity(chain, tmp_path):
    file = tmp_path / "chain.json"
    file.write_text(json.dumps(asdict(chain)))
    inline, from_file = MarkovModel(chain), open_model(ModelSource(markov=file), cache_dir=tmp_path)
    assert inline.identity() == from_file.identity()
    assert content_digest(ModelSource(markov=file), tmp_path) == inline.identity()["content"]
    swapped = replace(chain, initial=chain.initial[::-1])
    assert MarkovModel(swapped).identity() != inline.identity()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial": (0.5,) * 6}, "initial: sums to 3.0"),
        ({"initial": (1.5, -0.5, 0, 0, 0, 0)}, "initial: sums to 1.0"),
        ({"tokens": ("a", "a", "c", "d", "e", "f")}, "field tokens: empty or repeated"),
        ({"tokens": ("a",)}, r"transition \(6, 6\).* for 1 tokens"),
        ({"end": (6,)}, r"field end: \(6,\)"),
    ],
)
def test_wrong_chains_are_refused(chain, change, message):
    with pytest.raises(SourceError, match=message):
        MarkovModel(replace(chain, **change))


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        MarkovModel(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text('{"tokens": ["a"]}')
    with pytest.raises(CorruptFileError, match="write tokens, transition, initial"):
        MarkovModel(tmp_path / "bad.json")

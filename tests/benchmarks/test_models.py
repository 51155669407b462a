"""The benchmarks of models on a tiny one: their checks hold, and break when our side computes something else.

Seconds mean nothing here; `make bench` measures on SmolLM2.
"""

import importlib

import numpy as np
import pytest
from tiny_models import build_tiny

from benchmarks.rows import Row, Run
from resources.language_models import ModelSource, TransformersModel

SIZES = {
    "trie_scoring": {"digits": [1, 2], "sample": 5, "repeat": 2},
    "sweep_completions": {"branches": [3, 2], "sample": 4, "new_tokens": 6, "repeat": 2},
    "rollout_decoding": {"samples": 6, "capped": 4, "cap": 8, "greedy": 8, "pilot": 12},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Source of a tiny model with room for the few-shot prompts."""
    return ModelSource(path=build_tiny(tmp_path_factory.mktemp("tiny"), "llama", max_position_embeddings=2048))


def measured(name: str, tiny: ModelSource, folder, monkeypatch) -> list[Row]:
    """Rows of a benchmark on the tiny model."""
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(module, "ModelSource", lambda **_: tiny)
    return list(module.rows(Run(1, folder / "cache", folder), **SIZES[name]))


@pytest.mark.parametrize("name", SIZES)
def test_checks_hold(name, tiny, tmp_path, monkeypatch):
    rows = measured(name, tiny, tmp_path, monkeypatch)
    assert rows and [(row.what, row.broken) for row in rows if row.broken] == []


def test_shifted_logits_break_the_check(tiny, tmp_path, monkeypatch):
    right = TransformersModel.trie_logits

    def wrong(*arguments):
        return ((index, block + np.float32(0.002)) for index, block in right(*arguments))

    monkeypatch.setattr(TransformersModel, "trie_logits", wrong)
    assert all(row.broken for row in measured("trie_scoring", tiny, tmp_path, monkeypatch))


def test_other_tokens_break_the_check(tiny, tmp_path, monkeypatch):
    from benchmarks import rollout_decoding, sweep_completions

    monkeypatch.setattr(sweep_completions, "generated", lambda *_, **__: (1, 2, 3))
    assert all(row.broken for row in measured("sweep_completions", tiny, tmp_path, monkeypatch))
    right = rollout_decoding.rolled
    monkeypatch.setattr(rollout_decoding, "rolled", lambda *given, **named: [one[:1] for one in right(*given, **named)])
    broken = {row.what: row.broken for row in measured("rollout_decoding", tiny, tmp_path, monkeypatch)}
    assert broken["greedy rollouts, SmolLM2"] and broken[next(what for what in broken if "few-shot" in what)]

"""What a study costs: the plan's tokens against the tokens that pass through a real transformer, and hours by hand."""

import json

import numpy as np
import pytest
import yaml
from tiny_models import build_tiny

from calib_assets.assets import GRAPH
from calib_assets.assets.shape.exact_logit_cache import canonical_trie, spelled_answers
from calib_assets.cost import LONG, ROWS, SHORT, SIZES, STEP_SECONDS_LONG, costs, render, seconds
from calib_assets.decoding import TopK
from calib_assets.decoding.policy import Sampled
from calib_assets.staleness.graph import Work
from calib_assets.staleness.identity import Context
from resources.language_models import RolloutRequest, release_models
from resources.services import LanguageModels, StoreService, StudyService, slicer_of, tools_of

N_PROMPTS, N_ROLLOUTS, LONGEST = 3, 5, 16


@pytest.fixture
def context(tmp_path):
    """A study of one tiny transformer, one task and one kind of rollouts."""
    build_tiny(tmp_path / "llama", "llama")
    (tmp_path / "prompts.jsonl").write_text(
        "".join(json.dumps({"id": f"p{i}", "prompt": f"say {i}"}) + "\n" for i in range(N_PROMPTS))
    )
    study = {
        "name": "tiny",
        "title": "Tiny",
        "models": [
            {"name": "llama", "source": {"path": "llama"}, "variant": "base", "family": "tiny", "size": 8.03},
            {"name": "sizeless", "source": {"path": "llama"}, "variant": "base", "family": "tiny"},
        ],
        "tasks": [{"name": "digits", "kind": "digits", "length": 2, "prompt": "Two digits:", "completion": "Two:"}],
        "embedder": {"name": "grams", "source": {"ngrams": 64}},
        "prompt_sets": [{"name": "some", "file": "prompts.jsonl"}],
        "rollouts": [{"name": "some", "prompts": "some", "rollouts": N_ROLLOUTS, "max_new_tokens": LONGEST}],
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    service, models = StudyService(path=str(tmp_path / "study.yaml")), LanguageModels(device="cpu")
    store = StoreService(root=str(tmp_path / "store"), study=service).open()
    yield Context(GRAPH, service.load(), store, slicer_of(store.root), tools_of(models, store))
    release_models()


def counted(model, work) -> int:
    """Tokens that pass through the transformer while ``work`` runs."""
    tokens = []
    count = lambda module, arguments, named: tokens.append(named["input_ids"].numel())  # noqa: E731
    handle = model.loaded.model.register_forward_pre_hook(count, with_kwargs=True)
    work()
    handle.remove()
    return sum(tokens)


def test_planned_tokens_are_those_that_pass_through_the_model(context):
    row, task = context.study.model("llama"), context.study.task("digits")
    planned = {(cost.asset, cost.cell): cost.work for cost in costs(context) if cost.cell[0] == "llama"}
    with context.tools["language_models"].open(row, context.store.root, task.answer_prefix) as model:
        said = model.tokenization.context(task.prompt, task.completion)
        trie = canonical_trie(model, said, spelled_answers(row, task), task.terminated)
        model.next_logits((0, 5)), list(model.trie_logits((0, 5), trie))  # what is verified once is not counted
        found = counted(model, lambda: list(model.trie_logits(said.ids, trie)))
        work = planned["exact_logit_cache", ("llama", "digits")]
        # The root's logits come with the context; the plan takes a context's characters for its tokens, at the most.
        assert found == len(said.ids) + len(trie.internal) - 1
        assert found <= work.forward_tokens <= found + len(task.prompt)
        assert work.disk_bytes == len(trie.internal) * model.vocab_size * 4

        contexts = [(0, 20 + i, *range(30, 30 + i)) for i in range(N_PROMPTS)]
        requests = [RolloutRequest(one, (i, j)) for i, one in enumerate(contexts) for j in range(N_ROLLOUTS)]
        list(model.rollouts(requests, Sampled(TopK(50)), 3))
        rolled = []
        found = counted(model, lambda: rolled.extend(model.rollouts(requests, Sampled(TopK(50)), LONGEST)))
    work = planned["rollouts", ("llama", "some")]
    assert work == Work(N_PROMPTS * N_ROLLOUTS * LONGEST, 0)
    # A rollout's first token comes from its context and its last is not fed.
    assert found == sum(map(len, contexts)) + sum(len(one.ids) - 1 for one in rolled)
    assert found - sum(map(len, contexts)) <= work.forward_tokens


def test_hours_follow_from_the_rates(context):
    by_asset = {(cost.asset, cost.cell[0]): cost for cost in costs(context)}
    rollouts = by_asset["rollouts", "llama"]
    # 240 tokens in steps of 64 rows, each of 91.2 ms on the model of 8 billion parameters (the answers are short).
    assert rollouts.hours == pytest.approx(240 / 64 * 0.0912 / 3600, rel=1e-3)
    assert by_asset["rollouts", "sizeless"].hours is None
    lines = render(costs(context))
    assert "no hours for sizeless" in "\n".join(lines)
    assert next(line for line in lines if line.startswith("rollouts")).split()[1:3] == ["2", "480"]


def test_rates_meet_what_was_measured():
    for size, step in zip(SIZES, STEP_SECONDS_LONG, strict=True):
        assert seconds("rollouts", ROWS, size, 2 * LONG) == pytest.approx(step)
    middle = seconds("rollouts", ROWS, 8.03, LONG + SHORT)
    ends = [seconds("rollouts", ROWS, 8.03, 2 * length) for length in (SHORT, LONG)]
    assert middle == pytest.approx(np.mean(ends))
    assert seconds("sweep_tree", 10, 70.0, 1) == pytest.approx(seconds("sweep_tree", 10, SIZES[-1], 1) * 70 / SIZES[-1])


def test_the_papers_study_is_priced_without_a_model(capsys, tmp_path):
    from calib_assets.cli import main

    assert main(["--study", "studies/papers.yaml", "--store", str(tmp_path / "s"), "cost"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows["rollouts"][2] == f"{9 * 4 * 100 * 100 * 4000 - 9 * (100 - 12) * 100 * 4000:,}"

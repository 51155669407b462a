"""A study with one model on both engines, through Dagster: logits, sweep, rollouts and what follows from them."""

import json

import dagster as dg
import numpy as np
import polars as pl
import pytest
import yaml
from engine_marks import ENGINE

from calib_assets.assets import GRAPH
from calib_assets.assets.memo import context_for
from calib_assets.definitions import build_defs
from jobs.runner import refresh
from resources.language_models import MODELS
from resources.services import LanguageModels, StoreService, StudyService

pytestmark = ENGINE
PROMPTS = [
    {"id": "one", "prompt": "p", "completion": "d:", "answers": ["1", "12", "3"], "lead": "", "stop": ","},
    {"id": "two", "prompt": "q", "completion": "abc:", "answers": ["a", "b"], "lead": "", "stop": ","},
]


@pytest.fixture(scope="module")
def place(llama, tmp_path_factory):
    """Services of a study of the Llama as two rows."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, PROMPTS)))
    row = {"variant": "base", "source": {"path": str(llama)}}
    document = {
        "name": "both",
        "title": "Two engines",
        "models": [{"name": "plain", **row}, {"name": "fast", "backend": "vllm", **row}],
        "tasks": [
            {"name": "digits", "kind": "digits", "length": 2, "separator": ",", "prompt": "p", "completion": "d:"},
            {"name": "list", "kind": "list", "answers": ["ab", "abc"], "terminated": True, "tokenizations": "all",
             "unexplored_mass": 0.0, "prompt": "p", "completion": "d:"},
        ],
        "decoding": {"temperatures": [0.5, 1.0, 2.0], "validity_floors": [1e-6], "sequence_temperatures": [1.0],
                     "rules": {"unrestricted": "default", "top_k": [5, 50], "oracle_cutoff": "default",
                               "validity_oracle": "default"}},
        "prompt_sets": [{"name": "prompts", "file": "prompts.jsonl", "select": "closed"}],
        "judges": [{"name": "strict", "kind": "verifier", "matching": "strict"}],
        "embedder": {"name": "ngrams", "source": {"ngrams": 64}},
        "sweeps": [{"name": "sweep", "prompts": "prompts", "judges": ["strict"], "seeds": 2,
                    "prefix": {"max_tokens": 0}, "depth": 2, "stride": 5, "max_rank": 60, "branches": [None, 3],
                    "max_new_tokens": 4}],
        "rollouts": [{"name": "rolls", "prompts": "prompts", "rollouts": 6, "max_new_tokens": 12}],
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(document))
    study = StudyService(path=str(folder / "study.yaml"))
    store = StoreService(root=str(folder / "store"), study=study)
    return study, store, LanguageModels(vllm={"kv_cache_gib": 0.0625})


@pytest.mark.timeout(900)
def test_both_engines_give_one_study_and_nothing_is_computed_twice(place):
    study, store, models = place
    defs = build_defs(study=study, store=store, language_models=models)

    def refreshed():
        with dg.DagsterInstance.ephemeral() as instance:
            view = context_for(GRAPH, study, store, models)
            return refresh(view, defs.resolve_job_def, instance, lambda line: None)

    summary = refreshed()
    assert not summary.failed and not summary.left, (summary.failed, summary.left)
    # Twelve rollouts of a random model are no data for a regression, and its check says so.
    assert set(summary.failed_checks) <= {"beta_regression: regression_is_fitted"}
    opened, loads = store.open(), list(MODELS.loads)
    assert any(key[2].startswith("vllm ") for key in loads) and any(key[2] == "cpu" for key in loads)

    for task in ("digits", "list"):
        plain, fast = (opened.table("decoding_sweep", (name, task), "decoding_sweep") for name in ("plain", "fast"))
        assert len(plain) == 15
        for column in plain.select(pl.selectors.float()).columns:
            given, expected = fast[column].to_numpy(), plain[column].to_numpy()
            np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-6, err_msg=f"{task} {column}")
    plain, fast = (opened.table("completions", (name, "sweep"), "completions") for name in ("plain", "fast"))
    exact = [name for name, kind in plain.schema.items() if not kind.is_float()]
    assert plain.select(exact).equals(fast.select(exact)) and len(plain) > 50
    plain, fast = (opened.table("rollouts", (name, "rolls"), "rollouts") for name in ("plain", "fast"))
    assert plain["ids"].to_list() == fast["ids"].to_list() and len(plain) == 12
    for a, b in zip(plain["step_entropy"], fast["step_entropy"], strict=True):
        np.testing.assert_allclose(b.to_numpy(), a.to_numpy(), atol=2e-4)

    prints = {name: opened.current("exact_logit_cache", (name, "digits")).fingerprint for name in ("plain", "fast")}
    assert prints["plain"] != prints["fast"]
    again = refreshed()
    assert not again.computed and not again.left and MODELS.loads == loads

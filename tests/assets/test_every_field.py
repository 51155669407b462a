"""Every field of the study file, changed alone: the slices that must change do, and so the cells that read them.

What follows from a field is written here by hand; the slices are cut by the project. Nothing is computed: without any
result a fingerprint holds what a cell reads of the study, of weights and of code.
"""

import base64
import copy
import dataclasses
import hashlib
import json

import pytest
from workplace import PROMPTS, external_rollouts, write_chain

from calib_assets.assets import GRAPH
from calib_assets.staleness.code_version import code_version
from calib_assets.staleness.identity import Context, Snapshot
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study, livecodebench, problem_sets, prompts
from calib_assets.study.reference import ROWS
from calib_assets.study.rows import Row
from calib_assets.study.slices import SLICES
from resources.judges import RUBRICS
from resources.services import LanguageModels, slicer_of, tools_of

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40
STUDY = {
    "name": "all",
    "title": "Every field",
    "models": [
        {"name": "chain", "source": {"markov": "@/chain.json"}, "variant": "base"},
        {"name": "folder", "source": {"path": "@/one/folder"}, "variant": "instruct"},
        {"name": "hub", "source": {"id": "org/m", "revision": COMMIT}, "variant": "base"},
        {"name": "packed", "source": {"package": "weights", "file": "*.gguf"}, "variant": "base"},
    ],
    "api_models": [{"name": "api", "model": "m", "endpoint": "http://localhost:1/v1", "budget": {"tokens": 9}}],
    "tasks": [
        {"name": "digits", "kind": "digits", "length": 2, "prompt": "p", "completion": "c"},
        {"name": "sum", "kind": "digit_sum", "length": 2, "total": 3, "prompt": "p", "completion": "c"},
        {
            "name": "list",
            "kind": "list",
            "answers": ["x", "y"],
            "tokenizations": "all",
            "prompt": "p",
            "completion": "c",
        },
        {"name": "file", "kind": "list", "answers_file": "@/answers.txt", "prompt": "p", "completion": "c"},
    ],
    "decoding": {
        "temperatures": {"start": 0.5, "stop": 2.0, "count": 3},
        "rules": {"top_p": [0.9]},
    },
    "prompt_sets": [
        {"name": "closed", "file": "@/prompts.jsonl", "select": "closed"},
        {"name": "every", "file": "@/prompts.jsonl"},
        {"name": "fetched", "hub": {"id": "org/d", "revision": COMMIT, "file": "d.jsonl"}},
    ],
    "sweeps": [
        {
            "name": "sweep",
            "prompts": "closed",
            "judges": ["asked", "own", "exact"],
            "branches": [4, 4, 4],
            "robustness": {"sampling": {"filters": [{"rule": "top_k", "parameter": 5}]}},
            "decoding": {},
        }
    ],
    "rollouts": [
        {"name": "roll", "prompts": "every", "semantic_entropy": {"judge": "alike"}},
        {"name": "away", "prompts": "fetched"},
    ],
    "external": [{"name": "outside", "kind": "rollouts", "file": "@/outside.parquet", "max_new_tokens": 8}],
    "collapse": [
        {"name": "ask", "prompt": "q", "answers_file": "@/answers.txt"},
        {"name": "free", "prompt": "q", "history": None},
    ],
    "coding": [
        {"name": "code", "problems": "@/problems.jsonl"},
        {"name": "bench", "livecodebench": {"revision": COMMIT}},
        {"name": "files", "livecodebench": {"files": ["@/test.jsonl"]}},
    ],
    "judges": [
        {
            "name": "asked",
            "kind": "llm",
            "model": "m",
            "price_per_million": {"prompt": 1.0, "completion": 1.0},
            "budget": {"tokens": 9, "cost": 1.0},
        },
        {"name": "own", "kind": "local", "model": "folder"},
        {"name": "exact", "kind": "verifier"},
        {"name": "alike", "kind": "llm", "model": "m", "rubric": "similarity-v1", "threshold": 50},
    ],
    "annotations": {"file": "@/people.csv"},
    "embedder": {"name": "encoder", "source": {"ngrams": 64}},
}
FOLDER = "model_spec@folder speaker_spec@folder judge_spec@sweep"  # the judge `own` runs on it
ASKED, PROBLEMS = "judge_spec@sweep", "coding_questions_spec@bench coding_tests_spec@bench"
NOTHING = None
READ_BY = {"PROMPTS": "71a5acc6a72b104c", "PROBLEMS": "8c5309124aa2fd1c"}  # code versions

# Class.field -> (where in the document, what is written there, the slices that change). The report prints the document
# and so reads every change, but those of circumstance (NOTHING); "" is a change that only it reads.
CHANGES = {
    "Study.name": ("name", "other", ""),
    "Study.title": ("title", "Other", "title_spec"),
    "Study.description": ("description", "d", ""),
    # -- models
    "ModelRow.source": ("models.0.source", {"markov": "@/beta.json"}, "model_spec@chain speaker_spec@chain"),
    "ModelRow.variant": ("models.1.variant", "sft", f"{FOLDER} pairs_spec catalogue_spec speakers_spec"),
    "ModelRow.dtype": ("models.1.dtype", "bfloat16", FOLDER),
    "ModelRow.backend": ("models.1.backend", "vllm", FOLDER),
    "ModelRow.chat_template": ("models.1.chat_template", "none", FOLDER),
    "ModelRow.system_prompt": ("models.1.system_prompt", "s", FOLDER),
    "ModelRow.answer_prefix": ("models.1.answer_prefix", "a", FOLDER),
    "ModelRow.thinking": ("models.1.thinking", False, FOLDER),
    "ModelRow.bos": ("models.1.bos", "never", FOLDER),
    "ModelRow.parity": ("models.1.parity", "canopy", FOLDER),
    "ModelRow.family": ("models.1.family", "f", "pairs_spec catalogue_spec speakers_spec"),
    "ModelRow.size": ("models.1.size", 1.0, "catalogue_spec speakers_spec"),
    "ModelRow.pair": ("models.1.pair", "chain", "pairs_spec"),
    "ModelRow.licence": ("models.1.licence", "MIT", ""),
    "HubSource.id": ("models.2.source.id", "org/n", "model_spec@hub speaker_spec@hub"),
    "HubSource.revision": ("models.2.source.revision", OTHER_COMMIT, "model_spec@hub speaker_spec@hub"),
    "PackageSource.package": ("models.3.source.package", "others", "model_spec@packed speaker_spec@packed"),
    "PackageSource.file": ("models.3.source.file", "w/model.gguf", "model_spec@packed speaker_spec@packed"),
    "PackageSource.sha256": ("models.3.source.sha256", hashlib.sha256(b"GGUF weights").hexdigest(), ""),  # a check
    "LocalSource.path": ("models.1.source.path", "@/two/folder", NOTHING),  # the same files in another place
    "LocalSource.sha256": ("models.1.source.sha256", "DIGEST", ""),
    "MarkovSource.markov": ("models.0.source.markov", "@/same.json", ""),  # the same chain under another name
    "NgramSource.ngrams": ("embedder.source.ngrams", 65, "embedder_spec"),
    "ApiModelRow.model": ("api_models.0.model", "n", "speaker_spec@api"),
    "ApiModelRow.system_prompt": ("api_models.0.system_prompt", "s", "speaker_spec@api"),
    "ApiModelRow.parameters": ("api_models.0.parameters", {"k": 1}, "speaker_spec@api"),
    "ApiModelRow.fixed_sampling": ("api_models.0.fixed_sampling", True, "speaker_spec@api"),
    "ApiModelRow.logprobs": ("api_models.0.logprobs", False, "speaker_spec@api"),
    "ApiModelRow.variant": ("api_models.0.variant", "think", "speakers_spec"),
    "ApiModelRow.family": ("api_models.0.family", "f", "speakers_spec"),
    "ApiModelRow.size": ("api_models.0.size", 1.0, "speakers_spec"),
    "ApiModelRow.licence": ("api_models.0.licence", "l", ""),
    "ApiModelRow.endpoint": ("api_models.0.endpoint", "http://localhost:2/v1", NOTHING),
    "ApiModelRow.api_key_env": ("api_models.0.api_key_env", "KEY", NOTHING),
    "ApiModelRow.concurrency": ("api_models.0.concurrency", 1, NOTHING),
    "ApiModelRow.timeout_s": ("api_models.0.timeout_s", 1.0, NOTHING),
    "ApiModelRow.max_attempts": ("api_models.0.max_attempts", 1, NOTHING),
    "ApiModelRow.price_per_million": ("api_models.0.price_per_million", {"prompt": 1.0, "completion": 1.0}, NOTHING),
    "ApiModelRow.budget": ("api_models.0.budget", None, NOTHING),
    # -- shape
    "DigitsTask.kind": ("tasks.0", {**STUDY["tasks"][1], "name": "digits"}, "task_spec@digits"),
    "DigitsTask.prompt": ("tasks.0.prompt", "q", "task_spec@digits"),
    "DigitsTask.completion": ("tasks.0.completion", "d", "task_spec@digits"),
    "DigitsTask.answer_prefix": ("tasks.0.answer_prefix", "a", "task_spec@digits"),
    "DigitsTask.lead": ("tasks.0.lead", "", "task_spec@digits"),
    "DigitsTask.terminated": ("tasks.0.terminated", True, "task_spec@digits"),
    "DigitsTask.tokenizations": ("tasks.0.tokenizations", "all", "task_spec@digits"),
    "DigitsTask.max_nodes": ("tasks.0.max_nodes", 9, ""),  # read with `tokenizations: all` alone
    "DigitsTask.unexplored_mass": ("tasks.0.unexplored_mass", 0.5, ""),
    "DigitsTask.length": ("tasks.0.length", 1, "task_spec@digits"),
    "DigitsTask.separator": ("tasks.0.separator", " ", "task_spec@digits"),
    "DigitSumTask.total": ("tasks.1.total", 4, "task_spec@sum"),
    "ListTask.max_nodes": ("tasks.2.max_nodes", 9, "task_spec@list"),
    "ListTask.unexplored_mass": ("tasks.2.unexplored_mass", 0.5, "task_spec@list"),
    "ListTask.answers": ("tasks.2.answers", ["x", "z"], "task_spec@list"),
    "ListTask.answers_file": ("tasks.3.answers_file", "@/others.txt", "task_spec@file"),
    "Decoding.temperatures": ("decoding.temperatures", [1.0], "grid_spec"),
    "Decoding.rules": ("decoding.rules", {"top_p": [0.8]}, "grid_spec"),
    "Decoding.validity_floors": ("decoding.validity_floors", [0.7], "floors_spec"),
    "Decoding.sequence_temperatures": ("decoding.sequence_temperatures", [3.0], "sequence_spec"),
    "TemperatureRange.start": ("decoding.temperatures.start", 0.6, "grid_spec"),
    "TemperatureRange.stop": ("decoding.temperatures.stop", 1.9, "grid_spec"),
    "TemperatureRange.count": ("decoding.temperatures.count", 4, "grid_spec"),
    "TemperatureRange.spacing": ("decoding.temperatures.spacing", "log", "grid_spec"),
    "LogitFits.conditionals": ("logit_fits.conditionals", 3, "fit_spec"),
    "LogitFits.seed": ("logit_fits.seed", 3, "fit_spec"),
    "LogitFits.top_ranks": ("logit_fits.top_ranks", 30, "fit_spec"),
    # -- prompts
    "PromptSet.file": ("prompt_sets.1.file", "@/copy.jsonl", ""),  # the same prompts under another name
    "PromptSet.hub": (
        "prompt_sets.1",
        {"name": "every", "hub": STUDY["prompt_sets"][2]["hub"]},
        "rollout_count_spec@roll",
    ),
    "PromptSet.select": ("prompt_sets.1.select", "closed", "rollout_count_spec@roll"),
    "PromptSet.prompt_field": ("prompt_sets.1.prompt_field", "completion", "rollout_count_spec@roll"),
    "PromptSet.first": ("prompt_sets.1.first", 1, "rollout_count_spec@roll"),
    "PromptSet.strip_code_fence": ("prompt_sets.1.strip_code_fence", True, "rollout_count_spec@roll"),
    "PromptSet.content": ("prompt_sets.2.content", "c" * 64, "rollout_count_spec@away"),
    "HubFile.id": ("prompt_sets.2.hub.id", "org/e", "rollout_count_spec@away"),
    "HubFile.revision": ("prompt_sets.2.hub.revision", OTHER_COMMIT, "rollout_count_spec@away"),
    "HubFile.file": ("prompt_sets.2.hub.file", "e.jsonl", "rollout_count_spec@away"),
    # -- order
    "SweepRow.prompts": (
        "sweeps.0",
        {**STUDY["sweeps"][0], "prompts": "every", "judges": ["asked", "own"]},
        "prefix_spec@sweep judge_spec@sweep",
    ),
    "SweepRow.judges": ("sweeps.0.judges", ["own", "asked", "exact"], ASKED),
    "SweepRow.seeds": ("sweeps.0.seeds", 3, "prefix_spec@sweep"),
    "SweepRow.seed": ("sweeps.0.seed", 3, "prefix_spec@sweep tree_spec@sweep"),
    "SweepRow.prefix": ("sweeps.0.prefix", {"max_tokens": 3}, "prefix_spec@sweep"),
    "Prefixes.min_tokens": ("sweeps.0.prefix.min_tokens", 3, "prefix_spec@sweep"),
    "Prefixes.max_tokens": ("sweeps.0.prefix.max_tokens", 3, "prefix_spec@sweep"),
    "Prefixes.temperature": ("sweeps.0.prefix.temperature", 3.0, "prefix_spec@sweep"),
    "SweepRow.depth": ("sweeps.0", {**STUDY["sweeps"][0], "depth": 1, "branches": [4]}, "tree_spec@sweep"),
    "SweepRow.stride": ("sweeps.0.stride", 100, "tree_spec@sweep"),
    "SweepRow.max_rank": ("sweeps.0.max_rank", 100, "tree_spec@sweep"),
    "SweepRow.branches": ("sweeps.0.branches", [4, 3, 2], "tree_spec@sweep"),
    "SweepRow.max_new_tokens": ("sweeps.0.max_new_tokens", 3, "completion_spec@sweep"),
    "SweepRow.precision": ("sweeps.0.precision", 0.7, "recall_spec@sweep"),
    "SweepRow.robustness": ("sweeps.0.robustness", None, "robustness_spec@sweep"),
    "Robustness.samples": ("sweeps.0.robustness.samples", 3, "robustness_spec@sweep"),
    "Robustness.leaves": ("sweeps.0.robustness.leaves", 3, "robustness_spec@sweep"),
    "Robustness.sampling": ("sweeps.0.robustness.sampling", "suggested", "robustness_spec@sweep"),
    "Sampling.temperature": ("sweeps.0.robustness.sampling.temperature", 2.0, "robustness_spec@sweep"),
    "Sampling.filters": ("sweeps.0.robustness.sampling.filters", [], "robustness_spec@sweep"),
    "Filter.rule": ("sweeps.0.robustness.sampling.filters.0.rule", "top_k_exact", "robustness_spec@sweep"),
    "Filter.parameter": ("sweeps.0.robustness.sampling.filters.0.parameter", 6, "robustness_spec@sweep"),
    "SweepRow.decoding": ("sweeps.0.decoding", None, "comparison_spec@sweep scoring_spec@sweep"),
    "Comparison.samples": ("sweeps.0.decoding.samples", 3, "comparison_spec@sweep"),
    "Comparison.seeds": ("sweeps.0.decoding.seeds", 3, "comparison_spec@sweep"),
    "Comparison.temperatures": ("sweeps.0.decoding.temperatures", [1.0], "comparison_spec@sweep"),
    "Comparison.rules": ("sweeps.0.decoding.rules", {"top_k": [7]}, "comparison_spec@sweep"),
    "Comparison.oracle_steps": ("sweeps.0.decoding.oracle_steps", 1, "comparison_spec@sweep"),
    "Comparison.validity_floor": ("sweeps.0.decoding.validity_floor", 0.5, "scoring_spec@sweep"),
    "Comparison.tokenization": ("sweeps.0.decoding.tokenization", "whitespace", "scoring_spec@sweep"),
    # -- judges
    "JudgeRow.kind": ("judges.2", {**STUDY["judges"][0], "name": "exact"}, ASKED),
    "JudgeRow.model": ("judges.0.model", "n", ASKED),
    "JudgeRow.threshold": ("judges.0.threshold", 98, ASKED),
    "JudgeRow.matching": ("judges.2.matching", "lenient", ASKED),
    "JudgeRow.temperature": ("judges.0.temperature", None, ASKED),
    "JudgeRow.seed": ("judges.0.seed", 1, ASKED),
    "JudgeRow.max_tokens": ("judges.1.max_tokens", 99, ASKED),
    "JudgeRow.structured": ("judges.3.structured", "text", "similarity_spec@roll"),
    "JudgeRow.max_missing_share": ("judges.0.max_missing_share", 0.5, ASKED),
    "JudgeRow.api_key_env": ("judges.0.api_key_env", "KEY", ""),
    "JudgeRow.endpoint": ("judges.0.endpoint", "http://localhost:2/v1", NOTHING),
    "JudgeRow.concurrency": ("judges.0.concurrency", 1, NOTHING),
    "JudgeRow.timeout_s": ("judges.0.timeout_s", 1.0, NOTHING),
    "JudgeRow.max_attempts": ("judges.0.max_attempts", 1, NOTHING),
    "JudgeRow.price_per_million": ("judges.0.price_per_million", {"prompt": 2.0, "completion": 1.0}, NOTHING),
    "JudgeRow.budget": ("judges.0.budget", None, NOTHING),
    "JudgePrice.prompt": ("judges.0.price_per_million.prompt", 2.0, NOTHING),
    "JudgePrice.completion": ("judges.0.price_per_million.completion", 2.0, NOTHING),
    "JudgeBudget.tokens": ("judges.0.budget.tokens", 8, NOTHING),
    "JudgeBudget.cost": ("judges.0.budget.cost", 2.0, NOTHING),
    "Annotations.file": ("annotations.file", "@/folk.csv", ""),  # the same scores under another name
    "Annotations.threshold": ("annotations.threshold", 50, "annotations_spec"),
    # -- canopy
    "RolloutRow.prompts": ("rollouts.0.prompts", "closed", "rollout_count_spec@roll"),
    "RolloutRow.max_prompts": ("rollouts.0.max_prompts", 1, "rollout_count_spec@roll"),
    "RolloutRow.rollouts": ("rollouts.0.rollouts", 9, "rollout_count_spec@roll"),
    "RolloutRow.seed": ("rollouts.0.seed", 9, "rollout_spec@roll"),
    "RolloutRow.max_new_tokens": ("rollouts.0.max_new_tokens", 9, "rollout_spec@roll"),
    "RolloutRow.sampling": ("rollouts.0.sampling", {"temperature": 2.0}, "rollout_spec@roll"),
    "RolloutRow.entropy_ranks": ("rollouts.0.entropy_ranks", 9, "rollout_spec@roll"),
    "RolloutRow.parity": ("rollouts.0.parity", "canopy", "rollout_spec@roll"),
    "RolloutRow.relative_se": ("rollouts.0.relative_se", [0.3], "design_spec@roll"),
    "RolloutRow.semantic_entropy": ("rollouts.0.semantic_entropy", None, "similarity_spec@roll"),
    "SemanticEntropy.judge": ("rollouts.0.semantic_entropy.judge", "exact", "similarity_spec@roll"),
    "SemanticEntropy.rollouts": ("rollouts.0.semantic_entropy.rollouts", 9, "similarity_spec@roll"),
    "SemanticEntropy.prompts": ("rollouts.0.semantic_entropy.prompts", 1, "similarity_spec@roll"),
    "SemanticEntropy.seed": ("rollouts.0.semantic_entropy.seed", 9, "similarity_spec@roll"),
    "ExternalData.kind": (
        "external.0",
        {"name": "outside", "kind": "panel", "file": "@/panel.csv"},
        "external_spec@outside",
    ),
    "ExternalData.file": ("external.0.file", "@/copy.parquet", ""),  # the same rows under another name
    "ExternalData.columns": ("external.0.columns", {"text": "prompt_id"}, "external_spec@outside"),
    "ExternalData.max_new_tokens": ("external.0.max_new_tokens", 9, "external_spec@outside"),
    "ExternalData.entropy_ranks": ("external.0.entropy_ranks", 9, "external_spec@outside"),
    "Regression.mean": ("regression.mean", "D ~ R_sc + (1 | prompt_uid)", "regression_spec"),
    "Regression.precision": ("regression.precision", "variant", "regression_spec"),
    "Regression.reference": ("regression.reference", {"variant": "instruct"}, "regression_spec"),
    "Regression.clip": ("regression.clip", 0.01, "regression_spec"),
    "Regression.simulations": ("regression.simulations", 99, "diagnostics_spec"),
    "Regression.seed": ("regression.seed", 9, "diagnostics_spec"),
    "EmbedderRow.source": ("embedder.source", {"ngrams": 8}, "embedder_spec"),
    "EmbedderRow.document_prefix": ("embedder.document_prefix", "d", "embedder_spec"),
    # -- cases
    "CollapseRow.prompt": ("collapse.0.prompt", "r", "collapse_spec@ask"),
    "CollapseRow.completion": ("collapse.0.completion", "r", "collapse_spec@ask"),
    "CollapseRow.answer_prefix": ("collapse.0.answer_prefix", "r", "collapse_spec@ask"),
    "CollapseRow.temperature": ("collapse.0.temperature", 2.0, "collapse_spec@ask"),
    "CollapseRow.top_p": ("collapse.0.top_p", 0.5, "collapse_spec@ask"),
    "CollapseRow.max_new_tokens": ("collapse.0.max_new_tokens", 9, "collapse_spec@ask"),
    "CollapseRow.seed": ("collapse.0.seed", 9, "collapse_spec@ask"),
    "CollapseRow.samples": ("collapse.0.samples", 9, "collapse_count_spec@ask"),
    "CollapseRow.history": ("collapse.0.history", None, "collapse_count_spec@ask"),
    "History.turns": ("collapse.0.history", {"turns": 9}, "collapse_count_spec@ask"),
    "History.conversations": ("collapse.0.history", {"conversations": 9}, "collapse_count_spec@ask"),
    "CollapseRow.max_missing_share": ("collapse.0.max_missing_share", 0.5, "collapse_count_spec@ask"),
    "CollapseRow.answer": ("collapse.0.answer", "first_line", "collapse_answers_spec@ask"),
    "CollapseRow.matching": ("collapse.0.matching", "lenient", "collapse_answers_spec@ask"),
    "CollapseRow.answers": ("collapse.1.answers", ["x"], "collapse_answers_spec@free"),
    "CollapseRow.answers_file": ("collapse.0.answers_file", "@/others.txt", "collapse_answers_spec@ask"),
    "CodingRow.problems": ("coding.0.problems", "@/more.jsonl", "coding_questions_spec@code"),
    "CodingRow.livecodebench": (
        "coding.0",
        {"name": "code", **{k: v for k, v in STUDY["coding"][1].items() if k != "name"}},
        "coding_questions_spec@code coding_tests_spec@code",
    ),
    "CodingRow.max_problems": ("coding.0.max_problems", 1, "coding_count_spec@code"),
    "CodingRow.samples": ("coding.0.samples", 9, "coding_count_spec@code"),
    "CodingRow.temperature": ("coding.0.temperature", 2.0, "coding_spec@code"),
    "CodingRow.top_p": ("coding.0.top_p", 0.5, "coding_spec@code"),
    "CodingRow.top_k": ("coding.0.top_k", 5, "coding_spec@code"),
    "CodingRow.max_new_tokens": ("coding.0.max_new_tokens", 9, "coding_spec@code"),
    "CodingRow.seed": ("coding.0.seed", 9, "coding_spec@code"),
    "CodingRow.extraction": ("coding.0.extraction", "whole", "coding_spec@code"),
    "CodingRow.ends_with": ("coding.0.ends_with", "answer", "coding_spec@code"),
    "CodingRow.ks": ("coding.0.ks", [3], "coding_scoring_spec@code"),
    "CodingRow.limits": ("coding.0.limits", {"threads": 3}, "coding_limits_spec@code"),
    **{
        f"CodeLimits.{name}": (f"coding.0.limits.{name}", value, "coding_limits_spec@code")
        for name, value in {
            "cpu_seconds": 9,
            "wall_seconds": 9.0,
            "memory_mb": 999,
            "output_kb": 9,
            "files_mb": 9,
            "threads": 9,
        }.items()
    },
    "CodingRow.max_missing_share": ("coding.0.max_missing_share", 0.5, "coding_tests_spec@code"),
    "LiveCodeBench.id": ("coding.1.livecodebench.id", "org/b", PROBLEMS),
    "LiveCodeBench.revision": ("coding.1.livecodebench.revision", OTHER_COMMIT, PROBLEMS),
    "LiveCodeBench.release": ("coding.1.livecodebench.release", "v6", PROBLEMS),
    "LiveCodeBench.first_date": ("coding.1.livecodebench.first_date", "2024-08-01", PROBLEMS),
    "LiveCodeBench.last_date": ("coding.1.livecodebench.last_date", "2024-08-01", PROBLEMS),
    "LiveCodeBench.difficulty": ("coding.1.livecodebench.difficulty", ["easy"], PROBLEMS),
    "LiveCodeBench.tests": ("coding.1.livecodebench.tests", "public", "coding_tests_spec@bench"),
    "LiveCodeBench.files": ("coding.2.livecodebench.files", ["@/same.jsonl"], ""),  # the same file under another name
    # -- where and how much
    "Storage.root": ("storage.root", "elsewhere", NOTHING),
    **{
        f"Budgets.{name}": (f"budgets.{name}", 900_000_000, "")
        for name in ("trie_nodes", "disk_gb", "sweep_leaves", "judge_calls", "rollout_tokens", "api_calls")
    },
}
# Fields that the tasks inherit from one class are changed in one of them.
INHERITED = {
    f"{task}.{name}"
    for task in ("DigitSumTask", "ListTask")
    for name in (*("kind", "prompt", "completion", "answer_prefix", "lead", "terminated", "tokenizations"),)
} | {f"DigitSumTask.{name}" for name in ("max_nodes", "unexplored_mass", "length", "separator")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all files that the study names, and a package of weights."""
    folder = tmp_path_factory.mktemp("fields")
    for name, seed in (("chain", 0), ("same", 0), ("beta", 1)):
        write_chain(folder / f"{name}.json", seed)
    for parent in ("one", "two"):
        (folder / parent / "folder").mkdir(parents=True)
        for name, data in (
            ("config.json", b'{"model_type": "llama"}'),
            ("model.safetensors", b"w"),
            ("tokenizer.json", b"{}"),
            ("chat_template.jinja", b"t"),
            ("generation_config.json", b"{}"),
        ):
            (folder / parent / "folder" / name).write_bytes(data)
    lines = [*PROMPTS[:2], {**PROMPTS[2], "prompt": "n\n```"}]
    for name in ("prompts", "copy"):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    (folder / "answers.txt").write_text("x\ny\n")
    (folder / "others.txt").write_text("x\nz\n")
    problem = {
        "id": "a",
        "prompt": "p",
        "entry_point": "f",
        "completion": "def f():\n",
        "tests": [{"args": [], "expected": 1}],
    }
    (folder / "problems.jsonl").write_text(json.dumps(problem))
    (folder / "more.jsonl").write_text(json.dumps({**problem, "prompt": "q"}))
    for name in ("test", "same"):
        (folder / f"{name}.jsonl").write_text("{}\n")
    for name in ("outside", "copy"):
        external_rollouts(2, 2).write_parquet(folder / f"{name}.parquet")
    (folder / "panel.csv").write_text("task,model_name,variant,prompt_id,D,R_bar,N_bar\nt,m,base,p,0.5,1.0,3\n")
    for name in ("people", "folk"):
        (folder / f"{name}.csv").write_text("item,annotator,grammar,semantic,overall\ni,a,1,2,3\n")
    for name in ("weights", "others"):
        data = b"GGUF weights" if name == "weights" else b"GGUF others"
        info = folder / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / "site" / name[0]).mkdir()
        (folder / "site" / name[0] / "model.gguf").write_bytes(data)
        mark = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        (info / "RECORD").write_text(f"{name[0]}/model.gguf,sha256={mark},1\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return folder


def study_of(folder, data) -> Study:
    """The document without its file, which takes longest to read; ``@`` in it is the folder."""
    text = json.dumps(data).replace('"@/', f'"{folder}/')
    return Study.model_validate(json.loads(text))


def snapshot_of(folder, data) -> Snapshot:
    """What a study without any result says of its cells."""
    store = ArtifactStore(folder / "store")
    tools = tools_of(LanguageModels(), store)
    return Snapshot(Context(GRAPH, study_of(folder, data), store, slicer_of(folder / "store"), tools))


def slices_of(snapshot) -> dict:
    """(spec, cell) -> hash of the slice."""
    return {(spec, cell): snapshot.slice_version(spec, cell) for spec in GRAPH.specs for cell in snapshot.cells(spec)}


def fingerprints_of(snapshot) -> dict:
    """(asset, cell) -> fingerprint."""
    return {(key, cell): snapshot.expected(key, cell) for key in GRAPH.nodes for cell in snapshot.cells(key)}


@pytest.fixture(scope="module")
def before(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place / "site")
        snapshot = snapshot_of(place, STUDY)
        yield slices_of(snapshot), fingerprints_of(snapshot)


READ = set()  # sets of slices whose readers have been compared: readers depend on slices, not on fields


def written(data, where, value):
    data = copy.deepcopy(data)
    *path, last = (int(part) if part.isdigit() else part for part in where.split("."))
    node = data
    for part in path:
        node = node[part] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return data


def named(changed):
    return {spec + ("@" + "|".join(cell) if cell else "") for spec, cell in changed}


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_changes_its_slices_and_the_cells_that_read_them(field, place, before):
    where, value, expected = CHANGES[field]
    if value == "DIGEST":
        value = slicer_digest(place)
    snapshot = snapshot_of(place, written(STUDY, where, value))
    slices = slices_of(snapshot)
    assert slices.keys() == before[0].keys()
    changed = frozenset(pair for pair in slices if slices[pair] != before[0][pair])
    assert named(changed) == (set() if expected is NOTHING else {*expected.split(), "report_spec"})
    if changed not in READ:
        cells = fingerprints_of(snapshot)
        readers = {(key, cell) for key, cell in cells if any(pair in changed for pair in snapshot.upstream(key, cell))}
        assert {pair for pair in cells if cells[pair] != before[1][pair]} == readers
        READ.add(changed)


def slicer_digest(place) -> str:
    """SHA-256 of a model folder, as its error says: of the list of its files' names and hashes."""
    files = sorted((place / "one" / "folder").iterdir())
    entries = [[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in files]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def test_no_field_of_the_study_file_is_forgotten():
    """Names become cells; lists of rows gain and lose cells (tests/assets/test_staleness.py); all else is above."""
    fields = {f"{row.__name__}.{name}" for row in ROWS for name in row.model_fields if row is not ROWS[0]}
    scalars = {name for name, field in ROWS[0].model_fields.items() if field.annotation is str}
    fields |= {f"{ROWS[0].__name__}.{name}" for name in scalars}
    names = {name for name in fields if name.endswith(".name") and name != "Study.name"}
    assert fields - names - INHERITED - {"JudgeRow.rubric"} == set(CHANGES)  # the rubric: see the last test
    assert all(issubclass(row, Row) for row in ROWS)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("chain.json", "model_spec@chain speaker_spec@chain"),
        *(
            (f"one/folder/{name}", FOLDER)
            for name in (
                "config.json",
                "model.safetensors",
                "tokenizer.json",
                "chat_template.jinja",
                "generation_config.json",
            )
        ),
        ("site/w/model.gguf", None),  # a damaged package is an error
        ("prompts.jsonl", "prefix_spec@sweep rollout_count_spec@roll"),
        ("answers.txt", "task_spec@file collapse_answers_spec@ask"),
        ("outside.parquet", "external_spec@outside"),
        ("people.csv", "annotations_spec"),
        ("problems.jsonl", "coding_questions_spec@code"),  # another question, with the same tests
        ("test.jsonl", "coding_questions_spec@files coding_tests_spec@files"),
    ],
)
def test_files_count_by_their_content(file, expected, place, before):
    path, edits = (
        place / file,
        {
            "chain.json": lambda data: (place / "beta.json").read_bytes(),
            "one/folder/config.json": lambda data: data.replace(b"llama", b"gemma"),
            "prompts.jsonl": lambda data: data.replace(b'"prompt": "r"', b'"prompt": "s"'),
            "answers.txt": lambda data: data.replace(b"y", b"w"),
            "outside.parquet": lambda data: (external_rollouts(2, 3).write_parquet(path), path.read_bytes())[1],
            "people.csv": lambda data: data.replace(b",3", b",4"),
            "problems.jsonl": lambda data: (place / "more.jsonl").read_bytes(),
        },
    )
    data = path.read_bytes()
    try:
        path.write_bytes(edits.get(file, lambda data: data + b" ")(data))
        if expected is None:
            with pytest.raises(Exception, match="but the installer recorded"):
                slices_of(snapshot_of(place, STUDY))
            return
        slices = slices_of(snapshot_of(place, STUDY))
        assert named({pair for pair in slices if slices[pair] != before[0][pair]}) == set(expected.split())
    finally:
        path.write_bytes(data)


def test_a_rubric_counts_by_its_text(place, before, monkeypatch):
    """There is one rubric for each kind of judging, so what a study can change of it is which text it has."""
    rubric = RUBRICS["validity-v1"]
    monkeypatch.setitem(RUBRICS, "validity-v1", dataclasses.replace(rubric, instructions=rubric.instructions + " "))
    slices = slices_of(snapshot_of(place, STUDY))
    assert named({pair for pair in slices if slices[pair] != before[0][pair]}) == {ASKED}


@pytest.mark.parametrize(
    ("read", "where", "seen"),
    [
        (prompts, "calib_assets/study/prompts.py", "PROMPTS"),
        (problem_sets, "calib_assets/study/problem_sets.py", "PROBLEMS"),
    ],
)
def test_how_files_of_the_hub_are_read_is_part_of_their_identity(read, where, seen, place, before, monkeypatch):
    """No code version sees it: files of one's own count by what is read, these by their place."""
    root = {"PROMPTS": prompts.read_prompts, "PROBLEMS": livecodebench.read_livecodebench}[seen]
    assert code_version(root) == READ_BY[seen], (
        f"reading has changed: if the same file now gives something else, raise READING in {where}; then write the new "
        "code version here"
    )
    monkeypatch.setattr(read, "READING", read.READING + 1)
    slices = slices_of(snapshot_of(place, STUDY))
    changed = named({pair for pair in slices if slices[pair] != before[0][pair]})
    files = "coding_questions_spec@files coding_tests_spec@files"
    assert changed == set({"PROMPTS": "rollout_count_spec@away", "PROBLEMS": f"{PROBLEMS} {files}"}[seen].split())


def test_a_pin_is_no_part_of_a_model_and_rows_without_one_are_what_they_were(place):
    """Results that were made before pins were mere checks stay, where nothing was pinned."""
    study = study_of(place, written(STUDY, "models.3.source.sha256", "0" * 64))
    expected = {"package": "weights", "file": "*.gguf", "sha256": None}
    assert SLICES["model_spec"][1](study, "packed")["source"] == expected
    assert SLICES["model_spec"][1](study_of(place, STUDY), "packed")["source"] == expected

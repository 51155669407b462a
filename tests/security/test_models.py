"""Weights are safetensors or GGUF, and what comes with them is never run."""

import json

import pytest

from resources.embedders.sentence_encoder import SentenceEncoder
from resources.language_models import ModelSource, SourceError, TransformersModel
from resources.language_models.sources import content_digest, resolve

PROGRAM = """
from pathlib import Path
Path({mark!r}).write_text("ran")
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own-type"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def folder(tmp_path):
    """A model directory as far as files and headers go."""
    path = tmp_path / "model"
    path.mkdir()
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    (path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return path


@pytest.fixture
def own_code(folder, tmp_path):
    """The same with a program of its own, which leaves a mark when it runs."""
    mark = tmp_path / "mark"
    (folder / "own.py").write_text(PROGRAM.format(mark=str(mark)))
    maps = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel", "AutoTokenizer": ["own.T", None]}
    (folder / "config.json").write_text(json.dumps({"model_type": "own-type", "auto_map": maps}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["own.T", None]}}))
    return mark


def test_a_folder_of_pickled_weights_is_refused_before_anything_is_read(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    for model in (TransformersModel, SentenceEncoder):
        with pytest.raises(SourceError, match=r"pickled files only \(pytorch_model\.bin\).*save_pretrained"):
            model(ModelSource(path=folder), cache_dir=tmp_path / "c").identity()
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["adapter.safetensors", "x-00001-of-00002.safetensors"])
def test_safetensors_of_another_name_do_not_let_pickled_weights_through(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    assert resolve(ModelSource(path=folder)).is_directory
    (folder / "pytorch_model-00001-of-00002.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(SourceError, match="pickled"):
        resolve(ModelSource(path=folder))


def test_pickled_weights_of_an_encoders_module_are_refused(folder):
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(SourceError, match="2_Dense.*pickled"):
        resolve(ModelSource(path=folder))
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"")
    assert resolve(ModelSource(path=folder)).is_directory


def test_a_pickled_file_that_nobody_reads_does_no_harm(folder):
    (folder / "training_args.bin").write_bytes(b"\x80\x04.")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")  # safetensors stand beside it, and are taken
    assert "training_args.bin" not in [part.name for part in resolve(ModelSource(path=folder)).parts]


def test_a_models_own_program_never_runs_and_nobody_is_asked(folder, own_code, tmp_path, monkeypatch):
    def asked(*_):
        raise AssertionError("a question at the terminal")

    monkeypatch.setattr("builtins.input", asked)
    model = TransformersModel(ModelSource(path=folder), cache_dir=tmp_path / "c")
    message = r"config\.json, field auto_map: model type 'own-type' needs a program .*own\.OwnConfig.*never run"
    for step in (model.identity, lambda: model.directory, lambda: model.loaded, lambda: model.tokenization):
        with pytest.raises(SourceError, match=message):
            step()
    assert not own_code.exists()


def test_the_program_was_a_live_one(folder, own_code, monkeypatch):
    """transformers would run it for whoever types y: what is refused above is no straw man."""
    from transformers import AutoConfig

    monkeypatch.setenv("HF_MODULES_CACHE", str(folder / "modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder / "modules"))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    assert own_code.read_text() == "ran" and type(config).__name__ == "OwnConfig"


def test_a_model_that_transformers_knows_runs_on_its_code(folder, own_code, tmp_path):
    """Older copies of known models still name a program; it is not needed, and not run."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    source = ModelSource(path=folder)
    assert content_digest(source, tmp_path / "c").startswith("path:model:sha256:")
    from transformers import AutoConfig

    assert type(AutoConfig.from_pretrained(folder, local_files_only=True)).__name__ == "LlamaConfig"
    assert not own_code.exists()


def test_a_known_configuration_with_a_model_of_its_own_is_refused(folder):
    maps = {"AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "auto_map": maps}))
    with pytest.raises(SourceError, match=r"model type 'clip' needs a program .*own\.OwnModel"):
        resolve(ModelSource(path=folder))


def test_an_encoders_own_program_never_runs(folder, own_code, tmp_path):
    encoder = SentenceEncoder(ModelSource(path=folder), cache_dir=tmp_path / "c")
    for step in (encoder.identity, lambda: encoder.encode(["a"])):
        with pytest.raises(SourceError, match="never run"):
            step()
    assert not own_code.exists()


def test_no_field_of_a_study_or_of_the_engine_turns_it_on():
    from pydantic import ValidationError

    from calib_assets.study.models import ModelRow
    from resources.language_models.vllm_options import EngineOptions

    row = {"name": "m", "source": {"path": "m"}, "variant": "base"}
    assert ModelRow.model_validate(row).name == "m"
    with pytest.raises(ValidationError, match="trust_remote_code"):
        ModelRow.model_validate({**row, "trust_remote_code": True})
    with pytest.raises(ValidationError, match="trust_remote_code"):
        EngineOptions.model_validate({"trust_remote_code": True})

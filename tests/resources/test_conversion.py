"""GGUF to safetensors: a tiny GGUF written here for the faults, the real SmolLM2 for the numbers."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from calib_assets.study.models import LocalSource, ModelRow
from resources.language_models import CorruptFileError, ModelSource, SourceError, TransformersModel, conversion
from resources.language_models.conversion import prepare_model
from resources.language_models.sources import resolve
from resources.services import LanguageModels


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory):
    """A llama of one layer with a byte-level tokenizer whose pre-tokenizer is SmolLM's."""
    import gguf
    from tokenizers.pre_tokenizers import ByteLevel

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    tokens = ["<s>", "<end>", "<eos>", *sorted(ByteLevel.alphabet()), "ĊĊ"]
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_block_count(1)
    writer.add_feed_forward_length(24)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e4)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(len(tokens))
    writer.add_name("tiny")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["Ċ Ċ"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd": (len(tokens), 16),
        "output_norm": (16,),
        "blk.0.attn_norm": (16,),
        "blk.0.ffn_norm": (16,),
    }
    shapes |= {
        f"blk.0.attn_{name}": (16 if name in "q output" else 8, 16) for name in ("q", "k", "v", "output")
    }
    shapes |= {"blk.0.ffn_gate": (24, 16), "blk.0.ffn_up": (24, 16), "blk.0.ffn_down": (16, 24)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_conversion_happens_once_and_then_costs_nothing(tiny_gguf, tmp_path, monkeypatch):
    directory = prepare_model(ModelSource(path=tiny_gguf), tmp_path)
    manifest = json.loads((directory / conversion.MANIFEST).read_text())
    assert manifest["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json"}
    monkeypatch.setattr(conversion, "_convert", None)  # a second conversion would fail
    assert prepare_model(ModelSource(path=tiny_gguf), tmp_path) == directory
    model = TransformersModel(ModelSource(path=tiny_gguf), cache_dir=tmp_path, device="cpu")
    assert np.isfinite(model.next_logits([0, 5, 6])).all() and model.vocab_size == 260


def test_a_study_says_once_that_it_converts_and_draws_no_bars(tiny_gguf, tmp_path, caplog, capfd):
    """In a log the bars of one model are hundreds of lines."""
    row = ModelRow(name="tiny", source=LocalSource(path=str(tiny_gguf)), variant="base")
    caplog.set_level("INFO", "calib_assets.progress")
    for _ in range(2):
        with LanguageModels(device="cpu").open(row, tmp_path) as model:
            assert model.tokenization.vocab_size > 0
    said = [record.getMessage() for record in caplog.records if record.name == "calib_assets.progress"]
    assert said == ["tiny: its weights are converted to files that load fast, once for this store"]
    assert "%|" not in capfd.readouterr().err
    absent = ModelRow(name="absent", source=LocalSource(path=str(tmp_path / "no.gguf")), variant="base")
    model = LanguageModels(device="cpu").open(absent, tmp_path)  # says nothing yet: its first use does
    with pytest.raises(SourceError, match="neither a file nor a directory"):
        _ = model.tokenization


def test_the_pre_tokenizer_that_the_gguf_names_is_used(tiny_gguf, tmp_path):
    """SmolLM isolates digits first, so newlines before a digit stay one token; GPT-2's way cuts them."""
    from tokenizers import Tokenizer

    directory = prepare_model(ModelSource(path=tiny_gguf), tmp_path)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    assert tokenizer.encode("a\n\n7").tokens == ["a", "ĊĊ", "7"]
    assert tokenizer.encode("a\n\nb").tokens == ["a", "Ċ", "Ċ", "b"]
    assert any(
        "smollm" in note for note in json.loads((directory / conversion.MANIFEST).read_text())["notes"]
    )


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, 0.95])
def test_a_cut_gguf_is_refused_and_leaves_nothing(tiny_gguf, tmp_path, keep):
    data = tiny_gguf.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(data[: int(keep if isinstance(keep, int) else keep * len(data))])
    with pytest.raises(
        CorruptFileError, match=r"cut\.gguf: [\d,]+ bytes that cannot be read as GGUF.*remedy: install"
    ):
        prepare_model(ModelSource(path=cut), tmp_path / "c")
    assert [f.suffix for f in (tmp_path / "c" / "models").iterdir()] == [".lock"]


@pytest.mark.parametrize("how", ["truncated", "flipped", "missing", "no manifest"])
def test_a_damaged_conversion_is_made_again(tiny_gguf, tmp_path, how, caplog):
    directory = prepare_model(ModelSource(path=tiny_gguf), tmp_path)
    weights = directory / "model.safetensors"
    sound = weights.read_bytes()
    if how == "no manifest":
        (directory / conversion.MANIFEST).unlink()
    elif how == "missing":
        weights.unlink()
    else:
        weights.write_bytes(sound[:-8] if how == "truncated" else sound[:-1] + bytes([sound[-1] ^ 1]))
    assert prepare_model(ModelSource(path=tiny_gguf), tmp_path) == directory
    assert weights.read_bytes() == sound
    assert "converted again" in caplog.text


def test_a_killed_conversion_leaves_no_model_and_two_processes_make_one(tiny_gguf, tmp_path):
    code = (
        "import sys, time; from resources.language_models import ModelSource, conversion\n"
        "real = conversion._write_model\n"
        "def slow(*args):\n"
        "    notes = real(*args); print('written', flush=True)\n"
        "    time.sleep(float(sys.argv[3])); return notes\n"
        "conversion._write_model = slow\n"
        "print(conversion.prepare_model(ModelSource(path=sys.argv[1]), sys.argv[2]), flush=True)"
    )

    def start(pause):
        command = [sys.executable, "-c", code, str(tiny_gguf), str(tmp_path), str(pause)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    with start(60) as victim:
        assert victim.stdout.readline() == "written\n"
        victim.send_signal(signal.SIGKILL)
    names = [f.name for f in (tmp_path / "models").iterdir()]
    assert any(".partial-" in name for name in names) and len(names) == 2  # the lock and the half model
    with start(0.5) as first, start(0) as second:
        outputs = [first.stdout.read().split(), second.stdout.read().split()]
    assert outputs[0][-1] == outputs[1][-1]
    assert sorted(map(len, outputs)) == [1, 2]  # exactly one of them wrote it
    names = sorted(f.suffix for f in (tmp_path / "models").iterdir())
    assert names == ["", ".lock"]


def test_smollm2_weights_are_the_ggufs(smollm2):
    """Second route: the gguf library's own dequantization, for matrices that llama.cpp does not permute."""
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open

    (gguf,) = resolve(smollm2.source).parts
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.7.ffn_down.weight": "model.layers.7.mlp.down_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "blk.0.attn_norm.weight": "model.layers.0.input_layernorm.weight",
    }
    with safe_open(smollm2.directory / "model.safetensors", "np") as stored:
        for tensor in GGUFReader(gguf).tensors:
            if tensor.name in names:
                weights = dequantize(tensor.data, tensor.tensor_type)
                np.testing.assert_array_equal(stored.get_tensor(names[tensor.name]), weights)


def test_smollm2_opens_fast_the_second_time(smollm2, cache_dir):
    assert smollm2.directory.is_dir()  # converted by now
    start = time.process_time()  # not the time that passes: a shared machine must not fail the test
    assert prepare_model(smollm2.source, cache_dir) == smollm2.directory
    assert time.process_time() - start < 5

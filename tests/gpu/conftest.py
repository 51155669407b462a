"""Tests on a GPU: `make test-gpu`. Without one they fail, since a check that did not run is no check that passed.

Measured numbers are properties of the tests (`--junitxml`), so that a run says how far apart things were.
"""

import numpy as np
import pytest
from tiny_models import build_tiny

from calib_assets.decoding import PrefixTrie
from resources.language_models import ModelSettings, ModelSource, release_models
from resources.language_models.fitting_model import FittingModel

DEVICE = "cuda"


@pytest.fixture(scope="session", autouse=True)
def gpu():
    """The device, or a failure that says what is missing."""
    import torch

    if not torch.cuda.is_available():
        build = "is a build for CPUs" if torch.version.cuda is None else "finds no GPU"
        pytest.fail(f"tests/gpu needs an NVIDIA GPU, and torch {torch.__version__} {build}; run it where there is one")
    yield DEVICE
    release_models()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """``tiny(architecture, **config)``: directory of a small random transformer with clearly different logits."""
    built = {}

    def build(name: str, **changes):
        key = (name, *sorted(changes.items()))
        if key not in built:
            built[key] = build_tiny(tmp_path_factory.mktemp(name), name, **changes)
        return built[key]

    return build


@pytest.fixture(scope="session")
def small(tiny):
    """Directory of a Llama whose layers are wide enough that a GPU's own kernels compute them: 27 million weights."""
    shape = dict(hidden_size=512, intermediate_size=1536, num_hidden_layers=8, num_attention_heads=8)
    return tiny("llama", **shape, num_key_value_heads=4, max_position_embeddings=1024, initializer_range=0.06)


@pytest.fixture
def handle():
    """``handle(directory, device, dtype)``: a model; all are given up after the test."""
    opened = []

    def make(directory, device=DEVICE, dtype="float32", kind=FittingModel, **options):
        model = kind(
            ModelSource(path=directory), ModelSettings(dtype=dtype), cache_dir=directory / "c", device=device, **options
        )
        opened.append(model)
        return model

    yield make
    for model in opened:
        model.close()
    release_models()


@pytest.fixture(scope="session")
def trie():
    """600 sequences of four tokens: several packs."""
    rng = np.random.default_rng(4)
    return PrefixTrie.from_sequences(sorted({tuple(map(int, rng.integers(5, 40, size=4))) for _ in range(600)}))

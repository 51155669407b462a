"""Tiny Llamas for the engine (its CPU kernels want heads of 32), and the same ones on transformers."""

import pytest
from tiny_models import build_tiny

from resources.language_models import ModelSettings, ModelSource, TransformersModel, VllmModel, release_models

SMALL = {"hidden_size": 128, "head_dim": 32, "intermediate_size": 128, "initializer_range": 0.15}


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """Directory of a random Llama of 263 tokens."""
    return build_tiny(tmp_path_factory.mktemp("llama"), "llama", **SMALL)


@pytest.fixture(scope="session")
def engine(llama):
    """``engine(**options)``: the Llama on vLLM. Engines of other options end when one is asked for."""

    def make(dtype="float32", directory=llama, **options) -> VllmModel:
        settings = ModelSettings(dtype=dtype, name="tiny")
        options = {"kv_cache_gib": 0.0625, **options}
        return VllmModel(ModelSource(path=directory), settings, cache_dir=directory / "c", options=options)

    yield make
    release_models()


@pytest.fixture(scope="session")
def reference(llama):
    """``reference(tree)``: the Llama on transformers."""

    def make(dtype="float32", tree=True) -> TransformersModel:
        settings = ModelSettings(dtype=dtype, name="tiny")
        return TransformersModel(ModelSource(path=llama), settings, cache_dir=llama / "c", device="cpu", tree=tree)

    return make

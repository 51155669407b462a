import subprocess
import sys
import threading

import pytest

from resources.language_models import (
    MODELS,
    ModelSettings,
    ModelSource,
    TransformersModel,
    transformers_model,
)
from resources.language_models.loading import LoadedModels


def handle(directory, **settings):
    return TransformersModel(
        ModelSource(path=directory), ModelSettings(**settings), cache_dir=directory / "c", device="cpu"
    )


def test_two_handles_of_one_model_load_once(tiny, monkeypatch):
    models = LoadedModels()
    monkeypatch.setattr(transformers_model, "MODELS", models)
    with (
        handle(tiny("llama"), name="one") as first,
        handle(tiny("llama"), name="two", bos="always") as second,
    ):
        first.next_logits([0, 5])
        assert second.loaded.model is first.loaded.model
    with handle(tiny("llama")) as third:  # after both closed: still in memory
        third.next_logits([0, 5])
    assert len(models.loads) == 1
    with handle(tiny("llama"), dtype="bfloat16") as other:
        other.next_logits([0, 5])
    assert [key[1] for key in models.loads] == ["float32", "bfloat16"]
    assert len(models) == 1  # the idle float32 weights made room
    models.clear()
    assert len(models) == 0


def test_identity_tokenization_and_vocabulary_load_no_weights(tiny):
    before = list(MODELS.loads)
    model = handle(tiny("llama"))
    model.identity(), model.vocab_size, model.tokenization.context_ids("abc"), model.close()
    assert MODELS.loads == before


def test_threads_load_once():
    models, loads, started = LoadedModels(), [], threading.Barrier(4)

    def use():
        started.wait()
        models.acquire(("key",), lambda: loads.append(1))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [1] and models.loads == [("key",)]


def test_a_model_in_use_is_never_dropped():
    models = LoadedModels()
    used = models.acquire(("a",), object)
    models.acquire(("b",), object)
    models.clear()
    assert models.acquire(("a",), object) is used


@pytest.mark.parametrize(
    "change",
    [{"dtype": "bfloat16"}, {"system_prompt": "Be brief."}, {"bos": "never"}, {"today": "2025-01-01"}],
)
def test_identity_holds_every_setting_and_no_circumstance(tiny, tmp_path, change):
    directory = tiny("llama")
    plain = handle(directory).identity()
    assert handle(directory, **change).identity() != plain
    elsewhere = TransformersModel(
        ModelSource(path=directory),
        ModelSettings(name="other"),
        cache_dir=tmp_path,
        device="meta",
        pack_nodes=3,
    )
    assert elsewhere.identity() == plain


def test_no_torch_before_weights_are_needed(tiny, tmp_path):
    code = (
        "import sys; from pathlib import Path; from resources.language_models import *\n"
        f"model = open_model(ModelSource(path={str(tiny('llama'))!r}), cache_dir={str(tmp_path)!r})\n"
        "model.identity(); model.vocab_size; model.tokenization.context_ids('abc')\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)

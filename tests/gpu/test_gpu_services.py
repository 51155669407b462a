"""What stands on models: the local judge, the encoder, and a study that Dagster runs."""

import json

import numpy as np
import pytest

from calib_assets.decoding.policy import Greedy
from resources.embedders import SentenceEncoder
from resources.judges import Item, LocalJudge, VerdictStore
from resources.language_models import ModelSource, Request

pytestmark = pytest.mark.gpu

WORDS = "the cat sat on a red mat while seven dogs looked at green trees".split()


def test_the_local_judge_says_what_it_says_on_the_cpu(gpu, tiny, handle, tmp_path, record_property):
    directory = tiny("llama", max_position_embeddings=4096, hidden_size=128, intermediate_size=256)
    items = [Item(f"name animal {i}", " ".join(WORDS[i % 7 : i % 7 + 4])) for i in range(24)]
    said = {}
    for device in ("cuda", "cpu"):
        model, verdicts = handle(directory, device), VerdictStore(tmp_path / device)
        said[device] = LocalJudge("local", lambda model=model: model, verdicts, reason_tokens=12).judge(items)
    keys = ("status", "grammar", "semantic", "overall", "reason")
    same = [all(getattr(a, key) == getattr(b, key) for key in keys) for a, b in zip(*said.values(), strict=True)]
    record_property("share of identical verdicts", float(np.mean(same)))
    assert {one.status for one in said["cuda"]} == {"ok"} and np.mean(same) > 0.95


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A random BERT with mean pooling, as sentence-transformers keeps it."""
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    vocab = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocab), hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        initializer_range=0.05, max_position_embeddings=128,
    )  # fmt: skip
    inner = folder / "bert"
    BertModel(config).save_pretrained(inner)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(inner)
    SentenceTransformer(str(inner), device="cpu").save(str(folder / "encoder"))
    return folder / "encoder"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_vectors_are_those_of_the_cpu(gpu, encoder, tmp_path, record_property):
    rng = np.random.default_rng(2)
    texts = [" ".join(rng.choice(WORDS, size=rng.integers(1, 60))) for _ in range(200)]
    vectors = [
        SentenceEncoder(ModelSource(path=encoder), cache_dir=tmp_path, device=device, name="bert").encode(texts)
        for device in ("cuda", "cuda", "cpu")
    ]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    difference = float(np.abs(vectors[0] - vectors[2]).max())
    record_property("largest difference of a unit vector's entry", difference)
    assert difference < 1e-5 * np.abs(vectors[2]).max()


def test_the_default_device_is_the_gpu(gpu, tiny, handle):
    model = handle(tiny("llama"), None)
    [found] = list(model.continuations((0, 5), [Request((), ())], Greedy(), 3))
    assert len(found.ids) == 3 and model.loaded.model.device.type == "cuda"
    assert json.loads(json.dumps(model.identity())) == handle(tiny("llama"), "cpu").identity()  # no device in it

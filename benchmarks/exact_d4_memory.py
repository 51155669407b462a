"""Exact validity and diversity at d = 4 over the full default grid: time and peak memory.

    python benchmarks/exact_d4_memory.py [--separators] [--vocab 262144] [--out FILE.json]

10,000 sequences, 1,111 branching contexts, 49,152 tokens, 20 temperatures, every rule and both oracles. The
logits lie in a memory-mapped file in a temporary folder. ``--separators`` puts two separator tokens between
digits, as a prompt that fixes the form "3, 1, 4, 1" does: 3,331 contexts. The values at T = 1 without a
cutoff are checked against the direct formula.
"""

import argparse
import json
import math
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from calib_assets.decoding import DecodingGrid, PrefixTrie, sweep

TEMPERATURES = tuple(round(0.1 * step, 1) for step in range(1, 21))
FIRST_DIGIT, SEPARATORS = 32, [28, 216]


def peak_gb() -> float:
    """Largest resident set so far, mapped pages included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def digit_sequences(separators: list[int]) -> list[list[int]]:
    """All four-digit answers as token ids."""
    tokens = [[FIRST_DIGIT + int(digit) for digit in f"{i:04d}"] for i in range(10_000)]
    return [[a, *separators, b, *separators, c, *separators, d] for a, b, c, d in tokens]


def fill(logits: np.ndarray, trie: PrefixTrie, seed: int) -> None:
    """A sharp linear head that holds the valid tokens, and a logarithmic tail (Paper A, appendix I)."""
    rng = np.random.default_rng(seed)
    rank = np.arange(1, logits.shape[1] + 1)
    curve = np.where(rank <= 14, 21 - 0.55 * rank, 17.5 - 1.6 * np.log(rank + 2.0))
    for row, node in enumerate(trie.internal):
        noisy = curve + 0.25 * rng.normal(size=rank.size)
        valid = trie.valid_tokens(node)
        head = rng.permutation(14)[: valid.size]
        others = np.setdiff1d(np.arange(rank.size), valid, assume_unique=True)
        logits[row, valid] = noisy[head]
        logits[row, rng.permutation(others)] = np.delete(noisy, head)


def direct(trie: PrefixTrie, logits: np.ndarray) -> tuple[float, float]:
    """Val and Div at T = 1 without a cutoff, from the probabilities of all sequences."""
    log_probs = np.zeros(trie.n_nodes)
    for row, node in enumerate(trie.internal):
        tokens, nodes = trie.children(node)
        values = logits[row].astype(np.float64)
        log_probs[nodes] = log_probs[node] + values[tokens] - np.logaddexp.reduce(values)
    probs = np.exp(log_probs[trie.leaves])
    shares = probs / probs.sum()
    return math.fsum(probs), math.exp(-math.fsum(shares * np.log(shares))) / trie.n_answers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--separators", action="store_true")
    parser.add_argument("--vocab", type=int, default=49_152)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()

    sequences = digit_sequences(SEPARATORS if args.separators else [])
    start = time.perf_counter()
    trie = PrefixTrie.from_sequences(sequences)
    trie_s = time.perf_counter() - start
    grid = DecodingGrid.default(TEMPERATURES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logits.f32"
        logits = np.memmap(path, np.float32, "w+", shape=(trie.internal.size, args.vocab))
        fill(logits, trie, args.seed)
        logits.flush()
        before = peak_gb()
        start = time.perf_counter()
        points = sweep(trie, logits, grid, threads=args.threads).points
        sweep_s = time.perf_counter() - start
        peak = peak_gb()
        validity, diversity = direct(trie, logits)
        del logits
    free = points.filter((pl.col("rule") == "unrestricted") & (pl.col("temperature") == 1.0)).row(
        0, named=True
    )

    figures = {
        "sequences": trie.n_sequences,
        "contexts": trie.internal.size,
        "vocab": args.vocab,
        "configurations": grid.n_configurations,
        "trie_s": trie_s,
        "sweep_s": sweep_s,
        "peak_before_sweep_gb": before,
        "peak_gb": peak,
        "validity_difference": abs(free["validity"] - validity),
        "diversity_difference": abs(free["diversity"] - diversity),
    }
    print(f"{trie.n_sequences} sequences, {trie.internal.size} contexts x {args.vocab} tokens")
    print(f"{grid.n_configurations} configurations")
    print(f"trie        {trie_s:8.3f} s")
    print(f"sweep       {sweep_s:8.2f} s")
    print(f"peak memory {peak:8.2f} GB (before the sweep {before:.2f}); wanted under 4")
    print(f"T = 1: Val {validity:.6f}, Div {diversity:.6f}; differences from the direct formula ", end="")
    print(f"{figures['validity_difference']:.1e} and {figures['diversity_difference']:.1e}")
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    if peak >= 4 or max(figures["validity_difference"], figures["diversity_difference"]) > 1e-9:
        raise SystemExit("over 4 GB, or different from the direct formula")


if __name__ == "__main__":
    main()

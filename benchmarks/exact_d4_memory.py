"""Exact validity and diversity at d = 4 over the full default grid: time and peak memory.

    python benchmarks/exact_d4_memory.py [--separators] [--vocab 262144] [--out FILE.json]

10,000 sequences, 1,111 branching contexts, 49,152 tokens, 20 temperatures, every rule and both oracles. The logits
lie in a memory-mapped file in a temporary folder. ``--separators`` puts two separator tokens between digits, as a
prompt that fixes "3, 1, 4, 1" does: 3,331 contexts. One row is checked against the direct formula.
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
FIRST_DIGIT, SEPARATORS = 32, (28, 216)


def peak_gb() -> float:
    """Largest resident set so far, mapped pages included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def sequences(separators: bool) -> list[list[int]]:
    """All four-digit sequences as token ids."""
    between = list(SEPARATORS) if separators else []
    rows = []
    for i in range(10_000):
        row = []
        for position, digit in enumerate(f"{i:04d}"):
            row += (between if position else []) + [FIRST_DIGIT + int(digit)]
        rows.append(row)
    return rows


def fill(logits: np.ndarray, trie: PrefixTrie, seed: int) -> None:
    """A sharp linear head that holds the valid tokens, and a logarithmic tail (Paper A, appendix I)."""
    rng = np.random.default_rng(seed)
    vocab = logits.shape[1]
    rank = np.arange(1, vocab + 1)
    curve = np.where(rank <= 14, 21 - 0.55 * rank, 17.5 - 1.6 * np.log(rank + 2.0))
    for row, node in enumerate(trie.internal):
        noisy = curve + 0.25 * rng.normal(size=vocab)
        logits[row] = np.roll(noisy, int(rng.integers(1000, vocab)))
        valid = trie.valid_tokens(node)
        logits[row, valid] = noisy[rng.permutation(14)[: valid.size]]


def direct(trie: PrefixTrie, logits: np.ndarray, temperature: float) -> tuple[float, float]:
    """Val and Div under temperature alone, from the probabilities of all sequences."""
    log_probs = np.zeros(trie.n_nodes)
    for row, node in enumerate(trie.internal):
        tokens, nodes = trie.children(node)
        scaled = logits[row].astype(np.float64) / temperature
        log_probs[nodes] = log_probs[node] + scaled[tokens] - np.logaddexp.reduce(scaled)
    probs = np.exp(log_probs[trie.leaves])
    shares = probs / probs.sum()
    return math.fsum(probs), math.exp(-math.fsum(shares * np.log(shares))) / trie.n_answers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--separators", action="store_true")
    parser.add_argument("--vocab", type=int, default=49_152)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()

    start = time.perf_counter()
    trie = PrefixTrie.from_sequences(sequences(args.separators))
    trie_s = time.perf_counter() - start
    grid = DecodingGrid.default(TEMPERATURES)
    with tempfile.TemporaryDirectory() as folder:
        shape = (trie.internal.size, args.vocab)
        logits = np.memmap(Path(folder) / "logits.f32", np.float32, "w+", shape=shape)
        fill(logits, trie, args.seed)
        logits.flush()
        before = peak_gb()
        start = time.perf_counter()
        points = sweep(trie, logits, grid, threads=args.threads).points
        sweep_s = time.perf_counter() - start
        peak = peak_gb()
        free = points.row(
            by_predicate=(pl.col("rule") == "unrestricted") & (pl.col("temperature") == 1.0), named=True
        )
        validity, diversity = direct(trie, logits, 1.0)
        del logits

    figures = {
        "sequences": trie.n_sequences,
        "contexts": shape[0],
        "vocab": args.vocab,
        "configurations": grid.n_configurations,
        "trie_s": trie_s,
        "sweep_s": sweep_s,
        "peak_before_sweep_gb": before,
        "peak_gb": peak,
        "validity_difference": abs(free["validity"] - validity),
        "diversity_difference": abs(free["diversity"] - diversity),
    }
    print(f"{trie.n_sequences} sequences, {shape[0]} contexts x {args.vocab} tokens x {grid.n_configurations} settings")
    print(f"trie        {trie_s:8.3f} s")
    print(f"sweep       {sweep_s:8.2f} s")
    print(f"peak memory {peak:8.2f} GB  (before the sweep {before:.2f}; wanted: under 4)")
    print(f"T = 1: Val {validity:.6f}, Div {diversity:.6f}; differences from the direct formula "
          f"{figures['validity_difference']:.1e}, {figures['diversity_difference']:.1e}")  # fmt: skip
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    if peak >= 4 or figures["validity_difference"] > 1e-9 or figures["diversity_difference"] > 1e-9:
        raise SystemExit("over 4 GB, or different from the direct formula")


if __name__ == "__main__":
    main()

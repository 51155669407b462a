"""Exact validity and diversity at d = 4 over the full default grid: time and peak memory.

10,000 sequences, 1,111 branching contexts, 49,152 tokens, 20 temperatures, every rule and both oracles. The
logits lie in a memory-mapped file in a temporary folder. With ``separators`` two separator tokens stand between
digits, as with a prompt that fixes the form "3, 1, 4, 1": 3,331 contexts. The values at T = 1 without a
cutoff are checked against the direct formula.
"""

import math
import resource
from collections.abc import Iterator

import numpy as np
import polars as pl

from benchmarks.rows import Check, Row, Run
from benchmarks.turns import in_turns
from calib_assets.decoding import DecodingGrid, PrefixTrie, sweep

SMALL = {"vocab": 500, "temperatures": 2}
FULL = {"separators": True}
GIGABYTES, TOLERANCE = 4.0, 1e-9
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


def rows(run: Run, separators: bool = False, vocab: int = 49_152, temperatures: int = 20) -> Iterator[Row]:
    """One row; the formula covers one of the settings, so it is not timed against the sweep."""
    trie = PrefixTrie.from_sequences(digit_sequences(SEPARATORS if separators else []))
    grid = DecodingGrid.default((*TEMPERATURES[: temperatures - 1], 1.0) if temperatures < 10 else TEMPERATURES)
    logits = np.memmap(run.folder / "logits.f32", np.float32, "w+", shape=(trie.internal.size, vocab))
    fill(logits, trie, seed=0)
    logits.flush()
    side = in_turns(ours=[lambda: sweep(trie, logits, grid, threads=run.threads).points])["ours"]
    peak = peak_gb()
    validity, diversity = direct(trie, logits)
    free = side.values[0].filter((pl.col("rule") == "unrestricted") & (pl.col("temperature") == 1.0)).row(0, named=True)
    size = f"{trie.n_sequences:,} sequences, {trie.internal.size:,} contexts × {vocab:,} tokens"
    yield Row(
        "exact Val and Div at d = 4, whole grid",
        f"{size}, {grid.n_configurations:,} settings",
        "product over all sequences at T = 1",
        side.median,
        checks=(
            Check("difference of Val", abs(free["validity"] - validity), TOLERANCE),
            Check("of Div", abs(free["diversity"] - diversity), TOLERANCE),
            Check("peak memory in GB", peak, GIGABYTES),
        ),
    )

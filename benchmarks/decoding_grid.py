"""The decoding grid of the d = 3 digit study: our sweep against transformers' warpers.

111 branching contexts, the 7 rules that transformers has, 12 parameters each, 20 temperatures: 1,680
configurations. The warpers are called once per configuration, with all contexts as one float64 batch (needed
for probabilities to 1e-9) on the same number of threads; they are timed on a random sample of the configurations
of each rule. On the configurations that were run, retained set sizes, membership of every valid token and filtered
probabilities are compared at every context, whole sets and distributions at two.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from transformers.generation import logits_process as warpers

from benchmarks.machine import version
from benchmarks.rows import Check, Row, Run
from benchmarks.turns import in_turns
from calib_assets.decoding import RULES, DecodingGrid, PrefixTrie, TruncationRule, sweep
from calib_assets.decoding.conditional import Conditional
from calib_assets.decoding.selections import Selections, select_everywhere
from calib_assets.decoding.tempered import Tempered

SMALL = {"vocab": 2000, "sample": 2, "repeat": 1}
FULL = {"sample": None}
TARGET = 150.0
WARPERS = {
    "top_k": warpers.TopKLogitsWarper,
    "top_p": warpers.TopPLogitsWarper,
    "min_p": warpers.MinPLogitsWarper,
    "typical_p": warpers.TypicalLogitsWarper,
    "epsilon": warpers.EpsilonLogitsWarper,
    "eta": warpers.EtaLogitsWarper,
    "top_h": warpers.TopHLogitsWarper,
}
TEMPERATURES = tuple(round(0.1 * step, 1) for step in range(1, 21))
FIRST_DIGIT = 32


def digit_trie(length: int) -> PrefixTrie:
    """All digit sequences of a length; digit i is token FIRST_DIGIT + i."""
    answers = [f"{i:0{length}d}" for i in range(10**length)]
    return PrefixTrie.from_sequences([[FIRST_DIGIT + int(digit) for digit in answer] for answer in answers])


def realistic_row(rng: np.random.Generator, vocab: int) -> np.ndarray:
    """A sharp linear head and a heavy logarithmic tail (Paper A, appendix I), digits mostly in the head."""
    rank = np.arange(1, vocab + 1)
    curve = np.where(rank <= 14, 21 - 0.55 * rank, 17.5 - 1.6 * np.log(rank + 2.0))
    place = rng.permutation(vocab)  # rank, from 0, of each token
    head = np.where(rng.random(10) < 0.85, rng.permutation(14)[:10], rng.permutation(400)[:10] + 14)
    for token, wanted in enumerate(head, start=FIRST_DIGIT):
        other = np.flatnonzero(place == wanted)[0]
        place[token], place[other] = wanted, place[token]
    return (curve + 0.25 * rng.normal(size=vocab))[place].astype(np.float32)


def warp(rule: TruncationRule, scores: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(retained mask, filtered probabilities) by transformers."""
    scores = warpers.TemperatureLogitsWarper(temperature)(None, scores)
    scores = WARPERS[rule.name](getattr(rule, rule.parameter))(None, scores)
    return scores, torch.softmax(scores, dim=-1)


class Comparison:
    """Counts differences between our selections and the warpers' output.

    The warpers' sort and topk leave open which of several tied tokens stays, so tied tokens are compared by
    value.
    """

    def __init__(self, trie: PrefixTrie, logits: np.ndarray, selections: Selections, seed: int) -> None:
        self.logits, self.selections = logits, selections
        self.rows, self.tokens = trie.row_of[trie.parent[1:]], trie.token[1:]
        values = logits[self.rows, self.tokens]
        ordered = np.sort(logits, axis=1)
        above = np.nextafter(values, np.float32(np.inf))
        self.untied = np.array(
            [
                np.searchsorted(ordered[row], b) - np.searchsorted(ordered[row], a) == 1
                for row, a, b in zip(self.rows, values, above, strict=True)
            ]
        )
        self.rng = np.random.default_rng(seed)
        self.sizes = self.members = 0
        self.largest = 0.0

    def add(self, rule: TruncationRule, column: int, t: int, scores: torch.Tensor, probs: torch.Tensor) -> None:
        """Compare one configuration."""
        kept, probs, chosen = torch.isfinite(scores).numpy(), probs.numpy(), self.selections
        self.sizes += int((chosen.size[:, t, column] != kept.sum(axis=1)).sum())
        keeps = chosen.keeps[:, t, column]
        ours = np.where(keeps, np.exp(chosen.log_probs[:, t] - chosen.log_mass[self.rows, t, column]), 0.0)
        self.members += int((keeps != kept[self.rows, self.tokens])[self.untied].sum())
        self.largest = max(self.largest, float(np.abs(ours - probs[self.rows, self.tokens])[self.untied].max()))
        for row in self.rng.integers(0, len(self.logits), 2):
            conditional = Conditional(self.logits[row], np.arange(self.logits.shape[1]))
            view = Tempered(conditional, np.array([TEMPERATURES[t]]))
            whole = rule.select(view, [rule])
            mask = whole.keeps[0, 0]
            ours = np.where(mask, np.exp(view.tracked_log_probs[0] - whole.log_mass[0, 0]), 0.0)
            values = self.logits[row]
            if not np.array_equal(np.sort(values[mask]), np.sort(values[kept[row]])):
                self.members += int((mask != kept[row]).sum())
            self.largest = max(self.largest, float(np.abs(np.sort(ours) - np.sort(probs[row])).max()))


def time_warpers(
    grid: DecodingGrid, logits: np.ndarray, sample: int | None, comparison: Comparison
) -> tuple[float, int]:
    """(seconds for the whole grid, configurations run); every rule's share is scaled from its own sample."""
    scores = torch.from_numpy(logits.astype(np.float64))
    rng = np.random.default_rng(0)
    total, n_run, first = 0.0, 0, 0
    for group in grid.groups():
        configurations = [(t, i) for t in range(len(TEMPERATURES)) for i in range(len(group))]
        order = rng.permutation(len(configurations))[:sample]
        warp(group[0], scores, 1.0)  # warm up
        elapsed = 0.0
        for t, i in (configurations[index] for index in order):
            start = time.perf_counter()
            warped, probs = warp(group[i], scores, TEMPERATURES[t])
            elapsed += time.perf_counter() - start
            comparison.add(group[i], first + i, t, warped, probs)
        first += len(group)
        n_run += len(order)
        total += elapsed / len(order) * len(configurations)
    return total, n_run


def rows(run: Run, vocab: int = 49_152, sample: int | None = 4, repeat: int = 3) -> Iterator[Row]:
    """Sets and masses alone, and the whole sweep, against the warpers on ``sample`` settings of a rule (None: all)."""
    torch.set_num_threads(run.threads)
    trie, rng = digit_trie(3), np.random.default_rng(0)
    logits = np.stack([realistic_row(rng, vocab) for _ in trie.internal])
    grid = DecodingGrid(TEMPERATURES, {name: RULES[name].default_grid for name in WARPERS})
    temperatures, groups = np.array(TEMPERATURES), list(grid.groups())
    select_everywhere(trie, logits, temperatures[:1], groups, threads=run.threads)  # warm up
    # The warpers take far longer, so ours run on both sides of them.
    turns = dict(
        sets=[lambda: select_everywhere(trie, logits, temperatures, groups, threads=run.threads)] * repeat,
        sweep=[lambda: sweep(trie, logits, grid, threads=run.threads)] * repeat,
    )
    before = in_turns(**turns)
    comparison = Comparison(trie, logits, before["sets"].values[0], seed=0)
    slow, n_run = time_warpers(grid, logits, sample, comparison)
    after = in_turns(**turns)
    seconds = {name: float(np.median(before[name].seconds + after[name].seconds)) for name in before}
    size = f"{len(logits)} contexts × {vocab:,} tokens × {grid.n_configurations:,} settings"
    how = "" if n_run == grid.n_configurations else f"the warpers from {n_run} random settings"
    checks = (
        Check("sets of another size", comparison.sizes, 0),
        Check("tokens in one set only", comparison.members, 0),
        Check("largest difference of a probability", comparison.largest, 1e-9),
    )
    baseline = f"transformers {version('transformers')}, warpers called per setting, float64"
    yield Row(
        "decoding grid: sets and masses", size, baseline, seconds["sets"], slow, checks, target=TARGET, scaled=how
    )
    what = "decoding grid: the whole sweep (Val, Div, Prec_seq, Rec_seq, E.1)"
    yield Row(what, size, baseline, seconds["sweep"], slow, checks, target=TARGET, scaled=how)

"""The decoding grid of the d = 3 digit study: our sweep against transformers' warpers.

    python benchmarks/decoding_grid.py [--full] [--logits FILE.safetensors] [--vocab 262144] [--out FILE.json]

111 branching contexts, the 7 rules that transformers has, 12 parameters each, 20 temperatures: 1,680
configurations. The warpers are called once per configuration, with all contexts as one float64 batch (needed
for probabilities to 1e-9) on the same number of threads; by default they are timed on a random sample of the
configurations of each rule and scaled, with ``--full`` on all. On the configurations that were run, retained
set sizes, membership of every valid token and filtered probabilities are compared at every context, whole
sets and distributions at two.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers.generation import logits_process as warpers

from calib_assets.decoding import RULES, DecodingGrid, PrefixTrie, TruncationRule, sweep
from calib_assets.decoding.conditional import Conditional
from calib_assets.decoding.selections import Selections, select_everywhere
from calib_assets.decoding.tempered import Tempered

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


def load_rows(path: Path) -> np.ndarray:
    """The first two-dimensional tensor of a safetensors file, as float32."""
    from safetensors.torch import load_file

    return next(tensor for tensor in load_file(path).values() if tensor.ndim == 2).float().numpy()


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

    def add(
        self, rule: TruncationRule, column: int, t: int, scores: torch.Tensor, probs: torch.Tensor
    ) -> None:
        """Compare one configuration."""
        kept, probs, chosen = torch.isfinite(scores).numpy(), probs.numpy(), self.selections
        self.sizes += int((chosen.size[:, t, column] != kept.sum(axis=1)).sum())
        keeps = chosen.keeps[:, t, column]
        ours = np.where(keeps, np.exp(chosen.log_probs[:, t] - chosen.log_mass[self.rows, t, column]), 0.0)
        self.members += int((keeps != kept[self.rows, self.tokens])[self.untied].sum())
        self.largest = max(
            self.largest, float(np.abs(ours - probs[self.rows, self.tokens])[self.untied].max())
        )
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
    grid: DecodingGrid, logits: np.ndarray, sample: int | None, seed: int, comparison: Comparison
) -> tuple[float, int]:
    """(seconds for the whole grid, configurations run); every rule's share is scaled from its own sample."""
    scores = torch.from_numpy(logits.astype(np.float64))
    rng = np.random.default_rng(seed)
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
        print(
            f"  {group[0].name:10s} {1e3 * elapsed / len(order):7.1f} ms a configuration ({len(order)} run)"
        )
    return total, n_run


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="run the warpers on every configuration")
    parser.add_argument(
        "--sample", type=int, default=6, help="configurations of each rule given to the warpers"
    )
    parser.add_argument("--vocab", type=int, default=49_152)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--logits", type=Path, help="real logits [111, vocab] instead of synthetic ones")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    trie = digit_trie(3)
    rng = np.random.default_rng(args.seed)
    rows = load_rows(args.logits) if args.logits else [realistic_row(rng, args.vocab) for _ in trie.internal]
    logits = np.stack(list(rows))
    grid = DecodingGrid(TEMPERATURES, {name: RULES[name].default_grid for name in WARPERS})
    print(f"{len(logits)} contexts x {logits.shape[1]} tokens x {grid.n_configurations} configurations")

    temperatures, groups = np.array(TEMPERATURES), list(grid.groups())
    select_everywhere(trie, logits, temperatures[:1], groups, threads=args.threads)  # warm up
    start = time.perf_counter()
    selections = select_everywhere(trie, logits, temperatures, groups, threads=args.threads)
    sets_s = time.perf_counter() - start
    start = time.perf_counter()
    sweep(trie, logits, grid, threads=args.threads)
    sweep_s = time.perf_counter() - start

    comparison = Comparison(trie, logits, selections, args.seed)
    warpers_s, n_run = time_warpers(grid, logits, None if args.full else args.sample, args.seed, comparison)
    how = "measured" if args.full else f"scaled from {n_run} configurations"
    print(f"our sets and masses   {sets_s:8.2f} s")
    print(f"our whole sweep       {sweep_s:8.2f} s  (with Val, Div, Prec_seq, Rec_seq and E.1)")
    print(f"transformers' warpers {warpers_s:8.2f} s  ({how})")
    print(f"ratio {warpers_s / sets_s:.0f} (whole sweep {warpers_s / sweep_s:.0f}); wanted 150")
    print(f"differences: {comparison.sizes} set sizes, {comparison.members} tokens, ", end="")
    print(f"probabilities at most {comparison.largest:.1e}")
    if args.out:
        figures = {
            "contexts": len(logits),
            "vocab": logits.shape[1],
            "configurations": grid.n_configurations,
            "sets_and_masses_s": sets_s,
            "sweep_s": sweep_s,
            "warpers_s": warpers_s,
            "warpers_configurations_run": n_run,
            "ratio": warpers_s / sets_s,
            "different_set_sizes": comparison.sizes,
            "different_tokens": comparison.members,
            "largest_probability_difference": comparison.largest,
        }
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    if comparison.sizes or comparison.members or comparison.largest > 1e-9:
        raise SystemExit("retained sets or probabilities differ from the warpers'")


if __name__ == "__main__":
    main()

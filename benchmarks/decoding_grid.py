"""The decoding grid of the d = 3 digit study: our sweep against transformers' warpers called per configuration.

    python benchmarks/decoding_grid.py [--full] [--logits FILE.safetensors] [--vocab 262144] [--out FILE.json]

111 branching contexts, 7 rules that transformers has, 12 parameters each, 20 temperatures: 1,680 configurations. The
warpers get all contexts as one batch in float64 (needed for probabilities to 1e-9), on the same number of threads; by
default they are timed on a random sample of the configurations of each rule and scaled, with ``--full`` on all.
On the configurations that were run, retained set sizes, membership of every valid token and filtered probabilities
are compared at every context, and whole sets and distributions at a few contexts.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers.generation import logits_process as warpers

from calib_assets.decoding import RULES, DecodingGrid, PrefixTrie, sweep
from calib_assets.decoding.conditional import Conditional
from calib_assets.decoding.selections import select_everywhere
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
    return PrefixTrie.from_sequences([[FIRST_DIGIT + int(c) for c in f"{i:0{length}d}"] for i in range(10**length)])


def realistic_row(rng: np.random.Generator, vocab: int) -> np.ndarray:
    """A sharp linear head and a heavy logarithmic tail (Paper A, appendix I), digits mostly in the head."""
    rank = np.arange(1, vocab + 1)
    curve = np.where(rank <= 14, 21 - 0.55 * rank, 17.5 - 1.6 * np.log(rank + 2.0)) + 0.25 * rng.normal(size=vocab)
    row = rng.permutation(curve)
    digits = np.arange(FIRST_DIGIT, FIRST_DIGIT + 10)
    row[digits] = curve[np.where(rng.random(10) < 0.85, rng.permutation(14)[:10], rng.integers(14, 400, 10))]
    return row.astype(np.float32)


def load_rows(path: Path) -> np.ndarray:
    """The first two-dimensional tensor of a safetensors file, as float32."""
    from safetensors.torch import load_file

    return next(tensor for tensor in load_file(path).values() if tensor.ndim == 2).float().numpy()


def warp(name: str, parameter: float, scores: torch.Tensor, temperature: float) -> torch.Tensor:
    """Filtered logits by transformers."""
    return WARPERS[name](parameter)(None, warpers.TemperatureLogitsWarper(temperature)(None, scores))


def compare_whole_rows(rows: np.ndarray, warped: torch.Tensor, rule, temperature: float) -> tuple[int, float]:
    """Differing tokens and largest probability difference over whole contexts."""
    differing, largest = 0, 0.0
    for row, scores in zip(rows, warped, strict=True):
        conditional = Conditional(row, np.arange(row.size))
        view = Tempered(conditional, np.array([temperature]))
        chosen = type(rule).select(view, [rule])
        keeps = chosen.keeps[0, 0]
        probs = np.where(keeps, np.exp(view.tracked_log_probs[0] - chosen.log_mass[0, 0]), 0.0)
        differing += int((keeps != torch.isfinite(scores).numpy()).sum())
        largest = max(largest, float(np.abs(probs - torch.softmax(scores, -1).numpy()).max()))
    return differing, largest


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="run the warpers on every configuration (many minutes)")
    parser.add_argument("--sample", type=int, default=6, help="configurations of each rule given to the warpers")
    parser.add_argument("--vocab", type=int, default=49_152)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--logits", type=Path, help="real logits [111, vocab] instead of synthetic ones")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    trie = digit_trie(3)
    if args.logits:
        logits = load_rows(args.logits)
    else:
        logits = np.stack([realistic_row(rng, args.vocab) for _ in trie.internal])
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

    scores = torch.from_numpy(logits.astype(np.float64))
    warpers_s, n_run, wrong_sets, wrong_tokens, worst = 0.0, 0, 0, 0, 0.0
    column = 0
    parents = trie.row_of[trie.parent[1:]]
    tokens = trie.token[1:]
    for group in groups:
        name = group[0].name
        configurations = [(t, i) for t in range(len(TEMPERATURES)) for i in range(len(group))]
        chosen = range(len(configurations)) if args.full else rng.permutation(len(configurations))[: args.sample]
        warp(name, getattr(group[0], group[0].parameter), scores, 1.0)  # warm up
        elapsed = 0.0
        for index in chosen:
            t, i = configurations[index]
            parameter = getattr(group[i], group[i].parameter)
            start = time.perf_counter()
            warped = warp(name, parameter, scores, TEMPERATURES[t])
            probs = torch.softmax(warped, dim=-1)
            elapsed += time.perf_counter() - start
            ours = selections.size[:, t, column + i]
            wrong_sets += int((ours != torch.isfinite(warped).sum(dim=-1).numpy()).sum())
            keeps = selections.keeps[:, t, column + i]
            filtered = np.exp(selections.log_probs[:, t] - selections.log_mass[parents, t, column + i])
            reference = probs.numpy()[parents, tokens]
            wrong_tokens += int((keeps != (torch.isfinite(warped).numpy()[parents, tokens])).sum())
            worst = max(worst, float(np.abs(np.where(keeps, filtered, 0.0) - reference).max()))
            some = rng.integers(0, len(logits), 2)
            differing, largest = compare_whole_rows(logits[some], warped[some], group[i], TEMPERATURES[t])
            wrong_tokens, worst = wrong_tokens + differing, max(worst, largest)
        per_configuration = elapsed / len(chosen)
        warpers_s += per_configuration * len(configurations)
        n_run += len(chosen)
        print(f"  {name:12s} warper {1e3 * per_configuration:8.1f} ms a configuration (all contexts, {len(chosen)} run)")
        column += len(group)

    how = "measured" if args.full else f"scaled from {n_run} configurations"
    figures = {
        "contexts": len(logits),
        "vocab": logits.shape[1],
        "configurations": grid.n_configurations,
        "sets_and_masses_s": sets_s,
        "sweep_s": sweep_s,
        "warpers_s": warpers_s,
        "ratio_sets": warpers_s / sets_s,
        "ratio_sweep": warpers_s / sweep_s,
        "compared_configurations": n_run,
        "different_set_sizes": wrong_sets,
        "different_tokens": wrong_tokens,
        "largest_probability_difference": worst,
    }
    print(f"our sets and masses   {sets_s:9.2f} s")
    print(f"our whole sweep       {sweep_s:9.2f} s   (with Val, Div, Prec_seq, Rec_seq, E.1)")
    print(f"transformers' warpers {warpers_s:9.2f} s   ({how})")
    print(f"ratio                 {figures['ratio_sets']:9.0f}     (whole sweep: {figures['ratio_sweep']:.0f}; wanted: 150)")
    print(f"compared: {wrong_sets} set sizes and {wrong_tokens} tokens differ, probabilities to {worst:.1e}")
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    if wrong_sets or wrong_tokens or worst > 1e-9:
        raise SystemExit("retained sets or probabilities differ from the warpers'")


if __name__ == "__main__":
    main()

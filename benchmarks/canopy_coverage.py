"""Do 95% intervals of canopy entropy, GenPPL and branching factor cover the truth 95% of the time?

    python benchmarks/canopy_coverage.py [--studies 1000] [--prompts 100] [--rollouts 20] [--draws 1000]

A "model" is a Markov chain of four states and an end token; a prompt is a state it starts in and a temper that
makes it end sooner or later, both drawn at random, so prompts differ. The truth is exact: expectations follow the
distribution over states step by step until next to nothing is alive. Each study draws its own prompts and rollouts
and is measured with `canopy_measures`; the share of studies whose interval holds the truth is printed with the
binomial error of that share. Percentile intervals of few prompts are known to be somewhat short.
"""

import argparse
import math
import time

import numpy as np

from calib_assets.metrics import canopy_measures
from calib_assets.stats import Bootstrap

MEASURES = ("canopy_entropy", "gen_ppl", "branching_factor")
START = np.array([0.4, 0.3, 0.2, 0.1])
MOVES = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0.0, 0.5, 0.5, 0.0], [0.05, 0.05, 0.1, 0.8]])
ENDS = np.array([0.3, 0.12, 0.05])  # chance to end at each step, by temper
TEMPER = np.array([0.5, 0.3, 0.2])
MARGIN = 0.03  # how far below 95% a share may lie, beyond three of its errors


def chain(end: float) -> tuple[np.ndarray, np.ndarray]:
    """P(next token | state) with the end token last, and the entropy of each row in nats."""
    table = np.column_stack([MOVES * (1 - end), np.full(len(MOVES), end)])
    return table, -np.sum(table * np.log(np.where(table > 0, table, 1)), axis=1)


def truth() -> dict[str, float]:
    """Exact measures: E[S], E[tau] and E[S / tau] by following the chain, mixed over prompts."""
    entropy = length = rate = 0.0
    for end, share in zip(ENDS, TEMPER):
        table, steps = chain(end)
        alive, so_far, t = share * START, np.zeros(len(START)), 0  # P(alive, state); E[S so far; alive, state]
        while alive.sum() > 1e-15:
            t += 1
            so_far = so_far + alive * steps
            entropy += alive @ steps
            length += alive.sum()
            rate += so_far.sum() * end / t
            alive, so_far = alive @ table[:, :-1], so_far @ table[:, :-1]
    return {
        "canopy_entropy": entropy,
        "gen_ppl": math.exp(entropy / length),
        "branching_factor": math.exp(rate),
    }


def study(rng: np.random.Generator, n_prompts: int, n_rollouts: int) -> tuple[np.ndarray, np.ndarray]:
    """Entropy and length of the rollouts of a freshly drawn study, those of a prompt together."""
    tables, entropies = (np.stack(parts) for parts in zip(*map(chain, ENDS)))
    bounds = np.cumsum(tables, axis=2)[:, :, :-1]
    count = n_prompts * n_rollouts
    temper = np.repeat(rng.choice(len(ENDS), p=TEMPER, size=n_prompts), n_rollouts)
    state = np.repeat(rng.choice(len(START), p=START, size=n_prompts), n_rollouts)
    entropy, length, alive = np.zeros(count), np.zeros(count, dtype=int), np.arange(count)
    while alive.size:
        kind, at = temper[alive], state[alive]
        entropy[alive] += entropies[kind, at]
        length[alive] += 1
        token = (rng.random(alive.size)[:, None] >= bounds[kind, at]).sum(axis=1)
        goes_on = token < len(START)
        state[alive] = np.minimum(token, len(START) - 1)
        alive = alive[goes_on]
    return entropy, length


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--rollouts", type=int, default=20)
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    start = time.perf_counter()
    exact = truth()
    prompts = np.repeat(np.arange(arguments.prompts), arguments.rollouts)
    rng, covered = np.random.default_rng(0), dict.fromkeys(MEASURES, 0)
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in MEASURES}
    for number in range(arguments.studies):
        entropy, length = study(rng, arguments.prompts, arguments.rollouts)
        # Each study its own draws: one set for all would tie their errors together.
        found = canopy_measures(entropy, length, prompts, Bootstrap(n_boot=arguments.draws, seed=number))
        for row in found.summary.iter_rows(named=True):
            name = row["measure"]
            if name in exact:
                covered[name] += row["ci_low"] <= exact[name] <= row["ci_high"]
                values[name].append((row["est"], row["se"]))
    print(f"{arguments.studies} studies of {arguments.prompts} prompts with {arguments.rollouts} rollouts,"
          f" {arguments.draws} draws each, {time.perf_counter() - start:.0f} s")
    failed = False
    for name in MEASURES:
        share = covered[name] / arguments.studies
        error = math.sqrt(share * (1 - share) / arguments.studies)
        estimates, errors = np.array(values[name]).T
        print(f"  {name:17s} truth {exact[name]:8.4f}, mean estimate {estimates.mean():8.4f}; spread of estimates"
              f" {estimates.std(ddof=1):.4f}, mean standard error {errors.mean():.4f};"
              f" covered {100 * share:.1f}% +- {100 * error:.1f}%")
        failed |= abs(share - 0.95) > MARGIN + 3 * error
    if failed:
        raise SystemExit("an interval covers the truth too rarely or too often")


if __name__ == "__main__":
    main()

"""Do 95% intervals of canopy entropy, GenPPL and branching factor cover the truth 95% of the time?

A "model" is a Markov chain of four states and an end token; a prompt is a state it starts in and a temper that
makes it end sooner or later, both drawn at random, so prompts differ. The truth is exact: expectations follow the
distribution over states step by step until next to nothing is alive. Each study draws its own prompts and rollouts
and is measured with `canopy_measures`. The check is how far the share of studies whose interval holds the truth lies
from 95%, beyond three binomial errors of that share. Percentile intervals of few prompts are known to be somewhat
short.
"""

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.rows import Check, Row, Run
from calib_assets.metrics import canopy_measures
from calib_assets.stats import Bootstrap

THREADS = 1
SMALL = {"studies": 60, "prompts": 40, "rollouts": 10, "draws": 200}
FULL = {"studies": 4000}
MEASURES = {"canopy_entropy": "canopy entropy", "gen_ppl": "GenPPL", "branching_factor": "branching factor"}
MARGIN = 0.03  # by how much a share may differ from 95% beyond three of its errors
START = np.array([0.4, 0.3, 0.2, 0.1])
MOVES = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0.0, 0.5, 0.5, 0.0], [0.05, 0.05, 0.1, 0.8]])
ENDS = np.array([0.3, 0.12, 0.05])  # chance to end at each step, by temper
TEMPER = np.array([0.5, 0.3, 0.2])


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


def rows(run: Run, studies: int = 1000, prompts: int = 100, rollouts: int = 20, draws: int = 1000) -> Iterator[Row]:
    """A row for each measure; nothing is timed."""
    exact, owners = truth(), np.repeat(np.arange(prompts), rollouts)
    rng, covered = np.random.default_rng(0), dict.fromkeys(MEASURES, 0)
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for number in range(studies):
        entropy, length = study(rng, prompts, rollouts)
        # Each study its own draws: one set for all would tie their errors together.
        found = canopy_measures(entropy, length, owners, Bootstrap(n_boot=draws, seed=number))
        for row in found.summary.iter_rows(named=True):
            if (name := row["measure"]) in exact:
                covered[name] += row["ci_low"] <= exact[name] <= row["ci_high"]
                values[name].append(row["est"])
    size = f"{studies:,} studies of {prompts} prompts × {rollouts} rollouts, {draws:,} draws each"
    for name, words in MEASURES.items():
        share, estimates = covered[name] / studies, np.array(values[name])
        error = math.sqrt(0.95 * 0.05 / studies)
        bias = abs(estimates.mean() - exact[name]) / estimates.std(ddof=1)
        checks = (
            Check(f"covered {100 * share:.1f} %; |covered − 95 %|", abs(share - 0.95), MARGIN + 3 * error),
            # GenPPL and the branching factor are exponentials of means, so a little bias is theirs.
            Check("bias in standard deviations of an estimate", bias, 0.2 + 4 / math.sqrt(studies)),
        )
        yield Row(f"coverage of the 95 % interval of {words}", size, "exact value on a Markov chain", checks=checks)

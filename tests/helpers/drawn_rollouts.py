"""Random tables of rollouts, and the bootstrap as its definition says it: one draw after the other."""

import numpy as np
import polars as pl


def drawn_rollouts(number=0, sizes=(5, 3, 8), cap=12, ties=True) -> pl.DataFrame:
    """A rollouts table with ``sizes[i]`` rollouts of prompt i; some meet the cap. Prompts are in no order of name."""
    rng = np.random.default_rng(number)
    rows = []
    for place, size in enumerate(sizes):
        for sample in range(size):
            length = int(min(cap, rng.geometric(0.15 + 0.1 * (place % 4))))
            steps = rng.integers(1, 9, size=length) / 4 if ties else rng.exponential(1 + place % 3, size=length)
            truncated = length == cap and bool(rng.random() < 0.7)
            rows.append((f"p{(7 * place) % 11}-{place}", sample, steps.tolist(), length, truncated))
    table = pl.DataFrame(rows, schema=("prompt_id", "sample", "step_entropy", "length", "truncated"), orient="row")
    entropy = pl.col("step_entropy").list.sum()
    return table.with_columns(sequence_entropy=entropy, entropy_rate=entropy / pl.col("length"))


def by_prompt(table: pl.DataFrame) -> list[dict]:
    """The rows of each prompt as lists by column name, in order."""
    names = table["prompt_id"].unique(maintain_order=True)
    return [table.filter(pl.col("prompt_id") == name).to_dict(as_series=False) for name in names]


def naive_draws(statistic, n_prompts, n_boot, seed=42) -> np.ndarray:
    """``statistic`` of the list of drawn prompts' numbers, for each draw; nothing is shared between draws."""
    indexes = np.random.default_rng(seed).integers(0, n_prompts, (n_boot, n_prompts))
    return np.array([statistic(drawn.tolist()) for drawn in indexes], dtype=float)


def naive_interval(draws, level=0.95):
    """Standard error and percentile interval, draws without a value (NaN) left out."""
    known = np.sort(draws[~np.isnan(draws)])
    mean = sum(known) / known.size
    se = (sum((value - mean) ** 2 for value in known) / (known.size - 1)) ** 0.5
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        place = share * (known.size - 1)
        below = int(place)
        above = min(below + 1, known.size - 1)
        ends.append(known[below] + (place - below) * (known[above] - known[below]))
    return se, *ends

"""The paired bootstrap of base against instruct, 10,000 draws, against recomputing every draw.

    python benchmarks/paired_bootstrap.py [--prompts 100] [--rollouts 100] [--draws 10000]

Both sides have the three tables of a canopy comparison: twelve measures, with changes and percent changes. The
straightforward way takes the drawn prompts' numbers of both sides and computes each measure from them, with numpy,
draw after draw; a second one averages the drawn prompts' rollouts anew, for the six measures of size and length
alone (some draws, scaled). All use the same indexes of prompts; standard errors and ends are compared.
"""

import argparse
import time

import numpy as np
import polars as pl

from calib_assets.metrics import paired_comparison, prompt_correlations, prompt_measures
from calib_assets.stats import Bootstrap

TARGET = 10.0
TOLERANCE = 1e-9
CAP = 400
SIZES = ("canopy_entropy", "mean_length", "mean_entropy_rate", "truncation_rate")
CORRELATIONS = ("pearson", "spearman", "kendall", "covariance")


def drawn_side(seed: int, n_prompts: int, n_rollouts: int) -> tuple[dict[str, pl.DataFrame], dict[str, np.ndarray]]:
    """Tables of one model, and its rollouts' numbers as matrices ``[prompts, rollouts]``."""
    rng = np.random.default_rng(seed)
    shape = n_prompts, n_rollouts
    length = np.minimum(CAP, rng.geometric(rng.uniform(0.005, 0.05, size=(n_prompts, 1)), size=shape))
    rate = rng.gamma(4, 0.25, size=shape) + rng.normal(0, 0.1, size=(n_prompts, 1)) * np.log(length)
    rate = np.maximum(rate, 0.01)
    rollouts = pl.DataFrame(
        {
            "prompt_id": np.repeat([f"p{i}" for i in range(n_prompts)], n_rollouts),
            "length": length.ravel(),
            "entropy_rate": rate.ravel(),
            "sequence_entropy": (rate * length).ravel(),
            "truncated": (length == CAP).ravel(),
        }
    )
    measures = prompt_measures(rollouts, CAP)
    spread = rng.uniform(0.1, 0.9, size=n_prompts)
    diversity = measures.select("prompt_id", embedding_diversity=spread, vendi_score=1 + 20 * spread)
    tables = {
        "prompt_measures": measures,
        "prompt_correlations": prompt_correlations(rollouts),
        "prompt_diversity": diversity,
    }
    cells = {"canopy_entropy": rate * length, "mean_length": length, "mean_entropy_rate": rate}
    return tables, cells | {"truncation_rate": length == CAP}


def of_sizes(entropy, length, rate, truncation) -> list[float]:
    return [entropy, np.exp(entropy / length), np.exp(rate), length, rate, truncation]


def of_prompts(numbers: dict[str, np.ndarray], drawn: np.ndarray) -> list[float]:
    """The twelve measures of the drawn prompts."""
    found = of_sizes(*(numbers[name][drawn].mean() for name in SIZES))
    n = numbers["n_rollouts"][drawn]
    for name in CORRELATIONS[:2]:
        z = np.arctanh(np.clip(numbers[name][drawn], -0.999999, 0.999999))
        found.append(np.tanh(np.average(z, weights=n - 3)))
    found.append(np.average(numbers["kendall"][drawn], weights=n * (n - 1) / 2))
    found.append(np.average(numbers["covariance"][drawn], weights=n - 1))
    return [*found, numbers["embedding_diversity"][drawn].mean(), numbers["vendi_score"][drawn].mean()]


def of_rollouts(cells: dict[str, np.ndarray], drawn: np.ndarray) -> list[float]:
    """The six measures of size and length, from the rollouts of the drawn prompts."""
    return of_sizes(*(cells[name][drawn].mean(axis=1).mean() for name in SIZES))


def spread_of(sides: list[np.ndarray]) -> np.ndarray:
    """``[measures, 12]``: standard error and ends of base, instruct, change and percent change."""
    base, instruct = sides
    with np.errstate(divide="ignore", invalid="ignore"):
        kinds = (base, instruct, instruct - base, 100 * (instruct - base) / np.abs(base))
        return np.column_stack(
            [part for kind in kinds for part in (kind.std(axis=0, ddof=1), *np.quantile(kind, [0.025, 0.975], axis=0))]
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--rollouts", type=int, default=100)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=1000, help="draws that the way from rollouts recomputes")
    parser.add_argument("--repeat", type=int, default=5, help="runs of the fast side; the median is used")
    arguments = parser.parse_args()
    n_prompts, n_draws = arguments.prompts, arguments.draws
    (base, base_cells), (instruct, instruct_cells) = (
        drawn_side(seed, n_prompts, arguments.rollouts) for seed in (0, 1)
    )

    times = []
    for _ in range(arguments.repeat):
        start = time.perf_counter()
        found = paired_comparison(base, instruct, Bootstrap(n_boot=n_draws))
        times.append(time.perf_counter() - start)
    seconds = float(np.median(times))

    numbers = [
        {name: column.to_numpy() for table in side.values() for name, column in table.to_dict().items()}
        for side in (base, instruct)
    ]
    start = time.perf_counter()
    indexes = np.random.default_rng(42).integers(0, n_prompts, (n_draws, n_prompts))
    draws = [np.array([of_prompts(side, drawn) for drawn in indexes]) for side in numbers]
    expected = spread_of(draws)
    slow = time.perf_counter() - start

    start = time.perf_counter()
    for cells in (base_cells, instruct_cells):
        for drawn in indexes[: arguments.sample]:
            of_rollouts(cells, drawn)
    slower = (time.perf_counter() - start) * n_draws / len(indexes[: arguments.sample])

    columns = [name for name in found.columns if name.endswith(("_se", "_ci_low", "_ci_high"))]
    ours = found.select(columns).cast(pl.Float64).to_numpy()
    comparable = np.isfinite(expected) & np.isfinite(ours)
    difference = float((np.abs(ours - expected) / np.maximum(1, np.abs(expected)))[comparable].max())
    print(f"{n_prompts} prompts with {arguments.rollouts} rollouts, {found.height} measures, {n_draws} draws")
    print(f"  this project         {seconds:8.3f} s  (median of {arguments.repeat})")
    print(f"  draw by draw         {slow:8.3f} s: {slow / seconds:.0f}x (target {TARGET:.0f}x), largest relative"
          f" difference {difference:.1e} over {comparable.sum()} of {ours.size} numbers")
    print(f"  and from rollouts    {slower:8.3f} s: {slower / seconds:.0f}x (six measures, scaled)")
    if difference > TOLERANCE or slow / seconds < TARGET or not comparable[:6].any():
        raise SystemExit("a target is missed or the numbers differ")


if __name__ == "__main__":
    main()

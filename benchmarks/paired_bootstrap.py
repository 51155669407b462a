"""The paired bootstrap of base against instruct, 10,000 draws, against recomputing every draw.

Both sides have the three tables of a canopy comparison: twelve measures, with changes and percent changes. The
straightforward way takes the drawn prompts' numbers of both sides and computes each measure from them, with numpy,
draw after draw; a second one averages the drawn prompts' rollouts anew, for the six measures of size and length
alone. All use the same indexes of prompts; standard errors and ends are compared.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from benchmarks.machine import version
from benchmarks.rows import Check, Row, Run
from benchmarks.turns import in_turns
from calib_assets.metrics import paired_comparison, prompt_correlations, prompt_measures
from calib_assets.stats import Bootstrap

THREADS = 1
SMALL = {"prompts": 20, "rollouts": 20, "draws": 200, "sample": 50, "repeat": 2}
FULL = {"sample": 10_000}
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
    """``[measures, 12]``: standard error and ends of base, instruct, change and percent change.

    Draws where a percent change is undefined (0 of 0) count for no end.
    """
    base, instruct = sides
    with np.errstate(divide="ignore", invalid="ignore"):
        kinds = (base, instruct, instruct - base, 100 * (instruct - base) / np.abs(base))
        return np.column_stack(
            [
                part
                for kind in kinds
                for part in (kind.std(axis=0, ddof=1), *np.nanquantile(kind, [0.025, 0.975], axis=0))
            ]
        )


def difference(ours: np.ndarray, expected: np.ndarray) -> Check:
    """Largest relative difference of two tables; infinite where only one has a number, NaN where no number is there."""
    if not np.array_equal(np.isfinite(ours), np.isfinite(expected)):
        return Check("numbers that only one side has", float(np.sum(np.isfinite(ours) != np.isfinite(expected))), 0)
    apart = np.abs(ours - expected) / np.maximum(1, np.abs(expected))
    return Check(
        "largest relative difference", float(np.nanmax(apart)) if np.isfinite(apart).any() else np.nan, TOLERANCE
    )


def rows(
    run: Run, prompts: int = 100, rollouts: int = 100, draws: int = 10_000, sample: int = 1000, repeat: int = 5
) -> Iterator[Row]:
    """Against numbers of prompts, then against rollouts (``sample`` draws, compared on their own)."""
    (base, base_cells), (instruct, instruct_cells) = (drawn_side(seed, prompts, rollouts) for seed in (0, 1))
    sides = (base, instruct)
    numbers = [
        {name: column.to_numpy() for table in side.values() for name, column in table.to_dict().items()}
        for side in sides
    ]
    sample = min(sample, draws)
    indexes = np.random.default_rng(42).integers(0, prompts, (draws, prompts))

    def draw_by_draw() -> np.ndarray:
        return spread_of([np.array([of_prompts(side, drawn) for drawn in indexes]) for side in numbers])

    def from_rollouts() -> np.ndarray:
        cells = base_cells, instruct_cells
        return spread_of([np.array([of_rollouts(side, drawn) for drawn in indexes[:sample]]) for side in cells])

    def ours(n_boot: int) -> np.ndarray:
        found = paired_comparison(base, instruct, Bootstrap(n_boot=n_boot))
        columns = [name for name in found.columns if name.endswith(("_se", "_ci_low", "_ci_high"))]
        return found.select(columns).cast(pl.Float64).to_numpy()

    ours(draws)  # warm
    found = in_turns(ours=[lambda: ours(draws)] * repeat, slow=[draw_by_draw], slower=[from_rollouts])
    fast, size = found["ours"], f"{prompts} prompts × {rollouts} rollouts, {draws:,} draws"
    numpy, what = version("numpy"), "paired bootstrap of base against instruct"
    same = difference(fast.values[0], found["slow"].values[0])
    yield Row(
        f"{what}, 12 measures", size, f"each draw recomputed from prompts' numbers, numpy {numpy}", fast.median,
        found["slow"].median, (same,), target=TARGET,
    )  # fmt: skip
    same = difference(ours(sample)[: len(SIZES) + 2], found["slower"].values[0])
    how = "" if sample == draws else f"the baseline from {sample:,} draws"
    yield Row(
        f"{what}, 12 measures against 6", size, f"six measures of each draw from its rollouts, numpy {numpy}",
        fast.median, found["slower"].total * draws / sample, (same,), scaled=how,
    )  # fmt: skip

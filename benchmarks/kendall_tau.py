"""Kendall's tau-b of 200 prompts with 100 rollouts against torchmetrics and scipy.

Lengths are integers and entropy rates have two decimals, so both are tied. torchmetrics takes all prompts in one
call, in float64; scipy.stats.kendalltau takes one after the other and is the truth.
"""

import importlib.util
from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import kendalltau

from benchmarks.machine import version
from benchmarks.rows import Check, NotHere, Row, Run
from benchmarks.turns import in_turns
from calib_assets.metrics import kendall_tau

THREADS = 1
SMALL = {"prompts": 20, "rollouts": 30, "repeat": 2}
TARGET = 20.0
TOLERANCE = 1e-12


def drawn(n_prompts: int, n_rollouts: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and entropy rates that go together, more in some prompts than in others."""
    rng = np.random.default_rng(0)
    length = rng.geometric(rng.uniform(0.01, 0.1, size=(n_prompts, 1)), size=(n_prompts, n_rollouts))
    slope = rng.normal(0, 0.3, size=(n_prompts, 1))
    return length.astype(float), np.round(1 + slope * np.log(length) + rng.gamma(2, 0.2, size=length.shape), 2)


def by_torchmetrics(length: np.ndarray, rate: np.ndarray) -> Callable[[], np.ndarray] | None:
    """A call of torchmetrics without arguments; None where it is not installed."""
    if importlib.util.find_spec("torchmetrics") is None:
        return None
    import torch
    from torchmetrics.functional.regression import kendall_rank_corrcoef

    torch.set_num_threads(1)
    first, second = torch.tensor(length.T), torch.tensor(rate.T)
    return lambda: kendall_rank_corrcoef(first, second).numpy()


def rows(run: Run, prompts: int = 200, rollouts: int = 100, repeat: int = 15) -> Iterator[Row]:
    """Against scipy, then against torchmetrics; medians of ``repeat`` turns."""
    length, rate = drawn(prompts, rollouts)
    calls = {
        "ours": lambda: kendall_tau(length, rate),
        "scipy": lambda: np.array([kendalltau(*pair).statistic for pair in zip(length, rate)]),
        "torchmetrics": by_torchmetrics(length, rate),
    }
    calls = {name: call for name, call in calls.items() if call is not None}
    for call in calls.values():
        call()  # warm
    sides = in_turns(**{name: [call] * repeat for name, call in calls.items()})
    ours, scipy = sides["ours"], sides["scipy"]
    same = Check("largest |τ-b − scipy's|", float(np.abs(ours.values[0] - scipy.values[0]).max()), TOLERANCE)
    what, size = "Kendall τ-b of length and entropy rate", f"{prompts} prompts × {rollouts} rollouts"
    yield Row(what, size, f"scipy {version('scipy')}, prompt by prompt", ours.median, scipy.median, (same,))
    if "torchmetrics" not in sides:
        raise NotHere("torchmetrics is not installed: pip install -c constraints.txt -e '.[bench]'")
    median = sides["torchmetrics"].median
    yield Row(
        what, size, f"torchmetrics {version('torchmetrics')}, float64", ours.median, median, (same,), target=TARGET
    )

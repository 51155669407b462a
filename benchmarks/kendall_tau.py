"""Kendall's tau-b of 200 prompts with 100 rollouts against torchmetrics and scipy.

    python benchmarks/kendall_tau.py [--prompts 200] [--rollouts 100]
    pip install torchmetrics         # the baseline; or: pip install --no-deps --target DIR torchmetrics \
                                     #   lightning-utilities, then put DIR on PYTHONPATH (torch is there already)

Lengths are integers and entropy rates have two decimals, so both are tied. torchmetrics takes all prompts in one
call, in float64; scipy.stats.kendalltau takes one after the other and is the truth. All run in turn on one thread,
several times; medians are compared. Quote the ratios.
"""

import argparse
import importlib.util
import statistics
import time

import numpy as np
from scipy.stats import kendalltau

from calib_assets.metrics import kendall_tau

TARGET = 20.0
TOLERANCE = 1e-12


def drawn(n_prompts: int, n_rollouts: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and entropy rates that go together, more in some prompts than in others."""
    rng = np.random.default_rng(0)
    length = rng.geometric(rng.uniform(0.01, 0.1, size=(n_prompts, 1)), size=(n_prompts, n_rollouts))
    slope = rng.normal(0, 0.3, size=(n_prompts, 1))
    return length.astype(float), np.round(1 + slope * np.log(length) + rng.gamma(2, 0.2, size=length.shape), 2)


def by_torchmetrics(length: np.ndarray, rate: np.ndarray):
    """A call of torchmetrics without arguments; None where it is not installed."""
    if importlib.util.find_spec("torchmetrics") is None:
        return None
    import torch
    from torchmetrics.functional.regression import kendall_rank_corrcoef

    torch.set_num_threads(1)
    first, second = torch.tensor(length.T), torch.tensor(rate.T)
    return lambda: kendall_rank_corrcoef(first, second).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--rollouts", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=15, help="runs of each; medians are compared")
    arguments = parser.parse_args()
    length, rate = drawn(arguments.prompts, arguments.rollouts)
    rivals = {
        "this project": lambda: kendall_tau(length, rate),
        "torchmetrics": by_torchmetrics(length, rate),
        "scipy": lambda: np.array([kendalltau(*rows).statistic for rows in zip(length, rate)]),
    }
    runs = {name: call for name, call in rivals.items() if call is not None}
    seconds, values = {name: [] for name in runs}, {}
    for _ in range(arguments.repeat):  # in turn: a busy machine hits all of them
        for name, call in runs.items():
            start = time.perf_counter()
            values[name] = call()
            seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{arguments.prompts} prompts with {arguments.rollouts} rollouts, medians of {arguments.repeat}")
    for name in runs:
        difference = float(np.abs(values[name] - values["scipy"]).max())
        ratio = median[name] / median["this project"]
        target = f" (target {TARGET:.0f}x)" if name == "torchmetrics" else ""
        print(f"  {name:13s} {1e3 * median[name]:9.3f} ms: {ratio:6.1f}x{target}, from scipy {difference:.1e}")
    if "torchmetrics" not in runs:
        print("  torchmetrics  not installed: not compared")
    failed = np.abs(values["this project"] - values["scipy"]).max() > TOLERANCE
    if failed or median.get("torchmetrics", np.inf) / median["this project"] < TARGET:
        raise SystemExit("a target is missed or the coefficients differ")


if __name__ == "__main__":
    main()

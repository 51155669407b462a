"""What a study costs: tokens, calls, bytes and hours of every asset that asks a model, whether it is stale or not.

Tokens and bytes are the plan's (each asset's ``work``, at the most). Hours are tokens over rates that were measured on
one NVIDIA H200 in bfloat16 with ``benchmarks/gpu/throughput.py``; docs/cost.md has them with their limits.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from calib_assets.staleness.graph import Cell, Work
from calib_assets.staleness.identity import Context
from calib_assets.study import Study

TREES = ("exact_logit_cache", "sweep_tree")  # many contexts in one forward pass; all else grows token by token
ROWS = 64  # decoded together, as LanguageModels.batch_rows is by default
SIZES = (0.135, 1.24, 8.03, 11.77)  # billions of parameters
TREE_TOKENS_PER_SECOND = (3947, 1870, 2396, 1064)
STEP_SECONDS_SHORT = (0.0806, 0.0875, 0.0912, 0.1425)  # one token more for each of 64 rows of 100 tokens
STEP_SECONDS_LONG = (0.0954, 0.1317, 0.2366, 0.4316)  # the same at 3,900 tokens
SHORT, LONG = 100, 3900


@dataclass(frozen=True)
class Cost:
    """Of one (asset, cell): its work, and hours on the GPU that was measured; None where the size is not stated."""

    asset: str
    cell: Cell
    work: Work
    hours: float | None


def costs(context: Context) -> list[Cost]:
    """Costs of every cell that asks a model, in the order of the graph."""
    found = []
    for key, node in context.graph.nodes.items():
        if node.work is None:
            continue
        for cell in context.graph.cells(key, context.study):
            work = node.work(context, cell)
            if work != Work(0, 0):
                found.append(Cost(key, cell, work, _hours(context.study, key, cell, work.forward_tokens)))
    return found


def seconds(asset: str, tokens: int, billions: float, longest: int) -> float:
    """Seconds of so many tokens on one H200.

    Rates are interpolated between the sizes that were measured, on logarithms, and those of the largest are scaled by
    size above it. A step's time grows with the length of the rows in a straight line; rows are taken at the middle of
    ``longest``, the most that one of them may get.

    >>> round(seconds("sweep_tree", 2396, 8.03, 1), 3), round(seconds("rollouts", 64, 8.03, 200), 4)
    (1.0, 0.0912)
    """
    beyond = max(1.0, billions / SIZES[-1])
    if asset in TREES:
        return tokens / _at(billions, TREE_TOKENS_PER_SECOND) * beyond
    short, long = _at(billions, STEP_SECONDS_SHORT), _at(billions, STEP_SECONDS_LONG)
    step = short + (long - short) * max(0.0, longest / 2 - SHORT) / (LONG - SHORT)
    return tokens / ROWS * step * beyond


def render(found: Iterable[Cost]) -> list[str]:
    """A table of assets, each with all its cells, and the sums."""
    found = list(found)
    lines = [f"{'asset':<24}{'cells':>6}{'tokens':>18}{'judge calls':>14}{'API calls':>11}{'GB':>8}{'H200 hours':>12}"]
    for asset in dict.fromkeys(cost.asset for cost in found):
        lines.append(_line(asset, [cost for cost in found if cost.asset == asset]))
    lines.append(_line("in all", found))
    if unknown := sorted({cost.cell[0] for cost in found if cost.hours is None}):
        lines.append(f"no hours for {', '.join(unknown)}: `size` (billions of parameters) is not stated")
    lines.append("at the most: every answer as long as it may get; hours of models only, judges behind servers apart")
    return lines


def _line(name: str, found: list[Cost]) -> str:
    work = sum((cost.work for cost in found), Work(0, 0))
    hours = sum(cost.hours or 0.0 for cost in found)
    calls = f"{work.judge_calls:>14,}{work.api_calls:>11,}"
    return f"{name:<24}{len(found):>6}{work.forward_tokens:>18,}{calls}{work.disk_bytes / 1e9:>8.1f}{hours:>12.1f}"


def _hours(study: Study, asset: str, cell: Cell, tokens: int) -> float | None:
    names = {row.name: row for row in study.models}
    model = next((names[value] for value in cell if value in names), None)
    if not tokens:
        return 0.0
    if model is None or model.size is None:
        return None
    return seconds(asset, tokens, model.size, _longest(study, asset, cell)) / 3600


def _longest(study: Study, asset: str, cell: Cell) -> int:
    """Tokens of one answer at the most; 1 where nothing is decoded, and for what is short anyway."""
    if asset == "rollouts":
        return study.rollout(cell[1]).max_new_tokens
    if asset == "answer_samples":
        return study.collapse_row(cell[0]).max_new_tokens
    if asset == "code_samples":
        return study.coding_row(cell[0]).max_new_tokens
    return 1


def _at(billions: float, values: tuple[float, ...]) -> float:
    return float(np.exp(np.interp(np.log(billions), np.log(SIZES), np.log(values))))

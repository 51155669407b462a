"""Epsilon sampling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..tempered import Tempered
from .base import TruncationRule


@dataclass(frozen=True)
class Epsilon(TruncationRule):
    """Keep tokens with probability at least eps, and always the most likely, as ``EpsilonLogitsWarper``.

    Reference: Hewitt, Manning & Liang (2022), arXiv:2210.15191.

    >>> Epsilon(0.2).retained(np.log([0.5, 0.25, 0.15, 0.1]), temperature=1.0).tolist()
    [True, True, False, False]
    """

    eps: float

    name = "epsilon"
    label = "epsilon"
    parameter = "eps"
    default_grid = (1e-5, 3e-5, 1e-4, 3e-4, 6e-4, 9e-4, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1)
    grows = False

    def __post_init__(self) -> None:
        allowed = "a probability in (0, 1)"
        self._require(0 < self._require_number(allowed) < 1, allowed)

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["Epsilon"]) -> tuple[np.ndarray, np.ndarray]:
        """Ranks with p(v) >= eps."""
        floor = np.array([float(rule.eps) for rule in rules])
        floor = np.broadcast_to(floor, (view.temperatures.size, floor.size))
        return np.array(0), count_above_floor(view, floor)


def count_above_floor(view: Tempered, floor: Float[np.ndarray, "temperatures n"]) -> np.ndarray:
    """Number of tokens with probability at least ``floor``; the most likely ones (ties too) always count."""
    conditional = view.conditional
    near = conditional.top + view.column * (np.log(floor) + np.log(view.norm)[:, None])
    count = view.count_while(near, lambda values: view.probs(values) >= floor)
    return np.maximum(count, conditional.count_at_least(conditional.top))

"""Min-p."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .base import TruncationRule


@dataclass(frozen=True)
class MinP(TruncationRule):
    """Keep tokens with tempered probability at least p times the largest, as ``MinPLogitsWarper``.

    Reference: Nguyen et al. (2025), arXiv:2407.01082.

    >>> MinP(0.5).retained(np.log([0.5, 0.25, 0.15, 0.1]), temperature=1.0).tolist()
    [True, True, False, False]
    """

    p: float

    name = "min_p"
    label = "min-p"
    parameter = "p"
    default_grid = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9)
    grows = False

    def __post_init__(self) -> None:
        allowed = "a ratio in (0, 1]"
        self._require(0 < self._require_number(allowed) <= 1, allowed)

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["MinP"]) -> tuple[np.ndarray, np.ndarray]:
        """Ranks with p(v) >= p * p(top)."""
        ratio = np.array([float(rule.p) for rule in rules])
        floor = ratio * (1.0 / view.norm)[:, None]
        near = view.conditional.top + view.column * np.log(ratio)
        return np.array(0), view.count_while(near, lambda values: view.probs(values) >= floor)

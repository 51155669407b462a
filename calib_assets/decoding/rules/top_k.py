"""Top-k."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .base import TruncationRule


@dataclass(frozen=True)
class TopK(TruncationRule):
    """Keep the k most likely tokens and every token tied with the k-th, as ``TopKLogitsWarper``.

    Reference: Fan, Lewis & Dauphin (2018), arXiv:1805.04833.

    >>> TopK(2).retained(np.array([3.0, 1.0, 1.0, 0.0]), temperature=1.0).tolist()
    [True, True, True, False]
    """

    k: int

    name = "top_k"
    label = "top-k"
    parameter = "k"
    default_grid = (1, 2, 3, 5, 8, 10, 15, 20, 50, 100, 200, 500)
    grows = True

    def __post_init__(self) -> None:
        is_integer = isinstance(self.k, int | np.integer) and not isinstance(self.k, bool)
        self._require(is_integer and self.k >= 1, "a positive integer")

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["TopK"]) -> tuple[np.ndarray, np.ndarray]:
        """Down to the logit of rank k, ties included; the same at every temperature."""
        k = np.array([min(rule.k, view.conditional.size) for rule in rules])
        return np.array(0), view.conditional.count_at_least(view.conditional.value_at(k - 1))

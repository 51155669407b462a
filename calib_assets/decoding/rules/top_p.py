"""Top-p (nucleus)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered, first_true
from .base import TruncationRule


@dataclass(frozen=True)
class TopP(TruncationRule):
    """Keep the smallest set of most likely tokens with mass at least p, as ``TopPLogitsWarper``.

    The warper sorts ascending, cumulates, and drops while the sum is at most 1 - p; the crossing token stays.
    Where the boundary falls inside a tie, the lower token ids are dropped first (a stable ascending sort; the
    warper's own sort leaves the order open). At p = 1 only tokens whose probability underflows are dropped.

    Reference: Holtzman et al. (2020), arXiv:1904.09751.

    >>> TopP(0.7).retained(np.log([0.5, 0.25, 0.15, 0.1]), temperature=1.0).tolist()
    [True, True, False, False]
    """

    p: float

    name = "top_p"
    label = "top-p"
    parameter = "p"
    default_grid = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
    grows = True
    ties = "higher"

    def __post_init__(self) -> None:
        allowed = "a probability in (0, 1]; 1 is the unrestricted rule"
        self._require(0 < self._require_number(allowed) <= 1, allowed)

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["TopP"]) -> tuple[np.ndarray, np.ndarray]:
        """Ranks that are left after dropping the longest tail with mass at most 1 - p."""
        size = view.conditional.size
        spare = np.array([1 - float(rule.p) for rule in rules])
        low = np.ones((view.temperatures.size, len(rules)), np.int64)
        first_kept = first_true(low, np.full_like(low, size), lambda n: view.mass_below(n) > spare)
        return np.array(0), size - first_kept + 1

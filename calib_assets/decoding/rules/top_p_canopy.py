"""Top-p as the released pipeline of canopy entropy has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered, first_true
from .top_p import TopP


@dataclass(frozen=True)
class TopPCanopy(TopP):
    """Keep the smallest set of most likely tokens with mass *above* p, as Paper B's released ``apply_top_p``.

    That code sorts descending, marks where the running mass exceeds p, and shifts the marks by one, so the crossing
    token stays. Where the running mass equals p exactly it keeps one token more than ``TopPLogitsWarper``; elsewhere
    the two agree. Its order of tied tokens is open; here lower token ids come first. At p = 1 all tokens stay.

    >>> TopPCanopy(0.5).retained(np.zeros(4), temperature=1.0).tolist()
    [True, True, True, False]
    """

    name = "top_p_canopy"
    label = "top-p (canopy)"
    ties = "lower"
    in_default_grid = False

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["TopPCanopy"]) -> tuple[np.ndarray, np.ndarray]:
        """The first ranks whose mass exceeds p; all ranks at p = 1, whatever their sum rounds to."""
        size = view.conditional.size
        p = np.array([float(rule.p) for rule in rules])
        low = np.ones((view.temperatures.size, len(rules)), np.int64)
        crossing = first_true(low, np.full_like(low, size), lambda n: view.mass_above(n) > p)
        return np.array(0), np.where(p < 1, crossing, size)

"""The cutoff oracle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .base import TruncationRule


@dataclass(frozen=True)
class OracleCutoff(TruncationRule):
    """Keep the top |G| ranked tokens: knows how many tokens are valid, not which.

    Ranks break ties by token id, lower first.

    Reference: Paper A (arXiv:2605.11128), section 5, "Cutoff Oracle Strategy".

    >>> is_valid = np.array([True, False, True, False])
    >>> OracleCutoff().retained(np.array([3.0, 2.0, 1.0, 0.0]), 1.0, is_valid).tolist()
    [True, True, False, False]
    """

    name = "oracle_cutoff"
    label = "cutoff oracle"
    uses_valid_set = True

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["OracleCutoff"]) -> tuple[np.ndarray, np.ndarray]:
        """The first |G| ranks."""
        return np.array(0), np.array(min(view.conditional.n_valid, view.conditional.size))

"""Temperature alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .base import TruncationRule


@dataclass(frozen=True)
class Unrestricted(TruncationRule):
    """No cutoff: every token of the support stays.

    >>> Unrestricted().retained(np.array([0.0, 5.0, -np.inf]), temperature=0.1).tolist()
    [True, True, False]
    """

    name = "unrestricted"
    label = "temperature"

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["Unrestricted"]) -> tuple[np.ndarray, np.ndarray]:
        """All ranks."""
        return np.array(0), np.array(view.conditional.size)

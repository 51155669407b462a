"""Eta sampling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .base import TruncationRule
from .epsilon import count_above_floor


@dataclass(frozen=True)
class Eta(TruncationRule):
    """Keep tokens with probability at least min(eps, sqrt(eps) exp(-H)), H in nats, as ``EtaLogitsWarper``.

    The most likely tokens always stay.

    Reference: Hewitt, Manning & Liang (2022), arXiv:2210.15191.

    >>> Eta(0.2).retained(np.log([0.5, 0.25, 0.15, 0.1]), temperature=1.0).tolist()
    [True, True, True, False]
    """

    eps: float

    name = "eta"
    label = "eta"
    parameter = "eps"
    default_grid = (1e-5, 3e-5, 1e-4, 3e-4, 6e-4, 9e-4, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1)
    grows = False

    def __post_init__(self) -> None:
        allowed = "a number in (0, 1)"
        self._require(0 < self._require_number(allowed) < 1, allowed)

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["Eta"]) -> tuple[np.ndarray, np.ndarray]:
        """Ranks with p(v) >= eta."""
        # The warper stores eps as a float32 tensor whatever the logits' dtype; rounding it the same way (a
        # relative change below 6e-8) keeps the sets its own.
        eps = np.array([rule.eps for rule in rules], np.float32)
        scale = np.exp(-view.entropy)[:, None]
        eta = np.minimum(eps.astype(np.float64), np.sqrt(eps).astype(np.float64) * scale)
        return np.array(0), count_above_floor(view, eta)

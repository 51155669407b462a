"""Top-n-sigma."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .base import TruncationRule


@dataclass(frozen=True)
class TopNSigma(TruncationRule):
    """Keep tokens whose raw logit is within n standard deviations of the largest.

    The standard deviation is the unbiased one over the vocabulary (tokens at -inf left out), of the raw
    logits: the set is the same at every temperature.

    Reference: Tang et al. (2025), arXiv:2411.07641. transformers has no such warper.

    >>> TopNSigma(1.0).retained(np.array([4.0, 3.0, 0.0, 1.0]), temperature=5.0).tolist()
    [True, True, False, False]
    """

    n: float

    name = "top_n_sigma"
    label = "top-nσ"
    parameter = "n"
    default_grid = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)
    grows = True

    def __post_init__(self) -> None:
        allowed = "a positive finite number of standard deviations"
        self._require(0 < self._require_number(allowed) < np.inf, allowed)

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["TopNSigma"]) -> tuple[np.ndarray, np.ndarray]:
        """Ranks with logit >= max - n std."""
        conditional = view.conditional
        n = np.array([float(rule.n) for rule in rules])
        return np.array(0), conditional.count_at_least(conditional.top - n * conditional.std)

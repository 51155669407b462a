"""Top-k without ties, as inference engines apply it that return k log-probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .top_k import TopK


@dataclass(frozen=True)
class TopKExact(TopK):
    """Keep exactly k tokens: of those tied with the k-th the lowest ids, where ``TopK`` keeps all.

    Canopy entropy is of exactly K candidates (Paper B, section 5), sampled from "the same 100" under
    ``parity: canopy``.

    >>> TopKExact(2).retained(np.array([3.0, 1.0, 1.0, 0.0]), temperature=1.0).tolist()
    [True, True, False, False]
    """

    name = "top_k_exact"
    label = "top-k (exact)"
    in_default_grid = False

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["TopKExact"]) -> tuple[np.ndarray, np.ndarray]:
        """The first k ranks, or the whole support; the same at every temperature."""
        return np.array(0), np.array([min(rule.k, view.conditional.size) for rule in rules])

"""Top-H."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..tempered import Tempered
from .base import TruncationRule

_CANDIDATES = 100  # both transformers and the authors' code look at the 100 most likely tokens only


@dataclass(frozen=True)
class TopH(TruncationRule):
    """Keep most likely tokens while an entropy stays within alpha times the conditional's.

    ``variant="transformers"`` (as ``TopHLogitsWarper``): among the 100 most likely tokens, with probabilities
    renormalised over these, keep rank j while the running sum of -p ln p up to j is at most alpha times the
    sum over all 100. A token whose probability underflows to 0 ends the set, as there.

    ``variant="authors"`` (the bound that the paper states): keep rank j while the entropy of the first j
    tokens, renormalised over these j, is at most alpha times the entropy of the whole conditional; at most
    100 tokens. (The authors' released code multiplies both sides by the mass of the set, which turns its test
    into a running sum like the warper's.)

    Ties are broken by token id, lower first; the warper's ``topk`` leaves them unspecified.

    Reference: Baghaei Potraghloo et al. (2025), arXiv:2509.02510.

    >>> logits = np.log([0.4, 0.3, 0.2, 0.1])
    >>> TopH(0.6).retained(logits, 1.0).sum(), TopH(0.6, variant="authors").retained(logits, 1.0).sum()
    (np.int64(2), np.int64(2))
    """

    alpha: float
    variant: Literal["transformers", "authors"] = "transformers"

    name = "top_h"
    label = "top-H"
    parameter = "alpha"
    default_grid = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    grows = True

    def __post_init__(self) -> None:
        allowed = "a share of the entropy in (0, 1]"
        self._require(0 < self._require_number(allowed) <= 1, allowed)
        if self.variant not in ("transformers", "authors"):
            raise ValueError(f"{self.name}: variant is {self.variant!r}; give 'transformers' or 'authors'")

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["TopH"]) -> tuple[np.ndarray, np.ndarray]:
        """The leading ranks whose entropy stays within the bound, at least one."""
        values = view.conditional.value_at(np.arange(min(_CANDIDATES, view.conditional.size)))
        stop = np.empty((view.temperatures.size, len(rules)), np.int64)
        for variant in {rule.variant for rule in rules}:
            chosen = [i for i, rule in enumerate(rules) if rule.variant == variant]
            alpha = np.array([float(rules[i].alpha) for i in chosen])
            used, bound = _entropies(view, values, variant)
            # Both running entropies rise with j, so the tokens within the bound are a leading run.
            within = used[:, None, :] <= (bound[:, None] * alpha)[:, :, None]
            stop[:, chosen] = np.maximum(np.count_nonzero(within, axis=2), 1)
        return np.array(0), stop


def _entropies(view: Tempered, values: np.ndarray, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """Entropy of the first j candidates [temperatures, candidates], and the bound at alpha = 1."""
    weights = np.exp(values / view.column - values[0] / view.column)
    sums = np.cumsum(weights, axis=1)
    if variant == "authors":
        products = weights * (values[0] - values) / view.column
        return np.log(sums) + np.cumsum(products, axis=1) / sums, view.entropy
    probs = weights / sums[:, -1:]
    is_zero = probs == 0
    terms = -probs * np.log(np.where(is_zero, 1.0, probs))
    running = np.cumsum(terms, axis=1)
    # The warper's 0 * log 0 is NaN, which ends the set there.
    return np.where(is_zero, np.inf, running), running[:, -1]

"""The validity oracle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered
from .base import Selection, TruncationRule


@dataclass(frozen=True)
class ValidityOracle(TruncationRule):
    """Keep exactly G (less tokens at -inf): validity is 1 and only the shape is left to lose diversity.

    Reference: Paper A (arXiv:2605.11128), section 4, "Oracle filtering".

    >>> is_valid = np.array([True, False, True, False])
    >>> ValidityOracle().retained(np.array([3.0, 2.0, 1.0, 0.0]), 1.0, is_valid).tolist()
    [True, False, True, False]
    """

    name = "validity_oracle"
    label = "validity oracle"
    is_rank_rule = False
    uses_valid_set = True

    @classmethod
    def select(cls, view: Tempered, rules: Sequence["ValidityOracle"]) -> Selection:
        """The tracked valid tokens, at every temperature."""
        shape = (view.temperatures.size, len(rules))
        keeps = view.conditional.is_valid & (view.conditional.tracked_values > -np.inf)
        # Valid tokens may all underflow beside an invalid one, so the mass is summed on the log scale.
        log_mass = np.logaddexp.reduce(view.tracked_log_probs[:, keeps], axis=1, initial=-np.inf)
        return Selection(
            np.full(shape, np.count_nonzero(keeps)),
            np.broadcast_to(log_mass[:, None], shape),
            np.broadcast_to(keeps, (*shape, keeps.size)),
        )

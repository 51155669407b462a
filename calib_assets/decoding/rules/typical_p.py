"""Locally typical sampling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tempered import Tempered, first_true
from .base import TruncationRule


@dataclass(frozen=True)
class TypicalP(TruncationRule):
    r"""Keep the tokens whose surprisal is nearest to the entropy, until they hold mass p.

    As transformers' ``TypicalLogitsWarper`` (which refuses p = 1; here it keeps every token). With
    :math:`d_v = |-\ln p(v) - H|` the set is :math:`\{v : d_v \le d^*\}`, where :math:`d^*` is the deviation
    at which the mass, cumulated by rising deviation, first reaches p; ties in deviation stay together. Not a
    cutoff strategy: the most likely token may go.

    Reference: Meister et al. (2023), arXiv:2202.00666.

    >>> TypicalP(0.2).retained(np.log([0.5, 0.2, 0.1, 0.1, 0.1]), temperature=1.0).tolist()
    [False, True, False, False, False]
    """

    p: float

    name = "typical_p"
    label = "typical-p"
    parameter = "p"
    default_grid = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
    grows = True
    is_rank_rule = False

    def __post_init__(self) -> None:
        allowed = "a probability in (0, 1]; 1 is the unrestricted rule"
        self._require(0 < self._require_number(allowed) <= 1, allowed)

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence["TypicalP"]) -> tuple[np.ndarray, np.ndarray]:
        """The ranks around the entropy, found by bisection on the two arms of the deviation.

        Surprisal rises with rank, so the deviation falls along the *head* (ranks before ``middle``,
        surprisal below the entropy) and rises along the *tail*: no second sort is needed.
        """
        conditional, size = view.conditional, view.conditional.size
        p = np.array([float(rule.p) for rule in rules])
        shape = (view.temperatures.size, p.size)
        entropy = view.entropy[:, None]
        # A token of this surprisal has the logit base - T * surprisal.
        base = conditional.top + view.column * np.log(view.norm)[:, None]

        def surprisal(rank):
            return -view.log_probs(conditional.value_at(rank))

        def mass_from(rank):
            return view.mass_below(size - rank)

        def tail_end(deviation):  # first rank whose surprisal exceeds entropy + deviation
            return np.maximum(conditional.count_at_least(base - view.column * (entropy + deviation)), middle)

        middle = view.count_while(
            base - view.column * entropy, lambda values: -view.log_probs(values) < entropy
        )
        middle = np.broadcast_to(middle, shape)

        # Head first: the fewest head tokens n that, with the tail tokens no farther from H, hold mass p.
        def head_reaches(n):
            start = middle - n
            return mass_from(start) - mass_from(tail_end(entropy - surprisal(start))) >= p

        n_head = first_true(np.ones(shape, np.int64), middle + 1, head_reaches)
        head_deviation = np.where(n_head <= middle, entropy - surprisal(middle - n_head), np.inf)
        # The mass may be reached earlier, at a tail token, with one head token less.
        available = mass_from(middle - (n_head - 1))
        stop = first_true(middle + 1, np.full(shape, size + 1), lambda k: available - mass_from(k) >= p)
        tail_deviation = np.where(stop <= size, surprisal(stop - 1) - entropy, np.inf)

        # The set is what lies within the radius; ties in deviation, on either arm, stay together.
        radius = np.minimum(tail_deviation, head_deviation)
        everything = np.isinf(radius) | (p == 1)
        radius = np.where(everything, entropy, radius)
        start = view.count_while(
            base - view.column * (entropy - radius), lambda values: entropy + view.log_probs(values) > radius
        )
        stop = view.count_while(
            base - view.column * (entropy + radius),
            lambda values: -view.log_probs(values) - entropy <= radius,
        )
        return np.where(everything, 0, start), np.where(everything, size, stop)

"""One conditional at several temperatures: probabilities, cumulative masses and entropies, in float64."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from .conditional import BLOCK, Conditional

_UNDERFLOW = 746.0  # exp(-746) is 0 in float64


class Tempered:
    """softmax(logits / T) at every temperature of a batch; arrays are indexed ``[temperature, parameter]``.

    The order of operations is that of transformers' warpers (divide, softmax, cumulate from the least likely
    token), so that a mass that equals a threshold falls on the same side here and there. Within one block of
    :data:`~calib_assets.decoding.conditional.BLOCK` tokens even the order of additions is the same; between
    blocks it differs by rounding only.

    Args:
        conditional: The sorted logits.
        temperatures: Positive temperatures.
        buffer: Float64 work space to reuse, of ``len(temperatures) * conditional.blocks.size`` or more.
    """

    def __init__(
        self,
        conditional: Conditional,
        temperatures: Float[np.ndarray, "temperatures"],
        buffer: Float[np.ndarray, "space"] | None = None,
    ) -> None:
        self.conditional = conditional
        self.temperatures = np.asarray(temperatures, np.float64)
        shape = (self.temperatures.size, *conditional.blocks.shape)
        n = int(np.prod(shape))
        sums = (np.empty(n) if buffer is None else buffer[:n]).reshape(shape)
        self.norm = np.empty(self.temperatures.size)
        """``norm[t]``: sum of exp((logit - largest) / T)."""
        self.entropy = np.empty(self.temperatures.size)
        """``entropy[t]`` of the whole conditional, nats."""
        for t, temperature in enumerate(self.temperatures):  # row by row: one row stays in the cache
            # exp is several times slower where it underflows, so blocks that are 0 throughout are not
            # computed (unless they are few: a whole row is contiguous, which gains more).
            n_kept = int(conditional.count_at_least(conditional.top - _UNDERFLOW * temperature))
            first = shape[2] - n_kept // BLOCK - 1
            first = 0 if first < shape[2] // 4 else first
            sums[t, :, :first] = 0.0
            row = sums[t, :, first:]
            np.divide(conditional.blocks[:, first:], temperature, out=row)
            np.subtract(row, conditional.top / temperature, out=row)
            np.exp(row, out=row)
            self.norm[t] = row.sum()
            np.divide(row, self.norm[t], out=row)
            self.entropy[t] = np.einsum("ij,ij->", row, conditional.finite_gaps[:, first:]) / temperature
        self.entropy += np.log(self.norm)
        for offset in range(1, BLOCK):
            np.add(sums[:, offset - 1], sums[:, offset], out=sums[:, offset])
        self._inside = sums  # mass of a block up to and including an element
        totals = sums[:, -1]
        self._before = np.zeros(totals.shape)  # mass of all blocks below
        np.cumsum(totals[:, :-1], axis=1, out=self._before[:, 1:])
        self._after = np.zeros(totals.shape)  # mass of all blocks above
        np.cumsum(totals[:, :0:-1], axis=1, out=self._after[:, -2::-1])
        self._row = np.arange(self.temperatures.size)[:, None]

    @cached_property
    def column(self) -> Float[np.ndarray, "temperatures 1"]:
        """Temperatures as a column, to broadcast against parameters."""
        return self.temperatures[:, None]

    def log_probs(self, values: Float[np.ndarray, "*temperatures n"]) -> Float[np.ndarray, "temperatures n"]:
        """Log-probability (nats) of a token with this logit, at each temperature."""
        return (values / self.column - self.conditional.top / self.column) - np.log(self.norm)[:, None]

    def probs(self, values: Float[np.ndarray, "*temperatures n"]) -> Float[np.ndarray, "temperatures n"]:
        """Probability of a token with this logit, rounded as a softmax rounds it."""
        return np.exp(values / self.column - self.conditional.top / self.column) / self.norm[:, None]

    @cached_property
    def tracked_log_probs(self) -> Float[np.ndarray, "temperatures tracked"]:
        """Log-probability of each tracked token; -inf where its logit is."""
        return self.log_probs(self.conditional.tracked_values[None, :])

    def mass_below(self, n_lowest: Int[np.ndarray, "temperatures n"]) -> Float[np.ndarray, "temperatures n"]:
        """Probability of the ``n_lowest`` least likely tokens (0 or more), summed upwards."""
        position = self._inside[0].size - self.conditional.size + n_lowest - 1
        block, offset = position // BLOCK, position % BLOCK
        return self._before[self._row, block] + self._inside[self._row, offset, block]

    def mass_above(self, n_highest: Int[np.ndarray, "temperatures n"]) -> Float[np.ndarray, "temperatures n"]:
        """Probability of the ``n_highest`` most likely tokens (0 or more), summed downwards."""
        position = self._inside[0].size - np.maximum(n_highest, 1)
        block, offset = position // BLOCK, position % BLOCK
        inside = self._inside[self._row, BLOCK - 1, block]
        # Inside a block the part above is at least its share of the block: this difference loses no digits.
        inside = inside - np.where(offset > 0, self._inside[self._row, offset - 1, block], 0.0)
        return np.where(n_highest > 0, self._after[self._row, block] + inside, 0.0)

    def mass_between(
        self, start: Int[np.ndarray, "temperatures n"], stop: Int[np.ndarray, "temperatures n"]
    ) -> Float[np.ndarray, "temperatures n"]:
        """Probability of the ranks ``start .. stop - 1`` (from 0), summed from the nearer end."""
        from_top = self.mass_above(stop)
        if not start.any():
            return from_top
        skipped = self.mass_above(start)
        left = self.mass_below(self.conditional.size - stop)
        from_bottom = self.mass_below(self.conditional.size - start) - left
        return np.where(skipped <= left, from_top - skipped, from_bottom)

    def count_while(
        self,
        threshold: Float[np.ndarray, "temperatures n"],
        keeps: Callable[[Float[np.ndarray, "temperatures n"]], np.ndarray],
    ) -> Int[np.ndarray, "temperatures n"]:
        """Number of top-ranked tokens whose logit satisfies ``keeps``, which must be monotone in the logit.

        ``threshold`` is where it turns, up to rounding; the elements at the border are then decided by
        ``keeps`` itself, so the count is the one of testing every token.
        """
        conditional = self.conditional
        count = np.asarray(conditional.count_at_least(threshold))
        while True:
            last, following = conditional.value_at(count - 1), conditional.value_at(count)
            drop = (count > 0) & ~keeps(last)
            grow = (count < conditional.size) & keeps(following)
            if not (drop.any() or grow.any()):
                return count
            count = np.where(drop, conditional.count_above(last), count)
            count = np.where(grow & ~drop, conditional.count_at_least(following), count)


def first_true(
    low: np.ndarray, high: np.ndarray, predicate: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Smallest ``k`` in ``low .. high - 1`` where a monotone ``predicate`` holds, else ``high``, elementwise.

    >>> first_true(np.array([0, 0]), np.array([10, 3]), lambda k: k * k >= 17).tolist()
    [5, 3]
    """
    low, high, last = low.copy(), high.copy(), high - 1
    while (open_ := low < high).any():
        middle = np.minimum((low + high) // 2, last)  # where the search has ended, stay in its range
        holds = predicate(middle)
        high = np.where(open_ & holds, middle, high)
        low = np.where(open_ & ~holds, middle + 1, low)
    return low

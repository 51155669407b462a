"""One context's logits, sorted once: everything about them that does not depend on temperature."""

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

BLOCK = 32
"""Tokens in a block of the two-level prefix sums; 32 balances the work inside blocks and over blocks."""

_MANY_TIES = 64  # above this many tied tracked tokens one stable argsort is cheaper than a scan for each


class Conditional:
    """Sorted values of one next-token distribution, and the ranks of the tokens that a caller tracks.

    Tokens with a logit of -inf have been removed by someone else: they have probability 0 at every
    temperature, no rule retains them, and they count neither in set sizes nor in the standard deviation.

    Args:
        logits: Raw logits (temperature 1), any finite values or -inf.
        tracked: Token ids whose membership in retained sets is wanted.
        is_valid: For each tracked token whether it is in G; by default every tracked token is.

    Raises:
        ValueError: If the logits are not one row of numbers, hold NaN or +inf, or nothing but -inf.
    """

    def __init__(
        self,
        logits: Float[np.ndarray, "vocab"],
        tracked: Int[np.ndarray, "tracked"],
        is_valid: Bool[np.ndarray, "tracked"] | None = None,
    ) -> None:
        self.logits = np.asarray(logits)
        if self.logits.ndim != 1 or self.logits.size == 0:
            raise ValueError(f"logits have shape {self.logits.shape}; give one row [vocab]")
        if self.logits.dtype not in (np.float32, np.float64):
            self.logits = self.logits.astype(np.float64)
        ordered = np.sort(self.logits)  # before the cast: float32 sorts twice as fast, with the same result
        if not ordered[-1] < np.inf:  # NaN sorts last
            raise ValueError("logits contain NaN or +inf; look for an overflow in the model's forward pass")
        if ordered[-1] == -np.inf:
            raise ValueError("every logit is -inf; leave at least one token in the support")
        n_removed = int(np.searchsorted(ordered, -np.inf, side="right"))
        self.vocab = self.logits.size
        self.ascending = ordered[n_removed:].astype(np.float64)
        self.size = self.ascending.size
        self.tracked = np.asarray(tracked)
        self.tracked_values = self.logits[self.tracked].astype(np.float64)
        self.is_valid = np.ones(self.tracked.size, bool) if is_valid is None else np.asarray(is_valid, bool)
        self.n_valid = int(np.count_nonzero(self.is_valid))

    @cached_property
    def blocks(self) -> Float[np.ndarray, "32 blocks"]:
        """Ascending values behind one or more -inf of padding; column ``b`` is block ``b``.

        Laid out across blocks so that one prefix-sum step of all blocks is one contiguous vector addition,
        where ``numpy.cumsum`` waits for each addition before the next.
        """
        n_blocks = self.size // BLOCK + 1
        padded = np.full(n_blocks * BLOCK, -np.inf)
        padded[n_blocks * BLOCK - self.size :] = self.ascending
        return np.ascontiguousarray(padded.reshape(n_blocks, BLOCK).T)

    @cached_property
    def finite_gaps(self) -> Float[np.ndarray, "32 blocks"]:
        """Distance below the largest value in the order of :attr:`blocks`; 0 in the padding."""
        gaps = self.top - self.blocks
        gaps[np.isinf(gaps)] = 0.0
        return gaps

    @property
    def top(self) -> float:
        """The largest logit."""
        return float(self.ascending[-1])

    @cached_property
    def std(self) -> float:
        """Unbiased standard deviation of the logits over the vocabulary (0 for a single token)."""
        return float(self.ascending.std(ddof=1)) if self.size > 1 else 0.0

    def value_at(self, rank: Int[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Logit at a 0-based rank (rank 0 is the largest); a rank beyond either end gives that end's."""
        return self.ascending[np.clip(self.size - 1 - rank, 0, self.size - 1)]

    def count_at_least(self, value: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Number of tokens with a logit of at least ``value``."""
        return self.size - np.searchsorted(self.ascending, value, side="left")

    def count_above(self, value: Float[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Number of tokens with a logit strictly above ``value``."""
        return self.size - np.searchsorted(self.ascending, value, side="right")

    @cached_property
    def ranks_lower_first(self) -> Int[np.ndarray, "tracked"]:
        """0-based rank of each tracked token; among equal logits the lower token id comes first."""
        above = self.count_above(self.tracked_values)
        tied = np.flatnonzero((self.count_at_least(self.tracked_values) - above > 1) & (above < self.size))
        ranks = above.copy()
        if tied.size > _MANY_TIES:
            position = np.empty(self.vocab, np.int64)
            position[np.argsort(-self.logits, kind="stable")] = np.arange(self.vocab)
            ranks[tied] = position[self.tracked[tied]]
        else:
            for i in tied:
                token = self.tracked[i]
                ranks[i] += np.count_nonzero(self.logits[:token] == self.logits[token])
        return ranks

    @cached_property
    def ranks_higher_first(self) -> Int[np.ndarray, "tracked"]:
        """0-based rank of each tracked token; among equal logits the higher token id comes first."""
        above = self.count_above(self.tracked_values)
        last = np.maximum(self.count_at_least(self.tracked_values) - 1, above)
        return above + last - self.ranks_lower_first

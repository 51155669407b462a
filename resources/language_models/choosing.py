"""What one step says of each row: the token that the policy chooses, how likely it was, how open the step was.

Where the policy and the entropy need only the most likely tokens, all three come from one partial selection of the
logits (:class:`~calib_assets.decoding.heads.Heads`); the tokens are those that whole rows would have led to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from calib_assets.decoding.heads import Heads
from calib_assets.decoding.policy import Policy, Row
from calib_assets.metrics.step_entropy import leading_entropy, top_entropy

_BLOCK_ELEMENTS = 1 << 19


@dataclass(frozen=True)
class Chosen:
    """A step of each row.

    Attributes:
        tokens: The next tokens.
        log_probabilities: ln softmax(logits)[token], nats.
        entropies: Of the step, nats; None if nobody asked.
    """

    tokens: Int[np.ndarray, "rows"]
    log_probabilities: Float[np.ndarray, "rows"]
    entropies: Float[np.ndarray, "rows"] | None


@dataclass(frozen=True)
class Chooser:
    """A policy, and what is to be known of its steps.

    Attributes:
        policy: Chooses the tokens.
        entropy_ranks: K of the step entropy; None: there is none.
    """

    policy: Policy
    entropy_ranks: int | None = None

    @property
    def ranks(self) -> int | None:
        """Most likely tokens of each row that all answers follow from; None: whole rows are needed."""
        if self.policy.ranks is None:
            return None
        return max(self.policy.ranks, self.entropy_ranks or 1)

    def of_logits(self, logits: Float[np.ndarray, "rows vocab"]) -> np.ndarray | Heads:
        """Whole rows as they are needed here."""
        return logits if self.ranks is None else Heads.of(logits, self.ranks)

    def top(self, conditionals: np.ndarray | Heads) -> Float[np.ndarray, "rows"]:
        """The largest logit of each row; NaN if it holds NaN."""
        return conditionals.top if isinstance(conditionals, Heads) else conditionals.max(axis=1)

    def __call__(self, conditionals: np.ndarray | Heads, rows: Sequence[Row]) -> Chosen:
        """The next step of rows whose logits have a finite :meth:`top`.

        Raises:
            ValueError: What the policy refuses.
        """
        if isinstance(conditionals, Heads):
            values, place = conditionals.values, np.arange(len(rows))
            chosen = self.policy.choose(values, rows)
            log_probabilities = values[place, chosen].astype(np.float64) - conditionals.log_norm
            entropies = None if self.entropy_ranks is None else leading_entropy(values, self.entropy_ranks)
            return Chosen(conditionals.ids[place, chosen], log_probabilities, entropies)
        tokens = self.policy.choose(conditionals, rows)
        entropies = None if self.entropy_ranks is None else top_entropy(conditionals, self.entropy_ranks)
        return Chosen(tokens, token_log_probabilities(conditionals, tokens), entropies)


def token_log_probabilities(
    logits: Float[np.ndarray, "rows vocab"], tokens: Int[np.ndarray, "rows"]
) -> Float[np.ndarray, "rows"]:
    """ln softmax(logits)[token] of each row, in float64.

    >>> np.exp(token_log_probabilities(np.log([[0.25, 0.75]]), np.array([1]))).round(12).tolist()
    [0.75]
    """
    found = np.empty(len(tokens))
    step = max(1, _BLOCK_ELEMENTS // logits.shape[1])
    for first in range(0, len(tokens), step):
        block = logits[first : first + step].astype(np.float64)
        block -= block.max(axis=1, keepdims=True)
        chosen = block[np.arange(len(block)), tokens[first : first + step]]
        found[first : first + step] = chosen - np.log(np.exp(block, out=block).sum(axis=1))
    return found

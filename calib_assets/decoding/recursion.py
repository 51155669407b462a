"""Exact values on the trie by recursion, for a batch of configurations: no sequence is enumerated.

With q_u(v) the filtered conditional at node u (METHODS section 2): Z_u = sum_v q_u(v) Z_v and
S_u = sum_v q_u(v) (S_v + Z_v ln q_u(v)), Z = 1 and S = 0 at leaves. They are carried as ln Z_u and
A_u = S_u / Z_u, the mean of ln q over the valid continuations of u: then Val = Z_root and
H = ln Z_root - A_root, finite where Z underflows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .selections import Selections
from .trie import PrefixTrie

_CHUNK_BYTES = 2**20  # one temporary array of a level


@dataclass(frozen=True)
class Values:
    """Exact values for ``c`` configurations; :class:`calib_assets.decoding.SweepResult` says what they mean.

    Attributes:
        log_validity: ln Val, -inf where no valid sequence can be sampled.
        entropy: H of the normalised distribution over answers, nats; NaN where ``log_validity`` is -inf.
        log_validity_upper: ln of validity with open nodes counted as valid.
        sequence_precision: Prec_seq; NaN if the trie has open nodes.
        sequence_recall: Rec_seq; NaN if the trie has open nodes.
        alpha: Factors of Prec_seq (Theorem E.1) by step; NaN after a step that no valid prefix survives.
        beta: Factors of Rec_seq, likewise.
    """

    log_validity: Float[np.ndarray, "c"]
    entropy: Float[np.ndarray, "c"]
    log_validity_upper: Float[np.ndarray, "c"]
    sequence_precision: Float[np.ndarray, "c"]
    sequence_recall: Float[np.ndarray, "c"]
    alpha: Float[np.ndarray, "steps c"]
    beta: Float[np.ndarray, "steps c"]


class Recursion:
    """The recursions for the temperatures ``part`` of a node pass, all configurations on one axis."""

    def __init__(self, trie: PrefixTrie, selections: Selections, part: slice) -> None:
        self.trie = trie
        self.selections = selections
        self.part = part
        n_temperatures, n_rules = selections.keeps[0, part].shape
        self.width = n_temperatures * n_rules

    def values(self) -> Values:
        """All values of :class:`Values`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            log_validity, mean_log, upper, precision, recall = self._bottom_up()
            entropy = np.where(log_validity > -np.inf, log_validity - mean_log, np.nan)
            if np.bincount(self.trie.answer[self.trie.leaves]).max(initial=0) > 1:
                entropy = self._entropy_over_answers(log_validity)
            if self.trie.is_open.any():
                precision, recall = np.full((2, self.width), np.nan)
                alpha, beta = np.full((2, self.trie.max_depth, self.width), np.nan)
            else:
                alpha, beta = self._factors()
        return Values(log_validity, entropy, upper, precision, recall, alpha, beta)

    def _families(self, depth: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Internal nodes ``[n]`` at a depth and their children ``[n, k]``, grouped by number of children.

        Sums over children are then sums over the middle axis of ``[n, k, configurations]``, which numpy
        vectorises over configurations (its ``reduceat`` does not).
        """
        trie = self.trie
        nodes = np.arange(trie.level_start[depth], trie.level_start[depth + 1])
        n_children = trie.child_start[nodes + 1] - trie.child_start[nodes]
        for k in np.unique(n_children[n_children > 0]):
            chosen = nodes[n_children == k]
            step = max(1, _CHUNK_BYTES // (8 * self.width * int(k)))
            for first in range(0, chosen.size, step):
                parents = chosen[first : first + step]
                yield parents, trie.child_start[parents][:, None] + np.arange(k)

    def _keeps(self, children: np.ndarray) -> np.ndarray:
        return self.selections.keeps[children - 1, self.part].reshape(*children.shape, self.width)

    def _at(self, values: np.ndarray, parents: np.ndarray) -> np.ndarray:
        return values[self.trie.row_of[parents], self.part].reshape(parents.size, self.width)

    def _log_q(self, parents: np.ndarray, children: np.ndarray, keeps: np.ndarray) -> np.ndarray:
        """ln of the filtered conditional [n, k, configurations]: -inf where the token is not retained."""
        log_probs = self.selections.log_probs[children - 1, self.part][..., None]
        log_mass = self.selections.log_mass[self.trie.row_of[parents], None, self.part]
        log_q = (log_probs - log_mass).reshape(keeps.shape)
        log_q[~keeps] = -np.inf
        return log_q

    def _bottom_up(self) -> tuple[np.ndarray, ...]:
        """ln Z, A, ln Z with open nodes at 1, Prec_seq and Rec_seq of the root."""
        trie, has_open = self.trie, bool(self.trie.is_open.any())
        below: tuple[np.ndarray, ...] = ()
        for depth in range(trie.max_depth, -1, -1):
            first, last = trie.level_start[depth : depth + 2]
            is_leaf = trie.answer[first:last] >= 0
            is_end = is_leaf | trie.is_open[first:last]
            level = tuple(np.zeros((last - first, self.width)) for _ in range(5))
            log_z, mean_log, log_upper, precision, recall = level
            log_z[~is_leaf] = -np.inf
            log_upper[~is_end] = -np.inf
            precision[is_leaf] = recall[is_leaf] = 1.0
            for parents, children in self._families(depth):
                here, there = parents - first, children - last
                keeps = self._keeps(children)
                log_q = self._log_q(parents, children, keeps)
                size = self._at(self.selections.size, parents)
                precision[here] = (keeps * below[3][there]).sum(axis=1) / np.maximum(size, 1)
                recall[here] = (keeps * below[4][there]).sum(axis=1)
                if has_open:
                    log_upper[here] = _log_sum(log_q + below[2][there])[0]
                joint = log_q + below[0][there]
                log_z[here], weight = _log_sum(joint)
                log_q += below[1][there]
                log_q[weight == 0] = 0.0  # 0 * -inf
                weight *= log_q
                mean_log[here] = weight.sum(axis=1)
            below = level
        log_z, mean_log, log_upper, precision, recall = (values[0] for values in below)
        return log_z, mean_log, log_upper if has_open else log_z, precision, recall / trie.n_sequences

    def _entropy_over_answers(self, log_validity: np.ndarray) -> np.ndarray:
        """Entropy over answers where several sequences spell one answer."""
        trie = self.trie
        by_answer = np.argsort(trie.answer[trie.leaves], kind="stable")
        answers = trie.answer[trie.leaves][by_answer]
        starts = np.flatnonzero(np.diff(answers, prepend=-1))
        log_leaf = self.log_leaves()[by_answer] - np.where(log_validity > -np.inf, log_validity, 0.0)
        probs = np.add.reduceat(np.exp(log_leaf), starts, axis=0)
        # An answer whose probability underflows adds nothing to the entropy either.
        entropy = -(probs * np.log(np.where(probs > 0, probs, 1.0))).sum(axis=0)
        return np.where(log_validity > -np.inf, entropy, np.nan)

    def log_leaves(self) -> Float[np.ndarray, "sequences c"]:
        """Log-probability of every valid sequence, in the order of ``trie.leaves``."""
        trie = self.trie
        result = np.empty((trie.leaves.size, self.width))
        above = np.zeros((1, self.width))
        for depth in range(trie.max_depth):
            first, last, end = trie.level_start[depth : depth + 3]
            level = np.empty((end - last, self.width))
            for parents, children in self._families(depth):
                log_q = self._log_q(parents, children, self._keeps(children))
                level[children - last] = log_q + above[parents - first, None]
            is_leaf = trie.answer[last:end] >= 0
            result[np.searchsorted(trie.leaves, np.flatnonzero(is_leaf) + last)] = level[is_leaf]
            above = level
        return result

    def _factors(self) -> tuple[np.ndarray, np.ndarray]:
        """alpha and beta of Theorem E.1, from their definition as conditional expectations, root to leaves.

        ``reach`` is the distribution of the valid prefix under Q_S given that all earlier tokens are valid,
        ``spread`` that of the prefix under Unif(V) given that all earlier tokens are retained; ``ended``
        holds what either gives to sequences that ended earlier, whose later factors are 1.
        """
        trie = self.trie
        factors = np.full((2, trie.max_depth, self.width), np.nan)
        reach, spread = np.ones((2, 1, self.width))
        ended = np.zeros((2, self.width))
        for depth in range(trie.max_depth):
            first, last, end = trie.level_start[depth : depth + 3]
            total = ended + np.stack([reach.sum(axis=0), spread.sum(axis=0)])
            reach, spread, ended = reach / total[0], spread / total[1], ended / total
            is_leaf = trie.answer[first:last] >= 0
            ended += np.stack([reach[is_leaf].sum(axis=0), spread[is_leaf].sum(axis=0)])
            expected = ended.copy()
            next_reach, next_spread = np.zeros((2, end - last, self.width))
            for parents, children in self._families(depth):
                here = parents - first
                keeps = self._keeps(children)
                size = np.maximum(self._at(self.selections.size, parents), 1)
                share = trie.n_continuations[children] / trie.n_continuations[parents][:, None]
                expected[0] += (reach[here] * (keeps.sum(axis=1) / size)).sum(axis=0)
                expected[1] += (spread[here] * (keeps * share[..., None]).sum(axis=1)).sum(axis=0)
                next_reach[children - last] = keeps * (reach[here] / size)[:, None]
                next_spread[children - last] = keeps * spread[here][:, None] * share[..., None]
            factors[:, depth] = np.where(total > 0, expected, np.nan)
            reach, spread = next_reach, next_spread
        return factors[0], factors[1]


def _log_sum(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """logsumexp over the middle axis, and the normalised weights of its terms (0 if all are -inf)."""
    peak = values.max(axis=1, keepdims=True)
    weights = np.exp(values - np.where(peak > -np.inf, peak, 0.0))
    total = weights.sum(axis=1, keepdims=True)
    weights /= np.where(total > 0, total, 1.0)
    return (peak + np.log(np.where(total > 0, total, 1.0)))[:, 0], weights

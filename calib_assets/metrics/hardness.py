r"""What no cutoff strategy can do on a known trie: certified bounds behind Theorem E.3.

A cutoff strategy keeps the first k_u tokens of the ranking at every prefix u, with any k_u in 1 .. vocab
chosen freely per prefix, and tied tokens in any order. Two quantities bound all of them at once:

* `step_hardness`: the recall loss ρ_t(η) of Definition E.2, taken literally ("for every decoding rule");
* `recall_ceiling`: the largest sequence recall at a sequence precision, with no step analysis between.

Method. With X_t = Q_S(first t tokens valid) and Y_t = share of V that survives t cutoffs, α_t =
X_t/X_{t−1} and β_t = Y_t/Y_{t−1}. So "some strategy has α_t >= A and β_t >= B" says that x = X_t − A
X_{t−1} >= 0 and y = Y_t − B Y_{t−1} >= 0. Both are sums over the trie that a node builds from its
retained children c: y = Σ y_c, x = (1/k) Σ x_c. Hence the support function f_u(μ) = max (y + μ x) over
all strategies below u obeys f_u(μ) = max over k of Σ_c f_c(μ/k). If, for every cutoff k of the root,
some μ >= 0 has Σ_c f_c(μ/k) < 0, no strategy reaches (A, B). The only relaxation is that, below one
cutoff of the root, sets of reachable (x, y) are replaced by their convex hulls.

Numerics stay on the safe side: f_u is convex in μ and stored on a grid; between grid points the chord,
which lies above f_u, is used. Every reported bound is therefore valid and at most slightly loose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from calib_assets.metrics._prefixes import check_rows
from calib_assets.metrics.ranks import valid_ranks

_POINTS_PER_DECADE = 32
# Relative allowances for rounding: of one comparison of precisions, and of sums over the trie.
_ROUNDING = 1e-9
_ROUNDING_OF_SUMS = 1e-13


def recall_ceiling(trie, logits, precisions: Sequence[float]) -> Float[np.ndarray, "precisions"]:
    """Upper bound on the sequence recall of every cutoff strategy with at least a given sequence precision.

    Takes the place of Theorem E.3 where the trie is known: no (η, ρ) to choose, and no step taken alone.

    Args:
        trie: `PrefixTrie` of the valid sequences, fully explored.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        precisions: Sequence precisions in (0, 1].

    Returns:
        Element i bounds Rec_seq where Prec_seq >= precisions[i]; in [0, 1], 0 if none gets there.

    Raises:
        ValueError: If the trie has open nodes, the rows do not match, or a precision is out of range.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> logits = np.log([[0.5, 0.2, 0.3]])  # the valid tokens 0 and 1 stand at ranks 1 and 3
    >>> recall_ceiling(trie, logits, [1.0, 0.6]).round(6).tolist()  # one token kept: half; three kept: all, at 2/3
    [0.5, 1.0]
    """
    wanted = np.asarray(precisions, dtype=float)
    if not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError(f"precisions must lie in (0, 1]; got {wanted.tolist()}")
    ranking = _Ranking(trie, logits)
    base = {int(node): 1 + ranking.mu for node in np.flatnonzero(ranking.is_leaf)}
    by_root_cutoff = ranking.lift(base)
    slack = ranking.rounding
    bound = [(by_root_cutoff - precision * ranking.mu + slack).min(axis=1).max() for precision in wanted]
    return np.clip(np.array(bound) / ranking.n_sequences, 0.0, 1.0)


def step_hardness(
    trie, logits, etas: Sequence[float], resolution: float = 1e-3
) -> Float[np.ndarray, "steps etas"]:
    """Largest ρ that is certified such that each step is (η, ρ)-hard, for every η (Definition E.2).

    Step 1 is solved exactly. A later step counts as hard only if *every* strategy loses recall there,
    also one that keeps a single easy prefix alive, so on real tasks most later steps have ρ = 0 however
    much recall is lost in all: `recall_ceiling` does not have this weakness.

    Args:
        trie: `PrefixTrie` of the valid sequences, fully explored.
        logits: One row ``[vocab]`` per internal node, in the order of ``trie.internal``.
        etas: Precision losses η > 0, nats.
        resolution: β_t is bisected to this width; the reported ρ errs to the small (safe) side.

    Returns:
        ``rho[t - 1, i]`` >= 0 in nats for step t and ``etas[i]``: −ln α_t <= η forces −ln β_t >= ρ.
        Infinite where no strategy has a precision loss as small as η.

    Raises:
        ValueError: If the trie has open nodes, the rows do not match, or an η is not positive.

    >>> from calib_assets.decoding import PrefixTrie
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> logits = np.log([[0.5, 0.2, 0.3]])  # the valid tokens 0 and 1 stand at ranks 1 and 3
    >>> rho = step_hardness(trie, logits, etas=[0.1, 0.5])  # precisions above 0.90 and 0.61
    >>> np.exp(-rho).round(6).tolist()  # the recall that is left
    [[0.5, 1.0]]
    """
    etas = np.asarray(etas, dtype=float)
    if not (etas > 0).all():
        raise ValueError(f"etas must be positive; got {etas.tolist()}")
    ranking = _Ranking(trie, logits)
    rho = np.zeros((trie.max_depth, etas.size))
    for step in range(1, trie.max_depth + 1):
        survivors = ranking.survivors_by_node(step)
        reachable = 0.0  # beta that is not excluded at a smaller eta, hence not at a larger one
        for i in np.argsort(etas, kind="stable"):
            alpha = np.exp(-etas[i])
            if step == 1:
                beta = ranking.best_root_recall(alpha)
            else:
                reachable, beta = _largest_beta(ranking, survivors, step, alpha, reachable, resolution)
            rho[step - 1, i] = np.log(1 / beta) if beta > 0 else np.inf
    return rho


def _largest_beta(ranking, survivors, step, alpha, reachable, resolution):
    """(largest beta tried that is not excluded, smallest beta that is certified to be out of reach)."""

    def excluded(beta):
        base = {}
        for node, (support, n_leaves) in survivors.items():
            base[node] = support - beta * n_leaves - alpha * ranking.mu
        return (ranking.lift(base, step - 1) + ranking.rounding).min(axis=1).max() < 0

    if not excluded(1.0):
        return 1.0, 1.0
    if reachable == 0.0 and excluded(0.0):
        return 0.0, 0.0
    low, high = reachable, 1.0
    while high - low > resolution:
        middle = (low + high) / 2
        low, high = (low, middle) if excluded(middle) else (middle, high)
    return low, high


class _Ranking:
    """Cutoffs of every node with the children they keep, and the recursion of support functions over them."""

    def __init__(self, trie, logits):
        check_rows(trie, logits)
        if trie.is_open.any():
            raise ValueError(
                f"the trie has {int(trie.is_open.sum())} open nodes: the continuations below them are "
                "unknown, so nothing can be certified; explore the trie fully"
            )
        self.depth, self.n_continuations = trie.depth, trie.n_continuations
        self.is_leaf = trie.row_of < 0
        self.n_sequences = int(trie.n_continuations[0])
        self.children, self.places = {}, {}
        for row, node in enumerate(trie.internal.tolist()):
            scores = np.asarray(logits[row])
            tokens, children = trie.children(node)
            is_valid = np.zeros(scores.size, dtype=bool)
            is_valid[tokens] = True
            places = valid_ranks(scores, is_valid)
            self.children[node] = children[np.searchsorted(tokens, places.token)]
            self.places[node] = _Cutoffs.at(places)
        self.vocab = scores.size
        # Beyond this range the bounds stay valid and only lose tightness.
        low, high = 1e-4, 1e4 * self.n_sequences * self.vocab
        count = int(np.log10(high / low) * _POINTS_PER_DECADE)
        self.mu = np.concatenate([[0.0], np.geomspace(low, high, count)])
        # Support values are sums of at most |V| terms of size up to 1 + μ, from which terms as large are taken: what
        # is left of a large μ is rounding. Every bound gives this much away, so that it stays a bound.
        self.rounding = _ROUNDING_OF_SUMS * self.n_sequences * (1 + self.mu)
        self._chords = {}

    def best_root_recall(self, alpha: float) -> float:
        """Largest local recall at the root with local precision at least alpha; 0 if none."""
        recall = np.cumsum(self.n_continuations[self.children[0]]) / self.n_sequences
        return float(np.max(recall, where=self.places[0].precision >= alpha * (1 - _ROUNDING), initial=0.0))

    def survivors_by_node(self, step: int) -> dict:
        """Nodes alive before a step: support function of (N·recall, precision), and N.

        A sequence that ended earlier counts with precision and recall 1.
        """
        alive = {}
        at_step = (self.depth == step - 1) | ((self.depth < step - 1) & self.is_leaf)
        for node in np.flatnonzero(at_step).tolist():
            support = 1 + self.mu
            if not self.is_leaf[node]:
                kept = np.cumsum(self.n_continuations[self.children[node]])
                support = (kept[:, None] + self.places[node].precision[:, None] * self.mu).max(axis=0)
            alive[node] = (support, int(self.n_continuations[node]))
        return alive

    def lift(self, base: dict, base_depth: int | None = None) -> Float[np.ndarray, "cutoffs mu"]:
        """Σ_c f_c(μ/k) for each cutoff k of the root, over strategies that reach at least one base node."""
        support, can_avoid = dict(base), {node: False for node in base}
        inner = [node for node in self.children if base_depth is None or self.depth[node] < base_depth]
        by_cutoff = base[0][None, :] if 0 in base else None
        for node in sorted(inner, reverse=True):  # breadth-first ids: children come after their parent
            children = self.children[node].tolist()
            own = np.array([support.pop(child) for child in children])
            avoid = np.array([can_avoid[child] for child in children])
            places = self.places[node]
            by_cutoff = np.array(list(self._sums(own, avoid, places)))
            support[node] = by_cutoff.max(axis=0)
            # A strategy avoids all base nodes below by keeping no valid token, or only avoidable children.
            can_avoid[node] = bool(places.can_miss or avoid[: places.group_end[0]].any())
        return by_cutoff

    def _sums(self, own, avoid, places):
        """Σ over the retained children of f_c(μ/k) on the grid of μ, for every cutoff k that can be best.

        The value is convex in 1/k, so with j children kept only the smallest and the largest k matter: small
        k favours x > 0, large k favours x < 0.
        """
        for j in range(1, avoid.size + 1):
            start, end = places.group_start[j - 1], places.group_end[j - 1]
            for k in {int(places.smallest[j - 1]), int(places.largest[j - 1])}:
                below, weight = self._chord(k)
                value = own[:end, below] * (1 - weight) + own[:end, below + 1] * weight
                counted = np.where(avoid[:end, None], np.maximum(value, 0.0), value)
                if j < end:  # the cutoff falls among tied children: whichever of them are best
                    counted[start:end] = -np.sort(-counted[start:end], axis=0)
                total = counted[:j].sum(axis=0)
                # Not every child may be avoided: if all are a loss, at least one of the losses is taken.
                best_alone = value.max(axis=0)
                yield np.where(best_alone < 0, np.minimum(total, best_alone), total)

    def _chord(self, k: int):
        """Grid cell that holds μ/k for each μ of the grid, and the weight of its upper end."""
        if k not in self._chords:
            scaled = self.mu / k
            below = np.clip(np.searchsorted(self.mu, scaled, side="right") - 1, 0, self.mu.size - 2)
            width = self.mu[below + 1] - self.mu[below]
            self._chords[k] = below, np.clip((scaled - self.mu[below]) / width, 0.0, 1.0)
        return self._chords[k]


@dataclass(frozen=True)
class _Cutoffs:
    """Cutoffs of one conditional that keep j valid tokens, row j − 1, whatever the order within ties.

    Ties favour the bound: a cutoff inside a tie may keep any of its tokens. Precision and recall both grow
    with j inside a tie, so which of the tied tokens comes first does not matter at the last step.
    """

    smallest: Int[np.ndarray, "n_valid"]
    largest: Int[np.ndarray, "n_valid"]
    group_start: Int[np.ndarray, "n_valid"]  # valid tokens that score strictly more than the j-th
    group_end: Int[np.ndarray, "n_valid"]  # valid tokens that score at least as much
    can_miss: bool  # the first rank can hold an invalid token

    @property
    def precision(self) -> Float[np.ndarray, "n_valid"]:
        """Best local precision with j valid tokens kept."""
        return np.arange(1, self.smallest.size + 1) / self.smallest

    @classmethod
    def at(cls, places) -> Self:
        """From the places of the valid tokens: ties valid first for ``smallest``, last for ``largest``."""
        kept = np.arange(1, places.rank.size + 1)
        start = np.searchsorted(places.above, places.above, side="left")
        end = np.searchsorted(places.above, places.above, side="right")
        invalid_above = places.above - start
        invalid_upto = places.above + places.tied - end
        largest = kept + np.append(invalid_upto[1:], places.vocab - places.rank.size)
        return cls(kept + invalid_above, largest, start, end, bool(invalid_upto[0] > 0))

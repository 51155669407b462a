"""What rollouts of an order-1 Markov chain must give, in closed form: no sampling, no model, no code of the project.

Before step t a rollout is alive in a state s, its last token (or the context's). It then adds the entropy of the K
most likely tokens after s, draws a token from what the policy left of P[s], and is over at an end token or at the cap.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Expected:
    """Expectations over rollouts: nats for ``canopy_entropy`` and ``entropy_rate``.

    Attributes:
        canopy_entropy: E[S], S the sum of the step entropies.
        length: E[tau], the end token counted.
        entropy_rate: E[S / tau].
        truncated: P(no end token within the cap); 0 without a cap.
        length_probability: P(tau = t) for t = 1 .. cap; empty without a cap.
    """

    canopy_entropy: float
    length: float
    entropy_rate: float
    truncated: float = 0.0
    length_probability: tuple[float, ...] = ()


def top_entropies(table: np.ndarray, k: int) -> np.ndarray:
    """Entropy in nats of the k largest entries of each row, renormalised, from the definition."""
    entropies = []
    for row in table:
        top = sorted((p for p in row if p > 0), reverse=True)[:k]
        total = math.fsum(top)
        entropies.append(-math.fsum(p / total * math.log(p / total) for p in top))
    return np.array(entropies)


def top_k_policy(table: np.ndarray, k: int) -> np.ndarray:
    """Rows of which only the k largest entries (and what is tied with the k-th) stay, renormalised."""
    kept = np.where(table >= np.sort(table, axis=1)[:, -min(k, table.shape[1])][:, None], table, 0.0)
    return kept / kept.sum(axis=1, keepdims=True)


def capped(start: np.ndarray, policy: np.ndarray, entropies: np.ndarray, end: tuple[int, ...], cap: int) -> Expected:
    """By dynamic programming over steps.

    Args:
        start: P(state before the first step), ``[states]``; a one-hot row for a known context.
        policy: P(token | state) that is sampled from, ``[states, tokens]``, tokens being the states to come.
        entropies: Step entropy of each state, nats.
        end: Tokens that end a rollout.
        cap: Most steps.
    """
    ends = np.isin(np.arange(policy.shape[1]), end)
    alive, so_far = np.array(start, float), np.zeros(len(start))  # P(alive, s) and E[S so far; alive, s]
    entropy = length = rate = 0.0
    lengths = []
    for t in range(1, cap + 1):
        entropy += alive @ entropies
        length += alive.sum()
        so_far = so_far + alive * entropies
        stops = np.ones(len(start)) if t == cap else policy[:, ends].sum(axis=1)
        rate += so_far @ stops / t
        lengths.append(float(alive @ stops))
        goes_on = np.where(ends, 0.0, policy)
        alive, so_far = alive @ goes_on, so_far @ goes_on
    return Expected(float(entropy), float(length), float(rate), float(alive.sum()), tuple(lengths))


def uncapped(start: np.ndarray, policy: np.ndarray, entropies: np.ndarray, end: tuple[int, ...]) -> Expected:
    r"""By linear algebra. With :math:`Q` the moves that do not end, :math:`e` the chance to end and
    :math:`h` the entropies, :math:`E[S] = a (I - Q)^{-1} h`, :math:`E[\tau] = a (I - Q)^{-1} 1` and, from
    :math:`1 / \tau = \int_0^1 z^{\tau - 1} dz`,

    .. math:: E[S / \tau] = \int_0^1 a (I - zQ)^{-1} \mathrm{diag}(h) (I - zQ)^{-1} e \, dz.

    The integrand is rational and smooth on [0, 1] where every state can end; Gauss-Legendre with 200 nodes is exact
    to rounding there.
    """
    ends = np.isin(np.arange(policy.shape[1]), end)
    goes_on, stops = np.where(ends, 0.0, policy), policy[:, ends].sum(axis=1)
    identity = np.eye(len(start))
    visits = np.linalg.solve((identity - goes_on).T, start)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    rate = 0.0
    for node, weight in zip((nodes + 1) / 2, weights / 2):
        before = np.linalg.solve((identity - node * goes_on).T, start)
        rate += weight * (before * entropies) @ np.linalg.solve(identity - node * goes_on, stops)
    return Expected(float(visits @ entropies), float(visits.sum()), float(rate))

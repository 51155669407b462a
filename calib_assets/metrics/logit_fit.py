r"""Piecewise fit of sorted logits: a linear head and a logarithmic tail (Paper A, Appendix I; METHODS §2).

f(k) = m k + b for ranks k <= c, A + B ln(k + C) for k > c, least squares over (m, b, c, A, B, C). After a
softmax the head is geometric, p(k) ∝ e^{-λk} with λ = −m, and the tail Zipf-like, p(k) ∝ (k + C)^{-s}
with s = −B.

How it is solved. For fixed C everything else is linear, and running sums give the best head and tail for
*every* c at once, so one value of C costs O(n) over all c. The search is therefore over C alone: a grid
shared by all c, then for the best c's a bounded one-dimensional refinement of C, then c again over all
ranks at the refined C, until neither moves. The grid stage may merge far-tail ranks into short weighted
bins (vocabularies beyond a few thousand tokens); the result itself always comes from every rank.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from calib_assets.metrics._piecewise_search import MIN_HEAD, MIN_TAIL, best_head_and_shift


@dataclass(frozen=True)
class LogitFit:
    """A fitted curve; ranks k count from 1, logits are in nats.

    Attributes:
        m, b: Slope and intercept of the head.
        c: Last rank of the head.
        A, B, C: Level, slope and shift of the tail.
        mse: Mean squared residual over all ranks.
        r2: 1 − SSE / Σ(y − ȳ)²; 1 for a constant curve that is matched exactly.
        head_r2, tail_r2: The same within k <= c and within k > c.
        n: Number of ranks.

    >>> ranks = np.arange(1, 41)
    >>> fit = fit_piecewise_logits(np.where(ranks <= 5, 10.0 - ranks, 8 - 2 * np.log(ranks)))
    >>> fit.c, round(fit.geometric_rate, 3), round(fit.zipf_exponent, 3)
    (5, 1.0, 2.0)
    """

    m: float
    b: float
    c: int
    A: float
    B: float
    C: float
    mse: float
    r2: float
    head_r2: float
    tail_r2: float
    n: int

    @property
    def geometric_rate(self) -> float:
        """λ of the head, p(k) ∝ e^{−λk}."""
        return -self.m

    @property
    def zipf_exponent(self) -> float:
        """s of the tail, p(k) ∝ (k + C)^{−s}."""
        return -self.B

    @property
    def fitted(self) -> Float[np.ndarray, "n"]:
        """The fitted logits at ranks 1 .. n."""
        head = self.m * np.arange(1, self.c + 1) + self.b
        return np.concatenate([head, self.A + self.B * np.log(np.arange(self.c + 1, self.n + 1) + self.C)])


def fit_piecewise_logits(sorted_logits: Float[np.ndarray, "n"]) -> LogitFit:
    """Least-squares fit of the piecewise curve, with c over every rank.

    c runs over 2 .. n−3, where both pieces are determined. The log must be defined on the tail, C > −(c+1);
    the search keeps 0.01 away from that pole (closer, the tail can drop its first point for nothing)
    and below C = 100 n, beyond which the tail is a straight line to the eye. The pieces need not meet.

    Args:
        sorted_logits: Finite logits in non-increasing order, at least 5; element i has rank i + 1.

    Returns:
        The best fit. A common shift of the logits shifts b and A; a factor scales m, b, A and B.

    Raises:
        ValueError: If there are fewer than 5 logits, one is not finite, or they are not sorted.

    >>> ranks = np.arange(1, 201)
    >>> curve = np.where(ranks <= 20, 10 - 0.3 * ranks, 6.5 - 1.1 * np.log(np.maximum(ranks, 21) - 8.0))
    >>> fit = fit_piecewise_logits(curve)
    >>> fit.c, round(fit.geometric_rate, 6), round(fit.zipf_exponent, 4), round(fit.C, 2)
    (20, 0.3, 1.1, -8.0)
    """
    y = np.asarray(sorted_logits, dtype=np.float64)
    _check(y)
    return _assemble(y, *best_head_and_shift(y))


def _assemble(y, c, shift):
    ranks = np.arange(1, y.size + 1)
    m, b, head = _line(ranks[:c].astype(float), y[:c])
    log_slope, level, tail = _line(np.log(ranks[c:] + shift), y[c:])
    sse = head @ head + tail @ tail
    return LogitFit(
        m=m,
        b=b,
        c=c,
        A=level,
        B=log_slope,
        C=shift,
        mse=float(sse / y.size),
        r2=_r2(sse, y),
        head_r2=_r2(head @ head, y[:c]),
        tail_r2=_r2(tail @ tail, y[c:]),
        n=y.size,
    )


def _line(x, y):
    """Slope, intercept and residuals of a simple regression."""
    centred = x - x.mean()
    slope = float(centred @ (y - y.mean()) / (centred @ centred))
    residual = y - y.mean() - slope * centred
    return slope, float(y.mean() - slope * x.mean()), residual


def _r2(sse, y):
    spread = float(((y - y.mean()) ** 2).sum())
    return 1.0 - float(sse) / spread if spread > 0 else 1.0


def _check(y):
    if y.ndim != 1 or y.size < MIN_HEAD + MIN_TAIL:
        raise ValueError(
            f"sorted_logits has shape {y.shape}; a fit needs a vector of at least {MIN_HEAD + MIN_TAIL}"
        )
    if not np.isfinite(y).all():
        raise ValueError(f"sorted_logits has {np.count_nonzero(~np.isfinite(y))} entries that are not finite")
    if (np.diff(y) > 0).any():
        raise ValueError("sorted_logits rises somewhere; sort it in falling order (np.sort(logits)[::-1])")

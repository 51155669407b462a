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
from scipy.optimize import minimize_scalar

MIN_HEAD, MIN_TAIL = 2, 3  # a line needs two ranks, A + B ln(k + C) three
_MIN_OFFSET = 1e-2
_MAX_SHIFT = 100.0
_EXACT_RANKS, _BIN_RATIO = 2048, 1.004
_POINTS_PER_DECADE, _REFINED, _FINALISTS = 32, 64, 3


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
    search = _Search(y, np.ones(y.size))
    screen = search if y.size <= _EXACT_RANKS else _Search(*_merge_tail(y))
    best = (np.inf, 0, 0.0)
    for c, low, high in _screened(screen):
        found = search.refine(c, low, high)
        while found[0] < best[0]:
            best = found
            c = search.best_head(best[2])
            found = search.refine(c, best[2] - abs(best[2]) / 8 - 1, best[2] + abs(best[2]) / 8 + 1)
    return _assemble(y, best[1], best[2])


def _screened(screen):
    """The most promising (c, low, high): head lengths with a bracket for C, best first."""
    grid = _shift_grid(screen)
    sse = np.full(screen.y.size + 1, np.inf)
    place = np.zeros(screen.y.size + 1, dtype=int)
    for i, shift in enumerate(grid):
        first, total = screen.totals(shift)
        better = total < sse[first : first + total.size]
        sse[first : first + total.size][better] = total[better]
        place[first : first + total.size][better] = i
    refined = []
    for i in np.argsort(sse, kind="stable")[:_REFINED]:
        if np.isfinite(sse[i]):
            low, high = grid[max(place[i] - 1, 0)], grid[min(place[i] + 1, grid.size - 1)]
            value, c, _ = screen.refine(int(i), low, high)
            refined.append((value, int(screen.last[c - 1]), low, high))
    return [bracket for _, *bracket in sorted(refined)[:_FINALISTS]]


def _shift_grid(screen):
    """Values of C, ascending: log-spaced above −1, and for every head length some close to its pole.

    Above −1 the log is defined for all c. At C = −a only heads with c + 1 > a are possible, the shortest
    of them close to its pole: fractional parts of a set that distance. All integers are used up to 64, then
    about 1.06 times the one before.
    """
    n = int(screen.last[-1])
    offset = np.geomspace(_MIN_OFFSET, _MAX_SHIFT * n, int(np.log10(_MAX_SHIFT * n / _MIN_OFFSET) * _POINTS_PER_DECADE))
    poles = np.unique(np.geomspace(64, max(n, 65), 1 + int(np.log(max(n, 65) / 64) / np.log(1.06))).astype(int))
    poles = np.unique(np.concatenate([np.arange(2, 65), poles]))
    poles = poles[poles <= n - MIN_TAIL]
    close = np.array([0.01, 0.03, 0.1, 0.25, 0.5, 0.75])
    negative = (close[None, :] - (poles[:, None] + 1)).ravel()
    return np.unique(np.concatenate([negative, offset - 1]))


class _Search:
    """Sums of squared errors of (c, C) pairs over weighted points, point i standing for ranks up to last[i]."""

    def __init__(self, y, weight):
        self.y, self.weight = y, weight
        self.last = np.cumsum(weight)
        self.rank = self.last - (weight - 1) / 2
        # Centred on the end of the tail: what is summed is then of the size of the deviations themselves.
        self.centred = y - y[-1]
        self.n_from = _suffix(weight)
        self.sy, self.syy = _suffix(weight * self.centred), _suffix(weight * self.centred**2)
        self.head = self._head_errors()

    def _head_errors(self):
        """SSE of the best line through the first i points, for every i; index 0 unused."""
        y, w = self.y - self.y[0], self.weight
        k = self.rank - self.rank[0]
        n, sk, skk = np.cumsum(w), np.cumsum(w * k), np.cumsum(w * k * k)
        sy, syy, sky = np.cumsum(w * y), np.cumsum(w * y * y), np.cumsum(w * k * y)
        return np.r_[0.0, _residual(n, sk, skk, sy, syy, sky)]

    def _log_rank(self, shift, first=0):
        """ln(k + C) less its value at the last rank, for the points from ``first`` on."""
        return np.log1p((self.rank[first:] - self.rank[-1]) / (self.rank[-1] + shift))

    def totals(self, shift):
        """(first c index, SSE of head + tail for every c index from it) at C = shift."""
        first = max(MIN_HEAD, int(np.searchsorted(self.rank, _MIN_OFFSET - shift, side="left")))
        stop = self.y.size - MIN_TAIL
        if first > stop:
            return first, np.empty(0)
        x = self._log_rank(shift, first)
        w = self.weight[first:]
        sums = [self.n_from[first:], _suffix(w * x), _suffix(w * x * x)]
        sums += [self.sy[first:], self.syy[first:], _suffix(w * x * self.centred[first:])]
        tail = _residual(*sums)
        return first, self.head[first : stop + 1] + tail[: stop + 1 - first]

    def best_head(self, shift):
        """The best c at C = shift."""
        first, total = self.totals(shift)
        return first + int(np.argmin(total))

    def refine(self, c, low, high):
        """(SSE, c, C): the best C for this c inside the bracket and the domain."""
        y, w = self.centred[c:], self.weight[c:]
        n, sy, syy = self.n_from[c], self.sy[c], self.syy[c]

        def tail(shift):
            x = self._log_rank(shift, c)
            wx = w * x
            return float(_residual(n, wx.sum(), wx @ x, sy, syy, wx @ y))

        low = max(float(low), _MIN_OFFSET - float(self.rank[c]))
        high = min(float(high), _MAX_SHIFT * float(self.last[-1]))
        inner = minimize_scalar(tail, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * (1 + abs(low))})
        value, shift = min((float(inner.fun), float(inner.x)), (tail(low), low), (tail(high), high))
        return float(self.head[c]) + value, c, shift


def _residual(n, sx, sxx, sy, syy, sxy):
    """Sum of squared errors of a weighted simple regression, from its sums; 0 where rounding is all that is left."""
    cxx, cyy, cxy = sxx - sx * sx / n, syy - sy * sy / n, sxy - sx * sy / n
    flat = cxx <= 0
    explained = np.where(flat, 0.0, cxy * cxy / np.where(flat, 1.0, cxx))
    return np.maximum(cyy - explained, 0.0)


def _suffix(values):
    return np.cumsum(values[::-1])[::-1]


def _merge_tail(y):
    """Mean and size of bins: single ranks up to 2048, then runs growing by 0.4 % of the rank."""
    edges = _EXACT_RANKS * _BIN_RATIO ** np.arange(1, np.log(y.size / _EXACT_RANKS) / np.log(_BIN_RATIO))
    start = np.unique(np.r_[np.arange(_EXACT_RANKS), edges.astype(int)])
    size = np.diff(np.r_[start, y.size])
    return np.add.reduceat(y, start) / size, size.astype(float)


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

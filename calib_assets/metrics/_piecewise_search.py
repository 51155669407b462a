"""The search behind `fit_piecewise_logits`: the best (c, C), everything else being linear for fixed C."""

import numpy as np
from scipy.optimize import minimize_scalar

MIN_HEAD, MIN_TAIL = 2, 3  # a line needs two ranks, A + B ln(k + C) three
MIN_OFFSET = 1e-2  # of the tail's first rank from the pole of the log
MAX_SHIFT = 100.0  # C at most, in units of n
EXACT_RANKS, _BIN_RATIO = 2048, 1.004
_POINTS_PER_DECADE, _REFINED, _FINALISTS = 32, 64, 3


def best_head_and_shift(y):
    """(c, C) with the smallest sum of squared errors."""
    search = _Search(y, np.ones(y.size))
    screen = search if y.size <= EXACT_RANKS else _Search(*_merge_tail(y))
    best = (np.inf, 0, 0.0)
    for c, low, high in _screened(screen):
        found = search.refine(c, low, high)
        while found[0] < best[0]:
            best = found
            c, width = search.best_head(best[2]), abs(best[2]) / 8 + 1
            found = search.refine(c, best[2] - width, best[2] + width)
    return best[1], best[2]


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
    offset = np.geomspace(
        MIN_OFFSET, MAX_SHIFT * n, int(np.log10(MAX_SHIFT * n / MIN_OFFSET) * _POINTS_PER_DECADE)
    )
    poles = np.unique(
        np.geomspace(64, max(n, 65), 1 + int(np.log(max(n, 65) / 64) / np.log(1.06))).astype(int)
    )
    poles = np.unique(np.concatenate([np.arange(2, 65), poles]))
    poles = poles[poles <= n - MIN_TAIL]
    close = np.array([0.01, 0.03, 0.1, 0.25, 0.5, 0.75])
    negative = (close[None, :] - (poles[:, None] + 1)).ravel()
    return np.unique(np.concatenate([negative, offset - 1]))


class _Search:
    """Squared errors of (c, C) pairs over weighted points; point i stands for the ranks up to last[i]."""

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
        first = max(MIN_HEAD, int(np.searchsorted(self.rank, MIN_OFFSET - shift, side="left")))
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

        low = max(float(low), MIN_OFFSET - float(self.rank[c]))
        high = min(float(high), MAX_SHIFT * float(self.last[-1]))
        inner = minimize_scalar(
            tail, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * (1 + abs(low))}
        )
        value, shift = min((float(inner.fun), float(inner.x)), (tail(low), low), (tail(high), high))
        return float(self.head[c]) + value, c, shift


def _residual(n, sx, sxx, sy, syy, sxy):
    """Sum of squared errors of a weighted simple regression, from its sums; never below 0 by rounding."""
    cxx, cyy, cxy = sxx - sx * sx / n, syy - sy * sy / n, sxy - sx * sy / n
    flat = cxx <= 0
    explained = np.where(flat, 0.0, cxy * cxy / np.where(flat, 1.0, cxx))
    return np.maximum(cyy - explained, 0.0)


def _suffix(values):
    return np.cumsum(values[::-1])[::-1]


def _merge_tail(y):
    """Mean and size of bins: single ranks up to 2048, then runs growing by 0.4 % of the rank."""
    edges = EXACT_RANKS * _BIN_RATIO ** np.arange(1, np.log(y.size / EXACT_RANKS) / np.log(_BIN_RATIO))
    start = np.unique(np.r_[np.arange(EXACT_RANKS), edges.astype(int)])
    size = np.diff(np.r_[start, y.size])
    return np.add.reduceat(y, start) / size, size.astype(float)
